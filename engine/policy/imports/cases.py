"""The tests of a CEL policy, as the cases of a suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.base.jsontypes import Json
from engine.base.records import record
from engine.cel import (
    RUNTIMES,
    Budget,
    BudgetError,
    CelCheckError,
    CoercionError,
    Environment,
    check,
    coerce,
    create_runtime,
)
from engine.cel.celtypes import parse_type
from engine.cel.values import CelError, Value, equal, to_json, type_name
from engine.documents.composed import Node
from engine.policy.imports.environment import Variable
from engine.policy.imports.reader import Reader

_TEST = ("name", "description", "input", "output")
_NONE = "optional.none()"
_ANY_OUTPUT = ""
"""Instead of a type: an output is compared as JSON."""


@record
class Case:
    """A test: inputs by the variables' names, and what is expected."""

    name: str
    inputs: Mapping[str, Json]
    expect: Mapping[str, Json]


class CaseReader(Reader):
    """Reads tests."""

    def __init__(self, variables: Mapping[str, Variable]) -> None:
        super().__init__()
        self.variables = variables
        self.errors: list[str] = []
        """The errors that the tests expect of compiling the policy."""

    def read(self, root: Node) -> Iterator[Case]:
        """Yield the cases of all sections."""
        if not self.mapping(root, "tests"):
            return
        sections = self.listed(root, "section", "sections")
        if not sections:
            self.fail(root, "tests: no list 'section'")
        taken: set[str] = set()
        for section in sections:
            if not self.mapping(section, "section"):
                continue
            prefix = f"{self.text(section['name'], 'name')}: " if "name" in section else ""
            for number, test in enumerate(self.listed(section, "tests"), start=1):
                case = self.case(test, prefix, number)
                if case is None:
                    continue
                if case.name in taken:
                    self.fail(test, f"test '{case.name}' is there twice")
                taken.add(case.name)
                yield case

    def case(self, test: Node, prefix: str, number: int) -> Case | None:
        if not self.mapping(test, "test", _TEST):
            return None
        known = len(self.problems)
        name = prefix + (self.text(test["name"], "name") if "name" in test else str(number))
        inputs = {}
        given = test.get("input")
        for variable, node in given.items() if given is not None and self.mapping(given, "input") else ():
            if variable not in self.variables:
                self.fail(node, f"input '{variable}' is no variable of the environment", key=True)
                continue
            inputs[variable] = self.value(node, self.variables[variable].type)
        expect = self.expected(test.get("output"), test)
        return Case(name, inputs, expect) if expect is not None and len(self.problems) == known else None

    def expected(self, output: Node | None, test: Node) -> Mapping[str, Json] | None:
        if output is None or not isinstance(output.value, dict):
            self.fail(output or test, "test: no output")
            return None
        if "error_set" in output:
            self.errors += [self.text(each, "error_set") for each in self.listed(output, "error_set")]
            return None
        if "expr" in output and self.expression(output["expr"]).value.strip() == _NONE:
            return {"outcome": "no_match"}
        return {"output": self.value(output, _ANY_OUTPUT)}

    def value(self, node: Node, type_text: str) -> Json:
        """Return a value, or the value of a CEL expression, as a suite writes it."""
        if isinstance(node.value, dict) and set(node.value) == {"value"}:
            plain: Json = node["value"].plain()
            return plain
        if not (isinstance(node.value, dict) and set(node.value) == {"expr"}):
            self.fail(node, "expected value or expr")
            return None
        text: str = self.expression(node["expr"]).value
        try:
            value = _evaluated(text)
        except CelCheckError as error:
            self.fail(node["expr"], error.faults[0].message, error.faults[0].hint)
            return None
        except (CelError, BudgetError) as error:
            self.fail(node["expr"], str(error))
            return None
        written = to_json(value)
        if type_text == _ANY_OUTPUT:
            return written
        try:
            kept = coerce(written, parse_type(type_text), {})
        except CoercionError:
            kept = None
        if not _same(kept, value):
            message = f"a suite cannot hold {type_name(value)} values of this kind: {text.strip()}"
            self.fail(node["expr"], message)
        return written


class _NoNames:
    def resolve(self, name: str) -> Any:
        raise CelError(f"undeclared reference to '{name}'")


def _evaluated(text: str) -> Value:
    """Return the value of an expression that reads no names."""
    checked = check(text, Environment({}))
    runtime = create_runtime(RUNTIMES[0], {})
    return runtime.decode(runtime.compile(checked).evaluate(_NoNames(), Budget()), checked.type)


def _same(first: Value, second: Value) -> bool:
    """Return True for equal values of the same types, all the way down."""
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    return type_name(first) == type_name(second) and equal(first, second)
