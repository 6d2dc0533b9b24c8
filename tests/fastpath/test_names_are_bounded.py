"""A service that decides may be sent any names: none is kept for ever."""

from __future__ import annotations

from engine.fastpath.linked import _MOST_NAMES, _Identified


def test_names_of_devices() -> None:
    known = _Identified({"h100": "H100"})
    for number in range(3 * _MOST_NAMES):
        assert known[f"a device {number}"] is None
        assert known["NVIDIA H100"] == "H100"
        assert len(known) <= _MOST_NAMES
