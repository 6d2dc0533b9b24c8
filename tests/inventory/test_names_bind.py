"""A size or a board in a name binds: no name finds a product of another size or board."""

from __future__ import annotations

import pytest

from engine.base.aliases import plain_name
from engine.catalogs.hardware import load_hardware, load_names
from tests.conftest import DATA

HARDWARE = load_hardware()
SIZES = (2, 3, 4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 94, 96, 128, 141, 180, 192, 256, 288)
BOARDS = ("SXM", "SXM2", "SXM4", "SXM5", "SXM6", "PCIE", "PCIe", "NVL", "Laptop")


def names_of(entry: str) -> list[str]:
    return [entry, *(alias for alias, owner in HARDWARE.products.aliases.items() if owner == entry)]


@pytest.mark.slow
@pytest.mark.parametrize("entry", HARDWARE.products.rows)
def test_name_with_another_size_or_board_does_not_find_the_product(entry: str) -> None:
    listed = {plain_name(name) for name in names_of(entry)}
    for name in names_of(entry):
        for suffix in (*(f"{size}GB" for size in SIZES), *BOARDS):
            for written in (f"{name}-{suffix}", f"NVIDIA {name} {suffix}"):
                if plain_name(written) not in listed:
                    assert HARDWARE.entry(written) != entry, written


@pytest.mark.parametrize("entry", HARDWARE.products.rows)
def test_size_in_a_name_is_the_size_of_its_row(entry: str) -> None:
    """Names with a size are of a row whose memory is that size, less what the driver keeps."""
    memory = HARDWARE.products.rows[entry]["memory_mib"]
    for name in names_of(entry):
        size = name.upper().rpartition("-")[2].removesuffix("GB")
        if not name.upper().endswith("GB") or not size.isdecimal() or memory is None or entry == "GH200":
            continue
        assert 0.86 * int(size) * 1024 <= memory <= 1.03 * int(size) * 1024, (name, memory)


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("NVIDIA A100-SXM-64GB", "A100-SXM-64GB"),
        ("NVIDIA A100-SXM4-80GB", "A100-SXM-80GB"),
        ("Tesla V100-PCIE-16GB", "V100-PCIE-16GB"),
        ("Tesla V100-SXM2-16GB", "V100-SXM-16GB"),
        ("NVIDIA A800-SXM4-40GB", "A800-SXM-40GB"),
        ("Tesla P100-PCIE-12GB", "P100-PCIE-12GB"),
        ("NVIDIA H20-141GB", "H20-141GB"),
        ("RTX-4090-48GB", "RTX-4090-48GB"),
        ("NVIDIA T400 4GB", "T400-4GB"),
        ("NVIDIA H800 PCIe", "H800-PCIE"),
        ("NVIDIA H100 64GB HBM2", None),
        ("NVIDIA H100 80GB HBM3", "H100-SXM"),
        ("NVIDIA GeForce RTX 4080 ...", None),
        ("AMD Instinct MI300X OAM", "MI300X"),
        ("Intel(R) Arc(TM) B580 Graphics", "Arc-B580"),
        ("NVIDIA GeForce RTX 4070 Ti", "RTX-4070-Ti"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "RTX-4070-Ti-SUPER"),
    ],
)
def test_name_that_tools_print_finds_its_product(name: str, entry: str | None) -> None:
    assert HARDWARE.entry(name) == entry


def test_released_names_find_the_same_product_in_newer_catalogs() -> None:
    """Except where the older catalog took two products for one."""
    older, newer = load_names("products@1.0.0"), HARDWARE.products
    parted = {"A10G": "A10G", "MI250X": "MI250X", "Instinct-MI250X": "MI250X"}
    parted["RTX-PRO-6000-Blackwell-Server-Edition"] = "RTX-PRO-6000-Server"
    assert {name: newer.loose(name) for name in older.rows} == {name: name for name in older.rows}
    assert {alias: newer.loose(alias) for alias in older.aliases} == dict(older.aliases) | parted


def test_names_that_tools_print_are_products() -> None:
    """A list of what nvidia-smi, rocm-smi, xpu-smi, system_profiler, npu-smi and hl-smi print."""
    printed = (DATA / "captures" / "names.txt").read_text().splitlines()
    assert len(printed) >= 150
    assert [name for name in printed if HARDWARE.entry(name) is None] == []
