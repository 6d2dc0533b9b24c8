"""One set of catalogs a command: readers, policies and launch targets see the same rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import engine
from engine.catalogs.store import PolicyStore
from tests.conftest import TOP, Run

CATALOGS = TOP / "policies" / "catalog"
ASKED = ("--params", "8B", "--quantization", "bf16", "--format", "json")


def newest(catalog: str, major: str) -> str:
    """Return the newest shipped version of a catalog."""
    return PolicyStore().find("catalog", f"{catalog}@{major}" if major else catalog).version


def release(folder: Path, catalog: str, old: str, new: str, *rows: str) -> None:
    """Copy a shipped catalog to the next version, with rows added."""
    text = (CATALOGS / catalog / f"{old}.yaml").read_text()
    text = text.replace(f"\nversion: {old}\n", f"\nversion: {new}\n")
    text = text.replace("\nentries:\n", "\nentries:\n" + "".join(f"  {row}\n" for row in rows))
    file = folder / "catalog" / catalog / f"{new}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def products(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    rates = "memory_mib: 98304, memory_bandwidth_gbs: 4000.0, bf16_tflops: 500.0"
    row = f"Test-GPU: {{kind: CudaGpu, {rates}, native: [], source: a test}}"
    release(folder, "products", newest("products", "1"), "1.99.0", row)
    return folder


@pytest.mark.slow
def test_products_of_ones_own_count_in_decisions(run: Run, products: Path) -> None:
    found = run(
        "eval", "--inventory", "1xTest-GPU", *ASKED, "--policies", products, "--policy", "sharding@2"
    ).ok()
    rates = found.json["plan"]["estimates"]
    # 16 GB of weights and an output layer at 0.82 of 4,000 GB/s, and 32 layers of 40 us.
    assert rates["time_per_output_token_ms"] == pytest.approx(16e9 / (4000e9 * 0.82) * 1e3 + 1.28, rel=0.1)
    assert not any("not in catalog" in each for each in found.json["plan"]["warnings"])


@pytest.mark.slow
def test_a_device_that_a_pinned_catalog_lacks_is_a_warning(run: Run, products: Path, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yaml"
    inventory.write_text("devices: [{kind: CudaGpu, name: Test-GPU, memory: 96GiB, device_id: 0}]\n")
    asked = ("--inventory", inventory, *ASKED, "--policies", products, "--policy")
    old, new = (run("eval", *asked, each).ok().json for each in ("sharding@2.0.0", "sharding@2"))
    assert [each for each in old["plan"]["warnings"] if "Test-GPU" in each] == [
        "unknown device 'Test-GPU': not in catalog products@1.0.0; estimates use the defaults of CudaGpu "
        "('Test-GPU' is in products@1.99.0; the policy reads products@1.0.0)"
    ]
    assert not any("Test-GPU" in each for each in new["plan"]["warnings"])


def test_an_unknown_device_is_a_warning_on_both_paths() -> None:
    inventory = {"devices": [{"kind": "CudaGpu", "name": "Mystery 1", "memory": "96GiB"}]}
    request = engine.Request.from_dict(
        {"inventory": inventory, "model": {"params": "8B"}, "quantization": "bf16"}
    )
    policy = engine.load_policy("sharding@2")
    for decision in (policy.decide(request), policy.decide(request, explain=True)):
        assert decision.plan is not None
        assert [each for each in decision.plan.warnings if "Mystery" in each] == [
            f"unknown device 'Mystery 1': not in catalog products@{newest('products', '1')}; "
            "estimates use the defaults of CudaGpu"
        ]


def test_a_device_of_a_kind_without_products_is_no_warning() -> None:
    inventory = {"devices": [{"kind": "Cpu", "name": "Some CPU", "memory": "96GiB"}]}
    request = engine.Request.from_dict(
        {"inventory": inventory, "model": {"params": "1B"}, "quantization": "bf16"}
    )
    decision = engine.load_policy("sharding@2").decide(request)
    assert decision.plan is not None
    assert not any("Some CPU" in each for each in decision.plan.warnings)


@pytest.mark.slow
def test_a_shorthand_that_a_pinned_catalog_lacks_names_the_version_that_has_it(
    run: Run, products: Path
) -> None:
    ran = run("eval", "--inventory", "Test-GPU", *ASKED, "--policies", products, "--policy", "sharding@2.0.0")
    assert ran.code == 2
    assert "unknown product 'Test-GPU'" in ran.err
    assert "'Test-GPU' is in products@1.99.0; the policy reads products@1.0.0" in ran.err


@pytest.fixture
def kinds(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    row = re.search(
        r"\n  CudaGpu: (\{.*\})\n",
        (CATALOGS / "accelerators" / f"{newest('accelerators', '2')}.yaml").read_text(),
    )
    served = re.search(
        r"\n  CudaGpu: (\{.*\})\n", (CATALOGS / "launch" / f"{newest('launch', '')}.yaml").read_text()
    )
    assert row is not None
    assert served is not None
    release(folder, "accelerators", newest("accelerators", "2"), "2.99.0", f"TestAsic: {row[1]}")
    release(
        folder,
        "launch",
        newest("launch", ""),
        "9.0.0",
        f"TestAsic: {served[1]}".replace("CUDA_VIS", "TEST_VIS"),
    )
    server = yaml.safe_load((CATALOGS / "servers" / "1.0.0.yaml").read_text())["entries"]["vllm"]
    patch = folder / "patch" / "test-asic" / "1.0.0.yaml"
    patch.parent.mkdir(parents=True)
    entry = {**server, "kinds": ["TestAsic"], "usual_for": ["TestAsic"]}
    patch.write_text(
        "apiVersion: engine/v1\nkind: CatalogPatch\nname: test-asic\nversion: 1.0.0\nbase: servers@1\n"
        + yaml.safe_dump({"entries": {"vllm-test-asic": entry}})
    )
    (tmp_path / "inventory.yaml").write_text("devices: [{kind: TestAsic, memory: 96GiB, device_id: 3}]\n")
    return folder


@pytest.mark.slow
def test_a_new_kind_of_accelerator_is_decided_and_launched(run: Run, kinds: Path, tmp_path: Path) -> None:
    asked = ("--inventory", tmp_path / "inventory.yaml", "--model", "llama-3.1-8b", "--policies", kinds)
    asked += ("--policy", "sharding@2")
    ran = run("eval", *asked, "--quantization", "bf16", "--format", "vllm")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("TEST_VISIBLE_DEVICES=3 vllm serve")
    assert run("eval", *asked, "--quantization", "auto").code == 0


def test_an_unknown_kind_names_the_version_that_has_it(run: Run, kinds: Path, tmp_path: Path) -> None:
    asked = ("--inventory", tmp_path / "inventory.yaml", *ASKED, "--policies", kinds)
    ran = run("eval", *asked, "--policy", "sharding@2.0.0")
    assert ran.code == 2
    assert "'TestAsic' is not in catalog accelerators@2.0.0" in ran.err
    assert "hint: 'TestAsic' is in accelerators@2.99.0; the policy reads accelerators@2.0.0" in ran.err


@pytest.mark.slow
def test_a_kind_that_the_catalog_launch_lacks_is_told_apart_from_one_that_no_server_runs_on(
    run: Run, kinds: Path, tmp_path: Path
) -> None:
    (kinds / "catalog" / "launch" / "9.0.0.yaml").unlink()
    ran = run(
        *("eval", "--inventory", tmp_path / "inventory.yaml", "--model", "llama-3.1-8b"),
        *("--quantization", "bf16", "--policies", kinds, "--policy", "sharding@2", "--format", "vllm"),
    )
    assert ran.code == 2
    assert "'TestAsic' is not in catalog launch" in ran.err


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), [("sharding@2.0.0", "sharding@2.1.0")])
def test_sharding_decides_as_before_by_major_versions(old: str, new: str) -> None:
    policies = engine.load_policy(old), engine.load_policy(new)
    lines = (TOP / "examples" / "history.jsonl").read_text().splitlines()
    for line in lines:
        request = engine.Request.from_dict(yaml.safe_load(line))
        first, second = (policy.decide(request).to_dict() for policy in policies)
        assert {**first, "policy": None} == {**second, "policy": None}
