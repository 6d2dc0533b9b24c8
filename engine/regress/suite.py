"""Read suites of policy tests and expand them into cases."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict, TypeGuard

from engine.base.errors import DocumentError, Place, PolicyError, Problem, near, quote
from engine.base.errors import Path as DocumentPath
from engine.base.memory import memory
from engine.base.records import field, record
from engine.catalogs.store import RESERVED_NAMES, holds_policies, is_library_reference
from engine.decide.policy import Policy, load_policy
from engine.documents import Document, Limits, check_schema, is_path_like, parse_document, read_document
from engine.documents.confined import ConfinedError, is_below, read_below
from engine.regress.paths import parse_path, replaced
from engine.regress.suite_inputs import DeclaredInputs

SUITES = "*_test.yaml"
FIXTURES = "fixtures.yaml"
LIMITS = Limits(keys=True)
"""Limits of suites and fixtures: inputs may be maps with numbers as keys."""
_NAME_IT = "name the file as an argument to run it"

_EXPECTED = (
    *("match", "outcome", "strategy", "fits_in_memory", "explanation", "output", "warnings"),
    *("binding", "remedies", "combinations", "conflict"),
    *("error", "golden"),
)
"""Expectations that a table's column may hold, besides paths in `plan` and `output`."""


def is_output_path(name: str) -> bool:
    """Return True for an expectation of a part of the output: `output.limit`, `output[0]`."""
    return name.startswith(("output.", "output["))


@record
class Case:
    """One test: inputs and expectations.

    `expect` has the keys of the schema's Expect, with paths of `plan` in one mapping.
    """

    suite: Path
    name: str
    inputs: Mapping[str, object]
    expect: Mapping[str, Any]
    place: Place

    @property
    def id(self) -> str:
        """Return the unique id of the case."""
        return f"{self.suite}::{self.name}"


@record(eq=False)
class Suite:
    """A suite file, the policy that it tests, and its cases."""

    path: Path
    document: Document
    reference: str
    folders: tuple[str, ...]
    cases: tuple[Case, ...]
    files: tuple[Path, ...] = field(default=())
    """The suite file and its fixtures."""
    constants: Mapping[str, object] = field(default_factory=dict)
    """Other values of the policy's constants (`--set`)."""

    def policy(self) -> Policy:
        """Load the policy under test.

        Raises:
            EngineError: the policy is missing or invalid.
        """
        return _load(self.reference, self.folders, self.constants)

    @property
    def unreachable(self) -> dict[str, str]:
        """Reasons for coverage points that no request can reach, by name."""
        return {entry["point"]: entry["reason"] for entry in self.document.value.get("unreachable", ())}

    @property
    def equivalent(self) -> dict[str, str]:
        """Reasons for mutants that behave like the policy, by name."""
        return {entry["mutant"]: entry["reason"] for entry in self.document.value.get("equivalent", ())}


def find_suites(paths: Iterable[Path]) -> list[Path]:
    """Return the suite files among files and folders, without duplicates.

    Raises:
        DocumentError: a path does not exist.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            suites = sorted(path.rglob(SUITES))
            for suite in suites:
                if suite.is_symlink() and not is_below(suite, path):
                    raise DocumentError(f"{suite}: symbolic link to a file outside {path}", hint=_NAME_IT)
            found |= dict.fromkeys(suites)
        elif path.exists():
            found[path] = None
        else:
            raise DocumentError(f"{path}: no such file or folder")
    return list(found)


def read_suite(
    path: Path, folders: Sequence[str] = (), constants: Mapping[str, object] | None = None
) -> Suite:
    """Read a suite and expand its cases.

    Args:
        path: the file.
        folders: policy folders, searched after the suite's own folder and before the shipped policies.
        constants: other values of the policy's constants (`--set`).

    Raises:
        DocumentError: all problems: unreadable, against the schema, or unknown names.
    """
    document = read_document(path, LIMITS)
    check_schema(document, "suite")
    _check_names(document)
    files = [path]
    fixtures: dict[str, dict[str, object]] = {}
    shared = path.parent / FIXTURES
    common = _fixtures(shared)
    if common is not None:
        files.append(shared)
        check_schema(common, "fixtures")
        _check_names(common)
        fixtures |= {name: dict(values) for name, values in common.value["fixtures"].items()}
    for name, values in document.value.get("fixtures", {}).items():
        fixtures[name] = {**fixtures.get(name, {}), **values}
    reference, suite_folders = _reference(document, path, folders)
    policy = _tested_policy(document, reference, (*suite_folders, *folders))
    reader = _Reader(path, document, fixtures, policy.input_types)
    reader.declared = DeclaredInputs(policy, document, common)
    cases = tuple(reader.cases())
    if reader.problems:
        raise DocumentError(reader.problems)
    searched = (*suite_folders, *folders)
    return Suite(path, document, reference, searched, cases, tuple(files), constants or {})


def _check_names(document: Document) -> None:
    """Check that names are text: only keys of an input's own maps may be numbers.

    Raises:
        DocumentError: a number as the name of an input, a fixture or an expectation.
    """
    value = document.value
    named: list[DocumentPath] = [("fixtures",), ("defaults",)]
    named += [("fixtures", each) for each in value.get("fixtures", {})]
    for number in range(len(value.get("tests", ()))):
        named += [("tests", number, key) for key in ("inputs", "matrix", "expect")]
    problems = []
    for path in named:
        for key in _mapping_at(value, path):
            if not isinstance(key, str):
                hint = "a comma ends a value in { }; the decimal sign is a point"
                where = (*path, key)
                message = f"expected a name, found {quote(key)}"
                problems.append(Problem(message, document.place(where, key=True), hint, where, at_key=True))
    if problems:
        raise DocumentError(problems)


def _mapping_at(value: Any, path: DocumentPath) -> Mapping[Any, object]:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else value[step]
    return value if isinstance(value, dict) else {}


def _fixtures(path: Path) -> Document | None:
    """Read the fixtures in a suite's folder; None without any.

    Raises:
        DocumentError: they cannot be read, or are not a regular file in this folder.
    """
    try:
        data = read_below(path.parent, path.name)
    except (ConfinedError, OSError) as error:
        raise DocumentError(f"{path}: {_reason(error)}") from None
    if data is None:
        return None
    try:
        return parse_document(data.decode("utf-8-sig").replace("\r\n", "\n"), str(path), LIMITS)
    except UnicodeDecodeError:
        raise DocumentError(f"{path}: not UTF-8 text") from None


def _reason(error: OSError | ConfinedError) -> str:
    """Return the reason why a file that a suite names cannot be used."""
    return f"expected {error}" if isinstance(error, ConfinedError) else str(error.strerror or error).lower()


_POLICY_FILES = (".yaml", ".yml", ".json")


def _reference(document: Document, path: Path, more: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the reference to the policy, and the folder of policies that contains the suite.

    Raises:
        DocumentError: the policy file is neither below the suite nor in a folder that the user named.
    """
    reference: str = document.value["policy"]
    absolute = path.absolute()
    folders = [_relative(folder) for folder in absolute.parents[:4] if _is_root(folder)][:1]
    if is_path_like(reference) and not is_library_reference(reference):
        place = document.place(("policy",))
        if os.path.isabs(reference) or "\0" in reference or not reference.endswith(_POLICY_FILES):
            hint = "use a .yaml file relative to the suite"
            raise DocumentError(f"policy: not a policy file: {quote(reference)}", place=place, hint=hint)
        reference = os.path.normpath(path.parent / reference)
        if not is_below(reference, path.parent, os.curdir, *folders, *more):
            hint = "pass its folder with --policies, or run from a folder that contains both"
            message = f"policy: {quote(reference)} is outside the suite's folder and the folders of policies"
            raise DocumentError(message, place=place, hint=hint)
    return reference, tuple(folders)


def _is_root(folder: Path) -> bool:
    """Return True for a folder of policies, False for its folder of libraries or catalogs."""
    inner = folder.name in RESERVED_NAMES and holds_policies(str(folder.parent))
    return holds_policies(str(folder)) and not inner


def _relative(folder: Path) -> str:
    """Return a folder relative to the current one, unless it is outside."""
    name = os.path.relpath(folder)
    return str(folder) if name.startswith("..") else name


def _tested_policy(document: Document, reference: str, folders: Sequence[str]) -> Policy:
    """Load the policy under test, without other values of its constants."""
    try:
        return _load(reference, folders)
    except (DocumentError, PolicyError) as error:
        place = document.place(("policy",))
        raise type(error)([problem.at(place) for problem in error.problems]) from None


def _load(reference: str, folders: Sequence[str], constants: Mapping[str, object] | None = None) -> Policy:
    """Load a policy; in an editor once per check, and not from the cache, which has what is saved."""
    used = memory()
    if used is None or constants:
        return load_policy(reference, folders, constants=constants)
    key = (used.run, reference, *folders)
    return used.recall("policy", key, lambda: load_policy(reference, folders, use_cache=False))


class _Test(TypedDict):
    """A test of a suite, as its document has it (schemas/suite.schema.json)."""

    name: str
    inputs: NotRequired[dict[str, object]]
    columns: NotRequired[list[str]]
    cases: NotRequired[list[list[object]]]
    matrix: NotRequired[dict[str, list[object]]]
    expect: NotRequired[dict[str, Any]]


Origins = Mapping[str, DocumentPath]
"""Where a suite states the inputs of a case, by name or path."""


def _stated(values: Iterable[str], path: DocumentPath) -> dict[str, DocumentPath]:
    return {name: (*path, name) for name in values}


MOST_COMBINATIONS = 10_000
"""Cases of one matrix."""


class _Reader:
    declared: DeclaredInputs | None = None
    """Holds inputs against the types that the policy declares."""

    def __init__(
        self,
        path: Path,
        document: Document,
        fixtures: Mapping[str, Mapping[str, object]],
        types: Mapping[str, str],
    ) -> None:
        self.path = path
        self.document = document
        self.fixtures = fixtures
        self.types = types
        self.problems: list[Problem] = []
        self.names: dict[str, int] = {}
        self.goldens: set[str] = set()
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
                self.problem("a test has cases or a matrix, not both", path)
            elif kinds == ["cases"]:
                yield from self.table(path, test, defaults)
            elif "expect" not in test:
                self.problem("a test without expect always passes", path, "add expect")
            elif kinds == ["matrix"]:
                yield from self.matrix(path, test, defaults)
            else:
                inputs = {**defaults, **test.get("inputs", {})}
                yield from self.case(test["name"], inputs, test["expect"], path, self.origins(path, test))

    def origins(self, path: DocumentPath, test: _Test) -> dict[str, DocumentPath]:
        """Return where a test, or the suite for all tests, states inputs."""
        defaults = _stated(self.document.value.get("defaults", {}), ("defaults",))
        return {**defaults, **_stated(test.get("inputs", {}), (*path, "inputs"))}

    def table(self, path: DocumentPath, test: _Test, defaults: Mapping[str, object]) -> Iterator[Case]:
        columns = test.get("columns", [])
        kinds = [self.column(name, (*path, "columns", i)) for i, name in enumerate(columns)]
        if "columns" not in test:
            self.problem("cases without columns", (*path, "cases"), key=True)
        elif "expect" not in test and not any(kind in ("expect", "plan") for kind in kinds):
            self.problem("no column holds an expectation", (*path, "columns"))
        for row, cells in enumerate(test["cases"]):
            row_path = (*path, "cases", row)
            if len(cells) != len(columns):
                self.problem(f"{len(cells)} cells for {len(columns)} columns", row_path)
                continue
            name, inputs = f"{test['name']}[{row + 1}]", {**defaults, **test.get("inputs", {})}
            expect: dict[str, Any] = {**test.get("expect", {})}
            origins = self.origins(path, test)
            for number, (kind, column, cell) in enumerate(zip(kinds, columns, cells, strict=True)):
                if kind == "name":
                    name = f"{test['name']}[{cell}]"
                elif kind == "input":
                    inputs[column] = cell
                    origins[column] = (*row_path, number)
                elif kind == "plan":
                    expect["plan"] = {**expect.get("plan", {}), column.partition(".")[2]: cell}
                elif kind == "expect":
                    expect[column] = cell
            yield from self.case(name, inputs, expect, row_path, origins)

    def column(self, name: str, path: DocumentPath) -> str:
        """Return the role of a table's column."""
        if name == "name":
            return "name"
        head = name.partition(".")[0].partition("[")[0]
        if head in self.types:
            return "input"
        if name in _EXPECTED or is_output_path(name):
            return "expect"
        if name.startswith("plan."):
            return "plan"
        known = [*self.types, *_EXPECTED, "name", "plan.PATH", "output.PATH"]
        self.problem(f"column '{name}' is neither an input nor an expectation", path, near(name, known))
        return "unknown"

    def matrix(self, path: DocumentPath, test: _Test, defaults: Mapping[str, object]) -> Iterator[Case]:
        matrix = test["matrix"]
        count = math.prod(map(len, matrix.values()))
        if count > MOST_COMBINATIONS:
            message = f"the matrix has {count:,} combinations, at most {MOST_COMBINATIONS:,} are allowed"
            self.problem(message, (*path, "matrix"), key=True)
            return
        base = {**defaults, **test.get("inputs", {})}
        for chosen in itertools.product(*map(enumerate, matrix.values())):
            values = [value for _, value in chosen]
            origins = self.origins(path, test)
            for name, (number, _) in zip(matrix, chosen, strict=True):
                origins[name] = (*path, "matrix", name, number)
            label = ", ".join(str(value) if not isinstance(value, (dict, list)) else "…" for value in values)
            inputs = {**base, **dict(zip(matrix, values, strict=True))}
            yield from self.case(f"{test['name']}[{label}]", inputs, test["expect"], path, origins)

    def case(
        self,
        name: str,
        inputs: Mapping[str, object],
        expect: Mapping[str, Any],
        path: DocumentPath,
        origins: Origins,
    ) -> Iterator[Case]:
        number = self.names[name] = self.names.get(name, 0) + 1
        if number > 1:
            if "[" not in name:
                self.problem(f"two tests are named '{name}'", (*path, "name"))
            name = f"{name[:-1]} #{number}]"
        resolved = self.inputs(inputs, origins)
        if self.declared is not None and "error" not in expect:
            self.problems += self.declared.problems(inputs, resolved, origins, self.fixtures)
        self.tolerances(expect, path)
        if "golden" in expect:
            self.golden(expect["golden"], (*path, "expect", "golden"))
        for output_path in filter(is_output_path, expect):
            try:
                parse_path(output_path)
            except ValueError as error:
                self.problem(str(error), (*path, "expect", output_path), key=True)
        for plan_path in expect.get("plan") or {}:
            try:
                parse_path(plan_path)
            except ValueError as error:
                self.problem(str(error), (*path, "expect", "plan", plan_path), key=True)
        yield Case(self.path, name, resolved, expect, self.document.place(path))

    def golden(self, name: object, path: DocumentPath) -> None:
        """Check a golden file: a JSON file in or below the suite's folder, not reached through links."""
        if not isinstance(name, str) or not name.endswith(".json"):
            self.problem(f"golden: expected the name of a .json file, found {quote(name)}", path)
        elif name not in self.goldens:
            self.goldens.add(name)
            try:
                read_below(self.path.parent, name)
            except (ConfinedError, OSError) as error:
                hint = "golden files must be in or below the suite's folder"
                self.problem(f"golden: {quote(name)}: {_reason(error)}", path, hint)

    def tolerances(self, expected: object, path: DocumentPath) -> None:
        """Check the form of all expected numbers with a tolerance."""
        if isinstance(expected, dict) and "approx" in expected:
            limits = [limit for key, limit in expected.items() if key != "approx"]
            valid = _is_number(expected["approx"]) and all(_is_number(n) and n >= 0 for n in limits)
            if not valid or not expected.keys() <= {"approx", "rel", "abs"}:
                self.problem("expected {approx: NUMBER} with rel or abs, both non-negative numbers", path)
        elif isinstance(expected, dict):
            for value in expected.values():
                self.tolerances(value, path)
        elif isinstance(expected, list):
            for value in expected:
                self.tolerances(value, path)

    def inputs(self, values: Mapping[str, object], origins: Origins) -> Mapping[str, object]:
        """Return the inputs with fixtures resolved and parts set by their paths."""
        inputs: dict[str, object] = {}
        parts: list[tuple[str, DocumentPath, object]] = []
        for name, value in values.items():
            try:
                steps = parse_path(name)
            except ValueError as error:
                self.problem(str(error), origins[name], key=True)
                continue
            if not self.known_input(str(steps[0]), origins[name]):
                continue
            if len(steps) > 1:
                parts.append((name, steps, value))
            else:
                inputs[name] = self.value(name, value, origins[name])
        for name, (head, *rest), value in parts:
            try:
                inputs[str(head)] = replaced(inputs[str(head)], tuple(rest), value)
            except LookupError as error:
                self.problem(f"cannot set a part: {error.args[0]!r} does not exist", origins[name])
        return inputs

    def value(self, name: str, value: object, path: DocumentPath) -> object:
        """Return an input's value: a fixture by name, or a model by its number of parameters."""
        fixtures = self.fixtures.get(name, {})
        if isinstance(value, str) and value in fixtures:
            return fixtures[value]
        type_ = self.types[name]
        if type_ == "Model" and isinstance(value, (str, int)) and not isinstance(value, bool):
            return {"params": value}
        if type_ == "Inventory" and isinstance(value, str):
            self.problem(f"unknown fixture '{value}' for {name}", path, near(value, fixtures))
        return value

    def known_input(self, name: str, path: DocumentPath) -> bool:
        if name in self.types:
            return True
        self.problem(f"the policy has no input '{name}'", path, near(name, self.types), key=True)
        return False


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
