"""Errors, records, quantities, aliases and the worker pool: what every room stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.base.aliases import Names, Row, find_loosely, plain_name, plain_names, same_name
    from engine.base.errors import (
        NO_FAULTS,
        DocumentError,
        EngineError,
        EvaluationError,
        MissingInputError,
        Path,
        Place,
        PolicyError,
        Problem,
        RenderError,
        RequestError,
        RuntimeUnavailableError,
        internal_fault,
        is_near,
        near,
        path_text,
        quote,
    )
    from engine.base.lifetime import SAFE_PATH, end_with
    from engine.base.pool import collect_rarely, in_order
    from engine.base.quantities import format_bytes, format_count, parse_bytes, parse_count, whole
    from engine.base.records import field, record, replace

__all__ = [
    "NO_FAULTS",
    "SAFE_PATH",
    "DocumentError",
    "EngineError",
    "EvaluationError",
    "MissingInputError",
    "Names",
    "Path",
    "Place",
    "PolicyError",
    "Problem",
    "RenderError",
    "RequestError",
    "Row",
    "RuntimeUnavailableError",
    "collect_rarely",
    "end_with",
    "field",
    "find_loosely",
    "format_bytes",
    "format_count",
    "in_order",
    "internal_fault",
    "is_near",
    "near",
    "parse_bytes",
    "parse_count",
    "path_text",
    "plain_name",
    "plain_names",
    "quote",
    "record",
    "replace",
    "same_name",
    "whole",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "aliases": "Names Row find_loosely plain_name plain_names same_name",
            "errors": (
                "DocumentError EngineError EvaluationError MissingInputError NO_FAULTS Path "
                "Place PolicyError Problem RenderError RequestError RuntimeUnavailableError "
                "internal_fault is_near near path_text quote"
            ),
            "lifetime": "SAFE_PATH end_with",
            "pool": "collect_rarely in_order",
            "quantities": "format_bytes format_count parse_bytes parse_count whole",
            "records": "field record replace",
        },
        "discovery jsontypes lazy memory paint printable",
    )
