"""The catalog of architectures: complete rows, a site's own version of it, what readers need of one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import engine
from engine.base.errors import RequestError
from engine.catalogs.hardware import load_names
from engine.model.architectures import Architecture, shipped_architectures, shipped_catalog
from tests.conftest import DATA, TOP, Run

SHIPPED = TOP / "policies" / "catalog" / "architectures" / "1.1.0.yaml"
LLAMA = json.loads((DATA / "models" / "meta-llama--Meta-Llama-3.1-8B.json").read_text())
LLAMA_PARAMETERS = 8_030_261_248
"""As its publisher states."""
LLAMA_NORMS = 32 * 4096
"""One norm in each of 32 layers, of a width of 4,096."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder of policies."""
    folder = tmp_path / "own"
    (folder / "catalog" / "architectures").mkdir(parents=True)
    return folder


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    """A configuration of a class that nobody knows, of the shape of Llama 3.1 8B."""
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps({**LLAMA, "architectures": ["NovelForCausalLM"], "model_type": "novel"}, indent=1)
    )
    return path


def put(folder: Path, version: str = "1.2.0", drop: str = "", **changes: Any) -> Path:
    """A copy of the shipped catalog with an entry for the class, with some columns changed or one dropped."""
    value = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    value["version"] = version
    value["entries"]["novel"] = {"norms": 3, "aliases": ["NovelForCausalLM"]}
    value["columns"] |= changes
    for part in (value["columns"], *value["entries"].values()):
        part.pop(drop, None)
    path = folder / "catalog" / "architectures" / f"{version}.yaml"
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


@pytest.mark.slow
def test_an_own_row_counts_parameters(folder: Path, novel: Path, run: Run) -> None:
    unknown = run("model", "show", novel)
    assert "unknown architecture 'NovelForCausalLM': counted as a usual decoder" in " ".join(
        unknown.out.split()
    )
    assert "unknown architecture 'NovelForCausalLM'" in run("model", "show", novel, "--strict").err
    put(folder)
    shown = run("model", "show", novel, "--policies", folder, "--format", "json").json
    assert shown["parameters"]["total"] == LLAMA_PARAMETERS + LLAMA_NORMS
    assert shown["architecture"] == "NovelForCausalLM"


@pytest.mark.slow
def test_an_own_row_is_seen_by_eval(folder: Path, novel: Path, run: Run) -> None:
    put(folder)
    asked = ("--inventory", "1xH100-SXM", "--quantization", "bf16", "--policy", "sharding@1")
    ran = run("eval", *asked, "--model", novel, "--policies", folder, "--format", "json")
    weights = 2 * (LLAMA_PARAMETERS + LLAMA_NORMS)
    assert ran.json["plan"]["total_memory_bytes"] == weights + weights // 5


def test_an_older_version_of_one_s_own_is_not_read(folder: Path, novel: Path, run: Run) -> None:
    put(folder, "0.9.0")
    assert "unknown architecture" in run("model", "show", novel, "--strict", "--policies", folder).err


def test_the_same_version_in_an_own_folder_hides_the_shipped_one(folder: Path, novel: Path, run: Run) -> None:
    put(folder, "1.1.0")
    assert run("model", "show", novel, "--strict", "--policies", folder).code == 0


def test_columns_with_defaults_may_be_missing_in_an_own_version(folder: Path, novel: Path, run: Run) -> None:
    """As in a copy that was made ahead of a column that a later release adds."""
    put(folder, drop="sinks")
    assert run("model", "show", novel, "--policies", folder).code == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norms": {"type": "dyn", "default": 2}}, "column 'norms': expected type int, found dyn"),
        ({"norms": {"type": "int", "optional": True}}, "column 'norms' can't be optional"),
        ({"norms": {"type": "int", "default": 2.5}}, "default: expected a whole number, found 2.5"),
        ({"norms": {"type": "int", "default": 2, "optional": True}}, "is optional and has a default"),
        ({"flag_defaults": {"type": "map(string, bool)", "default": 3}}, "expected a mapping, found 3"),
        ({"norms": {"type": "whole", "default": 2}}, "'whole' is not a type"),
    ],
)
def test_columns_that_readers_cannot_use(
    changes: dict[str, Any], message: str, folder: Path, novel: Path, run: Run
) -> None:
    path = put(folder, **changes)
    ran = run("model", "show", novel, "--policies", folder)
    assert (ran.code, ran.out) == (2, "")
    assert f"{path}:" in ran.err
    assert message in ran.err


def test_a_cell_of_the_wrong_type_has_its_place(folder: Path, novel: Path, run: Run) -> None:
    path = put(folder)
    text = path.read_text().replace("norms: 3", "norms: 3\n    flag_defaults: {use_bias: 1}")
    path.write_text(text)
    line = text[: text.index("flag_defaults: {use_bias")].count("\n") + 1
    ran = run("model", "show", novel, "--policies", folder)
    assert (ran.code, ran.out) == (2, "")
    assert f"{path}:{line}:31: flag_defaults: expected true or false, found 1" in ran.err


def test_a_computed_cell_is_refused(folder: Path, novel: Path, run: Run) -> None:
    path = put(folder)
    path.write_text(path.read_text().replace("norms: 3", "norms: {expression: 1 + 2}"))
    ran = run("model", "show", novel, "--policies", folder)
    assert (ran.code, ran.out) == (2, "")
    assert "column 'norms' must be constant in every entry" in ran.err


@pytest.mark.parametrize("name", ["products", "links", "launch", "pci", "models"])
def test_readers_say_which_column_they_miss(name: str, folder: Path) -> None:
    """Whatever catalog it is: an own version that lacks a column is an error with its place."""
    own = folder / "catalog" / name / "9.0.0.yaml"
    own.parent.mkdir()
    columns = "columns: {note: {type: string}}\nentries: {x: {note: y}}\n"
    own.write_text(f"apiVersion: engine/v1\nkind: Catalog\nname: {name}\nversion: 9.0.0\n{columns}")
    with pytest.raises(engine.PolicyError, match=f"catalog {name} has no column") as caught:
        load_names(name, [str(folder)])
    assert all(problem.place is not None for problem in caught.value.problems)


def test_the_shipped_catalog_is_the_same_without_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = shipped_architectures()
    shipped_catalog.cache_clear()
    for module in ("engine.model.architectures", "engine.catalogs.hardware"):
        monkeypatch.setattr(f"{module}.plain_rows", lambda *_: None)
    slow, compiled = shipped_architectures(), load_names("architectures")
    shipped_catalog.cache_clear()
    assert (slow.rows, slow.aliases) == (quick.rows, quick.aliases)
    assert (compiled.rows, compiled.aliases) == (quick.rows, quick.aliases)
    assert len([Architecture.of(row) for row in quick.rows.values()]) >= 90


@pytest.mark.slow
def test_python_takes_a_catalog_as_a_value(folder: Path, novel: Path) -> None:
    put(folder)
    config = json.loads(novel.read_text())
    assert "unknown architecture" in engine.read_model(config).notes[0]
    with pytest.raises(RequestError, match="unknown architecture"):
        engine.read_model(config, strict=True)
    model = engine.read_model(config, architectures=lambda: load_names("architectures", [str(folder)]))
    assert model.params == LLAMA_PARAMETERS + LLAMA_NORMS


def test_a_configuration_alone_asks_for_the_catalog() -> None:
    def fail() -> Any:
        raise AssertionError("the catalog was loaded")

    assert engine.read_model({"params": "8B"}, architectures=fail).params == 8_000_000_000


@pytest.mark.slow
@pytest.mark.usefixtures("offered_oracle")
def test_policies_read_defaults_and_maps(folder: Path, run: Run) -> None:
    shutil.copytree(SHIPPED.parent, folder / "catalog" / "architectures", dirs_exist_ok=True)
    policy = folder / "p" / "1.0.0.yaml"
    policy.parent.mkdir()
    policy.write_text(
        """\
apiVersion: engine/v1
kind: Policy
name: p
version: 1.0.0
inputs: [{name: of, type: string}]
catalogs: [architectures]
rule:
  variables:
    - {name: row, expression: "catalogs.architectures[of]"}
  match:
    - output: >-
        [string(variables.row.norms), variables.row.query_bias, string(size(variables.row.number_defaults)),
        string("head_dim" in variables.row.number_defaults ? variables.row.number_defaults["head_dim"] : 0)]
"""
    )
    asked = ("eval", "--policy", "p", "--policies", folder, "--format", "json", "--input", "-", "--runtime")
    for runtime in ("compiled", "cel-python", "cel-cpp"):
        for of, output in (
            ("llama", ["2", "attention_bias", "0", "0"]),
            ("gemma2", ["4", "attention_bias", "2", "256"]),
            ("phi", ["1", "always", "0", "0"]),
        ):
            ran = run(*asked, runtime, stdin=f"of: {of}")
            assert ran.code == 0, ran.err
            assert ran.json["output"] == output, runtime


@pytest.mark.parametrize(
    ("fields", "labels"), [({}, 2), ({"num_labels": 7}, 7), ({"id2label": {"0": "a", "1": "b", "2": "c"}}, 3)]
)
def test_a_classifier_has_the_labels_of_its_configuration_or_the_usual_ones(
    fields: dict[str, Any], labels: int
) -> None:
    """Llama's classifier has hidden_size numbers per label and no bias; it replaces the output layer."""
    config = {**LLAMA, **fields, "architectures": ["LlamaForSequenceClassification"]}
    assert engine.read_model(config).params == LLAMA_PARAMETERS - 128_256 * 4_096 + labels * 4_096
