"""`engine lsp`: a language server for policies, parts, libraries, catalogs and suites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.lsp.server import serve

__all__ = ["serve"]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(__name__, {"server": "serve"})
