"""SHA-256 from Python's own module: importing hashlib loads OpenSSL, which takes longer than a decision."""

from __future__ import annotations

import importlib
from typing import Any


def _function() -> Any:
    for module in ("_sha2", "_sha256", "hashlib"):  # Python 3.12 and newer; 3.11; without either
        try:
            return importlib.import_module(module).sha256
        except (ImportError, AttributeError):
            continue
    raise ImportError("no SHA-256")


_sha256 = _function()


def sha256(data: bytes) -> bytes:
    """The SHA-256 of some bytes."""
    digest: bytes = _sha256(data).digest()
    return digest
