"""SHA-256 from Python's own module: importing hashlib loads OpenSSL, which takes longer than a decision."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class _Hash(Protocol):
        def digest(self) -> bytes: ...


def _function() -> Callable[[bytes], _Hash]:
    for module in ("_sha2", "_sha256", "hashlib"):  # Python 3.12 and newer; 3.11; without either
        try:
            function: Callable[[bytes], _Hash] = importlib.import_module(module).sha256
            return function
        except (ImportError, AttributeError):
            continue
    raise ImportError("no SHA-256")


_sha256 = _function()


def sha256(data: bytes) -> bytes:
    """The SHA-256 of some bytes."""
    return _sha256(data).digest()
