"""`engine inventory detect`: this machine, and stand-ins of tools that print what real ones did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from engine.catalogs.hardware import load_hardware
from engine.inventory import detect
from tests.conftest import DATA, TOP, Run

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
    assert found["interconnects"] == [{"kind": "NVSwitch", "bandwidth_gbs": 450.0, "bandwidth_gbps": 450.0}]
    assert len(found["links"]) == 28


def test_nvidia_divided_by_mig_offers_its_partitions(run: Run, tools: Path) -> None:
    table = "index, name, memory.total [MiB], memory.free [MiB], driver_version, mig.mode.current\n"
    table += "0, NVIDIA H100 80GB HBM3, 81559 MiB, 81008 MiB, 550.54.15, Enabled\n"
    listed = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0000)\n"
    listed += "  MIG 3g.40gb     Device  0: (UUID: MIG-00000000-0000-0000-0000-000000000001)\n"
    printing(tools, "nvidia-smi", {"query-gpu": table, "-L": listed})
    devices, found, _ = detected(run)
    assert [(device.get("partition"), device["available"]) for device in devices[:2]] == [
        (None, False),
        ("3g.40gb", True),
    ]
    assert "GPU-0000" not in json.dumps(found)


def test_nvidia_driver_without_mig_is_asked_without_it(run: Run, tools: Path) -> None:
    script = (
        'case "$*" in *mig.mode*) echo "Field is not valid"; exit 2;; *query*) cat <<E\n' + CSV + "E\n;; esac"
    )
    stand_in(tools, "nvidia-smi", script)
    (tools / "cat").symlink_to("/bin/cat")
    devices, _, errors = detected(run)
    assert [device["kind"] for device in devices] == ["CudaGpu"] * 8 + ["Cpu"]
    assert "not valid" not in errors


NPU = (DATA / "captures" / "npu-smi.txt").read_text()


def test_ascend(run: Run, tools: Path) -> None:
    printing(tools, "npu-smi", {"info": NPU})
    devices, _, _ = detected(run)
    assert [(device["kind"], device["memory_bytes"]) for device in devices[:2]] == [
        ("AscendNpu", 65536 * 2**20)
    ] * 2


@pytest.mark.slow
def test_makers_tools_run_at_the_same_time(run: Run, tools: Path) -> None:
    (tools / "sleep").symlink_to("/bin/sleep")
    for name in ("rocm-smi", "hl-smi", "xpu-smi", "neuron-ls", "npu-smi", "cnmon"):
        stand_in(tools, name, "sleep 0.7; exit 3")
    started = time.monotonic()
    _, _, errors = detected(run)
    assert time.monotonic() - started < 6 * 0.7
    assert errors.count("exited with 3") == 6


def test_amd(run: Run, tools: Path) -> None:
    topology = (TOPOLOGIES / "rocm8_two_xgmi_hives.txt").read_text()
    printing(tools, "rocm-smi", {"showproductname": json.dumps(CARDS), "showtopo": topology})
    devices, found, errors = detected(run)
    assert {device["name"] for device in devices[:8]} == {"AMD Instinct MI300X"}
    assert devices[0]["memory_bytes"] == 206141652992
    assert {link["bandwidth_gbs"] for link in found["links"] if link["kind"] == "XGMI"} == {64.0}
    assert "XGMI connects 12 of 28 pairs" in errors


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
    assert (devices[0]["kind"], devices[0]["memory_bytes"]) == ("MetalGpu", 48 * 2**30)
    assert "C02" not in json.dumps(found)


def test_amd_by_its_newer_tool_with_links(run: Run, tools: Path) -> None:
    table = "LINK TYPE TABLE:\n0000:0c:00.0 0000:22:00.0\n0000:0c:00.0 SELF XGMI\n0000:22:00.0 XGMI SELF\n"
    printing(tools, "amd-smi", {"static": json.dumps(AMD), "topology": table})
    _, found, _ = detected(run)
    assert [(each["a"], each["b"], each["kind"]) for each in found["links"]] == [(0, 1, "XGMI")]


def test_neuron(run: Run, tools: Path) -> None:
    device = {"neuron_device": 0, "nc_count": 4, "memory_size": 103079215104, "instance_type": "trn2.3xlarge"}
    printing(tools, "neuron-ls", {"json": json.dumps([device])})
    (found, _), _, _ = detected(run)
    wanted = {"kind": "AwsNeuron", "name": "trn2", "chip_type": "Trainium", "core_count": 4}
    assert {name: found[name] for name in wanted} == wanted
    assert found["memory_bytes"] == 103079215104


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_tool_that_hangs_is_cut_off(tools: Path) -> None:
    stand_in(tools, "nvidia-smi", "while :; do :; done")
    found = detect.detect(load_hardware(), patience=0.3)
    assert [device.kind for device in found.inventory.devices] == ["Cpu"]
    assert "nvidia-smi did not answer within 0.3 s and was killed" in found.notes


@pytest.mark.parametrize(
    ("script", "note"),
    [
        ("echo no devices were found; exit 6", "nvidia-smi exited with 6: no devices were found"),
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


# --- /sys and /dev ----------------------------------------------------------------------------------


class Machine:
    """A file system with what the kernel shows of PCI devices."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")

    def device(self, address: str, numbers: str, **files: str) -> None:
        vendor, device = numbers.split(":")
        for name, text in {"vendor": f"0x{vendor}", "device": f"0x{device}", **files}.items():
            self.write(f"sys/bus/pci/devices/{address}/{name}", text)

    def found(self) -> tuple[list[tuple[Any, ...]], Any]:
        """What is detected but the CPU: kind, name, number, MiB, NUMA node."""
        found = detect.detect(load_hardware(), root=self.root)
        *devices, cpu = found.inventory.devices
        assert cpu.kind == "Cpu"
        described = [
            (
                each.kind,
                each.name,
                each.device_id,
                None if each.memory_bytes is None else each.memory_bytes / 2**20,
                each.numa_node,
            )
            for each in devices
        ]
        return described, found


@pytest.fixture
def machine(tmp_path: Path, tools: Path) -> Machine:
    return Machine(tmp_path / "root")


def test_tpus_are_known_by_their_numbers(machine: Machine) -> None:
    for number in range(4):
        machine.device(f"0000:00:{number + 4:02x}.0", "1ae0:0063", numa_node=str(number // 2))
        machine.write(f"dev/accel{number}", "")
    machine.device("0000:00:01.0", "8086:1237", numa_node="-1")
    described, found = machine.found()
    assert described == [("Tpu", "TPU-v5e", number, 16384, number // 2) for number in range(4)]
    assert [each.attributes for each in found.inventory.devices[:4]] == [
        {"version": "V5e", "chip_count": 1}
    ] * 4


@pytest.mark.parametrize(
    ("numbers", "node", "expected"),
    [
        ("1d0f:7164", "neuron0", ("AwsNeuron", "Trainium", 0, 32768, None)),
        ("1d0f:7264", "neuron0", ("AwsNeuron", "Inferentia2", 0, 32768, None)),
        ("1da3:1060", "accel/accel0", ("Gaudi", "Gaudi3", 0, 131072, None)),
        ("10de:2330", "nvidia0", ("CudaGpu", "H100-SXM", 0, 81559, None)),
        ("8086:643e", "accel/accel0", ("IntelNpu", "Intel NPU of Lunar Lake", 0, None, None)),
        ("1022:17f0", "accel/accel0", ("AmdXdnaNpu", "AMD XDNA NPU of Strix", 0, None, None)),
        ("1ae0:0062", "vfio/0", ("Tpu", "TPU-v5p", 0, 97280, None)),
    ],
)
def test_makers_without_their_tools(
    numbers: str, node: str, expected: tuple[Any, ...], machine: Machine
) -> None:
    machine.device("0000:3b:00.0", numbers, numa_node="-1")
    machine.write(f"dev/{node}", "")
    described, _ = machine.found()
    assert described == [expected]


def test_what_dev_does_not_give_is_not_counted(machine: Machine) -> None:
    """A container sees the bus of its host, and reaches what it was given."""
    for number in range(8):
        machine.device(f"0000:{number + 16:02x}:00.0", "10de:2335")
    machine.write("dev/nvidia3", "")
    described, found = machine.found()
    assert len(described) == 1
    assert "8 × 'NVIDIA H200 SXM' on the PCI bus, but /dev gives access to 1" in found.notes


def test_an_accelerator_that_nobody_knows_is_a_note(machine: Machine) -> None:
    machine.device("0000:3b:00.0", "dead:beef", **{"class": "0x120000"})
    described, found = machine.found()
    assert described == []
    assert "unknown accelerator dead:beef on the PCI bus; add it to catalog pci" in found.notes


def test_amd_by_its_driver(machine: Machine) -> None:
    """Memory and xGMI links of four devices, of which 0-1 and 2-3 are joined; node 0 is the CPU."""
    buses = [0x0C, 0x22, 0x8E, 0xA7]
    nodes = "sys/class/kfd/kfd/topology/nodes"
    machine.write("dev/kfd", "")
    machine.write(f"{nodes}/0/properties", "cpu_cores_count 64\nlocation_id 0\ndomain 0")
    for number, bus in enumerate(buses):
        sizes = {"mem_info_vram_total": str(68702699520), "mem_info_vram_used": str(10960896)}
        machine.device(f"0000:{bus:02x}:00.0", "1002:740f", numa_node=str(number // 2), **sizes)
        machine.write(f"{nodes}/{number + 1}/properties", f"simd_count 416\nlocation_id {bus << 8}\ndomain 0")
        for link, (kind, other, weight) in enumerate([(2, 0, 20), (11, (number ^ 1) + 1, 15)]):
            machine.write(
                f"{nodes}/{number + 1}/io_links/{link}/properties",
                f"type {kind}\nnode_from {number + 1}\nnode_to {other}\nweight {weight}",
            )
    described, found = machine.found()
    assert described == [("RocmGpu", "MI210", number, 65520, number // 2) for number in range(4)]
    assert {each.free_bytes for each in found.inventory.devices[:4]} == {68702699520 - 10960896}
    joined = {(each.a, each.b): each.kind for each in found.inventory.links}
    assert {pair for pair, kind in joined.items() if kind == "XGMI"} == {(0, 1), (2, 3)}
    assert len(joined) == 6


def test_what_a_tool_told_is_not_told_again(machine: Machine, tools: Path) -> None:
    printing(tools, "nvidia-smi", {"query-gpu": CSV, "topo": SWITCHED})
    machine.device("0000:3b:00.0", "10de:2330")
    machine.write("dev/nvidia0", "")
    described, _ = machine.found()
    assert len(described) == 8
    assert {name for _, name, *_ in described} == {"NVIDIA H100 80GB HBM3"}


@pytest.mark.parametrize("text", ["", "0x", "nonsense", "0x" + "f" * 5000])
def test_odd_files_are_passed_over(text: str, machine: Machine) -> None:
    machine.device("0000:3b:00.0", "1002:740f", numa_node=text, mem_info_vram_total=text)
    machine.write("dev/kfd", "")
    machine.write("sys/bus/pci/devices/0000:3c:00.0/vendor", text)
    machine.write("sys/class/kfd/kfd/topology/nodes/1/properties", f"location_id {text}")
    described, _ = machine.found()
    assert described == [("RocmGpu", "MI210", 0, 65520, None)]


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
    assert "node b is cordoned; its devices are not available" in ran.err
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
    ("labels", "resource", "devices", "name", "memory"),
    [
        (
            {"nvidia.com/gpu.product": "Tesla-T4-SHARED", "nvidia.com/gpu.replicas": "10"},
            "nvidia.com/gpu",
            4,
            "Tesla-T4",
            15360,
        ),
        ({"cloud.google.com/gke-accelerator": "nvidia-l4"}, "nvidia.com/gpu", 12, "L4", 23034),
        (
            {"cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice"},
            "google.com/tpu",
            12,
            "tpu-v5-lite-podslice",
            16384,
        ),
        (
            {"node.kubernetes.io/instance-type": "trn1.32xlarge"},
            "aws.amazon.com/neuron",
            12,
            "Trainium",
            32768,
        ),
        ({"node.kubernetes.io/instance-type": "m5.large"}, "nvidia.com/gpu", 12, None, None),
    ],
)
def test_labels_of_clouds_and_of_shared_devices(
    labels: dict[str, str], resource: str, devices: int, name: str | None, memory: int | None, run: Run
) -> None:
    item = node("a", "0", **labels)
    item["status"]["allocatable"] = {resource: "40" if devices == 4 else "12"}
    ran = run("inventory", "import", "-", "--format", "json", stdin=json.dumps({"items": [item]}))
    assert ran.code == 0, ran.err
    assert len(ran.json["devices"]) == devices
    assert {each.get("name") for each in ran.json["devices"]} == {name}
    assert {each["memory_bytes"] for each in ran.json["devices"]} == {memory and memory * 2**20}
    assert ("counted once" in ran.err) is (devices == 4)


@pytest.mark.parametrize(("status", "available"), [("True", True), ("False", False), ("Unknown", False)])
def test_a_node_that_is_not_ready_has_nothing_to_give(status: str, available: bool, run: Run) -> None:
    item = node("a", "8", **{"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"})
    item["status"]["conditions"] = [
        {"type": "MemoryPressure", "status": "False"},
        {"type": "Ready", "status": status},
    ]
    ran = run("inventory", "import", "-", "--format", "json", stdin=json.dumps({"items": [item]}))
    assert {each["available"] for each in ran.json["devices"]} == {available}
    assert ("node a is not ready; its devices are not available" in ran.err) is not available


def test_amd_devices_are_known_by_their_number(run: Run) -> None:
    item = node("a", "0", **{"amd.com/gpu.device-id": "74A1", "amd.com/gpu.vram": "192G"})
    item["status"]["allocatable"]["amd.com/gpu"] = "8"
    ran = run("inventory", "import", "-", "--format", "json", stdin=json.dumps({"items": [item]}))
    assert {(each["name"], each["memory_bytes"]) for each in ran.json["devices"]} == {
        ("MI300X", 196592 * 2**20)
    }
    assert ran.json["interconnects"] == [
        {"kind": "XgmiInfinityFabric", "bandwidth_gbs": 448.0, "bandwidth_gbps": 448.0}
    ]


REGISTRY = {"profiles": [{"accelerator": "Cpu", "available": True, "memory_bytes": 2**34}]}


@pytest.mark.parametrize(
    ("source", "document", "message"),
    [
        ("kubernetes", {"items": [node("a", "8")]}, None),
        ("registry", REGISTRY, None),
        ("kubernetes", REGISTRY, "expected nodes, as kubectl get nodes -o json prints them"),
        ("registry", {"items": [node("a", "8")]}, "expected a registry with profiles"),
        ("nvidia-smi", REGISTRY, "no accelerator found in the text"),
        ("collect-env", REGISTRY, "no accelerator found in the text"),
    ],
)
def test_what_a_document_is_said_to_be(source: str, document: Any, message: str | None, run: Run) -> None:
    ran = run("inventory", "import", "-", "--from", source, stdin=json.dumps(document))
    assert ran.code == (0 if message is None else 2), ran.err
    assert message is None or message in ran.err


def test_kubernetes_partitions_are_devices_that_no_plan_joins(run: Run) -> None:
    item = node("a", "1", **{"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"})
    item["status"]["allocatable"]["nvidia.com/mig-1g.10gb"] = "7"
    ran = run("inventory", "import", "-", "--format", "json", stdin=json.dumps({"items": [item]}))
    devices = ran.json["devices"]
    assert [device.get("partition") for device in devices] == [None, *["1g.10gb"] * 7]
    assert [device["available"] for device in devices] == [True, *[False] * 7]
    assert {device["memory_bytes"] for device in devices[1:]} == {9728 * 2**20}
    assert "partitions cannot be joined" in ran.err


@pytest.mark.parametrize(
    ("names", "joined", "note"),
    [
        (["a"], ("NVSwitch", 450.0), "assuming NVSwitch at 450 GB/s"),
        (["a", "b"], ("InfiniBand", 50.0), "assuming InfiniBand between the nodes"),
    ],
)
def test_what_joins_kubernetes_devices_is_what_is_usual_and_said(
    names: list[str], joined: tuple[str, float], note: str, run: Run
) -> None:
    label = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    items = [node(name, "8", **label) for name in names]
    ran = run("inventory", "import", "-", "--format", "json", stdin=json.dumps({"items": items}))
    assert ran.code == 0, ran.err
    assert ran.json["interconnects"] == [
        {"kind": joined[0], "bandwidth_gbs": joined[1], "bandwidth_gbps": joined[1]}
    ]
    assert note in ran.err


def test_what_joins_unlike_kubernetes_devices_is_not_assumed(run: Run) -> None:
    products = ("NVIDIA-H100-80GB-HBM3", "NVIDIA-L40S")
    items = [node(name, "2", **{"nvidia.com/gpu.product": name}) for name in products]
    ran = run("inventory", "import", "-", "--format", "json", stdin=json.dumps({"items": items}))
    assert "interconnects" not in ran.json
    assert "Kubernetes does not report links between devices" in ran.err


# --- tools that are not to be trusted ---


def ended(pid_file: Path) -> bool:
    """Whether the process of that number ends within a second or two."""
    for _ in range(40):
        try:
            status = Path(f"/proc/{int(pid_file.read_text())}/stat").read_text().rpartition(")")[2].split()
            if status[0] == "Z":
                return True
        except (OSError, ValueError):
            return pid_file.exists()
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_what_a_hanging_tool_has_started_is_ended_too(tools: Path, tmp_path: Path) -> None:
    script = f"(/bin/sleep 300 & echo $! > {tmp_path}/child; wait) & wait"
    stand_in(tools, "nvidia-smi", script)
    detect.detect(load_hardware(), patience=0.5)
    assert ended(tmp_path / "child")


def test_a_tool_that_leaves_something_behind(tools: Path, tmp_path: Path) -> None:
    """It has answered, though what it has started keeps its output open: nobody waits for that."""
    stand_in(tools, "hl-smi", f"/bin/sleep 300 & echo $! > {tmp_path}/child\n/bin/cat {tmp_path}/table")
    (tmp_path / "table").write_text(HABANA)
    start = time.monotonic()
    found = detect.detect(load_hardware(), patience=30)
    assert time.monotonic() - start < 20
    assert [device.kind for device in found.inventory.devices] == ["Gaudi", "Cpu"]
    assert ended(tmp_path / "child")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_tools_end_with_the_engine(number: int, tools: Path, tmp_path: Path) -> None:
    stand_in(tools, "nvidia-smi", f"/bin/sleep 300 & echo $! > {tmp_path}/child.part\nmv() {{ :; }}\nwait")
    command = [sys.executable, "-m", "engine.cli.main", "inventory", "detect"]
    with subprocess.Popen(
        command,
        cwd=TOP,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A shell ignores Ctrl-C for jobs in the background, and they inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as engine:
        child = tmp_path / "child.part"
        for _ in range(600):
            if child.exists() and child.read_text().strip():
                break
            time.sleep(0.05)
        start = time.monotonic()
        engine.send_signal(number)
        engine.wait(20)
        assert time.monotonic() - start < 10, "the engine waited for the tool"
    assert ended(child)


@pytest.mark.parametrize("stream", ["", " >&2"])
def test_a_tool_that_prints_without_end(stream: str, tools: Path) -> None:
    stand_in(tools, "nvidia-smi", f"exec /usr/bin/yes{stream}")
    tracemalloc.start()
    found = detect.detect(load_hardware(), patience=60)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "nvidia-smi printed more than 16 MiB and was killed" in found.notes
    assert most < 64 * 2**20


def test_a_tool_that_prints_no_text(run: Run, tools: Path) -> None:
    stand_in(tools, "nvidia-smi", "exec /bin/cat /bin/sh")
    stand_in(tools, "hl-smi", "printf 'index, name\\n0, \\033]52;c;aGk=\\007\\n'")
    ran = run("inventory", "detect")
    assert ran.code == 0
    assert not set(ran.out + ran.err) & {"\x1b", "\x07", "\x00"}


@pytest.mark.parametrize("path", [".", "", "bin", "./bin:", ":"])
def test_tools_are_not_looked_for_here(
    path: str, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where PATH has the current folder in it, by any name, what happens to be there is not run."""
    stand_in(tools, "nvidia-smi", f"echo run > {tmp_path}/proof")
    (tmp_path / "nvidia-smi").symlink_to(tools / "nvidia-smi")
    for folder in (tmp_path, tools):
        monkeypatch.chdir(folder)
        monkeypatch.setenv("PATH", path)
        found = detect.detect(load_hardware())
        assert not (tmp_path / "proof").exists()
        assert any(note.startswith("nvidia-smi, ") and " not found" in note for note in found.notes)


def test_files_of_the_kernel_that_are_none(tmp_path: Path, tools: Path) -> None:
    """A FIFO, an endless device and a long file in place of those in /sys: nothing is waited for."""
    device = tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    device.mkdir(parents=True)
    os.mkfifo(device / "vendor")
    (device / "device").symlink_to("/dev/zero")
    (device / "class").write_text("0x120000\n" * 10_000)
    limit = tmp_path / "sys/fs/cgroup/memory.max"
    limit.parent.mkdir(parents=True)
    os.mkfifo(limit)
    signal.alarm(60)
    found = detect.detect(load_hardware(), root=tmp_path)
    signal.alarm(0)
    assert [device.kind for device in found.inventory.devices] == ["Cpu"]
