"""Files of policies → findings: every fault of each, by the checks of engine.policy.checks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.decide import load_policy
from engine.documents import Document, check_schema, read_document
from engine.errors import EngineError, PolicyError, Problem
from engine.plan import signatures
from engine.policy.catalog import compile_catalog
from engine.policy.checks import Severity, checks
from engine.policy.compiled import CompiledPolicy, rules
from engine.policy.compiler import compile_faulty
from engine.policy.lock import LOCK, changed, file_digest, has_changed, read_lock
from engine.policy.schema_types import schema_types
from engine.policy.store import PolicyStore
from engine.records import record, replace
from engine.regress.suite import read_suite

if TYPE_CHECKING:
    from engine.decide import Policy
    from engine.regress.prove import Proof, Prover

_KINDS = {"Policy": "policy", "Catalog": "catalog", "Lock": "lock", "Suite": "suite", "Fixtures": "fixtures"}
"""Schemas by the kinds of documents."""

_VERSIONED = re.compile(r"\A\d+\.\d+\.\d+\Z")
_IGNORE = re.compile(r"#\s*engine:\s*ignore\s+([EW]\d{3}(?:\s*,\s*[EW]\d{3})*)")


@record
class Finding:
    """One fault, with the check that found it."""

    code: str
    name: str
    severity: Severity
    problem: Problem

    @property
    def order(self) -> tuple[str, int, int, str]:
        """By file, line, column, code."""
        place = self.problem.place
        return (place.file, place.line, place.column, self.code) if place else ("", 0, 0, self.code)

    def to_dict(self) -> dict[str, object]:
        """As programs read it."""
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
    """What was looked at, and what was found."""

    files: int
    findings: tuple[Finding, ...]
    proofs: tuple[tuple[str, Proof], ...] = ()
    """What was proved, by the policies' names and versions."""

    def count(self, severity: Severity) -> int:
        """How many findings are of that severity."""
        return sum(finding.severity == severity for finding in self.findings)


def check_paths(paths: Sequence[Path], folders: Sequence[str] = (), *, prove: bool = False) -> Report:
    """Check files, and all policies, catalogs, suites and locks in folders.

    Args:
        paths: files and folders.
        folders: where catalogs and policies that are read are found, in front of the shipped ones.
        prove: look deeper, with an SMT solver.

    Raises:
        PolicyError: a path doesn't exist, or there is nothing to check.
    """
    files: dict[Path, bool] = {}
    for path in paths:
        if path.is_dir():
            files |= dict.fromkeys(_in_folder(path), False)
        elif path.exists():
            files[path] = True
        else:
            raise PolicyError(f"{path}: no such file or folder")
    checker = _Checker(folders, prove)
    for file, asked in files.items():
        checker.file(file, asked)
    if not checker.files:
        raise PolicyError(
            "nothing to check: no policy, catalog, suite or lock in " + ", ".join(map(str, paths))
        )
    checker.duplicates()
    findings = sorted(set(checker.findings), key=lambda each: each.order)
    return Report(checker.files, tuple(findings), tuple(checker.proofs))


def _in_folder(folder: Path) -> list[Path]:
    found = [*folder.rglob("*.yaml"), *folder.rglob("*.yml"), *folder.rglob(LOCK)]
    return sorted(path for path in found if not any(part.startswith(".") for part in path.parts[1:]))


class _Checker:
    def __init__(self, folders: Sequence[str], prove: bool) -> None:
        self.folders = folders
        self.prove = prove
        self.proofs: list[tuple[str, Proof]] = []
        self.files = 0
        self.findings: list[Finding] = []
        self.stores: dict[str | None, PolicyStore] = {}
        # The documents of each kind, name and version.
        self.documents: dict[tuple[str, str, str], list[Document]] = {}

    def file(self, path: Path, asked: bool) -> None:
        """Check a file; one that was not `asked` for by name may be something else than the engine's."""
        try:
            document = read_document(path)
        except EngineError as error:
            self.files += 1
            self.add(error.problems, "E001")
            return
        value = document.value
        kind = _KINDS.get(value.get("kind", "")) if isinstance(value, dict) else None
        if kind is None and not asked and not _looks_like_ours(path, value):
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
        own = {"policy": self.policy, "catalog": self.catalog, "lock": self.lock, "suite": self.suite}
        own.get(kind, _nothing)(document, path)

    def policy(self, document: Document, path: Path) -> None:
        root = self.named(document, path, "policy")
        try:
            policy, problems = compile_faulty(document, self.store(root), signatures())
        except RecursionError:
            problem = Problem("variables that read each other, too many in a row", document.place(("rule",)))
            policy, problems = None, [problem]
        self.add(problems, "E104", document)
        for check in checks().values():
            if check.find is not None and policy is not None and (check.faulty or not problems):
                self.add(check.find(policy), check.code, document)
        if self.prove and policy is not None and not problems:
            self.proved(document, path, root)

    def proved(self, document: Document, path: Path, root: Path | None) -> None:
        """What the solver says of a policy, beside what is seen without it."""
        own = [] if root is None else [str(root)]
        policy = load_policy(str(path.absolute()), [*own, *self.folders], use_cache=False)
        for proof in _prover(policy).proofs():
            self.proofs.append((f"{policy.name}@{policy.version}", proof))
            if proof.kind == "total" and proof.verdict != "unknown":
                self.withdraw("W202", document)  # the solver knows for sure
            problem = proof_problem(proof, policy.compiled)
            if problem is not None and not self.is_known(problem):
                self.add([problem], problem.code or "W201", document)

    def withdraw(self, code: str, document: Document) -> None:
        """Take back what was found of a document without the solver."""
        self.findings = [
            each
            for each in self.findings
            if each.code != code or each.problem.place is None or each.problem.place.file != document.name
        ]

    def is_known(self, problem: Problem) -> bool:
        """Whether the same was found without the solver."""
        own = (problem.code, problem.path, problem.place)
        return any((each.code, each.problem.path, each.problem.place) == own for each in self.findings)

    def suite(self, document: Document, path: Path) -> None:
        if not self.prove or "assert" not in document.value:
            return
        try:
            policy = read_suite(path, self.folders).policy()
            prover = _prover(policy)
            for position in range(len(document.value["assert"])):
                proof = prover.assertion(document, position)
                self.proofs.append((f"{policy.name}@{policy.version}", proof))
                if proof.verdict == "refuted" and proof.problem is not None:
                    hint = f"not for {witness_text(proof)}"
                    self.add([replace(proof.problem, hint=hint)], "E115", document)
        except EngineError as error:
            self.add(error.problems, "E002", document)

    def catalog(self, document: Document, path: Path) -> None:
        self.named(document, path, "catalog")
        try:
            compile_catalog(document, schema_types())
        except EngineError as error:
            self.add(error.problems, "E112", document)

    def lock(self, document: Document, path: Path) -> None:
        self.add(changed(read_lock(path.parent)), "E110", document)

    def named(self, document: Document, path: Path, kind: str) -> Path | None:
        """Holds name and version against the file's path; gives the folder of policies that it is in."""
        value = document.value
        self.documents.setdefault((kind, value["name"], value["version"]), []).append(document)
        absolute = path.absolute()
        if not _VERSIONED.match(path.stem):
            return None
        for field, expected in (("name", absolute.parent.name), ("version", path.stem)):
            if value[field] != expected:
                message = f"{field} is {value[field]}, but the file's path says {expected}"
                place = document.place((field,))
                hint = "a file is NAME/VERSION.yaml"
                self.add([Problem(message, place, hint, (field,), code="E114")], "E114", document)
        root = absolute.parents[2 if kind == "catalog" else 1]
        try:
            own = read_lock(root).digests.get(absolute.relative_to(root).as_posix())
        except EngineError:
            own = None  # the lock file is looked at by itself
        if own is not None and own != file_digest(path):
            self.add([has_changed(path)], "E110", document)
        return root

    def store(self, root: Path | None) -> PolicyStore:
        """Where a file's references are looked up: in its own folder of policies first."""
        key = None if root is None else os.fspath(root)
        if key not in self.stores:
            self.stores[key] = PolicyStore([*([key] if key is not None else []), *self.folders])
        return self.stores[key]

    def duplicates(self) -> None:
        """Documents of one kind, name and version in files that were checked together."""
        for (kind, name, version), documents in self.documents.items():
            for document in documents[1:]:
                first = documents[0].name
                self.add(
                    [
                        Problem(
                            f"{kind} {name}@{version} is also in {first}",
                            document.place(("name",)),
                            "one of them needs another name or version",
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
            finding = Finding(check.code, check.name, check.severity, replace(problem, code=check.code))
            if check.severity == "error" or document is None or not _is_silenced(finding, document):
                self.findings.append(finding)


def proof_problem(proof: Proof, policy: CompiledPolicy) -> Problem | None:
    """The finding that a proof amounts to, if it does: a match out of reach, requests without a match."""
    if proof.kind == "reachable" and proof.verdict == "proved":
        match = next(each for rule in rules(policy.rule) for each in rule.matches if each.id == proof.match)
        path = (*match.path, "condition") if match.condition is not None else match.path
        message = f"match '{match.id}' can never be chosen: proved"
        return Problem(message, policy.document.place(path), path=path, code="W201")
    if proof.kind == "total" and proof.verdict == "refuted":
        rule = ("rule", "match")
        place = policy.document.place(rule, key=True)
        message = "for some requests no match holds"
        return Problem(message, place, f"as for {witness_text(proof)}", rule, at_key=True, code="W202")
    return None


def witness_text(proof: Proof) -> str:
    """A witness on one line: a request, or values of what decides."""
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
    """The schema says all that there is to say of such a document."""


def _looks_like_ours(path: Path, value: object) -> bool:
    versioned = bool(_VERSIONED.match(path.stem))
    return versioned or (isinstance(value, dict) and str(value.get("apiVersion", "")).startswith("engine/"))


def _unknown_kind(document: Document) -> Problem:
    value = document.value
    expected = ", ".join(sorted(_KINDS))
    if not isinstance(value, dict) or "kind" not in value:
        return Problem(f"the document has no kind, expected one of {expected}", document.place(()))
    return Problem(f"kind: expected one of {expected}", document.place(("kind",)), path=("kind",))


def _is_silenced(finding: Finding, document: Document) -> bool:
    """Whether a comment names the code: on the finding's line or its key's, or on a line above of its own."""
    problem = finding.problem
    lines = {problem.place.line} if problem.place else set()
    if problem.path is not None:
        lines.add(document.place(problem.path, key=True).line)
    for line in lines:
        own, above = document.line(line), document.line(line - 1) if line > 1 else ""
        for text in (own, above if above.lstrip().startswith("#") else ""):
            found = _IGNORE.search(text)
            if found and finding.code in re.split(r"\s*,\s*", found[1]):
                return True
    return False
