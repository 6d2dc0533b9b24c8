"""`engine policies new`, `overlay` and `vendor`: starts that pass checks, and copies that decide alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import engine
from engine.catalogs.store import PolicyStore
from tests.conftest import TOP, Run


def newest() -> str:
    """Return the newest major version of sharding."""
    return PolicyStore().find("policy", "sharding").version.partition(".")[0]


def test_a_new_policy_is_checked_tested_and_covered(run: Run, tmp_path: Path) -> None:
    ran = run("policies", "new", "quota", tmp_path / "mine").ok()
    assert ran.out.split() == [
        f"{tmp_path}/mine/quota/1.0.0.yaml",
        f"{tmp_path}/mine/quota/tests/quota_test.yaml",
    ]
    assert "no findings" in run("check", tmp_path / "mine").ok().out
    assert "coverage of quota@1.0.0: 100.0 %" in run("test", tmp_path / "mine", "--coverage").ok().out
    decision = engine.load_policy("quota", tmp_path / "mine").decide(engine.Request({"gpus": 2}))
    assert decision.output == "shared"


@pytest.mark.slow
@pytest.mark.parametrize("base", ["sharding", "sharding@1", "sharding@2.0.0", "quantization@2"])
def test_an_overlay_to_start_from_changes_nothing(run: Run, tmp_path: Path, base: str) -> None:
    run("policies", "overlay", base, tmp_path, "--name", "mine").ok()
    text = (tmp_path / "mine" / "1.0.0.yaml").read_text()
    assert f"base: {base if '@' in base else f'sharding@{newest()}'}\n" in text
    assert "no findings" in run("check", tmp_path).ok().out
    # With all constants as they are in the base, it still changes nothing.
    lines = text.replace("#constants:", "constants:").splitlines()
    constants = [
        line.removeprefix("#") if line.startswith("#  ") and ": " in line and "{" not in line else line
        for line in lines
    ]
    (tmp_path / "mine" / "1.0.0.yaml").write_text("\n".join(constants) + "\n")
    made, original = engine.load_policy("mine", tmp_path), engine.load_policy(base)
    assert made.compiled.constants.keys() == original.compiled.constants.keys()
    assert all(
        made.compiled.constants[name].value == constant.value
        for name, constant in original.compiled.constants.items()
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sharding", "sharding@2", "sharding@1"])
def test_a_vendored_policy_decides_alike_with_an_equal_digest(run: Run, tmp_path: Path, name: str) -> None:
    run("policies", "vendor", name, tmp_path).ok()
    assert list((tmp_path / "catalog" / "accelerators").iterdir())
    assert list((tmp_path / "quantization").iterdir())
    assert "no findings" in run("check", tmp_path).ok().out
    original, made = engine.load_policy(name), engine.load_policy(name, tmp_path)
    assert made.digest == original.digest
    line = (TOP / "examples" / "history.jsonl").read_text().splitlines()[0]
    request = engine.Request.from_dict({**json.loads(line), "quantization": "auto"})
    assert made.decide(request) == original.decide(request)


def test_vendoring_takes_libraries_parts_and_patches(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "source"
    head = "apiVersion: engine/v1\nname: {}\nversion: 1.0.0\n"
    bits = "'catalogs.quantization[\"bf16\"].bits_per_param'"
    files = {
        "library/widths/1.0.0.yaml": f"{head.format('widths')}kind: Library\ncatalogs: [quantization@2]\n"
        f"variables: [{{name: bits, expression: {bits}}}]\n",
        "mine/1.0.0/policy.yaml": f"{head.format('mine')}kind: Policy\nlibraries: [widths@1]\n",
        "mine/1.0.0/rule.yaml": "apiVersion: engine/v1\nkind: Part\nrule: {match: [{output: widths.bits}]}\n",
        "patch/ours/1.0.0.yaml": f"{head.format('ours')}kind: CatalogPatch\nbase: quantization@2\n"
        "entries: {bf16: {bits_per_param: 17.0}}\n",
    }
    for name, text in files.items():
        file = source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    run("policies", "vendor", "mine", tmp_path / "copy", "--policies", source).ok()
    original, made = (engine.load_policy("mine", folder) for folder in (source, tmp_path / "copy"))
    assert made.decide(engine.Request()).output == 17.0
    assert made.digest == original.digest


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    run("policies", "new", "quota", tmp_path).ok()
    run("policies", "new", "quota", tmp_path).ok()
    file = tmp_path / "quota" / "1.0.0.yaml"
    file.write_text("# mine\n")
    ran = run("policies", "new", "quota", tmp_path)
    assert ran.code == 2
    assert f"{file}: a file is there already" in ran.err
    assert file.read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new", "Quota"), "'Quota' is no name of a policy"),
        (("new", "catalog"), "'catalog' is no name of a policy"),
        (("new", "../x"), "'../x' is no name of a policy"),
        (("overlay", "sharding", "--name", "a/b"), "'a/b' is no name of a policy"),
        (("overlay", "shardin"), "unknown policy 'shardin'\n  hint: did you mean 'sharding'?"),
        (("vendor", "sharding@9", "x"), "policy 'sharding' has no version 9"),
    ],
)
def test_bad_names_are_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("policies", *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_example_of_a_site_is_checked_tested_and_decides(run: Run) -> None:
    site = TOP / "examples" / "site"
    assert "no findings" in run("check", site).ok().out
    assert run("test", site).code == 0
    decision = engine.decide(
        inventory="8xACME-H100",
        model="llama-3.1-70b",
        quantization="bf16",
        policy="sharding-acme",
        policies=site,
    )
    assert decision.plan is not None
    assert not any("ACME" in warning for warning in decision.plan.warnings)
