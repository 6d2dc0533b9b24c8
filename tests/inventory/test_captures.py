"""What tools printed on real machines, read as tests/data/topologies/index.yaml says; and what is damaged."""

from __future__ import annotations

import itertools
import random
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import EngineError
from engine.catalogs.hardware import load_hardware
from engine.inventory.recognize import read_captures
from tests.conftest import DATA, Run

pytestmark = pytest.mark.usefixtures("first_version")

TOPOLOGIES = DATA / "topologies"
INDEX: list[dict[str, Any]] = yaml.safe_load((TOPOLOGIES / "index.yaml").read_text())["files"]
HARDWARE = load_hardware()


def imported(run: Run, *paths: Path, more: tuple[str, ...] = ()) -> dict[str, Any]:
    ran = run("inventory", "import", *paths, *more, "--format", "json")
    assert ran.code == 0, ran.err
    found: dict[str, Any] = ran.json
    return found


def links(found: dict[str, Any]) -> dict[tuple[int, int], str]:
    """Codes as the tools print them, by pairs."""
    return {
        (each["a"], each["b"]): f"NV{each['count']}" if each["kind"] == "NVLink" else each["kind"]
        for each in found.get("links", [])
    }


@pytest.mark.parametrize("entry", [each for each in INDEX if each["gpus"]], ids=lambda each: each["file"])
def test_counts_and_numa_nodes(entry: dict[str, Any], run: Run) -> None:
    found = imported(run, TOPOLOGIES / entry["file"])
    assert len(found["devices"]) == entry["gpus"]
    assert [device["device_id"] for device in found["devices"]] == list(range(entry["gpus"]))
    for number, node in entry.get("numa", {}).items():
        assert found["devices"][number].get("numa_node") == node
    for number, size in entry.get("memory_mib", {}).items():
        if size is None or isinstance(size, int):
            expected = None if size is None else size * 2**20
            assert found["devices"][number]["memory_bytes"] == expected


def test_every_pair_of_a_full_mesh(run: Run) -> None:
    for entry in INDEX:
        match = re.fullmatch(r"every pair (NV\d+|PCIE)", str(entry.get("links")))
        if match:
            found = links(imported(run, TOPOLOGIES / entry["file"]))
            pairs = list(itertools.combinations(range(entry["gpus"]), 2))
            assert found == dict.fromkeys(pairs, match[1]), entry["file"]


def test_mixed_machines(run: Run) -> None:
    found = imported(run, TOPOLOGIES / "mixed_2x5090_3x4090_pcie.txt")
    codes = links(found)
    assert (codes[1, 2], codes[3, 4]) == ("PHB", "PHB")
    assert {codes[0, other] for other in range(1, 5)} == {"SYS"}
    assert {codes[a, b] for a in (1, 2) for b in (3, 4)} == {"NODE"}
    assert [device["name"].split()[-1] for device in found["devices"]] == [
        "5090",
        "5090",
        "4090",
        "4090",
        "4090",
    ]
    assert "interconnects" not in found


def test_two_hives(run: Run) -> None:
    found = imported(run, TOPOLOGIES / "rocm8_two_xgmi_hives.txt")
    codes = links(found)
    for a, b in itertools.combinations(range(8), 2):
        assert codes[a, b] == ("XGMI" if a // 4 == b // 4 else "PCIE")
    assert "interconnects" not in found  # no fabric joins all of them
    assert {device["kind"] for device in found["devices"]} == {"RocmGpu"}


def test_weights_tell_direct_links(run: Run) -> None:
    codes = links(imported(run, TOPOLOGIES / "rocm8_weights_15_30_45.txt"))
    assert sorted(b for (a, b) in codes if a == 0) == [1, 2, 6]


def test_a_switch_and_a_mesh(run: Run) -> None:
    """More links than a device has can only come from a switch: 18 to each of seven others."""
    for file, kind, bandwidth in (
        ("h100x8-nvswitch.txt", "NVSwitch", 450.0),
        ("dgx_h100x8_merged_cells.txt", "NVSwitch", 450.0),
        ("a100x8_nv12_compact.txt", "NVSwitch", 300.0),
        ("h100x4_nv6_numa4.txt", "NVLink", 150.0),
        ("a100x4_nv4_mlx5_numactl.txt", "NVLink", 100.0),
    ):
        found = imported(run, TOPOLOGIES / file)
        assert found["interconnects"] == [
            {"kind": kind, "bandwidth_gbs": bandwidth, "bandwidth_gbps": bandwidth}
        ], file


def test_memory_that_is_shared_stays_unknown(run: Run) -> None:
    ran = run("inventory", "import", TOPOLOGIES / "dgx_spark_gb10_csv.txt", "--format", "json")
    assert ran.json["devices"][0]["memory_bytes"] is None
    assert "shares system memory" in ran.err


def test_nothing_but_a_cpu(run: Run) -> None:
    ran = run("inventory", "import", TOPOLOGIES / "gh200_lscpu_numa9.txt", "--format", "json")
    assert ran.code == 0, ran.err
    assert ran.json["devices"] == [{"kind": "Cpu", "memory_bytes": None, "available": True}]
    assert "1 of 9 NUMA nodes have CPUs" in ran.err


def test_a_cpu_with_the_memory_of_its_nodes(run: Run) -> None:
    text = (TOPOLOGIES / "a100x4_nv4_mlx5_numactl.txt").read_text().split("node distances")[0]
    (device,) = run("inventory", "import", "-", "--format", "json", stdin=text).json["devices"]
    assert (device["kind"], device["memory_bytes"]) == ("Cpu", (256924 + 257999) * 2**20)
    assert device["free_bytes"] == (249438 + 256694) * 2**20


CSV = """index, name, memory.total [MiB], memory.free [MiB]
0, NVIDIA A100-SXM4-80GB, 81920 MiB, 80000 MiB
1, NVIDIA A100-SXM4-80GB, 81920 MiB, 70000 MiB
2, NVIDIA A100-SXM4-80GB, 81920 MiB, 70000 MiB
3, NVIDIA A100-SXM4-80GB, 81920 MiB, 70000 MiB
"""


def test_a_matrix_and_a_table_together(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "gpus.csv"
    table.write_text(CSV)
    found = imported(run, TOPOLOGIES / "a100x4_nv4_mlx5_numactl.txt", table)
    assert [device["memory_bytes"] for device in found["devices"]] == [81920 * 2**20] * 4
    assert [device["free_bytes"] for device in found["devices"]] == [80000 * 2**20] + [70000 * 2**20] * 3
    assert links(found)[0, 3] == "NV4"
    assert {device["numa_node"] for device in found["devices"]} == {0}


def test_from_a_paste_to_a_plan(run: Run, tmp_path: Path) -> None:
    paste = tmp_path / "paste.txt"
    paste.write_text(f"$ nvidia-smi\n{CSV}\n" + (TOPOLOGIES / "a100x4_nv4_mlx5_numactl.txt").read_text())
    asked = ("eval", "--params", "70B", "--quantization", "bf16", "--format", "json", "--inventory")
    ran = run(*asked, paste)
    assert ran.json["match"] == "pipeline-parallel"  # 100 GB/s are not more than 100
    assert ran.json["plan"]["shards"][3]["device"]["name"] == "NVIDIA A100-SXM4-80GB"
    assert run(*asked, "-", stdin=paste.read_text()).json["match"] == "pipeline-parallel"


def test_unknown_memory_is_asked_for(run: Run) -> None:
    asked = ("eval", "--params", "70B", "--quantization", "bf16", "--format", "json")
    file = TOPOLOGIES / "h100x8-nvswitch.txt"
    ran = run(*asked, "--inventory", file)
    assert (ran.code, ran.out) == (2, "")
    assert "unknown memory of 8 devices" in ran.err
    assert "--memory 80GiB" in ran.err
    ran = run(*asked, "--inventory", file, "--memory", "80GiB")
    assert ran.json["match"] == "tensor-parallel"
    assert run(*asked, "--inventory", file, "--memory", "eighty").code == 2


def test_it_reads_what_it_wrote(run: Run, tmp_path: Path) -> None:
    for form in ("yaml", "json"):
        path = tmp_path / f"inventory.{form}"
        path.write_text(run("inventory", "import", TOPOLOGIES / "h100x8-nvswitch.txt", "--format", form).out)
        again = run("inventory", "show", path, "--format", "json").json
        assert again == imported(run, TOPOLOGIES / "h100x8-nvswitch.txt")


def test_the_picture(run: Run) -> None:
    out = run("inventory", "show", TOPOLOGIES / "rocm8_two_xgmi_hives.txt").out
    assert out.startswith("#  device     memory\n0  RocmGpu 0  unknown\n")
    assert out.endswith("   7 PCIE PCIE PCIE PCIE XGMI XGMI XGMI    X\n")
    assert max(map(len, out.splitlines())) <= 80


# --- what is damaged --------------------------------------------------------------------------------

MATRIX = (TOPOLOGIES / "h100x4_nv6_numa4.txt").read_text()


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [
        (
            "GPU2    NV6     NV6      X      NV6     SYS",
            "GPU2    NV6     NV6",
            "GPU2 and GPU2: found",
            4,
        ),
        ("GPU1    NV6      X      NV6", "GPU1    NVX      X      NV6", "unknown link 'NVX'", 3),
        (
            "GPU1    NV6      X      NV6",
            "GPU1    SYS      X      NV6",
            "is NV6, but SYS in the other direction",
            2,
        ),
        ("GPU1    NV6      X ", "GPU1     X      NV6", "found 'X'", 3),
        ("GPU3    NV6", "GPU7    NV6", "is not one of the columns", 5),
        ("GPU3    NV6     NV6     NV6      X ", "GPU2    NV6     NV6     X      NV6 ", "is listed twice", 5),
    ],
)
def test_damaged_matrices(old: str, new: str, message: str, line: int, run: Run, tmp_path: Path) -> None:
    assert old in MATRIX
    path = tmp_path / "topo.txt"
    path.write_text(MATRIX.replace(old, new))
    ran = run("inventory", "import", path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {path}:{line}:")
    assert message in ran.err


def test_a_matrix_that_is_cut_off(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "topo.txt"
    path.write_text("".join(MATRIX.splitlines(keepends=True)[:3]))
    ran = run("inventory", "import", path)
    assert ran.code == 2
    assert "columns for 4 devices and rows for 2" in ran.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CSV.splitlines()[0] + "\n", "a table without rows"),
        (CSV.replace("1, NVIDIA", "0, NVIDIA"), "device 0 is listed twice"),
        (CSV.replace("81920 MiB, 80000 MiB", "81920 MiB"), "3 cells for 4 columns"),
        (CSV.replace("81920 MiB, 80000", "much, 80000"), "much"),
        (CSV.replace("1, NVIDIA", "one, NVIDIA"), "expected a whole number"),
        ("", "no accelerator found"),
        ("hello\n", "no accelerator"),
    ],
)
def test_damaged_tables(text: str, message: str, run: Run) -> None:
    ran = run("inventory", "import", "-", "--from", "nvidia-smi", stdin=text)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(path.name for path in TOPOLOGIES.glob("*.txt")))
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_text_is_too_odd(file: str, seed: int) -> None:
    """Characters and lines dropped, doubled or cut: an inventory or an error of ours, nothing else."""
    rng = random.Random(seed)
    lines = (TOPOLOGIES / file).read_text().split("\n")
    extra = "X\t ,9N/A=GPU[]"
    for _ in range(rng.randint(1, 4)):
        number = rng.randrange(len(lines))
        line = lines[number]
        at = rng.randint(0, len(line))
        lines[number : number + 1] = rng.choice(
            [
                [],
                [line, line],
                [line[:at]],
                [line[:at] + rng.choice(extra) + line[at:]],
                [line[at:]],
            ]
        )
    with suppress(EngineError):
        read_captures([("odd", "\n".join(lines))], HARDWARE)


def test_what_styles_a_head_on_a_terminal_is_dropped(run: Run) -> None:
    head, *rows = MATRIX.splitlines(keepends=True)
    styled = f"\t\x1b[4m{head.strip()}\x1b[0m\n" + "".join(rows)
    plain = run("inventory", "import", "-", stdin=MATRIX)
    assert run("inventory", "import", "-", stdin=styled).out == plain.out
    assert plain.code == 0


@pytest.mark.parametrize(
    "head", ["memory.total [MiB], name, index", "pci.bus_id, index, memory.total [MiB], name"]
)
def test_columns_in_any_order(head: str, run: Run) -> None:
    cells = {"index": "3", "name": "NVIDIA A10", "memory.total [MiB]": "23028 MiB", "pci.bus_id": "0:1"}
    row = ", ".join(cells[each] for each in head.split(", "))
    (device,) = run("inventory", "show", "-", "--format", "json", stdin=f"{head}\n{row}\n").json["devices"]
    assert (device["name"], device["memory_bytes"]) == ("NVIDIA A10", 23028 * 2**20)
    assert device["device_id"] == 3


# --- in a word --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "devices", "kind", "memory", "joined"),
    [
        ("8xH100-SXM", 8, "CudaGpu", 81559, ("NVSwitch", 450.0)),
        ("2x8xH200-SXM", 16, "CudaGpu", 143771, ("InfiniBand", 50.0)),
        ("18x4xGB200", 72, "CudaGpu", 189471, ("NVSwitch", 900.0)),
        ("4xRTX-4090", 4, "CudaGpu", 24564, None),
        ("8xL40S", 8, "CudaGpu", 46068, ("PCIe", 32.0)),
        ("h100", 1, "CudaGpu", 81559, None),
        ("8xMI300X", 8, "RocmGpu", 196592, ("XgmiInfinityFabric", 448.0)),
        ("v5p-8", 1, "Tpu", 4 * 97280, None),
        ("v5e-8", 1, "Tpu", 8 * 16384, None),
        ("2xGaudi3", 2, "Gaudi", 131072, None),
    ],
)
def test_shorthand(
    word: str, devices: int, kind: str, memory: int, joined: tuple[str, float] | None, run: Run
) -> None:
    found = run("inventory", "show", word, "--format", "json").json
    assert len(found["devices"]) == devices
    assert {(each["kind"], each["memory_bytes"]) for each in found["devices"]} == {(kind, memory * 2**20)}
    expected = (
        []
        if joined is None
        else [{"kind": joined[0], "bandwidth_gbs": joined[1], "bandwidth_gbps": joined[1]}]
    )
    assert found.get("interconnects", []) == expected
    ran = run("eval", "--inventory", word, "--params", "1B", "--quantization", "int8")
    assert ran.code == 0, ran.err


def test_nodes_and_mixtures(run: Run) -> None:
    found = run("inventory", "show", "2x8xH200-SXM", "--format", "json").json
    assert [each["node"] for each in found["devices"]] == ["node0"] * 8 + ["node1"] * 8
    assert [each["device_id"] for each in found["devices"]] == list(range(16))
    kinds = [
        each["kind"]
        for each in run("inventory", "show", "2xGaudi3+3xL40S", "--format", "json").json["devices"]
    ]
    assert kinds == ["Gaudi"] * 2 + ["CudaGpu"] * 3


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("8xH10-SXM", "did you mean 'H100-SXM'"),
        ("0xH100", "expected 1 to 100000"),
        ("999999xH100", "expected 1 to 100000"),
        ("v5p-7", "a multiple of 2 cores"),
        ("v5p-0", "a multiple of 2 cores"),
        ("8xH100+2xnonsense", "unknown product 'nonsense'"),
        ("nothing.yaml", "no such file"),
    ],
)
def test_words_that_mean_nothing(word: str, message: str, run: Run) -> None:
    ran = run("eval", "--inventory", word, "--params", "7B", "--quantization", "bf16")
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("0\rx", "damaged row"),
        ("²", "index: expected a whole number, found '²'"),
        ("9" * 5000, "index: expected a whole number"),
    ],
)
def test_rows_that_fuzzing_found(index: str, message: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "gpus.csv"
    file.write_text(f"index, name, memory.total [MiB]\n{index}, NVIDIA L4, 23034 MiB\n", newline="")
    ran = run("inventory", "import", file)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
