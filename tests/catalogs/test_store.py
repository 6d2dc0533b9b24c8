"""Policies and catalogs: found, versioned, told apart by their digests, listed and shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

import engine
from tests.conftest import TOP, Run


def put(folder: Path, version: str, answer: int, *, name: str = "p", catalogs: str = "") -> Path:
    file = folder / name / f"{version}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"apiVersion: engine/v1\nkind: Policy\nname: {name}\nversion: {version}\n{catalogs}"
        f"rule: {{match: [{{output: '{answer}'}}]}}\n"
    )
    return file


def decide(reference: str, *folders: Path) -> tuple[str, int]:
    policy = engine.load_policy(reference, folders)
    return policy.version, policy.decide(engine.Request()).output


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("p", "10.0.0"),
        ("p@1", "1.10.0"),
        ("p@1.2", "1.2.10"),
        ("p@1.2.9", "1.2.9"),
        ("p@2", "2.0.0"),
        ("p@10", "10.0.0"),
    ],
)
def test_the_newest_that_fits(reference: str, version: str, tmp_path: Path) -> None:
    for number, each in enumerate(("1.2.9", "1.2.10", "1.10.0", "2.0.0", "10.0.0", "9.9.9")):
        put(tmp_path, each, number)
    (tmp_path / "p" / "notes.yaml").write_text("not: a policy\n")
    assert decide(reference, tmp_path)[0] == version


def test_an_earlier_folder_hides_a_later_one(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    put(first, "1.0.0", 1)
    put(second, "1.0.0", 2)
    put(second, "1.1.0", 3)
    assert decide("p@1.0.0", first, second) == ("1.0.0", 1)
    assert decide("p", first, second) == ("1.1.0", 3)
    assert decide("p@1.0.0", second, first) == ("1.0.0", 2)


def test_a_file_is_a_reference_too(tmp_path: Path) -> None:
    assert decide(str(put(tmp_path, "1.0.0", 7))) == ("1.0.0", 7)


def digest(*folders: Path) -> str:
    return engine.load_policy("sharding@1", folders).digest


@pytest.mark.slow
def test_the_digest_is_of_all_that_decides(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(TOP / "policies", tmp_path / "policies"))
    before = digest(folder)
    assert before == digest()
    assert before.startswith("sha256:")
    assert len(before) == 71

    unread = folder / "catalog" / "other" / "1.0.0.yaml"
    unread.parent.mkdir()
    unread.write_text("anything\n")
    assert digest(folder) == before

    for file in (
        "sharding/1.0.0.yaml",
        "catalog/interconnects/1.0.0.yaml",
        "catalog/quantization/1.0.0.yaml",
    ):
        text = (folder / file).read_text()
        (folder / file).write_text(text + "# a remark\n")
        assert digest(folder) != before
        (folder / file).write_text(text)
    assert digest(folder) == before


def test_the_list(run: Run, tmp_path: Path) -> None:
    put(tmp_path, "1.0.0", 1, name="sharding")
    put(tmp_path, "3.0.0", 1)
    rows = run("policies", "--policies", tmp_path, "--format", "json").json
    found = [(row["kind"], row["name"], row["version"], row["hidden"]) for row in rows]
    own = [("policy", "p", "3.0.0", False), ("policy", "sharding", "1.0.0", False)]
    assert [row for row in found if row in own] == own
    shipped = TOP / "policies"
    for kind, pattern in (("policy", "*/*.yaml"), ("catalog", "catalog/*/*.yaml")):
        files = {(path.parent.name, path.stem) for path in shipped.glob(pattern)}
        if kind == "policy":  # folders of parts
            files |= {(path.parent.parent.name, path.parent.name) for path in shipped.glob("*/*/policy.yaml")}
        names = [(name, version) for row_kind, name, version, _ in found if row_kind == kind]
        assert {*names} - {("p", "3.0.0")} == files
        order = [(name, tuple(-int(part) for part in version.split("."))) for name, version in names]
        assert order == sorted(order)
    text = run("policies", "--policies", tmp_path).out
    assert f"p@3.0.0 {tmp_path}/p/3.0.0.yaml" in " ".join(text.split())
    assert text.count("(hidden)") == 1


@pytest.mark.slow
def test_show_prints_what_decides(run: Run) -> None:
    ran = run("policies", "show", "sharding")
    assert ran.code == 0
    documents = list(yaml.safe_load_all(ran.out))
    names = [document["name"] for document in documents if document["kind"] != "Part"]
    assert names[0] == "sharding"
    assert {"llm-speed", "accelerators", "products", "servers", "fabrics", "quantization"} <= {*names}
    assert engine.load_policy("sharding").digest in ran.out


def test_show_as_json_has_the_catalogs_resolved(run: Run) -> None:
    shown = run("policies", "show", "sharding@1", "--format", "json").json
    assert shown["version"] == "1.0.0"
    assert shown["constants"]["tp_min_interconnect_bw"]["value"] == 100.0
    assert shown["catalogs"]["accelerators"]["entries"]["CudaGpu"]["throughput_multiplier"] == 20.0
    assert shown["digest"] == engine.load_policy("sharding@1").digest


def test_show_a_catalog(run: Run) -> None:
    assert run("policies", "show", "accelerators", "--format", "json").json["entries"]["Cpu"]["rank"] == 10
    assert run("policies", "show", "interconnects").out.startswith("# ")


def test_the_editor_line_leads_to_the_schema() -> None:
    for file in [*(TOP / "policies").rglob("*.yaml"), *(TOP / "examples").rglob("*.yaml")]:
        first = file.read_text().splitlines()[0]
        if file.name == "quota-input.yaml":
            continue
        prefix = "# yaml-language-server: $schema="
        assert first.startswith(prefix), file
        assert (file.parent / first.removeprefix(prefix)).resolve().is_file(), file
