"""Sizes and counts: exact parsing, errors with examples, formatting with units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.base.quantities import format_bytes, format_count, parse_bytes, parse_count, whole


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("85899345920", 85_899_345_920),
        ("80GiB", 80 * 2**30),
        ("80 Gi", 80 * 2**30),
        ("24GB", 24 * 10**9),
        ("24g", 24 * 10**9),
        ("1.5 KiB", 1536),
        ("0.1TB", 10**11),
        ("1_000 MB", 10**9),
        (" 7 b ", 7),
    ],
)
def test_parse_bytes_unit_gives_exact_size(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1GB", "1e9", "80 XB", "1.GB", "٣GB", "1" * 65])
def test_parse_bytes_malformed_names_examples(text: str) -> None:
    with pytest.raises(ValueError, match="80GiB"):
        parse_bytes(text)


def test_parse_bytes_fraction_of_a_byte_is_rejected() -> None:
    with pytest.raises(ValueError, match="whole number"):
        parse_bytes("0.3B")


@pytest.mark.parametrize(
    ("text", "count"),
    [("70B", 70 * 10**9), ("7.24b", 7_240_000_000), ("1.5T", 15 * 10**11), ("8030261248", 8030261248)],
)
def test_parse_count_unit_gives_exact_count(text: str, count: int) -> None:
    assert parse_count(text) == count


def test_parse_count_byte_unit_is_rejected() -> None:
    with pytest.raises(ValueError, match="70B"):
        parse_count("80GiB")


@pytest.mark.slow
@given(st.integers(0, 2**62))
def test_parse_bytes_plain_integer_round_trips(size: int) -> None:
    assert parse_bytes(str(size)) == size


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (80 * 2**30, "80.00 GiB"), (2**61, "2048.00 PiB")],
)
def test_format_bytes_uses_binary_units(value: int, text: str) -> None:
    assert format_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(999, "999"), (7_240_000_000, "7.24B"), (70 * 10**9, "70B"), (15 * 10**11, "1.5T")]
)
def test_format_count_uses_short_scale(value: int, text: str) -> None:
    assert format_count(value) == text


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), (7, 7), ("-1", None), ("1.0", None), ("٣", None), ("9" * 19, None)]
)
def test_whole_accepts_only_short_ascii_numbers(text: object, number: int | None) -> None:
    assert whole(text) == number
