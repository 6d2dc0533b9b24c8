"""Suites of policy tests: from their files to single cases, each with its inputs and what is expected."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.decide import Policy, load_policy
from engine.documents import Document, check_schema, is_path_like, read_document
from engine.errors import DocumentError, Place, PolicyError, Problem, near
from engine.errors import Path as DocumentPath
from engine.policy.store import holds_policies
from engine.records import field, record
from engine.regress.paths import parse_path, replaced

SUITES = "*_test.yaml"
FIXTURES = "fixtures.yaml"

_EXPECTED = (
    *("match", "outcome", "strategy", "fits_in_memory", "explanation", "output", "warnings"),
    *("binding", "remedies"),
    *("error", "golden"),
)
"""What a table's column may expect, besides paths in `plan` and `output`."""


@record
class Case:
    """One test: inputs and what is expected of the decision.

    `expect` has the keys of the schema's Expect, the paths of `plan` in one mapping.
    """

    suite: Path
    name: str
    inputs: Mapping[str, Any]
    expect: Mapping[str, Any]
    place: Place

    @property
    def id(self) -> str:
        """What tells it from all others."""
        return f"{self.suite}::{self.name}"


@record(eq=False)
class Suite:
    """A suite's file, the policy that it tests, and its cases."""

    path: Path
    document: Document
    reference: str
    folders: tuple[str, ...]
    cases: tuple[Case, ...]
    files: tuple[Path, ...] = field(default=())
    """The suite's own files: itself and its fixtures."""

    def policy(self) -> Policy:
        """The policy that it tests, ready to decide.

        Raises:
            EngineError: there is none, or it has faults.
        """
        return load_policy(self.reference, self.folders)

    @property
    def unreachable(self) -> dict[str, str]:
        """What no request can reach of the policy, with the reasons."""
        return {each["point"]: each["reason"] for each in self.document.value.get("unreachable", ())}

    @property
    def equivalent(self) -> dict[str, str]:
        """Mutants that no request can tell apart, with the reasons."""
        return {each["mutant"]: each["reason"] for each in self.document.value.get("equivalent", ())}


def find_suites(paths: Iterable[Path]) -> list[Path]:
    """The files of suites among files and folders, each once.

    Raises:
        DocumentError: a path doesn't exist.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(sorted(path.rglob(SUITES)))
        elif path.exists():
            found[path] = None
        else:
            raise DocumentError(f"{path}: no such file or folder")
    return list(found)


def read_suite(path: Path, folders: Sequence[str] = ()) -> Suite:
    """The suite in a file, its cases written out.

    Args:
        path: the file.
        folders: policies that stand in front of the shipped ones, behind those that the suite stands among.

    Raises:
        DocumentError: it can't be read, breaks its schema, or names what isn't there; all that is wrong.
    """
    document = read_document(path)
    check_schema(document, "suite")
    files = [path]
    fixtures: dict[str, dict[str, Any]] = {}
    shared = path.parent / FIXTURES
    if shared.exists():
        files.append(shared)
        common = read_document(shared)
        check_schema(common, "fixtures")
        fixtures |= {name: dict(values) for name, values in common.value["fixtures"].items()}
    for name, values in document.value.get("fixtures", {}).items():
        fixtures[name] = {**fixtures.get(name, {}), **values}
    reference, own_folders = _reference(document, path)
    known = _input_types(document, reference, (*own_folders, *folders))
    reader = _Reader(path, document, fixtures, known)
    cases = tuple(reader.cases())
    if reader.problems:
        raise DocumentError(reader.problems)
    return Suite(path, document, reference, (*own_folders, *folders), cases, tuple(files))


def _reference(document: Document, path: Path) -> tuple[str, tuple[str, ...]]:
    """The policy's reference, and the folders of policies that the suite stands in."""
    reference: str = document.value["policy"]
    absolute = path.absolute()
    if is_path_like(reference):
        reference = os.path.normpath(path.parent / reference)
    folders = [_relative(folder) for folder in absolute.parents[:4] if holds_policies(str(folder))]
    return reference, tuple(folders[:1])


def _relative(folder: Path) -> str:
    """A folder as people would call it from here."""
    name = os.path.relpath(folder)
    return str(folder) if name.startswith("..") else name


def _input_types(document: Document, reference: str, folders: Sequence[str]) -> dict[str, str]:
    """The declared inputs of the policy that a suite tests."""
    try:
        policy = load_policy(reference, folders)
    except (DocumentError, PolicyError) as error:
        place = document.place(("policy",))
        raise type(error)([problem.at(place) for problem in error.problems]) from None
    return policy.input_types


class _Reader:
    def __init__(
        self,
        path: Path,
        document: Document,
        fixtures: Mapping[str, Mapping[str, Any]],
        types: Mapping[str, str],
    ) -> None:
        self.path = path
        self.document = document
        self.fixtures = fixtures
        self.types = types
        self.problems: list[Problem] = []
        self.names: dict[str, int] = {}
        for name in fixtures:
            self.known_input(name, ("fixtures", name))

    def problem(
        self, message: str, path: DocumentPath, hint: str | None = None, *, key: bool = False
    ) -> None:
        self.problems.append(Problem(message, self.document.place(path, key=key), hint, path))

    def cases(self) -> Iterator[Case]:
        defaults = self.document.value.get("defaults", {})
        for position, test in enumerate(self.document.value["tests"]):
            path: DocumentPath = ("tests", position)
            kinds = [kind for kind in ("cases", "matrix") if kind in test]
            if "columns" in test and "cases" not in test:
                self.problem("columns without cases", (*path, "columns"), key=True)
            elif len(kinds) == 2:
                self.problem("a test is a table or a matrix, not both", path)
            elif kinds == ["cases"]:
                yield from self.table(path, test, defaults)
            elif "expect" not in test:
                self.problem("a test without expect passes whatever is decided", path, "say what is expected")
            elif kinds == ["matrix"]:
                yield from self.matrix(path, test, defaults)
            else:
                given = {**defaults, **test.get("inputs", {})}
                yield from self.case(test["name"], given, test["expect"], path, (*path, "inputs"))

    def table(
        self, path: DocumentPath, test: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> Iterator[Case]:
        columns: list[str] = test.get("columns", [])
        kinds = [self.column(name, (*path, "columns", i)) for i, name in enumerate(columns)]
        if "columns" not in test:
            self.problem("cases without columns", (*path, "cases"), key=True)
        elif "expect" not in test and not any(kind in ("expect", "plan") for kind in kinds):
            self.problem("no column says what is expected", (*path, "columns"))
        for row, cells in enumerate(test["cases"]):
            own = (*path, "cases", row)
            if len(cells) != len(columns):
                self.problem(f"{len(cells)} cells for {len(columns)} columns", own)
                continue
            name, inputs = f"{test['name']}[{row + 1}]", {**defaults, **test.get("inputs", {})}
            expect: dict[str, Any] = {**test.get("expect", {})}
            for kind, column, cell in zip(kinds, columns, cells, strict=True):
                if kind == "name":
                    name = f"{test['name']}[{cell}]"
                elif kind == "input":
                    inputs[column] = cell
                elif kind == "plan":
                    expect["plan"] = {**expect.get("plan", {}), column.partition(".")[2]: cell}
                elif kind == "expect":
                    expect[column] = cell
            yield from self.case(name, inputs, expect, own, own)

    def column(self, name: str, path: DocumentPath) -> str:
        """What a table's column is for."""
        if name == "name":
            return "name"
        head = name.partition(".")[0].partition("[")[0]
        if head in self.types:
            return "input"
        if name in _EXPECTED:
            return "expect"
        if name.startswith("plan."):
            return "plan"
        known = [*self.types, *_EXPECTED, "name", "plan.PATH"]
        self.problem(f"column '{name}' is neither an input nor expected", path, near(name, known))
        return "unknown"

    def matrix(
        self, path: DocumentPath, test: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> Iterator[Case]:
        matrix: dict[str, list[Any]] = test["matrix"]
        base = {**defaults, **test.get("inputs", {})}
        for values in itertools.product(*matrix.values()):
            label = ", ".join(str(value) if not isinstance(value, (dict, list)) else "…" for value in values)
            given = {**base, **dict(zip(matrix, values, strict=True))}
            yield from self.case(f"{test['name']}[{label}]", given, test["expect"], path, (*path, "matrix"))

    def case(
        self,
        name: str,
        given: Mapping[str, Any],
        expect: Mapping[str, Any],
        path: DocumentPath,
        inputs_path: DocumentPath,
    ) -> Iterator[Case]:
        number = self.names[name] = self.names.get(name, 0) + 1
        if number > 1:
            if "[" not in name:
                self.problem(f"two tests are called '{name}'", (*path, "name"))
            name = f"{name[:-1]} #{number}]"
        inputs = self.inputs(given, inputs_path)
        self.tolerances(expect, path)
        for plan_path in expect.get("plan") or {}:
            try:
                parse_path(plan_path)
            except ValueError as error:
                self.problem(str(error), (*path, "expect", "plan", plan_path), key=True)
        yield Case(self.path, name, inputs, expect, self.document.place(path))

    def tolerances(self, expected: Any, path: DocumentPath) -> None:
        """Numbers with a tolerance, wherever one is expected, say what they must."""
        if isinstance(expected, dict) and "approx" in expected:
            others = [each for key, each in expected.items() if key != "approx"]
            right = _is_number(expected["approx"]) and all(_is_number(each) and each >= 0 for each in others)
            if not right or not expected.keys() <= {"approx", "rel", "abs"}:
                self.problem("expected {approx: NUMBER} with rel or abs, numbers from 0", path)
        elif isinstance(expected, dict):
            for each in expected.values():
                self.tolerances(each, path)
        elif isinstance(expected, list):
            for each in expected:
                self.tolerances(each, path)

    def inputs(self, given: Mapping[str, Any], path: DocumentPath) -> dict[str, Any]:
        """The inputs with fixtures in the places of their names, and parts set by their paths."""
        inputs: dict[str, Any] = {}
        parts: list[tuple[DocumentPath, Any]] = []
        for name, value in given.items():
            try:
                steps = parse_path(name)
            except ValueError as error:
                self.problem(str(error), (*path, name), key=True)
                continue
            if not self.known_input(str(steps[0]), (*path, name)):
                continue
            if len(steps) > 1:
                parts.append((steps, value))
            else:
                inputs[name] = self.value(name, value, (*path, name))
        for steps, value in parts:
            try:
                inputs = replaced(inputs, steps, value)
            except LookupError as error:
                self.problem(f"there is no {error.args[0]!r} to set a part of", path)
        return inputs

    def value(self, name: str, value: Any, path: DocumentPath) -> Any:
        """A fixture's value for its name; a model may be its count of parameters."""
        fixtures = self.fixtures.get(name, {})
        if isinstance(value, str) and value in fixtures:
            return fixtures[value]
        type_ = self.types[name]
        if type_ == "Model" and isinstance(value, (str, int)) and not isinstance(value, bool):
            return {"params": value}
        if type_ == "Inventory" and isinstance(value, str):
            self.problem(f"no fixture '{value}' for {name}", path, near(value, fixtures))
        return value

    def known_input(self, name: str, path: DocumentPath) -> bool:
        if name in self.types:
            return True
        self.problem(f"the policy has no input '{name}'", path, near(name, self.types), key=True)
        return False


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
