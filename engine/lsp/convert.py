"""Answers in the words of the protocol."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from lsprotocol import types

from engine.lsp.actions import Action
from engine.lsp.completion import Completion
from engine.lsp.diagnostics import Marked
from engine.lsp.expressions import Sort
from engine.lsp.hover import Hover
from engine.lsp.lens import Lens
from engine.lsp.rename import Edit
from engine.lsp.texts import Stretch, position_of


def range_of(stretch: Stretch) -> types.Range:
    """Return the range of some characters."""
    start = position_of(stretch.document, stretch.start)
    end = position_of(stretch.document, stretch.end)
    return types.Range(types.Position(*start), types.Position(*end))


def diagnostic(marked: Marked) -> types.Diagnostic:
    """Return a finding as the editor shows it."""
    finding = marked.finding
    severity = types.DiagnosticSeverity.Error
    if finding.severity != "error":
        severity = types.DiagnosticSeverity.Warning
    return types.Diagnostic(
        range_of(marked.stretch), marked.message, severity, code=finding.code, source="engine"
    )


def location(stretch: Stretch, uri: Callable[[str], str]) -> types.Location:
    """Return where some characters are."""
    return types.Location(uri(os.path.realpath(stretch.document.name)), range_of(stretch))


def code_lens(lens: Lens) -> types.CodeLens:
    """Return a title above a line; it does nothing when it is clicked."""
    return types.CodeLens(range_of(lens.stretch), types.Command(lens.title, ""))


def workspace_edit(edits: Sequence[Edit], uri: Callable[[str], str]) -> types.WorkspaceEdit:
    """Return edits of several files, which the editor applies."""
    changes: dict[str, list[types.TextEdit]] = {}
    for edit in edits:
        file = uri(os.path.realpath(edit.stretch.document.name))
        changes.setdefault(file, []).append(types.TextEdit(range_of(edit.stretch), edit.text))
    return types.WorkspaceEdit(changes)


def code_action(action: Action, uri: Callable[[str], str]) -> types.CodeAction:
    """Return an edit that the editor offers for a finding."""
    return types.CodeAction(
        action.title,
        types.CodeActionKind.QuickFix,
        [diagnostic(action.marked)],
        is_preferred=action.preferred,
        edit=workspace_edit([action.edit], uri),
    )


_SORTS: Mapping[Sort, types.CompletionItemKind] = {
    "variable": types.CompletionItemKind.Variable,
    "constant": types.CompletionItemKind.Constant,
    "input": types.CompletionItemKind.Variable,
    "namespace": types.CompletionItemKind.Module,
    "field": types.CompletionItemKind.Field,
    "function": types.CompletionItemKind.Function,
    "method": types.CompletionItemKind.Method,
    "type": types.CompletionItemKind.Class,
    "key": types.CompletionItemKind.Property,
    "value": types.CompletionItemKind.Value,
    "entry": types.CompletionItemKind.EnumMember,
}


def completion_of(completion: Completion) -> types.CompletionList:
    """Return proposals as the editor lists them."""
    place = range_of(completion.stretch)
    items = [
        types.CompletionItem(
            each.label,
            kind=_SORTS[each.sort],
            detail=each.detail or None,
            documentation=each.description or None,
            text_edit=types.TextEdit(place, each.insert or each.label),
            filter_text=each.label,
        )
        for each in completion.proposals
    ]
    return types.CompletionList(False, items)


def hover_of(hover: Hover) -> types.Hover:
    """Return a text that an editor shows at a name."""
    content = types.MarkupContent(types.MarkupKind.Markdown, hover.text)
    return types.Hover(content, None if hover.stretch is None else range_of(hover.stretch))
