"""Expressions checked and evaluated as the engine does it, for tests of CEL."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from engine.cel.budget import Budget
from engine.cel.celtypes import DYN, Type, parse_type
from engine.cel.checker import CelCheckError, Environment, check
from engine.cel.runtimes.protocol import Runtime
from engine.cel.runtimes.registry import create_runtime
from engine.cel.times import SECOND, Duration
from engine.cel.values import CelError, TypeValue, Uint, Value, equal, type_name
from engine.plan import BUILDERS  # noqa: F401  # importing plans adds their functions to CEL
from tests.support.runtimes import RUNTIMES  # noqa: F401  # registers C++ CEL

DATA = Path(__file__).resolve().parent.parent / "data" / "cel"


class Bindings:
    """A scope of plain values."""

    def __init__(self, runtime: Runtime, values: Mapping[str, Value], types: Mapping[str, Type]) -> None:
        self.runtime = runtime
        self.values = values
        self.types = types

    def resolve(self, name: str) -> Any:
        return self.runtime.encode(self.values[name], self.types[name])


@cache
def runtime(name: str) -> Runtime:
    return create_runtime(name, {})


def evaluate(
    text: str,
    runtime_name: str,
    values: Mapping[str, Value] | None = None,
    types: Mapping[str, Type] | None = None,
) -> Value:
    """The value of an expression.

    Raises:
        CelCheckError: the checker refuses it.
        CelError: it ends in an error.
    """
    values = values or {}
    declared = dict.fromkeys(values, DYN) | dict(types or {})
    checked = check(text, Environment(declared))
    made = runtime(runtime_name)
    return made.decode(
        made.compile(checked).evaluate(Bindings(made, values, declared), Budget()), checked.type
    )


def same(first: Value, second: Value) -> bool:
    """Equal, and of one type; NaN is itself here."""
    if isinstance(first, float) and isinstance(second, float) and math.isnan(first):
        return math.isnan(second)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return type_name(first) == type_name(second) and equal(first, second)


def outcome(text: str, runtime_name: str, **kwargs: Any) -> Value:
    """The value, or the class of an error."""
    try:
        return evaluate(text, runtime_name, **kwargs)
    except CelError:
        return CelError


@cache
def all_conformance() -> list[dict[str, Any]]:
    """All cases of the suite."""
    lines = (DATA / "conformance.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def conformance() -> list[dict[str, Any]]:
    """The suite's cases, without those on what the engine doesn't offer."""
    return [case for case in all_conformance() if not_offered(case) is None]


@cache
def _reasons() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DATA / "deviations.yaml").read_text(encoding="utf-8"))
    return loaded


def not_offered(case: Mapping[str, Any]) -> str | None:
    """The reason why the engine does not offer what a case is about, if it doesn't."""
    for reason, rule in _reasons()["not offered"].items():
        if case["file"] in rule.get("files", ()):
            return str(reason)
        if "pattern" in rule and re.search(rule["pattern"], json.dumps(case)):
            return str(reason)
    return None


def oracle_lacks(case: Mapping[str, Any]) -> bool:
    """Whether C++ CEL's package for Python lacks what a case is about."""
    rule = _reasons()["the oracle lacks"]
    return case["file"] in rule["files"] or case["expr"] in rule["expressions"]


def deviations() -> dict[str, list[str]]:
    """Expressions by the reason for which the engine answers otherwise than the suite."""
    loaded: dict[str, list[str]] = _reasons()["deviations"]
    return loaded


def declared_types(case: Mapping[str, Any]) -> dict[str, Type]:
    """The declarations of a case of the suite."""
    return {name: parse_type(type_) for name, type_ in (case.get("declarations") or {}).items()}


def tagged(value: Mapping[str, Any]) -> Value:
    """A value of the suite's data as a plain one."""
    ((kind, content),) = value.items()
    if kind == "list":
        return [tagged(element) for element in content]
    if kind == "map":
        pairs = content.items() if isinstance(content, dict) else ((tagged(k), v) for k, v in content)
        return {key: tagged(element) for key, element in pairs}
    if kind == "null":
        return None
    simple = {
        "int": int,
        "uint": lambda text: Uint(int(text)),
        "double": float,
        "bytes": bytes.fromhex,
        "type": TypeValue,
        "duration": lambda parts: Duration(parts[0] * SECOND + parts[1]),
    }
    return simple[kind](content) if kind in simple else content


def answers_as_the_suite(case: Mapping[str, Any], runtime: str) -> bool:
    """Whether a runtime gives a case's value, or an error where one is wanted.

    A case with a deduced type is right if the checker finds it; some have no value besides.
    """
    if "deduced" in case:
        checked = check(case["expr"], Environment(declared_types(case)))
        # What the suite calls an abstract type is an optional here.
        if re.sub(r"optional_type\(\w+\)", "abstract_type", str(checked.type)) != case["deduced"]:
            return False
        if case.get("check_only"):
            return True
    values = {name: tagged(value) for name, value in (case.get("bindings") or {}).items()}
    types = dict.fromkeys(values, DYN) | declared_types(case)
    try:
        value = evaluate(case["expr"], runtime, values, types)
    except (CelCheckError, CelError):
        return "error" in case
    return "value" in case and same(value, tagged(case["value"]))
