"""Products and links by the names that tools, makers and people give them."""

from __future__ import annotations

import pytest

from engine.base.aliases import Names, find_loosely, plain_names, same_name
from engine.catalogs.hardware import load_hardware
from engine.inventory.products import Hardware, attributes

HARDWARE = load_hardware()
MIB = 2**20


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("H100-SXM", "H100-SXM"),
        ("NVIDIA H100 80GB HBM3", "H100-SXM"),
        ("nvidia h100 80gb hbm3", "H100-SXM"),
        ("NVIDIA A100-SXM4-80GB", "A100-SXM4-80GB"),
        ("AMD Instinct MI300X", "MI300X"),
        ("Gaudi3", "Gaudi3"),
        ("nothing of the kind", None),
        ("", None),
        (None, None),
    ],
)
def test_product_by_any_of_its_names(name: str | None, product: str | None) -> None:
    row = HARDWARE.product(name)
    entry = None if product is None else HARDWARE.products.loose(product)
    assert row == (None if entry is None else HARDWARE.products.rows[entry])
    assert (row is None) is (product is None)


@pytest.mark.parametrize("entry", sorted(HARDWARE.products.rows))
def test_product_is_found_by_its_own_name_and_every_alias(entry: str) -> None:
    names = [entry, *(alias for alias, of in HARDWARE.products.aliases.items() if of == entry)]
    assert {HARDWARE.products.loose(name) for name in names} == {entry}


def test_cut_name_is_completed_by_memory() -> None:
    row = HARDWARE.products.rows["A100-SXM-80GB"]
    assert HARDWARE.cut("NVIDIA A100-SXM...", row["memory_mib"] * MIB) == "A100-SXM-80GB"
    assert HARDWARE.cut("NVIDIA A100-SXM...", 3 * MIB) is None
    assert HARDWARE.cut("NVIDIA A100-SXM...", None) is None
    assert HARDWARE.cut("...", row["memory_mib"] * MIB) is None


def test_attributes_are_fields_of_the_kind() -> None:
    assert attributes(None) == {}
    assert attributes(HARDWARE.product("TPU-v5e"))["version"] == "V5e"


def test_catalogs_are_loaded_once_and_on_first_use() -> None:
    loaded: list[str] = []

    def load(name: str) -> Names:
        loaded.append(name)
        return Names({}, {})

    hardware = Hardware(load)
    assert loaded == []
    assert hardware.product("H100") is None
    assert hardware.product("L4") is None
    assert loaded == ["products"]


def test_aliases_exact_loose_and_nearest() -> None:
    names = Names({"H100-SXM": {}, "L4": {}}, {"h100": "H100-SXM"})
    assert [names.exact(name) for name in ("H100-SXM", "h100", "H100")] == ["H100-SXM", "H100-SXM", None]
    assert [names.loose(name) for name in ("NVIDIA H100", "Tesla L4", "L40")] == ["H100-SXM", "L4", None]
    assert names.starting("NVIDIA H1") == ["H100-SXM"]
    assert names.starting("NVIDIA") == []
    assert "H100-SXM" in (names.nearest("H10-SXM") or "")
    assert find_loosely(plain_names(names.rows, names.aliases), "h100 HBM3") == "H100-SXM"
    assert same_name("Llama-3.1-8B", "llama 3.1 8b")
    assert not same_name("llama-3.1-8b", "llama-3.1-70b")
