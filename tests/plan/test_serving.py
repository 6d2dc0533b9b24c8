"""Estimates of sharding 2.0.0 against servers that were measured."""

from __future__ import annotations

import pytest

from benchmarks.decoding import read_rows
from benchmarks.serving import ROWS, errors, spread


@pytest.mark.slow
def test_throughput_against_measured_servers() -> None:
    found, refused = errors(read_rows(ROWS))
    assert set(refused) <= {"memory"}  # gpt-oss over 4 and 8 is not refused for its width
    assert len(found["all"]) >= 755
    median, ninth = spread(found["all"])
    assert median < 0.17
    assert ninth < 0.5
