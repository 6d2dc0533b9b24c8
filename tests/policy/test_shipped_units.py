"""The units that shipped documents declare are those that the checker infers, but for released versions.

Released versions are never edited. What is wrong in them is listed here and ignored in
`policies/engine.yaml`: conversions that state one unit of two (`gib: {value: 1073741824.0, unit: byte}`),
rates of other quantities (`bytes_per_ms_of_gbs`), and a vocabulary that is counted in tokens but multiplied
into parameters.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from engine.catalogs import Catalogs, compile_catalog
from engine.catalogs.schema_types import schema_types
from engine.catalogs.store import PolicyStore
from engine.plan import signatures
from engine.policy.compiler import compile_faulty
from engine.policy.units import UnitReport, UnitTable, catalog_units, load_units, policy_units
from tests.conftest import TOP, Run

KNOWN: dict[str, tuple[tuple[int, str, str], ...]] = {
    "sharding@1.0.0": (
        (79, "W230", "'<=' mixes a plain number and byte"),
        (158, "W230", "'<=' mixes a plain number and byte"),
        (163, "W231", "argument 'memory_bytes' of builder single_device is declared"),
        (175, "W230", "'>=' mixes byte and a plain number"),
        (192, "W230", "'>=' mixes byte and a plain number"),
        (214, "W230", "'>=' mixes byte and a plain number"),
        (245, "W231", "argument 'memory_bytes' of builder single_device is declared"),
    ),
    "sharding@2.0.0": (
        (155, "W230", "math.least() mixes token and parameter"),
        (354, "W230", "'+' mixes GiB and token"),
        (362, "W230", "'+' mixes GiB·byte and a plain number"),
        (369, "W230", "'-' mixes byte and a plain number"),
        (406, "W230", "'-' mixes byte and token·request"),
        (424, "W230", "'-' mixes byte and a plain number"),
        (519, "W230", "'+' mixes a plain number and ms·s/GB"),
        (526, "W230", "'+' mixes ms·s/byte/GB and a plain number"),
        (539, "W230", "math.greatest() mixes token·s·ms/TFLOP and ms·s/byte/GB"),
        (544, "W230", "'+' mixes a plain number and ms·s·token/GB"),
        (558, "W230", "math.greatest() mixes ms·s/byte/GB and s·ms/TFLOP"),
        (564, "W230", "'+' mixes a plain number and ms·s·request/GB"),
        (710, "W231", "result 'stage_memory_bytes' is declared as byte, the express"),
        (711, "W231", "result 'time_per_output_token_ms' is declared as ms, the exp"),
        (713, "W231", "result 'tokens_per_sec' is declared as token/s, the expressi"),
        (719, "W231", "result 'kv_capacity_requests' is declared as request, the ex"),
        (720, "W231", "result 'parts_ms' is declared as ms, the expression gives ms"),
        (720, "W231", "result 'parts_ms' is declared as ms, the expression gives to"),
        (720, "W231", "result 'parts_ms' is declared as ms, the expression gives a "),
        (720, "W231", "result 'parts_ms' is declared as ms, the expression gives a "),
        (724, "W230", "the list mixes ms·s/byte/GB and a plain number"),
    ),
    "quantization@1.0.0": (
        (62, "W230", "'<=' mixes a plain number and byte"),
        (63, "W230", "'<=' mixes a plain number and byte"),
        (66, "W230", "'<=' mixes a plain number and byte"),
        (67, "W230", "'<=' mixes a plain number and byte"),
        (70, "W230", "'<=' mixes a plain number and byte"),
        (72, "W230", "'<=' mixes a plain number and byte"),
        (72, "W230", "'<=' mixes a plain number and byte"),
        (75, "W230", "'<=' mixes a plain number and byte"),
        (76, "W230", "'<=' mixes a plain number and byte"),
        (79, "W230", "'<=' mixes a plain number and byte"),
        (81, "W230", "'<=' mixes a plain number and byte"),
        (81, "W230", "'<=' mixes a plain number and byte"),
    ),
    "quantization@2.0.0": (
        (75, "W230", "'-' mixes byte and GiB·byte"),
        (99, "W230", "'+' mixes a plain number and byte·token·request"),
    ),
}
"""Line, code and beginning of the message of what released versions declare wrong."""

CURRENT = (
    "policy sharding@3",
    "policy quantization@3",
    "library llm-legality@1",
    "library llm-memory@1",
    "library llm-model@1",
    "library llm-speed@1",
)


@cache
def table() -> UnitTable:
    return load_units()


def report(kind: str, reference: str) -> UnitReport:
    store = PolicyStore()
    document = store.read(store.find(kind, reference))  # type: ignore[arg-type]
    policy, problems = compile_faulty(document, store, signatures())
    assert policy is not None
    assert problems == []
    return policy_units(policy, table(), signatures())


@pytest.mark.parametrize("reference", KNOWN)
def test_released_versions_declare_no_other_units_wrong(reference: str) -> None:
    found = [
        (problem.place.line if problem.place else 0, problem.code, problem.message.partition(":")[0][:60])
        for problem in report("policy", reference).problems
    ]
    assert sorted(found) == sorted(KNOWN[reference])


@pytest.mark.slow
@pytest.mark.parametrize("name", CURRENT)
def test_declared_units_of_current_versions_are_proved(name: str) -> None:
    units = report(*name.split())
    assert [problem.message for problem in units.problems] == []
    assert units.known / units.total > 0.95


def test_units_of_catalogs_can_be_read_and_their_computed_columns_are_proved() -> None:
    store = PolicyStore()
    for entry in store.entries("catalog"):
        catalog = compile_catalog(store.catalog(entry), schema_types())
        assert [problem.message for problem in catalog_units(catalog, table())] == [], entry.path


def test_every_row_of_the_catalog_of_units_is_a_unit() -> None:
    units, prefixes = Catalogs()("units"), Catalogs()("unit_prefixes")
    for name in (*units.rows, *units.aliases):
        table().parse(name)
    for prefix in (*prefixes.rows, *prefixes.aliases):
        taken = prefixes.rows.get(prefix) or prefixes.rows[prefixes.aliases[prefix]]
        assert table().parse(f"{prefix}bit" if taken["system"] == "binary" else f"{prefix}s").scale > 0


def test_a_copy_of_a_released_version_has_its_settings_where_it_is_unedited(run: Run, tmp_path: Path) -> None:
    released = (TOP / "policies" / "sharding" / "1.0.0.yaml").read_text()
    file = tmp_path / "sharding" / "1.0.1.yaml"
    file.parent.mkdir()
    edited = released.replace("version: 1.0.0", "version: 1.0.1")
    file.write_text(edited)
    assert [each["code"] for each in run("check", file, "--format", "json").json["findings"]] == []
    file.write_text(edited.replace("variables.needed <= ", "variables.needed <=  "))
    codes = [each["code"] for each in run("check", file, "--format", "json").json["findings"]]
    assert codes == ["W230"] * 2
