"""Catalog patches: rows added or corrected by a site, seen alike by readers, policies and launch targets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import engine
from engine.catalogs.resolved import Catalogs
from engine.catalogs.store import PolicyStore
from tests.conftest import TOP, Run

HEAD = "apiVersion: engine/v1\nkind: CatalogPatch\nname: {name}\nversion: {version}\nbase: {base}\n"
NEW = (
    "{kind: CudaGpu, memory_mib: 98304, memory_bandwidth_gbs: 4000.0, bf16_tflops: 500.0, native: [], "
    "source: a test, aliases: [Test-Board]}"
)
ASKED = ("--params", "8B", "--quantization", "bf16", "--format", "json")


def put(
    folder: Path, text: str, *, name: str = "mine", base: str = "products@1", version: str = "1.0.0"
) -> Path:
    file = folder / "patch" / name / f"{version}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HEAD.format(name=name, base=base, version=version) + text)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["sharding@2", "sharding@2.0.0"])
def test_a_new_row_is_seen_by_readers_and_policies(run: Run, tmp_path: Path, policy: str) -> None:
    put(tmp_path, f"entries:\n  Test-GPU: {NEW}\n")
    if policy.endswith("2.0.0"):  # whose catalog has no column for sources yet
        put(tmp_path, f"entries:\n  Test-GPU: {NEW.replace(', source: a test', '')}\n", base="products@1.0.0")
    ran = run("eval", "--inventory", "Test-Board", *ASKED, "--policies", tmp_path, "--policy", policy).ok()
    estimates = ran.json["plan"]["estimates"]
    # 16 GB of weights at 0.82 of 4,000 GB/s, and 32 layers of 40 us.
    assert estimates["time_per_output_token_ms"] == pytest.approx(
        16e9 / (4000e9 * 0.82) * 1e3 + 1.28, rel=0.1
    )
    assert not any("Test" in each for each in ran.json["plan"]["warnings"])
    if policy == "sharding@2":
        run("inventory", "show", "Test-GPU", "--policies", tmp_path).ok()


@pytest.mark.slow
def test_a_corrected_cell_changes_decisions_and_the_digest(run: Run, tmp_path: Path) -> None:
    asked = ("eval", "--inventory", "H100-SXM", *ASKED, "--policies", tmp_path)
    before = run(*asked).ok().json
    file = put(tmp_path, "entries:\n  H100-SXM: {memory_bandwidth_gbs: 1000.0, aliases: [Our-H100]}\n")
    after = run(*asked).ok().json
    times = [each["plan"]["estimates"]["time_per_output_token_ms"] for each in (before, after)]
    assert times[1] > 2.5 * times[0]
    assert after["policy"]["digest"] != before["policy"]["digest"]
    named = run("eval", "--inventory", "Our-H100", *ASKED, "--policies", tmp_path).ok().json
    assert named["plan"]["estimates"] == after["plan"]["estimates"]
    file.unlink()
    assert run(*asked).ok().json == before


@pytest.mark.slow
def test_launch_targets_see_a_patch(run: Run, tmp_path: Path) -> None:
    put(tmp_path, "entries:\n  CudaGpu: {visible: MY_DEVICES}\n", base="launch")
    asked = (
        "--inventory",
        "H100-SXM",
        "--model",
        "llama-3.1-8b",
        "--quantization",
        "bf16",
        "--format",
        "vllm",
    )
    assert run("eval", *asked, "--policies", tmp_path).ok().out.startswith("MY_DEVICES=0 ")


def test_the_newest_version_of_a_patch_counts_and_earlier_folders_win(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    put(first, "entries: {H100-SXM: {memory_bandwidth_gbs: 1.0}}\n")
    put(first, "entries: {H100-SXM: {memory_bandwidth_gbs: 2.0}}\n", version="1.1.0")
    put(second, "entries: {H100-SXM: {memory_bandwidth_gbs: 3.0, bf16_tflops: 4.0}}\n", name="other")
    for folders, expected in (((first, second), (2.0, 4.0)), ((second, first), (3.0, 4.0))):
        found = Catalogs([str(folder) for folder in folders])("products").rows["H100-SXM"]
        assert (found["memory_bandwidth_gbs"], found["bf16_tflops"]) == expected


def test_a_column_is_added_with_a_default(tmp_path: Path) -> None:
    text = "columns: {rack: {type: string, default: none, description: Where it is.}}\n"
    put(tmp_path, text + "entries: {H100-SXM: {rack: left}}\n")
    assert Catalogs([str(tmp_path)])("products").rows["H100-SXM"]["rack"] == "left"
    assert Catalogs([str(tmp_path)])("products").rows["H200-SXM"]["rack"] == "none"


@pytest.mark.slow
def test_a_row_of_a_patch_that_does_not_apply_is_named_in_the_hint(run: Run, tmp_path: Path) -> None:
    put(tmp_path, f"entries:\n  Test-GPU: {NEW}\n", base="products@1.1")
    ran = run("eval", "--inventory", "Test-GPU", *ASKED, "--policies", tmp_path, "--policy", "sharding@2.0.0")
    assert ran.code == 2
    assert "'Test-GPU' is in patch mine@1.0.0 of products@1.1; the policy reads products@1.0.0" in ran.err


@pytest.mark.parametrize(
    ("base", "text", "place", "message"),
    [
        ("produtcs", "entries: {X: {kind: CudaGpu}}", "5:7", "E122 unknown catalog 'produtcs'"),
        ("products@7", "entries: {X: {kind: CudaGpu}}", "5:7", "E122 catalog 'products' has no version 7"),
        ("products@1", "entries: {H100-SXM: {colour: red}}", "6:22", "E112 unknown column 'colour'"),
        (
            "products@1",
            "entries: {H100-SXM: {bf16_tflops: fast}}",
            "6:35",
            "E112 bf16_tflops: expected a number",
        ),
        ("products@1", "entries: {X: {kind: CudaGpu}}", "6:11", "E112 entry 'X' has no memory_bandwidth_gbs"),
        (
            "products@1",
            "entries: {H100: {bf16_tflops: 1.0}}",
            "6:11",
            "E122 'H100' is an alias of 'H100-SXM'",
        ),
        (
            "products@1",
            "entries: {H100-SXM: {aliases: [H200]}}",
            "6:32",
            "E122 'H200' means 'H200-SXM' already",
        ),
        (
            "products@1",
            "columns: {kind: {type: int}}\nentries: {H100-SXM: {kind: 1}}",
            "6:11",
            "E122 the catalog has a column",
        ),
        ("products@1", "columns: {x: {type: int}}\nentries: {H100-SXM: {x: 1}}", "", "E112 entry"),
        ("products@1", "rows: {}", "6:1", "E002 unknown field 'rows'"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused(
    run: Run, tmp_path: Path, base: str, text: str, place: str, message: str
) -> None:
    file = put(tmp_path, text + "\n", base=base)
    ran = run("check", tmp_path)
    assert ran.code == 1
    assert (f"{file}:{place}: {message}" if place else message) in ran.out


def test_a_faulty_patch_stops_a_decision_at_its_place(run: Run, tmp_path: Path) -> None:
    file = put(tmp_path, "entries: {H100-SXM: {colour: red}}\n")
    ran = run("eval", "--inventory", "H100-SXM", *ASKED, "--policies", tmp_path)
    assert ran.code == 2
    assert f"{file}:6:22: unknown column 'colour'" in ran.err


def test_a_patch_is_listed_shown_checked_and_locked(run: Run, tmp_path: Path) -> None:
    file = put(tmp_path, "entries: {H100-SXM: {memory_bandwidth_gbs: 3000.0}}\n")
    assert run("check", tmp_path).ok().out == "1 file checked, no findings\n"
    listed = run("policies", "--policies", tmp_path).ok().out
    assert re.search(rf"patch +mine@1\.0\.0 +{file}", listed)
    assert "kind: CatalogPatch" in run("policies", "show", "patch/mine", "--policies", tmp_path).ok().out
    assert "name: mine" in run("policies", "show", "products", "--policies", tmp_path).ok().out
    run("policies", "lock", tmp_path).ok()
    assert "patch/mine/1.0.0.yaml: sha256:" in (tmp_path / "policies.lock").read_text()


@pytest.mark.slow
def test_decisions_without_a_patch_are_as_before(tmp_path: Path) -> None:
    put(tmp_path, "entries: {Unused: " + NEW + "}\n")
    lines = (TOP / "examples" / "history.jsonl").read_text().splitlines()[::8]
    plain, patched = engine.load_policy("sharding@2"), engine.load_policy("sharding@2", tmp_path)
    for line in lines:
        request = engine.Request.from_dict(json.loads(line))
        first, second = ({**policy.decide(request).to_dict(), "policy": None} for policy in (plain, patched))
        assert first == second
    assert PolicyStore().patches() == []
