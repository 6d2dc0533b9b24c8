"""Files in: YAML and JSON read safely, every value with its place, checked against JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.documents.digest import sha256
    from engine.documents.document import Document, Limits, Origin, Piece
    from engine.documents.files import (
        decode_document,
        is_path_like,
        open_binary,
        open_regular,
        parse_document,
        read_bytes,
        read_document,
        read_text,
    )
    from engine.documents.json_schema import Schema
    from engine.documents.json_source import decode_json
    from engine.documents.lines import LONGEST_LINE, Line, decode_line, names_are_unique, read_lines
    from engine.documents.parts import merge_parts
    from engine.documents.quick import load_schema
    from engine.documents.resources import packaged, shipped
    from engine.documents.rows import Rows, plain_rows
    from engine.documents.schema import check_schema, validate, validate_schema
    from engine.documents.writing import publish, replace_file, unwritable, write_whole
    from engine.documents.yaml_writer import dump

__all__ = [
    "LONGEST_LINE",
    "Document",
    "Limits",
    "Line",
    "Origin",
    "Piece",
    "Rows",
    "Schema",
    "check_schema",
    "decode_document",
    "decode_json",
    "decode_line",
    "dump",
    "is_path_like",
    "load_schema",
    "merge_parts",
    "names_are_unique",
    "open_binary",
    "open_regular",
    "packaged",
    "parse_document",
    "plain_rows",
    "publish",
    "read_bytes",
    "read_document",
    "read_lines",
    "read_text",
    "replace_file",
    "sha256",
    "shipped",
    "unwritable",
    "validate",
    "validate_schema",
    "write_whole",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "digest": "sha256",
            "document": "Document Limits Origin Piece",
            "files": (
                "decode_document is_path_like open_binary open_regular parse_document "
                "read_bytes read_document read_text"
            ),
            "json_schema": "Schema",
            "json_source": "decode_json",
            "lines": "LONGEST_LINE Line decode_line names_are_unique read_lines",
            "parts": "merge_parts",
            "quick": "load_schema",
            "resources": "packaged shipped",
            "rows": "Rows plain_rows",
            "schema": "check_schema validate validate_schema",
            "writing": "publish replace_file unwritable write_whole",
            "yaml_writer": "dump",
        },
        "buffers composed confined csv_source guarded",
    )
