"""Lint: files of policies → findings, by the checks in engine.policy.checks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base.errors import EngineError, Place, PolicyError, Problem, near, quote
from engine.base.records import record, replace
from engine.catalogs.catalog import catalog_environment, compile_catalog
from engine.catalogs.lock import LOCK, changed, file_digest, has_changed, read_lock, table_paths
from engine.catalogs.patches import apply_patches
from engine.catalogs.schema_types import schema_types
from engine.catalogs.store import HEADS, KIND_FOLDERS, Kind, PolicyStore, part_files, read_parts
from engine.decide.policy import load_policy
from engine.documents import Document, check_schema, read_document
from engine.documents.buffers import buffer
from engine.documents.confined import is_below
from engine.plan import signatures
from engine.policy.checks import Severity, checks
from engine.policy.compiled import CompiledPolicy, rules
from engine.policy.compiler import compile_faulty
from engine.policy.sites import Site
from engine.policy.units import UnitReport, UnitTable, catalog_units, load_units, policy_units
from engine.regress.settings import Original, Settings, settings_for, shipped_originals, unknown_codes
from engine.regress.suite import FIXTURES, LIMITS, SUITES, read_suite
from engine.regress.suite_check import CANNOT_BE_LOADED, suite_problems

if TYPE_CHECKING:
    from engine.decide.policy import Policy
    from engine.regress.prove import Proof, Prover

_KINDS = {
    "Policy": "policy",
    "Overlay": "overlay",
    "Library": "library",
    "Catalog": "catalog",
    "CatalogPatch": "patch",
    "Lock": "lock",
    "Suite": "suite",
    "Settings": "settings",
    "Inventory": "inventory",
    "Model": "model",
    "Request": "request",
    "Fixtures": "fixtures",
}
"""Schemas by kind of document."""

_VERSIONED = re.compile(r"\A\d+\.\d+\.\d+\Z")
_IGNORE = re.compile(r"#\s*engine:\s*ignore\s+([EW]\d{3}(?:\s*,\s*[EW]\d{3})*)")


@record
class Finding:
    """One problem, with the check that reported it."""

    code: str
    name: str
    severity: Severity
    problem: Problem

    @property
    def order(self) -> tuple[str, int, int, str]:
        """Sort key: file, line, column, code."""
        place = self.problem.place
        return (place.file, place.line, place.column, self.code) if place else ("", 0, 0, self.code)

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        place = self.problem.place
        return {
            "code": self.code,
            "name": self.name,
            "severity": self.severity,
            "file": place.file if place else None,
            "line": place.line if place else None,
            "column": place.column if place else None,
            "message": self.problem.message,
            "hint": self.problem.hint,
        }


@record
class Report:
    """Number of checked files, findings and proofs."""

    files: int
    findings: tuple[Finding, ...]
    proofs: tuple[tuple[str, Proof], ...] = ()
    """Proofs with the name and version of their policy."""
    units: tuple[tuple[str, UnitReport], ...] = ()
    """How much of the units of each policy and library is known, if asked for."""

    def count(self, severity: Severity) -> int:
        """Count the findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)


@record(eq=False)
class Seen:
    """A policy or library that was checked: what an editor reads of it.

    Attributes:
        document: as it is written, its parts merged.
        policy: the compiled policy, without what is faulty; None if it can't be compiled at all.
        sites: its expressions and those of its libraries.
        store: where its references are found.
    """

    document: Document
    policy: CompiledPolicy | None
    sites: tuple[Site, ...]
    store: PolicyStore


def check_paths(
    paths: Sequence[Path],
    folders: Sequence[str] = (),
    *,
    prove: bool = False,
    units: bool = False,
    seen: Callable[[Seen], None] | None = None,
) -> Report:
    """Check files, and all policies, catalogs, suites and locks in folders.

    Args:
        paths: files and folders.
        folders: folders to resolve references in, searched before the shipped policies.
        prove: also run the SMT solver.
        units: also report how many units are known.
        seen: gets each policy and library.

    Raises:
        PolicyError: a path does not exist, or there is nothing to check.
    """
    files: dict[Path, bool] = {}
    checker = _Checker(folders, prove, seen)
    for path in paths:
        if path.is_dir():
            inside = _in_folder(path)
            outside = {file for file in inside if file.is_symlink() and not is_below(file, path)}
            checker.links(outside, path)
            files |= dict.fromkeys((file for file in inside if file not in outside), False)
        elif path.exists() or buffer(path) is not None:
            files[path] = True
        else:
            raise PolicyError(f"{path}: no such file or folder")
    for file, named in files.items():
        checker.file(file, named)
    if not checker.files:
        raise PolicyError(
            "nothing to check: no policy, catalog, suite or lock in " + ", ".join(map(str, paths))
        )
    checker.duplicates()
    findings = sorted(_by_settings(_causes(checker.findings)), key=lambda finding: finding.order)
    known = tuple(checker.units) if units else ()
    return Report(checker.files, tuple(findings), tuple(checker.proofs), known)


def _causes(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings without those that follow from others.

    A faulty file is reported once, where it stands: not again for overlays, policies and suites that read it.
    """
    unreadable = {each.problem.place for each in findings if each.code in ("E001", "E002")}
    said = (each.problem.message.partition(_CHANGED)[0] for each in findings if each.code != "E116")
    loaded = {f"{CANNOT_BE_LOADED}{message}" for message in said}
    kept: dict[tuple[Place | None, str], Finding] = {}
    for finding in sorted(findings, key=lambda each: (each.code, _CHANGED in each.problem.message)):
        problem = finding.problem
        if finding.code in _OF_READERS and problem.place in unreadable:
            continue
        if finding.code != "E116" or problem.message not in loaded:
            kept.setdefault((problem.place, problem.message.partition(_CHANGED)[0]), finding)
    return list(kept.values())


_CHANGED = ", as changed by "
"""Before the overlay that is the reason of a fault in the file of its base."""


def _blamed(problems: Iterable[Problem], document: Document) -> list[Problem]:
    """Return problems; those of an overlay that are in another file name the overlay."""
    if document.value["kind"] != "Overlay":
        return list(problems)
    name = f"{document.value['name']}@{document.value['version']}"
    return [
        replace(each, message=f"{each.message}{_CHANGED}{name}")
        if each.place is not None and each.place.file != document.name
        else each
        for each in problems
    ]


_OF_READERS = ("E112", "E120", "E121", "E122")
"""What a file that names a faulty file is reported for, at the fault's place."""


def _by_settings(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings with the severity that settings files give them; ignored ones are left out.

    Lines that are copied from a shipped version of the same name have its settings, unless their own folder
    says otherwise.
    """
    known: dict[str, tuple[Settings | None, tuple[Original, ...]]] = {}
    for finding in findings:
        place = finding.problem.place
        if place is None or finding.code.startswith("E"):
            yield finding
            continue
        file = Path(place.file)
        if place.file not in known:
            known[place.file] = settings_for(file), tuple(shipped_originals(file))
        settings, originals = known[place.file]
        severity = None if settings is None else settings.of(file, finding.code)
        if severity is None:
            stated = (original.of(place.line, finding.code) for original in originals)
            severity = next((each for each in stated if each is not None), None)
        if severity is None:
            yield finding
        elif severity != "ignore":
            yield replace(finding, severity="error" if severity == "error" else "warning")


def _in_folder(folder: Path) -> list[Path]:
    paths = [*folder.rglob("*.yaml"), *folder.rglob("*.yml"), *folder.rglob(LOCK)]
    return sorted(path for path in paths if not any(part.startswith(".") for part in path.parts[1:]))


class _Checker:
    def __init__(
        self, folders: Sequence[str], prove: bool, seen: Callable[[Seen], None] | None = None
    ) -> None:
        self.folders = folders
        self.seen = seen
        self.prove = prove
        self.proofs: list[tuple[str, Proof]] = []
        self.units: list[tuple[str, UnitReport]] = []
        self.files = 0
        self.parts: dict[str, list[str]] = {}
        self.findings: list[Finding] = []
        self.stores: dict[str | None, PolicyStore] = {}
        self.tables: dict[str | None, UnitTable | None] = {}
        # Documents by kind, name and version.
        self.documents: dict[tuple[str, str, str], list[Document]] = {}

    def links(self, files: Iterable[Path], folder: Path) -> None:
        """Report links that lead out of the folder; they are not read."""
        for file in sorted(files):
            self.files += 1
            problem = Problem(f"symbolic link to a file outside {folder}", Place(str(file), 1, 1))
            self.add([replace(problem, hint="name the file as an argument to check it")], "E001")

    def file(self, path: Path, named: bool) -> None:
        """Check a file; skip it silently if a directory walk found it and it is not one of the engine's."""
        folder = str(path.parent)
        if folder not in self.parts:
            self.parts = {folder: part_files(folder)}  # files come folder by folder
        parts = self.parts[folder]
        if str(path) in parts:
            self.part(path, parts, named)
            return
        try:
            holds_inputs = path.match(SUITES) or path.name == FIXTURES
            document = read_document(path, LIMITS) if holds_inputs else read_document(path)
        except EngineError as error:
            self.files += 1
            self.add(error.problems, "E001")
            return
        value = document.value
        stated = value.get("kind") if isinstance(value, dict) else None
        kind = _KINDS.get(stated) if isinstance(stated, str) else None
        if kind is None and not named and not _looks_like_ours(path, value):
            return
        self.files += 1
        if kind is None:
            self.add([_unknown_kind(document)], "E002")
            return
        try:
            check_schema(document, kind)
        except EngineError as error:
            self.add(error.problems, "E002")
            return
        readers = {
            "policy": self.policy,
            "overlay": self.policy,
            "library": self.library,
            "catalog": self.catalog,
            "patch": self.patch,
            "lock": self.lock,
            "suite": self.suite,
            "settings": self.settings,
        }
        readers.get(kind, _nothing)(document, path)

    def library(self, document: Document, path: Path) -> None:
        self.policy(document, path, "library")

    def part(self, path: Path, parts: list[str], named: bool) -> None:
        """Check a policy or library in parts, once."""
        self.files += 1
        head = parts[0]
        if str(path) != head and not named:
            return
        kind: Kind = next(kind for kind, name in HEADS.items() if Path(head).name == name)
        try:
            document = read_parts(str(path.parent), kind)
        except EngineError as error:
            self.add(error.problems, "E002")
            return
        self.policy(document, path.parent, kind)

    def policy(self, document: Document, path: Path, kind: Kind = "policy") -> None:
        root = self.locate(document, path, kind)
        sites: list[Site] | None = None if self.seen is None else []
        try:
            policy, problems = compile_faulty(document, self.store(root), signatures(), sites)
        except RecursionError:
            problem = Problem("variable chain too deep", document.place(("rule",)))
            policy, problems = None, [problem]
        if self.seen is not None:
            self.seen(Seen(document, policy, tuple(sites or ()), self.store(root)))
        self.add(_blamed(problems, document), "E104", document)
        for check in checks().values():
            if check.find is not None and policy is not None and (check.faulty or not problems):
                self.add(check.find(policy), check.code, document)
        table = self.unit_table(root)
        if policy is not None and table is not None:
            report = policy_units(policy, table, signatures())
            self.add(report.problems, "W230", document)
            self.units.append((f"{policy.name}@{policy.version}", report))
        # A library decides nothing: its formulas are proved with the policies that read it.
        if self.prove and kind != "library" and policy is not None and not problems:
            self.run_prover(document, path, root, policy)

    def run_prover(self, document: Document, path: Path, root: Path | None, compiled: CompiledPolicy) -> None:
        """Add the solver's findings to those of the checks."""
        folders = [] if root is None else [str(root)]
        policy = load_policy(str(path.absolute()), [*folders, *self.folders], use_cache=False)
        for proof in _prover(policy).proofs():
            self.proofs.append((f"{policy.name}@{policy.version}", proof))
            if proof.kind == "total" and proof.verdict != "unknown":
                self.withdraw("W202", document)  # the solver's verdict is exact
                if proof.verdict == "proved":
                    self.withdraw("W220", document)
            problem = proof_problem(proof, compiled)
            if problem is not None and not self.is_known(problem):
                self.add([problem], problem.code or "W201", document)

    def withdraw(self, code: str, document: Document) -> None:
        """Remove the findings of a check for a document."""
        self.findings = [
            finding
            for finding in self.findings
            if finding.code != code
            or finding.problem.place is None
            or finding.problem.place.file not in {source.name for source in document.sources}
        ]

    def is_known(self, problem: Problem) -> bool:
        """Return True if a check has reported the same problem."""
        key = (problem.code, problem.path, problem.place)
        return any((known.code, known.problem.path, known.problem.place) == key for known in self.findings)

    def settings(self, document: Document, path: Path) -> None:
        self.add(unknown_codes(document), "E002", document)

    def suite(self, document: Document, path: Path) -> None:
        self.add(suite_problems(document, path, self.folders), "E116", document)
        if not path.match(SUITES):
            place = document.place(("kind",), key=True)
            message = f"'engine test' and pytest do not run {path.name}"
            hint = f"name it {path.stem.removesuffix('_tests').removesuffix('-tests')}_test.yaml"
            self.add([Problem(message, place, hint, ("kind",), at_key=True)], "W209", document)
        if not self.prove or "assert" not in document.value:
            return
        try:
            policy = read_suite(path, self.folders).policy()
            prover = _prover(policy)
            for position in range(len(document.value["assert"])):
                try:
                    proof = prover.assertion(document, position)
                except PolicyError as error:
                    self.add(error.problems, "E104", document)
                    continue
                self.proofs.append((f"{policy.name}@{policy.version}", proof))
                if proof.verdict == "refuted" and proof.problem is not None:
                    hint = f"counterexample: {witness_text(proof)}"
                    self.add([replace(proof.problem, hint=hint)], "E115", document)
        except EngineError as error:
            self.add(error.problems, "E002", document)

    def catalog(self, document: Document, path: Path) -> None:
        root = self.locate(document, path, "catalog")
        if self.seen is not None:
            self.seen(Seen(document, None, tuple(_cells(document)), self.store(root)))
        try:
            catalog = compile_catalog(document, schema_types())
        except EngineError as error:
            self.add(error.problems, "E112", document)
            return
        table = self.unit_table(root)
        if table is not None:
            self.add(catalog_units(catalog, table), "W230", document)

    def patch(self, document: Document, path: Path) -> None:
        """Check a patch on the newest catalog that its base means."""
        root = self.locate(document, path, "patch")
        store = self.store(root)
        try:
            base = store.read(store.find("catalog", document.value["base"]))
        except EngineError as error:
            place = document.place(("base",))
            self.add([problem.at(place) for problem in error.problems], "E122", document)
            return
        try:
            compile_catalog(apply_patches(base, [document]), schema_types())
        except EngineError as error:
            self.add(error.problems, "E112", document)

    def lock(self, document: Document, path: Path) -> None:
        self.add(changed(read_lock(path.parent)), "E110", document)

    def locate(self, document: Document, path: Path, kind: Kind) -> Path | None:
        """Compare name and version with the file's path, and the file with the lock.

        Returns:
            The folder of policies that holds the file; None if its path has no version.
        """
        value = document.value
        self.documents.setdefault((kind, value["name"], value["version"]), []).append(document)
        absolute = path.absolute()
        stem = path.name if path.is_dir() else path.stem
        if not _VERSIONED.match(stem):
            return None
        for field, expected in (("name", absolute.parent.name), ("version", stem)):
            if value[field] != expected:
                message = f"{field} is {value[field]}, but the path of the file says {expected}"
                place = document.place((field,))
                hint = "a file is NAME/VERSION.yaml"
                self.add([Problem(message, place, hint, (field,), code="E114")], "E114", document)
        folder = KIND_FOLDERS[kind]
        if folder and absolute.parents[1].name != folder:
            message = f"a {kind} is {folder}/NAME/VERSION.yaml: no reference finds it here"
            place = document.place(("kind",))
            self.add([Problem(message, place, "move it there", ("kind",), code="E114")], "E114", document)
        root = absolute.parents[1 if kind == "policy" else 2]
        try:
            locked = read_lock(root).digests
        except EngineError:
            locked = {}  # the lock file is checked separately
        files = list(map(Path, part_files(str(path)) if path.is_dir() else [str(path)]))
        for file in (*files, *table_paths(document, path)):
            digest = locked.get(file.absolute().relative_to(root).as_posix())
            if digest is not None and digest != file_digest(file):
                self.add([has_changed(file)], "E110", document)
        return root

    def store(self, root: Path | None) -> PolicyStore:
        """Return the store that resolves a file's references, its own folder of policies first."""
        key = None if root is None else os.fspath(root)
        if key not in self.stores:
            self.stores[key] = PolicyStore([*([key] if key is not None else []), *self.folders])
        return self.stores[key]

    def unit_table(self, root: Path | None) -> UnitTable | None:
        """Return the units that a file may name; None, and the fault noted, where their catalog is faulty."""
        key = None if root is None else os.fspath(root)
        if key not in self.tables:
            try:
                self.tables[key] = load_units([*([key] if key is not None else []), *self.folders])
            except EngineError as error:
                self.tables[key] = None
                self.add(error.problems, "E112")
        return self.tables[key]

    def duplicates(self) -> None:
        """Report documents with the same kind, name and version."""
        for (kind, name, version), documents in self.documents.items():
            for document in documents[1:]:
                first = documents[0].name
                self.add(
                    [
                        Problem(
                            f"{kind} {name}@{version} is also in {first}",
                            document.place(("name",)),
                            "change the name or version of one of them",
                            ("name",),
                        )
                    ],
                    "E109",
                    document,
                )

    def add(
        self, problems: Sequence[Problem] | Iterator[Problem], code: str, document: Document | None = None
    ) -> None:
        known = checks()
        for problem in problems:
            check = known[problem.code or code]
            if check.severity != "error" and document is not None and _is_elsewhere(problem, document):
                continue  # reported where its own file is checked
            finding = Finding(check.code, check.name, check.severity, replace(problem, code=check.code))
            if check.severity == "error" or document is None or not _is_silenced(finding, document):
                self.findings.append(finding)


def _cells(document: Document) -> Iterator[Site]:
    """Yield the expressions in a catalog's cells."""
    environment = catalog_environment(document, schema_types())
    for path in document.positions.values:
        if path[:1] == ("entries",) and path[-1] == "expression" and isinstance(document.at(path), str):
            yield Site(document, path, environment)


def proof_problem(proof: Proof, policy: CompiledPolicy) -> Problem | None:
    """Return the problem that a proof shows: an unreachable match, or requests without a match."""
    if proof.kind == "reachable" and proof.verdict == "proved":
        match = next(m for rule in rules(policy.rule) for m in rule.matches if m.id == proof.match)
        path = (*match.path, "condition") if match.condition is not None else match.path
        message = f"match '{match.id}' is unreachable (proved)"
        return Problem(message, policy.document.place(path), path=path, code="W201")
    if proof.kind == "total" and proof.verdict == "refuted":
        table = policy.rule.table
        rule = ("rule", "match") if table is None else (*table.path, "rows")
        place = policy.document.place(rule, key=True)
        message = "some requests match nothing" if table is None else "no row covers some inputs"
        code = "W202" if table is None else "W220"
        return Problem(message, place, f"for example: {witness_text(proof)}", rule, at_key=True, code=code)
    return None


def witness_text(proof: Proof) -> str:
    """Return a witness on one line: a request, or values of the unknowns."""
    if proof.concrete:
        return json.dumps(dict(proof.witness), ensure_ascii=False)
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in proof.witness.items())


def _prover(policy: Policy) -> Prover:
    try:
        from engine.regress.prove import Prover
    except ImportError:
        raise EngineError("z3 is not installed", hint="pip install 'shard-policy-engine[prove]'") from None
    return Prover(policy)


def _nothing(document: Document, path: Path) -> None:
    """Do nothing: the schema is the only check for such a document."""


def _looks_like_ours(path: Path, value: object) -> bool:
    versioned = bool(_VERSIONED.match(path.stem))
    return versioned or (isinstance(value, dict) and str(value.get("apiVersion", "")).startswith("engine/"))


def _unknown_kind(document: Document) -> Problem:
    value = document.value
    expected = ", ".join(sorted(_KINDS))
    if not isinstance(value, dict) or "kind" not in value:
        return Problem(f"missing kind, expected one of {expected}", document.place(()))
    stated = str(value["kind"])
    close = near(stated, expected.split(", "))
    hint = close if close and close.startswith("did you mean") else f"one of {expected}"
    inside = [kind for kind in sorted(_KINDS) if stated.casefold() in kind.casefold() and len(stated) > 2]
    if "test" in stated.casefold() or inside:
        hint = f"did you mean {inside[0] if inside else 'Suite'!r}?"
    message = f"kind: {quote(value['kind'])} is no kind of document"
    return Problem(message, document.place(("kind",)), hint, path=("kind",))


def _is_elsewhere(problem: Problem, document: Document) -> bool:
    """Return True if a problem is in another file than those of the document."""
    if problem.place is None or problem.place.file.endswith(".json"):  # a schema is checked with its policy
        return False
    return problem.place.file not in {each.name for each in document.sources}


def _is_silenced(finding: Finding, document: Document) -> bool:
    """Return True if a comment silences the code on the finding's or key's line, or on a line above."""
    problem = finding.problem
    sources = {source.name: source for source in document.sources}
    places = {problem.place} if problem.place else set()
    if problem.path is not None:
        places.add(document.place(problem.path, key=True))
    for place in places:
        source, line = sources.get(place.file, document), place.line
        text, above = source.line(line), source.line(line - 1) if line > 1 else ""
        for comment in (text, above if above.lstrip().startswith("#") else ""):
            ignored = _IGNORE.search(comment)
            if ignored and finding.code in re.split(r"\s*,\s*", ignored[1]):
                return True
    return False
