"""Other versions of the tools, other ways to paste (variants.yaml), and damage to each."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import EngineError
from engine.catalogs.hardware import load_hardware
from engine.inventory.recognize import is_capture
from engine.inventory.source import import_texts
from tests.conftest import DATA, Run

pytestmark = pytest.mark.usefixtures("first_version")

VARIANTS: list[dict[str, Any]] = yaml.safe_load((DATA / "topologies" / "variants.yaml").read_text())
HARDWARE = load_hardware()
TEXTS = {each["what"]: each["text"] for each in VARIANTS}
MIB = 2**20


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda each: each["what"])
def test_variants(variant: dict[str, Any], run: Run) -> None:
    ran = run("inventory", "import", "-", "--format", "json", stdin=variant["text"])
    assert ran.code == 0, ran.err
    devices, links = ran.json["devices"], ran.json.get("links", [])
    found = {
        "devices": len(devices),
        "numbers": [each["device_id"] for each in devices],
        "kind": devices[0]["kind"],
        "names": [each.get("name") for each in devices],
        "numa": [each.get("numa_node") for each in devices],
        "memory_mib": [
            None if each["memory_bytes"] is None else each["memory_bytes"] / MIB for each in devices
        ],
        "free_mib": [each.get("free_bytes", 0) / MIB for each in devices],
        "driver": devices[0].get("driver_version"),
        "links": {
            f"{each['a']}-{each['b']}": f"NV{each['count']}" if each["kind"] == "NVLink" else each["kind"]
            for each in links
        },
    }
    assert len({each["kind"] for each in devices}) == 1
    expected = {
        name: value for name, value in variant.items() if name not in ("what", "text", "links", "note")
    }
    assert {name: found[name] for name in expected} == expected
    assert found["links"].items() >= variant.get("links", {}).items()
    assert variant.get("note", "") in ran.err
    for secret in ("0123456789ABCDEF", "UUID", "GPU-0000"):
        assert secret not in ran.out


def test_a_matrix_is_read_whole_or_not_at_all() -> None:
    """Of N devices come links for each pair, or an error."""
    for variant in VARIANTS:
        with suppress(EngineError):
            inventory = import_texts([("x", variant["text"])], HARDWARE).inventory
            pairs = len(inventory.devices) * (len(inventory.devices) - 1) // 2
            assert len(inventory.links) in (0, pairs), variant["what"]


def test_two_pastes_of_one_machine(run: Run, tmp_path: Any) -> None:
    """Names and sizes of one tool's output, links of another's."""
    names = tmp_path / "names.txt"
    names.write_text(TEXTS["what rocm-smi says of products and memory, as text"])
    matrix = tmp_path / "matrix.json"
    matrix.write_text(TEXTS["amd-smi topology as JSON of older versions"])
    ran = run("inventory", "import", names, matrix, "--format", "json")
    assert ran.code == 0, ran.err
    assert [each["name"] for each in ran.json["devices"]] == ["AMD Instinct MI210"] * 2
    assert [each["kind"] for each in ran.json["links"]] == ["PCIE"]


def test_an_overview_is_enough_for_a_command(run: Run) -> None:
    asked = ("eval", "--inventory", "-", "--params", "34B", "--quantization", "bf16", "--format", "vllm")
    ran = run(*asked, stdin=TEXTS["nvidia-smi without arguments"])
    assert ran.code == 0, ran.err
    assert ran.out.startswith("CUDA_VISIBLE_DEVICES=1 vllm serve")


OVERVIEW = TEXTS["nvidia-smi without arguments"]
AMD = TEXTS["amd-smi without arguments"]
TOPOLOGY = TEXTS["amd-smi topology where weights are not told"]
LOG = TEXTS["nvidia-smi -q as text"]


def line_of(text: str, word: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if word in line)


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        (OVERVIEW.split("|   0  NVIDIA")[0], line_of(OVERVIEW, "NVIDIA-SMI"), "without a device"),
        (OVERVIEW.split("| N/A   31C")[0], line_of(OVERVIEW, "|   0  "), "a device without its second line"),
        (
            OVERVIEW.replace("|   1  NV", "|   0  NV"),
            line_of(OVERVIEW, "|   1  "),
            "device 0 is listed twice",
        ),
        (AMD.split("| 0000:05")[0], line_of(AMD, "AMD-SMI"), "without a device"),
        (AMD.split("|   0       0")[0], line_of(AMD, "0000:05"), "a device without its second line"),
        (TOPOLOGY.split("0000:5d:00.0 0 ")[0], 5, "row 0000:5d:00.0 is missing or cut off"),
        ("LINK TYPE TABLE:\n", 1, "a table without columns"),
        (LOG.split("GPU 0000")[0], 1, "the log has no device"),
        (LOG.replace("81559 MiB", "much"), line_of(LOG, "81559 MiB"), "'much' is not a size"),
        ("0, NVIDIA L4, 23034 MiB\n0, NVIDIA L4, 23034 MiB\n", 2, "device 0 is listed twice"),
    ],
)
def test_damage_is_found_at_its_line(text: str, at: int, message: str, run: Run) -> None:
    ran = run("inventory", "import", "-", stdin=text)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: <stdin>:{at}:")
    assert message in ran.err


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([{"gpu": "first"}], "amd-smi: a device has no number"),
        ([{"gpu": True}], "amd-smi: a device has no number"),
        (
            [{"gpu": 0, "links": [{"gpu": 7, "link_type": "XGMI"}]}],
            "a link ends at a device that is not listed",
        ),
        ([{"neuron_device": -1}], "neuron-ls: a device has no number"),
        ({"device_list": [{"device_id": None}]}, "xpu-smi: a device has no number"),
        ([{"other": 1}], "expected a mapping, found a list"),
        ({"card": {}}, "the document has no field 'devices'"),
        ([], "expected a mapping, found a list"),
    ],
)
def test_odd_json(value: Any, message: str, run: Run, tmp_path: Any) -> None:
    file = tmp_path / "printed.json"
    file.write_text(json.dumps(value))
    ran = run("inventory", "import", file)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.mark.slow
@pytest.mark.parametrize("what", TEXTS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_variant_is_too_odd(what: str, seed: int) -> None:
    """Characters and lines dropped, doubled or cut: an inventory or an error of ours, nothing else."""
    rng = random.Random(seed)
    lines = TEXTS[what].split("\n")
    for _ in range(rng.randint(1, 4)):
        lines = lines or [""]
        number = rng.randrange(len(lines))
        line = lines[number]
        at = rng.randint(0, len(line))
        odd = line[:at] + rng.choice('X\t ,9|/-:GPU[]{}"²') + line[at:]
        lines[number : number + 1] = rng.choice([[], [line, line], [line[:at]], [odd], [line[at:]]])
    with suppress(EngineError):
        import_texts([("odd", "\n".join(lines))], HARDWARE)


LONG = 100_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "| NVIDIA-SMI 1\n" + "|  1  a " * LONG,
        "| NVIDIA-SMI 1\n|  1  a" + " " * LONG,
        "=NVSMI LOG=\n" + " a" * LONG + ": " + " b" * LONG,
        "| AMD-SMI 1\n| 0000:03:00.0 a |\n|  1 " + "1/2 " * LONG,
        "GPU[0] : " + "a: " * LONG,
        "GPU models and configuration: AMD " + "a " * LONG + "(",
        "0, NVIDIA L4" + ", 1 MiB" * LONG,
        "\tGPU0\tCPU Affinity\nGPU0\tX\t" + "0-99999," * 5_000 + "\nNUMA node0 CPU(s): 0",
        "LINK TYPE TABLE:\n" * 20_000,
        "\n" * LONG,
        "\\n" * LONG,
        '"a\\n",\n' * 10_000,
        "<tr><td>" * 10_000,
        "│ a │\n" * 10_000,
    ],
    ids=range(14),
)
def test_long_lines_are_read_in_no_time(text: str) -> None:
    """Patterns that look for words take as long as the square of a line: here that would be minutes."""
    with suppress(EngineError):
        is_capture(text)
        import_texts([("long", text)], HARDWARE)


@pytest.mark.parametrize(
    "margin", ["> ", "worker-1  | ", "2026-11-25T10:00:00.123456789Z "], ids=["mail", "compose", "kubectl"]
)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda each: each["what"])
def test_a_margin_changes_nothing(variant: dict[str, Any], margin: str) -> None:
    text = "".join(f"{margin}{line}".rstrip() + "\n" for line in variant["text"].splitlines())
    assert is_capture(text) == is_capture(variant["text"])
    assert import_texts([("-", text)], HARDWARE) == import_texts([("-", variant["text"])], HARDWARE)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_what_powershell_redirects(encoding: str, run: Run, tmp_path: Path) -> None:
    text = VARIANTS[0]["text"].replace("\n", "\r\n")
    file = tmp_path / "topo.txt"
    file.write_bytes(("" if encoding == "utf-16" else "\ufeff").encode(encoding) + text.encode(encoding))
    ran = run("inventory", "import", file, "--format", "json")
    assert ran.code == 0, ran.err
    assert len(ran.json["devices"]) == VARIANTS[0]["devices"]


@pytest.mark.parametrize("data", [b"\xff\xfea", b"\xff\xfe\x00\xd8a\x00", b"\xff\xfe\x00\x00"])
def test_damaged_utf16(data: bytes, run: Run, tmp_path: Path) -> None:
    (tmp_path / "topo.txt").write_bytes(data)
    ran = run("inventory", "import", tmp_path / "topo.txt")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {tmp_path / 'topo.txt'}: ")


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("$ nvidia-smi\nNo devices were found\n", "2:1", "nvidia-smi found no device", "driver"),
        ("NVIDIA-SMI has failed because it\n", "1:1", "nvidia-smi found no device", "--gpus all"),
        ("Failed to initialize NVML: Driver\n", "1:1", "nvidia-smi found no device", "driver"),
        ("sh: 1: rocm-smi: not found\n", "1:1", "the command was not found", "--showtopo"),
        ("some words: of: a person\n", "1:1", "this is neither an inventory nor", "8xH100-SXM"),
    ],
    ids=lambda each: each.split("\n")[0],
)
def test_why_nothing_is_described(text: str, place: str, message: str, hint: str, run: Run) -> None:
    ran = run("eval", "--inventory", "-", "--params", "7B", "--quantization", "fp16", stdin=text)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: <stdin>:{place}: {message}")
    assert hint in ran.err.split("hint: ")[1]
