"""Names of products and models, as tools and people write them."""

from __future__ import annotations

import pytest

from engine.base.aliases import Names, find_loosely, plain_names, same_name

NAMES = Names(
    {"H100-SXM": {}, "H100-PCIE": {}, "A100-SXM": {}, "MI300X": {}},
    {"H100": "H100-SXM", "A100": "A100-SXM"},
)


@pytest.mark.parametrize(("name", "entry"), [("H100-SXM", "H100-SXM"), ("H100", "H100-SXM"), ("h100", None)])
def test_names_exact_compares_verbatim(name: str, entry: str | None) -> None:
    assert NAMES.exact(name) == entry


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("NVIDIA H100 HBM3", "H100-SXM"),
        ("h100 pcie", "H100-PCIE"),
        ("NVIDIA A100-SXM4-80GB", None),
        ("NVIDIA H100 64GB HBM2", None),
        ("NVIDIA A100-SX...", None),
        ("AMD Instinct MI300X OAM", "MI300X"),
        ("NVIDIA H1000", None),
        ("", None),
    ],
)
def test_names_loose_ignores_vendor_words_and_suffixes(name: str, entry: str | None) -> None:
    assert NAMES.loose(name) == entry


def test_names_starting_lists_entries_once() -> None:
    assert NAMES.starting("h100") == ["H100-SXM", "H100-PCIE"]
    assert NAMES.starting("NVIDIA") == []


def test_names_nearest_suggests_the_closest_name() -> None:
    assert "H100-SXM" in (NAMES.nearest("H100-SXN") or "")


def test_find_loosely_prefers_the_longest_name() -> None:
    known = plain_names(["L4", "L40S"], {})
    assert find_loosely(known, "NVIDIA L40S") == "L40S"
    assert find_loosely(known, "NVIDIA L4") == "L4"


def test_same_name_ignores_case_and_vendor() -> None:
    assert same_name("NVIDIA H100-SXM", "h100 sxm")
    assert not same_name("H100", "H200")
