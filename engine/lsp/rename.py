"""Rename a constant or variable: where it is declared, in expressions, overlays and suites.

The edits are tried on a copy of the texts first. A rename that would cause a finding is refused, so that no
use is lost, and no other name is hidden.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from engine.base.errors import EngineError
from engine.base.records import record
from engine.cel import NOT_FIELDS
from engine.documents import Document
from engine.lsp.cursor import find
from engine.lsp.navigation import declaration, policies_with, short_name, uses
from engine.lsp.symbols import Symbol, Symbols, key_of
from engine.lsp.texts import Stretch
from engine.lsp.workspace import Workspace
from engine.policy.compiled import CompiledPolicy, rules
from engine.regress.lint import Finding, Seen

_NAME = re.compile(r"[A-Za-z_]\w*\Z")
_NAMED = ("unreachable", "equivalent", "assert")
"""Sections of suites that have names of constants and variables in texts."""


@record(eq=False)
class Edit:
    """A text that replaces some characters."""

    stretch: Stretch
    text: str


def renameable(workspace: Workspace, path: str, line: int, character: int) -> Stretch:
    """Return the name at a position.

    Raises:
        EngineError: it cannot be renamed; with the reason.
    """
    found = find(workspace, path, line, character)
    if found is None or found.symbol is None or found.stretch is None:
        raise EngineError("no name is here")
    symbol = found.symbol
    origin = symbol.origin
    if symbol.category not in ("constant", "variable") or origin is None:
        raise EngineError("only constants and variables can be renamed")
    if not workspace.is_inside(os.path.realpath(origin[0].name)):
        raise EngineError(f"'{symbol.name}' is declared outside of the workspace: {origin[0].name}")
    if found.stretch.text != short_name(symbol):
        at = declaration(symbol)
        return found.stretch if at is None else at
    return found.stretch


def rename(workspace: Workspace, path: str, line: int, character: int, name: str) -> list[Edit]:
    """Return the edits that give a constant or variable another name.

    Raises:
        EngineError: it cannot be renamed, the name is taken or no name, or a file would be faulty.
    """
    renameable(workspace, path, line, character)
    found = find(workspace, path, line, character)
    symbol = None if found is None else found.symbol
    if symbol is None or symbol.origin is None:
        raise EngineError("no name is here")
    if not _NAME.match(name):
        raise EngineError(f"'{name}' is not a name", hint="letters, digits and _")
    if name in NOT_FIELDS:
        raise EngineError(f"'{name}' is a reserved word of CEL")
    edits = _once(Edit(stretch, name) for stretch in _places(workspace, symbol))
    for edit in edits:
        file = os.path.realpath(edit.stretch.document.name)
        if edit.stretch.document.text != workspace.text(file):  # what could be read last is not what is there
            raise EngineError(f"{file} has errors: correct them first")
    _try(workspace, edits, symbol)
    return edits


def _places(workspace: Workspace, symbol: Symbol) -> Iterator[Stretch]:
    at = declaration(symbol)
    if at is not None:
        yield at
    yield from uses(workspace, symbol)
    for seen in policies_with(workspace, symbol):
        yield from _overlaid(seen, symbol)
    for file in workspace.files():
        if short_name(symbol) in (workspace.text(file) or "") and workspace.kind(file) == "Suite":
            yield from _in_suite(workspace, file, symbol)


def _once(edits: Iterator[Edit]) -> list[Edit]:
    known: dict[tuple[str, int], Edit] = {}
    for edit in edits:
        known.setdefault((os.path.realpath(edit.stretch.document.name), edit.stretch.start), edit)
    return list(known.values())


def _overlaid(seen: Seen, symbol: Symbol) -> Iterator[Stretch]:
    """Yield where an overlay gives a constant another value."""
    overlay = seen.document
    if symbol.category != "constant" or overlay.value.get("kind") != "Overlay":
        return
    symbols = Symbols(seen)
    composed = symbols.whole()
    for key in overlay.value.get("constants", {}):
        alias, dot, name = key.rpartition(".")
        if name != short_name(symbol):
            continue
        owners: list[Document] = [composed]
        if dot:
            listed = symbols.libraries(composed, ("rule", "match"))
            found = [symbols.read("library", each) for _, _, each in listed if _is_called(each, alias)]
            owners = [each for each in found if each is not None]
        for owner in owners:
            span = overlay.positions.keys.get(("constants", key))
            if key_of(owner, ("constants", name)) == symbol.key and span is not None:
                end = span.end - (1 if span.style in ("'", '"') else 0)
                yield Stretch(overlay, end - len(name), end)


def _is_called(reference: str, alias: str) -> bool:
    return reference.partition("@")[0].replace("-", "_") == alias


def _in_suite(workspace: Workspace, file: str, symbol: Symbol) -> Iterator[Stretch]:
    """Yield where a suite names a constant or variable: in reasons, assertions and expected outputs."""
    document, seen = workspace.document(file), workspace.good(file)
    if document is None or seen is None or seen.policy is None:
        return
    names = list(_full_names(seen.policy, symbol))
    short = short_name(symbol)
    is_output = seen.document.value.get("kind") == "Library" or any(
        source.value.get("kind") == "Library" for source in seen.document.sources[:1]
    )
    for path, span in document.positions.values.items():
        if path and path[0] in _NAMED and isinstance(document.at(path), str):
            for name in names:
                written = document.text[span.start : span.end]
                for found in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", written):
                    end = span.start + found.end()
                    yield Stretch(document, end - len(short), end)
        if is_output and names and path[-2:-1] == ("columns",):
            yield from _output(document, span.start, span.end, short)
    for path, span in document.positions.keys.items() if is_output and names else ():
        if path[:1] == ("tests",) and "expect" in path:
            if path[-2:] == ("output", short):
                yield Stretch(document, span.start, span.end)
            yield from _output(document, span.start, span.end, short)


def _output(document: Document, start: int, end: int, name: str) -> Iterator[Stretch]:
    found = re.match(rf"[\"']?output\.{re.escape(name)}(?!\w)", document.text[start:end])
    if found is not None:
        yield Stretch(document, start + found.end() - len(name), start + found.end())


def _full_names(policy: CompiledPolicy, symbol: Symbol) -> Iterator[str]:
    """Yield the names that a policy gives a symbol: `variables.x`, `variables.speed.x`."""
    if symbol.category == "constant":
        for name in policy.constants:
            document, path = policy.constant_origin(name)
            if key_of(document, path) == symbol.key:
                yield f"constants.{name}"
        return
    for rule in rules(policy.rule):
        searches = [match.search.rule for match in rule.matches if match.search is not None]
        for each in (rule, *searches):
            for name, variable in each.variables.items():
                expression = variable.expression
                if key_of(expression.document, expression.path[:-1]) == symbol.key:
                    yield f"variables.{name}"


def _try(workspace: Workspace, edits: Sequence[Edit], symbol: Symbol) -> None:
    """Check the files as they would be.

    Raises:
        EngineError: one would have a finding that it has not now.
    """
    files = {os.path.realpath(edit.stretch.document.name) for edit in edits}
    outside = sorted(file for file in files if not workspace.is_inside(file))
    if outside:
        raise EngineError(f"'{symbol.name}' is used outside of the workspace: {outside[0]}")
    units = {workspace.unit(file): file for file in sorted(files)}
    before = {unit: _faults(workspace.check(file).findings) for unit, file in units.items()}
    texts = {file: workspace.texts.get(file) for file in files}
    try:
        for file, text in changed(edits).items():
            workspace.put(file, text)
        for unit, file in units.items():
            new = _faults(workspace.check(file).findings) - before[unit]
            if new:
                raise EngineError(f"the rename would be wrong: {sorted(new)[0]}")
    finally:
        for file, old in texts.items():
            if old is None:
                workspace.drop(file)
            else:
                workspace.put(file, old)


def changed(edits: Sequence[Edit]) -> dict[str, str]:
    """Return the texts of files with some edits."""
    texts: dict[str, str] = {}
    for edit in sorted(edits, key=lambda each: -each.stretch.start):
        file = os.path.realpath(edit.stretch.document.name)
        text = texts.get(file, edit.stretch.document.text)
        texts[file] = text[: edit.stretch.start] + edit.text + text[edit.stretch.end :]
    return texts


def _faults(findings: Sequence[Finding]) -> set[str]:
    return {each.problem.message for each in findings if each.severity == "error" and each.code != "E110"}
