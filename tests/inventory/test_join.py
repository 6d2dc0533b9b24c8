"""`engine inventory join`: machines as nodes; and files of one import that are of two machines."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import DATA, TOP, Run

TOPOLOGIES = DATA / "topologies"
PASTE = TOP / "examples" / "8x-h100-nvidia-smi.txt"


def joined(run: Run, *sources: object) -> tuple[dict[str, Any], str]:
    ran = run("inventory", "join", *map(str, sources))
    assert ran.code == 0, ran.err
    return yaml.safe_load(ran.out), ran.err


def test_two_machines_are_two_nodes(run: Run, tmp_path: Path) -> None:
    found, notes = joined(run, f"a={PASTE}", f"b={PASTE}")
    assert [each["node"] for each in found["devices"]] == ["a"] * 8 + ["b"] * 8
    assert [each["device_id"] for each in found["devices"]] == list(range(16))
    assert [each.get("numa_node") for each in found["devices"]] == ([0] * 4 + [1] * 4) * 2
    pairs = {(each["a"], each["b"]) for each in found["links"]}
    assert pairs == {(a, b) for a, b in itertools.combinations(range(16), 2) if a // 8 == b // 8}
    assert found["interconnects"] == [{"kind": "InfiniBand", "bandwidth_gbs": 50.0}]
    assert "assuming InfiniBand between the nodes" in notes
    file = tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(found))
    asked = ("eval", "--inventory", file, "--model", "llama-3.1-405b", "--quantization", "bf16")
    strategy = run(*asked, "--format", "json").json["plan"]["strategy"]
    assert (strategy["tensor_parallel"], strategy["pipeline_parallel"]) == (8, 2)
    shown = run("inventory", "show", file).out
    assert "\na:\n" in shown
    assert "\nb:\n        8    9   10   11   12   13   14   15\n   8    X NV18" in shown
    assert max(map(len, shown.splitlines())) <= 80
    found["links"].append({"a": 0, "b": 8, "kind": "PCIE"})
    file.write_text(yaml.safe_dump(found))
    assert "\n   8 PCIE    ·" in run("inventory", "show", file).out


def test_what_joins_all_of_a_machine_joins_its_pairs(run: Run) -> None:
    found, _ = joined(run, "2xH100-SXM", "2xL4", "--network", "RoCE=25")
    assert [each["node"] for each in found["devices"]] == ["node0"] * 2 + ["node1"] * 2
    (link,) = found["links"]
    assert (link["a"], link["b"], link["kind"], link["switched"]) == (0, 1, "NVLink", True)
    assert link["bandwidth_gbs"] == 450.0
    assert found["interconnects"] == [{"kind": "RoCE", "bandwidth_gbs": 25.0}]


def test_unlike_machines_have_no_usual_network(run: Run) -> None:
    found, notes = joined(run, "2xH100-SXM", "2xL4")
    assert "interconnects" not in found
    assert "unknown network between the nodes; add --network" in notes


def test_nodes_that_a_source_has_stay(run: Run, tmp_path: Path) -> None:
    found, _ = joined(run, "2x2xL4", "c=2xL4")
    assert [each["node"] for each in found["devices"]] == ["node0"] * 2 + ["node1"] * 2 + ["c"] * 2
    file = tmp_path / "rack.yaml"
    file.write_text("devices: [{kind: Cpu, memory: 64GiB}, {kind: CudaGpu, name: L4, memory: 23034MiB}]\n")
    found, _ = joined(run, file, "1xL4")
    assert [each["node"] for each in found["devices"]] == ["rack", "rack", "node1"]


@pytest.mark.slow
def test_what_a_machine_says_of_all_its_devices_is_kept_or_told(run: Run) -> None:
    rack = 72
    found, notes = joined(run, f"a={rack}xH100-SXM", "b=2xH100-SXM")
    assert len(found["links"]) == rack * (rack - 1) // 2 + 1
    assert "is dropped" not in notes
    found, notes = joined(run, "a=200xH100-SXM", "b=2xH100-SXM")
    assert [(each["a"], each["b"]) for each in found["links"]] == [(200, 201)]
    assert "NVSwitch inside a is dropped: more than 128 devices" in notes
    assert "is not kept" not in joined(run, "a=2x2xH100-SXM", "b=2xH100-SXM")[1]
    _, notes = joined(run, "a=2x2xH100-SXM", "b=2xH100-SXM", "--network", "RoCE=25")
    assert "InfiniBand between the nodes of a is dropped: one network connects all nodes" in notes


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (["8xH100-SXM"], "`inventory join` needs at least two machines"),
        (["a=2xL4", "a=2xL4"], "two nodes are named 'a'"),
        (["2x2xL4", "2x2xL4"], "two nodes are named 'node0'"),
        (["2xL4", "no.txt"], "no such file"),
        (["2xL4", "2xNonsense"], "unknown product"),
        (["2xL4", "2xL4", "--network", "InfiniBand"], "expected KIND=GBS"),
        (["2xL4", "2xL4", "--network", "InfiniBand=-1"], "expected KIND=GBS"),
        (["2xL4", "2xL4", "--network", "=50"], "expected KIND=GBS"),
        (["2xL4", "2xL4", "--network", "InfiniBand=nan"], "expected KIND=GBS"),
    ],
)
def test_what_cannot_be_joined(sources: list[str], message: str, run: Run) -> None:
    ran = run("inventory", "join", *sources)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


def test_files_of_two_machines_are_no_one_machine(run: Run, tmp_path: Path) -> None:
    ran = run("inventory", "import", PASTE, TOPOLOGIES / "a100x8_nv12_compact.txt")
    assert (ran.code, ran.out) == (2, "")
    assert "describe different machines: their links differ" in ran.err
    assert "engine inventory join" in ran.err
    other = tmp_path / "other.csv"
    other.write_text("index, name, memory.total [MiB]\n0, NVIDIA L4, 23034 MiB\n")
    ran = run("inventory", "import", PASTE, other)
    assert (ran.code, ran.out) == (2, "")
    assert "device 0 is 'NVIDIA H100 80GB HBM3' in one and 'NVIDIA L4' in the other" in ran.err


def test_a_node_is_named_where_it_is_asked(run: Run) -> None:
    found = run("inventory", "import", PASTE, "--node", "rack-7", "--format", "json").json
    assert {each["node"] for each in found["devices"]} == {"rack-7"}
    assert all(
        "node" not in each for each in run("inventory", "import", PASTE, "--format", "json").json["devices"]
    )
    found = run("inventory", "detect", "--node", "here", "--format", "json").json
    assert {each["node"] for each in found["devices"]} == {"here"}
