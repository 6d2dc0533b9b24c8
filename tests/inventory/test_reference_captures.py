"""Captures of the reference data, read through `--inventory` as their index says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.base.errors import EngineError
from engine.catalogs.hardware import load_hardware
from engine.inventory import Inventory
from engine.inventory.inventory import HOST
from engine.inventory.source import Found, read_source
from tests.conftest import DATA, TOP

CAPTURES = TOP.parent / "shared" / "reference" / "captures"
HARDWARE = load_hardware()
MIB = 2**20
SMALL: dict[str, dict[str, Any]] = yaml.safe_load((DATA / "captures" / "small.yaml").read_text())
INDEX: list[dict[str, Any]] = (
    yaml.safe_load((CAPTURES / "index.yaml").read_text())["captures"] if CAPTURES.exists() else []
)

pytestmark = pytest.mark.skipif(
    not CAPTURES.exists(), reason="the reference captures are not on this machine"
)


def read(path: Path) -> Found:
    return read_source(str(path), lambda: HARDWARE)


def products(inventory: Inventory) -> list[str | None]:
    return [HARDWARE.products.loose(device.name or "") for device in inventory.devices]


def check(inventory: Inventory, expected: dict[str, Any]) -> None:
    """Hold an inventory against a row of an index."""
    devices = inventory.devices
    if isinstance(expected["n"], int):
        assert len(devices) == expected["n"]
    assert HOST not in {device.kind for device in devices}
    if isinstance(sizes := expected.get("mib"), list):
        for device, mib in zip(devices, sizes, strict=True):
            within = expected.get("tol", 0) * (mib or 0)
            memory = None if device.memory_bytes is None else device.memory_bytes / MIB
            assert memory == mib if mib is None or memory is None else abs(memory - mib) <= within, device
    if "free" in expected:
        assert [(device.free_bytes or 0) / MIB for device in devices] == expected["free"]
    if "numa" in expected:
        assert [device.numa_node for device in devices] == expected["numa"]
    if "ids" in expected:
        assert [device.device_id for device in devices] == expected["ids"]
    if "kind" in expected:
        assert {device.kind for device in devices} == {expected["kind"]}
    if "words" in expected:
        joined = " ".join(
            f"{device.name} {product}" for device, product in zip(devices, products(inventory), strict=True)
        )
        assert expected["words"] in joined
    if "names" in expected:
        assert [device.name for device in devices] == expected["names"]
    if "products" in expected:
        assert products(inventory) == expected["products"]
    if "gbs" in expected:
        assert {link.bandwidth_gbs for link in inventory.links} == {expected["gbs"]}
    for kind, count in expected.get("links", {}).items():
        assert {(link.kind, link.count) for link in inventory.links} == {(kind, count)}
    if "fabric" in expected:
        assert expected["fabric"] in {None, *(fabric.kind for fabric in inventory.interconnects)}
        assert "NVSwitch" not in {fabric.kind for fabric in inventory.interconnects}
    whole = [device for device in devices if getattr(device, "partition", None) is None]
    slices = [device for device in devices if getattr(device, "partition", None) is not None]
    for number, available in expected.get("whole", {}).items():
        (device,) = (device for device in whole if device.device_id == number)
        assert device.available is available
    if "available" in expected:
        assert sum(device.available for device in devices) == expected["available"]
    if "whole_mib" in expected:
        usable = [device for device in whole if device.available]
        assert {(device.memory_bytes or 0) / MIB for device in usable} == {expected["whole_mib"]}
    if "slices" in expected:
        assert len(slices) == expected["slices"]
        within = expected.get("tol", 0) * expected["slice_mib"]
        for device in slices:
            assert abs((device.memory_bytes or 0) / MIB - expected["slice_mib"]) <= within


@pytest.mark.parametrize("row", INDEX, ids=lambda row: row["file"])
def test_capture_is_read_as_its_index_says(row: dict[str, Any]) -> None:
    check(read(CAPTURES / row["file"]).inventory, row)


@pytest.mark.parametrize("name", SMALL)
def test_small_capture_is_read_or_refused(name: str) -> None:
    expected = SMALL[name]
    if "refuse" in expected:
        with pytest.raises(EngineError) as refused:
            read(CAPTURES / "small" / name)
        assert expected["refuse"] in f"{refused.value} {refused.value.hint}"
        return
    check(read(CAPTURES / "small" / name).inventory, expected)


def test_every_small_capture_has_its_answer() -> None:
    assert {path.name for path in (CAPTURES / "small").iterdir()} == set(SMALL)
