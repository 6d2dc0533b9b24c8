"""Machines in the words that people use."""

from __future__ import annotations

from collections import Counter

import pytest

from engine.base.errors import EngineError
from engine.catalogs.hardware import load_hardware
from engine.inventory.source import read_source

HARDWARE = load_hardware()
GIB = 2**30


@pytest.mark.parametrize(
    ("words", "product", "nodes"),
    [
        ("8x H100", "H100-SXM", [8]),
        ("H100 x8", "H100-SXM", [8]),
        ("H100x8", "H100-SXM", [8]),
        ("8*H100", "H100-SXM", [8]),
        ("NVIDIA H100 80GB HBM3 x 8", "H100-SXM", [8]),
        ("8 H100 GPUs", "H100-SXM", [8]),
        ("eight H100s", "H100-SXM", [8]),
        ("a pair of L40S", "L40S", [2]),
        ("dual RTX 3090", "RTX-3090", [2]),
        ("4×A6000", "RTX-A6000", [4]),
        ("RTX 4090", "RTX-4090", [1]),
        ("7900 XTX", "RX-7900-XTX", [1]),
        ("2 nodes of 8xH100", "H100-SXM", [8, 8]),
        ("2 nodes x 8 H100", "H100-SXM", [8, 8]),
        ("DGX H100", "H100-SXM", [8]),
        ("2x dgx-h200", "H200-SXM", [8, 8]),
        ("DGX A100 320GB", "A100-SXM-40GB", [8]),
        ("2x DGX Spark", "GB10", [1, 1]),
        ("GB200 NVL72", "GB200", [4] * 18),
        ("ND96isr_H100_v5", "H100-SXM", [8]),
        ("MLU370-X8", "MLU370-X8", [1]),
    ],
)
def test_words_describe_a_machine(words: str, product: str, nodes: list[int]) -> None:
    devices = read_source(words, lambda: HARDWARE).inventory.devices
    assert {HARDWARE.entry(device.name or "") for device in devices} == {product}
    assert list(Counter(device.node for device in devices).values()) == nodes


@pytest.mark.parametrize(
    "words", ["2xRTX-3090+P40", "2x RTX 3090, P40", "2 RTX 3090 and 1 P40", "2xRTX3090;P40"]
)
def test_words_list_several_products(words: str) -> None:
    devices = read_source(words, lambda: HARDWARE).inventory.devices
    assert [HARDWARE.entry(device.name or "") for device in devices] == ["RTX-3090", "RTX-3090", "P40"]


@pytest.mark.parametrize(
    ("words", "usable"), [("M4 Max 128GB", 96), ("Mac Studio M3 Ultra 512GB", 384), ("GB10 128GB", 128)]
)
def test_memory_of_the_machine_is_shared(words: str, usable: int) -> None:
    (device,) = read_source(words, lambda: HARDWARE).inventory.devices
    assert device.memory_bytes == usable * GIB


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("HGX H100", "write 8xH100-SXM or 4xH100-SXM"),
        ("2x HGX-H200", "write 8xH200-SXM or 4xH200-SXM"),
        ("DGX A100", "write DGX-A100-640GB or DGX-A100-320GB"),
        ("NVL72", "write GB200-NVL72 or GB300-NVL72"),
        ("2x GB200 NVL72", "join one file a rack"),
        ("two 4090s", "did you mean 'RTX-4090'"),
        ("two RTX 4080s", "did you mean 'RTX-4080'"),  # or SUPER
        ("A100 (4)", "describe the machine in words: 8xH100-SXM"),
    ],
)
def test_words_with_several_meanings_are_refused(words: str, hint: str) -> None:
    with pytest.raises(EngineError) as refused:
        read_source(words, lambda: HARDWARE)
    assert hint in str(refused.value)


def test_machine_with_more_devices_than_any_has_gets_a_note() -> None:
    assert "2x8xH100" in " ".join(read_source("16xH100", lambda: HARDWARE).notes)
    assert not read_source("8xH100", lambda: HARDWARE).notes


def test_slower_of_two_fabrics_holds_for_both_products() -> None:
    inventory = read_source("8xH100 + 8xA100", lambda: HARDWARE).inventory
    assert [(fabric.kind, fabric.bandwidth_gbps) for fabric in inventory.interconnects] == [
        ("NVSwitch", 300.0)
    ]
