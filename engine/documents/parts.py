"""A document in parts: a folder of YAML files that are merged, each part under the same keys as in one file.

The head, `policy.yaml` or `library.yaml`, has the kind, name and version. The others are of kind `Part`.
Mappings are merged key by key; lists are appended in the order of the files' names, except that entries of
the same `id` are merged, so that a part can hold the requirements of one match. A value that two files state
is an error.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from engine.base.errors import DocumentError, Problem, path_text
from engine.documents.composed import Node, close_document, open_document
from engine.documents.document import Document
from engine.documents.schema import check_schema

_OWN = ("apiVersion", "kind", "description")
"""Keys of a part that are about the part."""


def merge_parts(head: Document, parts: Sequence[Document]) -> Document:
    """Return the document that the files of a folder are parts of.

    Args:
        head: the document with the kind, name and version.
        parts: the other files' documents, in order.

    Raises:
        DocumentError: a file is no part, or two files state one value; with places.
    """
    if not isinstance(head.value, dict):
        raise DocumentError("expected a mapping", place=head.place(()))
    root = open_document(head)
    problems: list[Problem] = []
    for part in parts:
        check_schema(part, "part")
        node = open_document(part)
        for key in _OWN:
            node.value.pop(key, None)
        _merge(root, node, problems)
    if problems:
        raise DocumentError(problems)
    return close_document(root, head.name, (head, *parts))


def _merge(into: Node, part: Node, problems: list[Problem]) -> None:
    for key, node in part.items():
        known = into.get(key)
        if known is None:
            into.value[key] = node
        elif isinstance(known.value, dict) and isinstance(node.value, dict):
            _merge(known, node, problems)
        elif isinstance(known.value, list) and isinstance(node.value, list):
            _append(known, node, problems)
        elif key != "id" or known.value != node.value:
            other = known.document.place(known.path, key=True)
            problems.append(
                Problem(
                    f"{path_text(node.path)} is stated in two parts",
                    node.document.place(node.path, key=True),
                    f"also in {os.path.basename(other.file)}:{other.line}",
                    code="E002",
                )
            )


def _append(into: Node, part: Node, problems: list[Problem]) -> None:
    by_id = {_id(each): each for each in into}
    for node in part:
        own = _id(node)
        if own is not None and own in by_id:
            _merge(by_id[own], node, problems)
        else:
            into.value.append(node)


def _id(node: Node) -> str | None:
    found = node.value.get("id") if isinstance(node.value, dict) else None
    return found.value if found is not None and isinstance(found.value, str) else None
