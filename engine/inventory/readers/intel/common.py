"""Terms that Intel's readers share."""

from __future__ import annotations

KIND = "IntelOneApi"
