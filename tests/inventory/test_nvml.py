"""Machines that NVML describes, by a stand-in of its binding."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvml
import pytest

from engine.catalogs.hardware import load_hardware
from engine.inventory import detect
from tests.conftest import DATA, TOP, Run

Machine = Callable[[dict[str, Any]], None]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Puts a machine into the place of this one."""
    folder = tmp_path / "binding"
    folder.mkdir()
    shutil.copy(DATA / "stand_in_pynvml.py", folder / "pynvml.py")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("REAL_PYNVML", str(pynvml.__file__))

    def put(document: dict[str, Any]) -> None:
        file = tmp_path / "machine.json"
        file.write_text(json.dumps(document))
        monkeypatch.setenv("STAND_IN_MACHINE", str(file))

    return put


def device(number: int, ports: list[int | None], **more: Any) -> dict[str, Any]:
    return {
        "name": "NVIDIA H100 80GB HBM3",
        "total": 85520809984,
        "free": 85000000000 - number,
        "numa": 1 if number < 4 else 2,
        "ports": ports,
        **more,
    }


def detected(run: Run) -> tuple[dict[str, Any], str]:
    ran = run("inventory", "detect", "--format", "json")
    assert ran.code == 0, ran.err
    return ran.json, ran.err


def test_eight_devices_on_a_switch(machine: Machine, run: Run) -> None:
    machine({"devices": [device(number, [None] * 18) for number in range(8)]})
    found, _ = detected(run)
    assert [each["kind"] for each in found["devices"]] == ["CudaGpu"] * 8 + ["Cpu"]
    assert [each.get("numa_node") for each in found["devices"]][:8] == [0] * 4 + [1] * 4
    assert [each["free_bytes"] for each in found["devices"]][:3] == [85000000000 - n for n in range(3)]
    assert found["interconnects"] == [{"kind": "NVSwitch", "bandwidth_gbs": 450.0, "bandwidth_gbps": 450.0}]


def test_bridges_and_pcie(machine: Machine, run: Run) -> None:
    devices = [device(number, [number ^ 1] * 4, name="NVIDIA RTX A6000") for number in range(4)]
    far = [[0, 10, 50, 50], [10, 0, 50, 50], [50, 50, 0, 30], [50, 50, 30, 0]]
    machine({"devices": devices, "ancestors": far})
    found, _ = detected(run)
    pairs = {(each["a"], each["b"]): each for each in found["links"]}
    assert {pair for pair, each in pairs.items() if each["kind"] == "NVLink"} == {(0, 1), (2, 3)}
    assert pairs[0, 1]["count"] == 4
    assert "interconnects" not in found


def test_what_the_driver_does_not_know_is_unknown(machine: Machine, run: Run) -> None:
    odd = {"name": "NVIDIA GB10", "numa": 3, "ports": [], "mig": 1}
    machine({"devices": [odd]})
    found, err = detected(run)
    assert "memory_bytes" not in found["devices"][0] or found["devices"][0]["memory_bytes"] is None
    assert found["devices"][0].get("numa_node") is None
    assert "divided by MIG" in err


@pytest.mark.slow
def test_a_driver_that_hangs_is_cut_off(machine: Machine) -> None:
    machine({"devices": [], "hang": 60})
    found = detect.detect(load_hardware(()), patience=0.5)
    assert "NVML did not answer within 0.5 s and was killed" in found.notes
    assert [each.kind for each in found.inventory.devices] == ["Cpu"]


def test_all_that_is_asked_for_is_in_the_real_binding() -> None:
    source = (TOP / "engine" / "inventory" / "readers" / "nvidia" / "detect_nvml.py").read_text(
        encoding="utf-8"
    )
    names = set(re.findall(r'"(nvml[A-Z]\w+)"|\.(NVML\w+|nvml[A-Z]\w+)', source))
    asked = {name for pair in names for name in pair if name}
    assert len(asked) > 15
    assert [name for name in asked if not hasattr(pynvml, name)] == []


def test_without_the_binding_the_tools_are_asked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    found, err = detected(run)
    assert [each["kind"] for each in found["devices"]] == ["Cpu"]
    assert (
        "nvidia-smi, rocm-smi, amd-smi, hl-smi, xpu-smi, neuron-ls not found; devices only they can report"
        in err
    )
