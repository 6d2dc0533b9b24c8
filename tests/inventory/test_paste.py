"""Pastes that must not be read wrongly: two machines, two snapshots, two numberings, a CPU beside others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.base.errors import EngineError
from engine.catalogs.hardware import load_hardware
from engine.inventory import Inventory
from engine.inventory.inventory import HOST, Imported
from engine.inventory.margins import plain, unwrap
from engine.inventory.source import import_texts, with_memory
from tests.conftest import DATA, Run

HARDWARE = load_hardware()
MIB = 2**20
FORMS: list[dict[str, Any]] = yaml.safe_load((DATA / "captures" / "forms.yaml").read_text())

HEAD = "| NVIDIA-SMI 550.90.07              Driver Version: 550.90.07      CUDA Version: 12.4     |\n"


def overview(*devices: tuple[int, str, str, int], used: int = 0) -> str:
    rows = [
        f"|   {number}  {name:<27} On  |   00000000:{bus}:00.0 Off |                    0 |\n"
        f"| N/A   30C    P0            100W /  700W |   {used:5}MiB /  {mib}MiB |      0%      Default |\n"
        for number, name, bus, mib in devices
    ]
    return HEAD + "".join(rows)


H100 = (0, "NVIDIA H100 80GB HBM3", "1A", 81559)
A100 = (0, "NVIDIA A100-SXM4-40GB", "1A", 40960)


def imported(text: str) -> Imported:
    return import_texts([("paste", text)], HARDWARE)


def inventory(text: str) -> Inventory:
    return imported(text).inventory


@pytest.mark.parametrize(
    "text",
    [
        overview(H100) + overview(A100),
        overview(H100) + overview((0, "NVIDIA H100 80GB HBM3", "2B", 81559)),
        "node1:\n" + overview(H100) + "node2:\n" + overview(H100),
        "[root@node1 ~]# nvidia-smi\n" + overview(H100) + "[root@node2 ~]# nvidia-smi\n" + overview(H100),
        "$ ssh a nvidia-smi\n" + overview(H100) + "$ ssh b nvidia-smi\n" + overview(H100),
        "".join(f"{host}: {line}\n" for host in ("n1", "n2") for line in overview(H100).splitlines()),
        "GPU 0: NVIDIA L4 (UUID: GPU-1)\nGPU 0: NVIDIA L4 (UUID: GPU-2)\n",
        "(base) me@n1:~$ nvidia-smi\n" + overview(H100) + "(base) me@n2:~$ nvidia-smi\n" + overview(H100),
        "".join(f"$ hostname\n{host}\n$ nvidia-smi\n" + overview(H100) for host in ("n1", "n2")),
        "".join(f"{name} | {line}\n" for line in overview(H100).splitlines() for name in ("web-1", "web-2")),
    ],
    ids=[
        "products",
        "addresses",
        "headings",
        "prompts",
        "ssh",
        "pdsh",
        "uuids",
        "conda",
        "hostname",
        "compose",
    ],
)
def test_two_machines_in_one_text_are_refused(text: str) -> None:
    with pytest.raises(EngineError) as refused:
        inventory(text)
    assert "engine inventory join" in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        overview(H100) + overview(H100, used=5000),
        "before:\n" + overview(H100) + "after:\n" + overview(H100, used=5000),
        "[root@node1 ~]# nvidia-smi\n" + overview(H100) + "[root@node1 ~]# nvidia-smi\n" + overview(H100),
        "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)\n" + overview(H100),
        "n1: " + overview(H100).replace("\n", "\nn1: ").removesuffix("n1: "),
    ],
    ids=["twice", "before and after", "prompt", "two tools", "one host"],
)
def test_two_snapshots_of_one_machine_are_one(text: str) -> None:
    (device,) = inventory(text).devices
    assert (device.name, device.memory_bytes) == ("NVIDIA H100 80GB HBM3", 81559 * MIB)


def test_free_memory_is_that_of_the_last_snapshot() -> None:
    found = imported(overview(H100) + overview(H100, used=5000))
    assert [device.free_bytes for device in found.inventory.devices] == [(81559 - 5000) * MIB]
    assert any("several snapshots" in note for note in found.notes)


def test_makers_beside_each_other_are_both_read() -> None:
    text = overview(H100) + "GPU[0] : Card Series: AMD Instinct MI300X\n"
    found = inventory(text + "GPU[0] : VRAM Total Memory (B): 206141652992\n")
    assert [(device.kind, device.device_id) for device in found.devices] == [("CudaGpu", 0), ("RocmGpu", 0)]


CSV = """\
index, name, memory.total [MiB]
0, NVIDIA GeForce RTX 3090, 24576 MiB
1, NVIDIA GeForce RTX 5090, 32607 MiB
"""
GGML = (
    "ggml_cuda_init: found 2 CUDA devices:\n"
    "  Device 0: NVIDIA GeForce RTX 5090, compute capability 12.0, VMM: yes\n"
    "  Device 1: NVIDIA GeForce RTX 3090, compute capability 8.6, VMM: yes\n"
)


def test_numbers_are_those_of_the_driver_where_cuda_orders_otherwise() -> None:
    found = imported(CSV + GGML)
    assert [device.name for device in found.inventory.devices] == [
        "NVIDIA GeForce RTX 3090",
        "NVIDIA GeForce RTX 5090",
    ]
    assert found.inventory.numbering is None
    assert any("numbers the devices differently" in note for note in found.notes)
    assert inventory(GGML).numbering == "fastest"
    assert inventory(GGML.replace("5090", "3090")).numbering is None  # equal cards: any order is the same


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        (CSV, "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=1 "),
        (GGML, "CUDA_DEVICE_ORDER=FASTEST_FIRST CUDA_VISIBLE_DEVICES=0 "),
        (CSV.replace("3090, 24576", "5090, 32607"), "CUDA_VISIBLE_DEVICES="),
    ],
    ids=["nvidia-smi", "llama.cpp", "equal cards"],
)
def test_launch_command_selects_unequal_cards_by_the_order_that_numbered_them(
    text: str, variables: str, run: Run
) -> None:
    asked = ("--params", "8B", "--quantization", "bf16", "--pin", "tp=1,pp=1,dp=1", "--format", "vllm")
    out = run("eval", "--inventory", "-", *asked, stdin=text).out
    assert out.startswith(variables), out


def test_order_survives_a_document(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "inventory.yaml"
    file.write_text(run("inventory", "import", "-", stdin=GGML).out)
    assert run("inventory", "show", file, "--format", "json").json["numbering"] == "fastest"


def test_join_keeps_the_order_of_numbers_or_says_what_is_lost(run: Run, tmp_path: Path) -> None:
    for name, text in (("a", GGML), ("b", GGML), ("c", CSV), ("d", CSV.replace("0, NVIDIA", "4, NVIDIA"))):
        (tmp_path / name).write_text(text)
    alike = run("inventory", "join", tmp_path / "a", tmp_path / "b", "--format", "json")
    assert alike.json["numbering"] == "fastest"
    mixed = run("inventory", "join", tmp_path / "a", tmp_path / "c", "--format", "json")
    assert "numbering" not in mixed.json
    assert "in the runtime's order, fastest" in mixed.err
    assert "numbers its devices 1, 4" in run("inventory", "join", tmp_path / "c", tmp_path / "d").err


def test_table_of_devices_says_which_are_not_available(run: Run) -> None:
    out = run("inventory", "show", "-", stdin=MIG).out
    assert [line.endswith("not available") for line in out.splitlines()[1:4]] == [True, False, True]


MIG = (
    "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0)\n"
    "  MIG 3g.40gb     Device  0: (UUID: MIG-00000000-0000-0000-0000-000000000001)\n"
    "  MIG 3g.40gb     Device  1: (UUID: MIG-00000000-0000-0000-0000-000000000002)\n"
)


def test_divided_card_offers_one_partition_and_never_the_whole() -> None:
    whole, first, second = inventory(MIG).devices
    assert [device.available for device in (whole, first, second)] == [False, True, False]
    assert (first.partition, first.memory_bytes) == ("3g.40gb", 40192 * MIB)
    beside = inventory(MIG + "GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-1)\n")
    assert [device.available for device in beside.devices] == [False, True, False, False]


def test_launch_command_selects_a_partition_by_its_uuid(run: Run) -> None:
    asked = ("eval", "--inventory", "-", "--params", "8B", "--quantization", "bf16", "--format", "vllm")
    assert "=MIG-00000000-0000-0000-0000-000000000001 vllm" in run(*asked, stdin=MIG).out
    part = "|  0    3   0   0  |              12MiB / 40192MiB  | 14      0 |\n"
    ran = run(*asked, stdin=overview(H100) + "| MIG devices: |\n" + part)
    assert (ran.code, ran.out) == (2, "")
    assert "nvidia-smi -L" in ran.err


LSCPU = """\
CPU(s):                  64
NUMA node(s):            2
NUMA node0 CPU(s): 0-31
NUMA node1 CPU(s): 32-63
"""


@pytest.mark.parametrize(
    "more",
    [
        "$ foo-smi\nGPU 0: something\n",
        "$ nvidia-smi\nGPU[0] is here\n",
        "CUDA0: a card\n",
        "$ rocm-smi | head -3\n",
        "NVIDIA H100 in this machine\n",
    ],
)
def test_machine_with_an_unread_accelerator_is_no_cpu_machine(more: str) -> None:
    with pytest.raises(EngineError):
        inventory(LSCPU + more)


@pytest.mark.parametrize(
    "more", ["", "Is CUDA available: False\nCUDA runtime version: No CUDA\n", "rocm-smi: not found\n"]
)
def test_machine_without_accelerators_is_its_cpu(more: str) -> None:
    (device,) = inventory(LSCPU + more).devices
    assert device.kind == HOST


@pytest.mark.parametrize(
    ("text", "line"),
    [("GPU1    NV18     X      NV18    0-31\nGPU2    NV18    NV18     X      0-31\n", 1)],
)
def test_matrix_cut_at_its_top_is_cut_off(text: str, line: int) -> None:
    with pytest.raises(EngineError) as refused:
        inventory(text)
    assert f"paste:{line}:" in str(refused.value)
    assert "cut off" in str(refused.value)


def test_device_known_by_its_links_is_like_the_device_at_their_other_end() -> None:
    matrix = "\tGPU0\tGPU1\nGPU0\t X \tNV18\nGPU1\tNV18\t X \n"
    found = imported(matrix + "index, name, memory.total [MiB]\n1, NVIDIA GB200, 189471 MiB\n")
    assert [device.name for device in found.inventory.devices] == ["NVIDIA GB200"] * 2
    assert [link.bandwidth_gbs for link in found.inventory.links] == [900.0]
    assert any("only known by its" in note for note in found.notes)


def test_lost_device_needs_no_memory() -> None:
    lost = "|   1  ERR!                 ERR! |   00000000:1B:00.0 ERR!|  ERR! |\n"
    lost += "|ERR!  ERR! | GPU is lost | ERR! |\n"
    found = with_memory(inventory(overview(H100) + lost), None)
    assert [(device.available, device.memory_bytes) for device in found.devices] == [
        (True, 81559 * MIB),
        (False, 0),
    ]
    with pytest.raises(EngineError, match="unknown memory of 1 device"):
        with_memory(inventory("GPU[0] : Card Series: AMD Radeon RX 9060 XT\n"), None)


def test_hint_for_unknown_memory_names_the_makers_tool() -> None:
    with pytest.raises(EngineError) as refused:
        with_memory(inventory("GPU[0] : Card Series: AMD Radeon RX 9060 XT\n"), None)
    assert "rocm-smi" in str(refused.value)
    assert "nvidia-smi" not in str(refused.value)


NODE = "NodeName=gpu01 Arch=x86_64\n   Gres=gpu:h100:8\n   State=IDLE\n"
DESCRIBED = """\
Name:               gpu-1
Roles:              worker
Labels:             nvidia.com/gpu.product=NVIDIA-L4
Allocatable:
  nvidia.com/gpu:     2
"""


@pytest.mark.parametrize(("text", "count"), [(NODE, 8), (DESCRIBED, 2)], ids=["slurm", "kubectl"])
def test_node_listed_twice_counts_once(text: str, count: int) -> None:
    assert len(inventory(text).devices) == count
    assert len(inventory(text + text).devices) == count


def test_row_without_header_is_kept_though_its_name_is_unknown() -> None:
    found = inventory("0, NVIDIA L4, 23034 MiB\n1, Graphics Device, 24576 MiB\n2, NVIDIA L4, 23034 MiB\n")
    assert [device.name for device in found.devices] == ["NVIDIA L4", "Graphics Device", "NVIDIA L4"]


def test_device_that_prints_errors_for_its_memory_is_not_available() -> None:
    text = overview(H100).replace("    0MiB /  81559MiB", "    ERR! / ERR!     ")
    assert [device.available for device in inventory(text).devices] == [False]


def test_unknown_gaudi_in_a_table_is_no_cuda_device() -> None:
    table = "index, name, memory.total [MiB]\n0, HL-999, 98304 MiB\n"
    assert [device.kind for device in inventory(table).devices] == ["Gaudi"]


def test_lost_device_in_a_table_is_not_available() -> None:
    table = "index, name, memory.total [MiB]\n0, NVIDIA L4, 23034 MiB\n1, [GPU is lost], [GPU is lost]\n"
    assert [device.available for device in inventory(table).devices] == [True, False]


def test_two_matrices_that_differ_are_two_machines() -> None:
    matrix = "\tGPU0\tGPU1\nGPU0\t X \tNV18\nGPU1\tNV18\t X \n\n\n"
    assert len(inventory(matrix + matrix).links) == 1
    with pytest.raises(EngineError, match="links differ"):
        inventory(matrix + matrix.replace("NV18", "PHB"))


HAMI = (
    "GPU-1,10,81559,100,NVIDIA-NVIDIA H100 80GB HBM3,0,true:"
    "GPU-2,10,81559,100,NVIDIA-NVIDIA H100 80GB HBM3,0,true:",
    '[{"id":"GPU-1","count":10,"devmem":81559,"type":"NVIDIA H100 80GB HBM3"},'
    '{"id":"GPU-2","count":10,"devmem":81559,"type":"NVIDIA H100 80GB HBM3"}]',
)


@pytest.mark.parametrize("registered", HAMI, ids=["older", "newer"])
def test_devices_that_hami_shares_are_those_that_it_registers(registered: str) -> None:
    node = {
        "kind": "Node",
        "metadata": {"name": "n", "annotations": {"hami.io/node-nvidia-register": registered}},
        "status": {"allocatable": {"nvidia.com/gpu": "20"}},
    }
    devices = inventory(json.dumps(node)).devices
    assert [(device.name, device.memory_bytes) for device in devices] == [
        ("NVIDIA H100 80GB HBM3", 81559 * MIB)
    ] * 2


@pytest.mark.parametrize(
    ("labels", "resources", "count"),
    [
        ({"nvidia.com/gpu.replicas": "10"}, {"nvidia.com/gpu": "0", "nvidia.com/gpu.shared": "40"}, 4),
        ({"nvidia.com/gpu.count": "4"}, {"nvidia.com/gpu.shared": "40"}, 4),
        ({"nvidia.com/gpu.count": "8"}, {"nvidia.com/gpu": "0"}, 0),
        ({"nvidia.com/gpu.count": "8"}, {"cpu": "1"}, 8),
    ],
    ids=["replicas", "count", "unhealthy", "dra"],
)
def test_shares_of_devices_are_no_devices(
    labels: dict[str, str], resources: dict[str, str], count: int
) -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-L4-SHARED", **labels}
    node = {"kind": "Node", "metadata": {"name": "n", "labels": labels}, "status": {"allocatable": resources}}
    if count:
        assert len(inventory(json.dumps(node)).devices) == count
    else:
        with pytest.raises(EngineError, match="no node has accelerators"):
            inventory(json.dumps(node))


# --- margins ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "margin",
    [
        *(
            "> ",
            "> > ",
            "# ",
            "+",
            "gpu-01: ",
            "0: ",
            "[1,0]<stdout>:",
            "[gpu-01] ",
            "[2026-11-20 10:00:00] ",
        ),
        *("web-1  | ", "Nov 27 02:04:02 gpu01 nvidia-smi[123]: ", "2026-11-25T10:00:00.123456789Z "),
    ],
)
def test_margin_is_taken_off(margin: str) -> None:
    text = overview(H100, (1, "NVIDIA H100 80GB HBM3", "2B", 81559))
    within = "".join(f"{margin}{line}\n" for line in text.splitlines())
    assert plain(within).strip() == text.strip()
    assert inventory(within) == inventory(text)


@pytest.mark.parametrize(
    "text", ["CUDA0: a\nCUDA1: b\n", "a: 1\nb: 2\n", "ggml_vulkan: 0 = x\nggml_vulkan: 1 = y\n"]
)
def test_names_of_single_lines_are_no_margin(text: str) -> None:
    assert plain(text) == text


def test_lines_of_several_hosts_are_put_together() -> None:
    assert unwrap("a: 1\nb: 2\na: 3\nb: 4\n").text == "a:\n1\n3\nb:\n2\n4"
    assert unwrap("a: 1\nb: 2\na: 3\nb: 4\n").hosts == ("a", "b")


@pytest.mark.parametrize(
    "prefix", ["name: gpu-node-1\n", "devices:\n", "[root@host ~]# nvidia-smi\n", "[1] 1234\n"]
)
def test_text_that_begins_like_a_document_is_read_as_what_it_is(prefix: str) -> None:
    assert inventory(prefix + overview(H100)) == inventory(overview(H100))


# --- forms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form["what"])
def test_form_is_read_or_refused(form: dict[str, Any]) -> None:
    if "refuse" in form:
        with pytest.raises(EngineError) as refused:
            inventory(form["text"])
        assert form["refuse"] in str(refused.value)
        return
    devices = inventory(form["text"]).devices
    found = {
        "kinds": [device.kind for device in devices],
        "products": [HARDWARE.entry(device.name or "") for device in devices],
        "mib": [None if device.memory_bytes is None else device.memory_bytes // MIB for device in devices],
        "free": [None if device.free_bytes is None else device.free_bytes // MIB for device in devices],
        "nodes": [device.node for device in devices],
        "available": [device.available for device in devices],
    }
    expected = {key: value for key, value in form.items() if key not in ("what", "text")}
    assert {key: found[key] for key in expected} == expected
