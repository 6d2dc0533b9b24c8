"""`engine inventory detect`: this machine, and stand-ins of tools that print what real ones did."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from engine.inventory import detect
from engine.policy.hardware import load_hardware
from tests.conftest import DATA, Run

pytestmark = pytest.mark.usefixtures("first_version")

TOPOLOGIES = DATA / "topologies"
CSV = "index, name, memory.total [MiB], memory.free [MiB], driver_version\n" + "".join(
    f"{number}, NVIDIA H100 80GB HBM3, 81559 MiB, {81000 - number} MiB, 550.54.15\n" for number in range(8)
)
CARDS = {
    f"card{number}": {
        "Card Series": "AMD Instinct MI300X",
        "VRAM Total Memory (B)": "206141652992",
        "VRAM Total Used Memory (B)": "297545728",
    }
    for number in range(8)
}
SWITCHED = (TOPOLOGIES / "h100x8-nvswitch.txt").read_text()
HABANA = "index, name, memory.total [MiB], memory.free [MiB]\n0, HL-325L, 131072 MiB, 130000 MiB\n"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH that tools are looked for in."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def stand_in(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def printing(folder: Path, name: str, answers: dict[str, str]) -> None:
    """A tool that prints a file where its arguments have a word in them."""
    cases = []
    for number, (word, text) in enumerate(answers.items()):
        file = folder / f"{name}.{number}"
        file.write_text(text.rstrip() + "\n")
        loop = f'while read -r l; do printf "%s\\n" "$l"; done < {file}'
        cases.append(f'case "$*" in *{word}*) {loop}; exit 0;; esac')
    stand_in(folder, name, "IFS=\n" + "\n".join(cases) + "\nexit 9")


def detected(run: Run) -> tuple[list[dict[str, Any]], dict[str, Any], str]:
    ran = run("inventory", "detect", "--format", "json")
    assert ran.code == 0, ran.err
    return ran.json["devices"], ran.json, ran.err


def test_a_machine_without_accelerators(run: Run, tools: Path) -> None:
    (cpu,), _, _ = detected(run)
    assert cpu["kind"] == "Cpu"
    assert 0 < cpu["memory_bytes"] <= psutil.virtual_memory().total
    assert 0 < cpu["free_bytes"] <= cpu["memory_bytes"]


def test_nvidia(run: Run, tools: Path) -> None:
    matrix = (TOPOLOGIES / "h100x8-nvswitch.txt").read_text()
    printing(tools, "nvidia-smi", {"query-gpu": CSV, "topo": matrix})
    devices, found, _ = detected(run)
    assert [device["kind"] for device in devices] == ["CudaGpu"] * 8 + ["Cpu"]
    assert [device.get("numa_node") for device in devices] == [0] * 4 + [1] * 4 + [None]
    assert devices[3]["free_bytes"] == (81000 - 3) * 2**20
    assert found["interconnects"] == [{"kind": "NVSwitch", "bandwidth_gbps": 450.0}]
    assert len(found["links"]) == 28


def test_amd(run: Run, tools: Path) -> None:
    topology = (TOPOLOGIES / "rocm8_two_xgmi_hives.txt").read_text()
    printing(tools, "rocm-smi", {"showproductname": json.dumps(CARDS), "showtopo": topology})
    devices, found, errors = detected(run)
    assert {device["name"] for device in devices[:8]} == {"AMD Instinct MI300X"}
    assert devices[0]["memory_bytes"] == 206141652992
    assert {link["bandwidth_gbs"] for link in found["links"] if link["kind"] == "XGMI"} == {64.0}
    assert "XGMI joins 12 of 28 pairs" in errors


def test_gaudi(run: Run, tools: Path) -> None:
    printing(tools, "hl-smi", {"query-aip": HABANA})
    devices, _, _ = detected(run)
    assert (devices[0]["kind"], devices[0]["memory_bytes"]) == ("Gaudi", 131072 * 2**20)


AMD = [
    {
        "gpu": number,
        "asic": {"market_name": "AMD Instinct MI300X", "asic_serial": "0xC0FFEE"},
        "vram": {"type": "HBM", "size": {"value": 196592, "unit": "MB"}},
    }
    for number in range(2)
]


@pytest.mark.parametrize("document", [AMD, {"gpu_data": AMD}])
def test_amd_by_its_newer_tool(document: Any, run: Run, tools: Path) -> None:
    printing(tools, "amd-smi", {"static": json.dumps(document)})
    devices, found, _ = detected(run)
    assert [(each["kind"], each.get("memory_bytes")) for each in devices[:2]] == [
        ("RocmGpu", 196592 * 2**20)
    ] * 2
    assert "C0FFEE" not in json.dumps(found)


def test_intel(run: Run, tools: Path) -> None:
    listed = {"device_list": [{"device_id": 0, "device_name": "Intel(R) Data Center GPU Max 1550"}]}
    described = {"device_id": 0, "memory_physical_size_byte": "137438953472"}
    printing(tools, "xpu-smi", {"-d": json.dumps(described), "discovery": json.dumps(listed)})
    devices, _, _ = detected(run)
    assert (devices[0]["kind"], devices[0]["memory_bytes"]) == ("IntelOneApi", 137438953472)


def test_apple(run: Run, tools: Path) -> None:
    hardware = {"chip_type": "Apple M2 Max", "physical_memory": "64 GB", "serial_number": "C02XXXXXXXXX"}
    printing(tools, "system_profiler", {"SPHardware": json.dumps({"SPHardwareDataType": [hardware]})})
    devices, found, _ = detected(run)
    assert (devices[0]["kind"], devices[0]["memory_bytes"]) == ("MetalGpu", 64 * 2**30)
    assert "C02" not in json.dumps(found)


@pytest.mark.parametrize("tool", ["amd-smi", "xpu-smi", "system_profiler"])
@pytest.mark.parametrize("printed", ["", "{", "[]", "nonsense", "[1, null]", '{"device_list": 3}'])
def test_what_is_no_such_json_is_a_note_or_nothing(tool: str, printed: str, run: Run, tools: Path) -> None:
    stand_in(tools, tool, f"echo '{printed}'")
    devices, _, errors = detected(run)
    assert [device["kind"] for device in devices] == ["Cpu"]
    if printed in ("", "{", "nonsense"):
        assert f"{tool}: expected JSON" in errors


def test_two_makers_in_one_machine(run: Run, tools: Path) -> None:
    printing(tools, "nvidia-smi", {"query-gpu": CSV, "topo": SWITCHED})
    topology = (TOPOLOGIES / "rocm8_two_xgmi_hives.txt").read_text()
    printing(tools, "rocm-smi", {"showproductname": json.dumps(CARDS), "showtopo": topology})
    devices, found, _ = detected(run)
    kinds = [device["kind"] for device in devices]
    for link in found["links"]:
        assert kinds[link["a"]] == kinds[link["b"]] == ("CudaGpu" if link["kind"] == "NVLink" else "RocmGpu")


def test_a_tool_that_hangs_is_cut_off(tools: Path) -> None:
    stand_in(tools, "nvidia-smi", "while :; do :; done")
    found = detect.detect(load_hardware(), patience=0.3)
    assert [device.kind for device in found.inventory.devices] == ["Cpu"]
    assert "nvidia-smi gave no answer in 0.3 s, and was ended" in found.notes


@pytest.mark.parametrize(
    ("script", "note"),
    [
        ("echo no devices were found; exit 6", "nvidia-smi ended with 6: no devices were found"),
        ("echo 'index, name'", "nvidia-smi: a table without rows"),
        ("echo 'index, name'; echo '0'", "nvidia-smi: a table without rows"),
        ("echo 'index, name'; echo '0, a, b'", "nvidia-smi: 3 cells for 2 columns"),
    ],
)
def test_a_tool_that_fails_is_a_note(script: str, note: str, run: Run, tools: Path) -> None:
    stand_in(tools, "nvidia-smi", script)
    devices, _, errors = detected(run)
    assert [device["kind"] for device in devices] == ["Cpu"]
    assert f"note: {note}" in errors


def test_what_is_detected_can_be_planned_on(run: Run, tools: Path, tmp_path: Path) -> None:
    printing(tools, "nvidia-smi", {"query-gpu": CSV, "topo": SWITCHED})
    file = tmp_path / "inventory.yaml"
    file.write_text(run("inventory", "detect").out)
    asked = ("eval", "--inventory", file, "--params", "70B", "--quantization", "bf16", "--format", "json")
    assert run(*asked).json["match"] == "tensor-parallel"
    assert "hostname" not in file.read_text()
    assert os.uname().nodename not in file.read_text()


# --- Kubernetes --------------------------------------------------------------------------------------


def node(name: str, count: str, *, cordoned: bool = False, **labels: str) -> dict[str, Any]:
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {"allocatable": {"cpu": "64", "nvidia.com/gpu": count}},
    }


def test_kubernetes_nodes(run: Run, tmp_path: Path) -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"}
    nodes = [node("a", "8", **labels), node("b", "8", cordoned=True, **labels), node("c", "0")]
    file = tmp_path / "nodes.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
    ran = run("inventory", "import", file)
    assert ran.code == 0, ran.err
    devices = yaml.safe_load(ran.out)["devices"]
    assert [device["node"] for device in devices] == ["a"] * 8 + ["b"] * 8
    assert [device["available"] for device in devices] == [True] * 8 + [False] * 8
    assert [device["device_id"] for device in devices] == list(range(16))
    assert {device["memory_bytes"] for device in devices} == {81559 * 2**20}
    assert "node b is cordoned" in ran.err
    assert [each["kind"] for each in yaml.safe_load(ran.out)["interconnects"]] == ["NVSwitch"]
    asked = ("eval", "--params", "70B", "--quantization", "int8", "--format", "json", "--inventory")
    assert run(*asked, file).json["match"] == "single-device" or run(*asked, file).code == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "Node"}, "no node has accelerators"),
        ({"items": [node("a", "many")]}, "is 'many', expected a count"),
        ({"items": [node("a", "-1")]}, "is '-1', expected a count"),
        ({"items": [node("a", "9" * 30)]}, "expected a count"),
    ],
)
def test_odd_nodes(value: Any, message: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "nodes.json"
    file.write_text(json.dumps(value))
    ran = run("inventory", "import", file)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.mark.parametrize(
    ("names", "joined", "note"),
    [
        (["a"], ("NVSwitch", 450.0), "NVSwitch of 450 GB/s is assumed"),
        (["a", "b"], ("InfiniBand", 50.0), "is assumed to join the nodes"),
    ],
)
def test_what_joins_kubernetes_devices_is_what_is_usual_and_said(
    names: list[str], joined: tuple[str, float], note: str, run: Run
) -> None:
    label = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    items = [node(name, "8", **label) for name in names]
    ran = run("inventory", "import", "-", "--format", "json", stdin=json.dumps({"items": items}))
    assert ran.code == 0, ran.err
    assert ran.json["interconnects"] == [{"kind": joined[0], "bandwidth_gbps": joined[1]}]
    assert note in ran.err


def test_what_joins_unlike_kubernetes_devices_is_not_assumed(run: Run) -> None:
    products = ("NVIDIA-H100-80GB-HBM3", "NVIDIA-L40S")
    items = [node(name, "2", **{"nvidia.com/gpu.product": name}) for name in products]
    ran = run("inventory", "import", "-", "--format", "json", stdin=json.dumps({"items": items}))
    assert "interconnects" not in ran.json
    assert "Kubernetes doesn't tell what joins the devices" in ran.err
