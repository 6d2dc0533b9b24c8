"""`engine explain`: the nearest values at which another match is chosen, as the policy's words have them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TOP, Run

pytestmark = pytest.mark.usefixtures("first_version")

POLICY = """
apiVersion: engine/v1
kind: Policy
name: freight
version: 1.0.0
inputs:
  - {name: parcel, type: "map(string, dyn)"}
  - {name: weight, type: double}
  - {name: express, type: bool}
constants:
  light: {value: 2.5, unit: kg, description: Up to this a letter.}
  wide: {value: 60, unit: cm, description: More is freight.}
  price: {value: 3.0, unit: EUR, description: Of a letter.}
rule:
  variables:
    - {name: width, expression: int(parcel.width)}
    - {name: cost, expression: weight * constants.price}
  match:
    - {id: courier, condition: express && weight < constants.light * 2.0, output: variables.cost}
    - {id: letter, condition: weight <= constants.light && variables.width <= constants.wide, output: "1.0"}
    - {id: freight, output: "2.0"}
"""
INPUT = '{"parcel": {"width": 40, "colour": "red"}, "weight": 2.0, "express": false}'


@pytest.fixture
def freight(tmp_path: Path) -> Path:
    path = tmp_path / "freight.yaml"
    path.write_text(POLICY)
    return path


def flips(run: Run, policy: Path, given: str) -> dict[tuple[str, Any], str]:
    ran = run("explain", "--policy", policy, "--input", "-", "--format", "json", stdin=given)
    ran.ok()
    return {(each["path"], each["to"]): each["match_to"] for each in ran.json["flips"]}


def test_any_policy(run: Run, freight: Path) -> None:
    assert flips(run, freight, INPUT) == {
        ("weight", math.nextafter(2.5, 3)): "freight",
        ("parcel.width", 61): "freight",
        ("express", True): "courier",
        ("constants.light", math.nextafter(2.0, 0)): "freight",
        ("constants.wide", 39): "freight",
    }


def test_both_sides(run: Run, freight: Path) -> None:
    found = flips(run, freight, INPUT.replace("false", "true").replace("2.0", "6.0"))
    assert found == {
        ("weight", math.nextafter(5.0, 0)): "courier",
        ("constants.light", math.nextafter(3.0, 4)): "courier",
    }


def test_sorted_by_relative_distance(run: Run, freight: Path) -> None:
    ran = run("explain", "--policy", freight, "--input", "-", "--format", "json", stdin=INPUT)
    distances = [each["relative_distance"] for each in ran.json["flips"]]
    known = [distance for distance in distances if distance is not None]
    assert distances == sorted(known) + [None] * (len(distances) - len(known))
    assert ran.json["decision"]["match"] == "letter"
    assert ran.json["decision"]["trace"]["rule"]["matches"][1]["result"] == "chosen"
    assert {each["match_from"] for each in ran.json["flips"]} == {"letter"}


def bridged(tmp_path: Path, bandwidth: float, count: int = 8) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text(
        f"devices: [{{kind: CudaGpu, count: {count}, memory: 80GiB}}]\n"
        f"interconnects: [{{kind: NVLink, bandwidth_gbps: {bandwidth}}}]\n"
    )
    return path


def sharding(run: Run, inventory: Path, *more: str) -> dict[tuple[str, str], tuple[Any, str]]:
    """Flips by path and side."""
    arguments = ("--inventory", inventory, "--params", "70B", "--quantization", "bf16", *more)
    ran = run("explain", *arguments, "--policy", "sharding@1.0.0", "--format", "json")
    ran.ok()
    found = {}
    for each in ran.json["flips"]:
        side = "other" if each["relative_distance"] is None else "+" if each["to"] > each["from"] else "-"
        found[each["path"], side] = (each["to"], each["match_to"])
    return found


@pytest.mark.slow
def test_sharding_over_links(run: Run, tmp_path: Path) -> None:
    found = sharding(run, bridged(tmp_path, 112.0))
    needed = 70_000_000_000 * 2 * 6 // 5
    assert found["inventory.interconnects[0].bandwidth_gbps", "-"] == (100.0, "pipeline-parallel")
    assert found["constants.tp_min_interconnect_bw", "+"] == (112.0, "pipeline-parallel")
    assert found["constants.tp_max_devices_without_nvswitch", "-"] == (7, "pipeline-parallel")
    assert found["inventory.devices[0].count", "+"] == (9, "pipeline-parallel")
    assert found["inventory.devices[0].count", "-"] == (1, "cpu-fallback")
    assert found["inventory.devices[0].memory", "+"] == (needed, "single-device")
    assert found["inventory.devices[0].memory", "-"] == (math.ceil(needed / 8) - 1, "cpu-fallback")
    assert ("quantization", "other") in found
    assert not any(path == "constants.nvswitch_tp_bonus" for path, _ in found)


@pytest.mark.slow
def test_a_threshold_that_is_not_met(run: Run, tmp_path: Path) -> None:
    found = sharding(run, bridged(tmp_path, 96.0))
    below = math.nextafter(96.0, 0)
    assert found["constants.tp_min_interconnect_bw", "-"] == (below, "tensor-parallel")
    assert found["inventory.interconnects[0].bandwidth_gbps", "+"] == (
        math.nextafter(100.0, 101),
        "tensor-parallel",
    )


@pytest.mark.slow
def test_auto_chooses_anew(run: Run, tmp_path: Path) -> None:
    """With more parameters the quantization policy answers otherwise; that is part of what flips."""
    found = sharding(run, bridged(tmp_path, 112.0), "--quantization", "auto")
    assert found["model.params", "+"][1] != "single-device"
    assert found["quantization", "other"][1] == "tensor-parallel"


@pytest.mark.slow
def test_it_fits_a_terminal(run: Run, tmp_path: Path) -> None:
    ran = run("explain", "--inventory", bridged(tmp_path, 112.0), "--params", "70B", "--quantization", "bf16")
    tail = ran.out.split("What would flip the decision")[1]
    assert max(map(len, tail.splitlines())) <= 80
    assert "inventory.devices[0]: 9 devices instead of 8\n             → pipeline-parallel" in tail
    assert "constants.tp_min_interconnect_bw ≥ 112.0\n" in tail


def test_what_cannot_be_decided(run: Run, freight: Path, tmp_path: Path) -> None:
    ran = run("explain", "--policy", freight, "--input", "-", stdin="weight: 1.0")
    assert (ran.code, ran.out) == (2, "")
    ran = run("explain", "--inventory", TOP / "nothing.yaml", "--params", "7B", "--quantization", "bf16")
    assert (ran.code, ran.out) == (2, "")
    assert "no such file" in ran.err


ACCESS = """
apiVersion: engine/v1
kind: Policy
name: access
version: 1.0.0
inputs:
  - {name: role, type: string}
  - {name: until, type: timestamp}
  - {name: idle, type: duration}
  - {name: groups, type: list(string)}
  - {name: resource, type: dyn}
  - {name: key, type: bytes}
  - {name: count, type: int}
catalogs: [quantization@1.0.0]
constants:
  effect: {value: ALLOW, unit: effect, description: Of owners.}
  admins: {value: [root], unit: role, description: Roles.}
rule:
  match:
    - {id: admin, condition: role in constants.admins, output: '"ALLOW"'}
    - {id: expired, condition: until < timestamp("2026-01-01T00:00:00Z"), output: '"DENY"'}
    - {id: idle, condition: idle > duration("1h"), output: '"DENY"'}
    - {id: group, condition: '"ops" in groups', output: '"AUDIT"'}
    - {id: secret, condition: has(resource.secret) && role != "owner", output: '"DENY"'}
    - {id: keyed, condition: key == b"abc", output: '"ALLOW"'}
    - {id: narrow, condition: 'catalogs.quantization["int8"].bits_per_param > 8', output: '"DENY"'}
    - {id: crowd, condition: count > 10, output: '"DENY"'}
    - {id: owner, output: 'role == "owner" ? constants.effect : "DENY"'}
"""


GIVEN = {
    "role": "owner",
    "until": "2026-01-01T01:00:00Z",
    "idle": "60m",
    "groups": ["dev"],
    "resource": {"name": "a"},
    "key": "AAAA",
    "count": 3,
}


def access(run: Run, tmp_path: Path, **changes: Any) -> dict[str, Any]:
    policy = tmp_path / "access.yaml"
    policy.write_text(ACCESS)
    given = json.dumps({**GIVEN, **changes})
    ran = run("explain", "--policy", policy, "--input", "-", "--format", "json", stdin=given)
    found: dict[str, Any] = ran.ok().json
    return found


def test_texts_times_lists_keys_and_bytes_are_moved(run: Run, tmp_path: Path) -> None:
    flips = access(run, tmp_path)["flips"]
    moved = {(each["path"], json.dumps(each["to"])): each["match_to"] for each in flips}
    assert moved["role", '"root"'] == "admin"
    assert moved["until", '"2025-12-31T23:59:59.999999999Z"'] == "expired"
    assert moved["idle", '"3600.000000001s"'] == "idle"
    assert moved["groups", '["dev", "ops"]'] == "group"
    assert moved["key", '"YWJj"'] == "keyed"
    assert moved["count", "11"] == "crowd"
    assert moved["catalogs.quantization.int8.bits_per_param", "9"] == "narrow"
    secret = access(run, tmp_path, role="guest")["flips"]
    assert ("resource.secret", "secret") in {(each["path"], each["match_to"]) for each in secret}


def test_outputs_that_change_are_flips(run: Run, tmp_path: Path) -> None:
    flips = access(run, tmp_path)["flips"]
    (effect,) = (each for each in flips if each["path"] == "constants.effect" and each["to"] == "DENY")
    assert (effect["match_to"], effect["output_from"], effect["output_to"]) == ("owner", "ALLOW", "DENY")
    text = run_text(run, tmp_path)
    assert '→ owner: "DENY"' in text


def run_text(run: Run, tmp_path: Path) -> str:
    ran = run("explain", "--policy", tmp_path / "access.yaml", "--input", "-", stdin=json.dumps(GIVEN))
    return ran.ok().out.split("What would flip")[1]


def test_field_called_count_is_not_devices(run: Run, tmp_path: Path) -> None:
    access(run, tmp_path)
    text = run_text(run, tmp_path)
    assert "count ≥ 11" in text
    assert "devices" not in text


@pytest.mark.slow
def test_what_was_not_moved_is_listed(run: Run, tmp_path: Path) -> None:
    ran = run("explain", "--inventory", "2xH100-SXM", "--params", "7B", "--quantization", "bf16",
              "--policy", "sharding@2.0.0", "--format", "json")  # fmt: skip
    unmoved = " ".join(ran.ok().json["unmoved"])
    assert "cells of the catalogs" in unmoved
    assert "inputs that the request leaves out: serving, pin" in unmoved
    assert ran.json["moved"] > 20


@pytest.mark.slow
def test_cells_of_catalogs_are_moved(run: Run, tmp_path: Path) -> None:
    found = sharding(run, bridged(tmp_path, 112.0))
    assert any(path.startswith("catalogs.quantization.bf16.bits_per_param") for path, _ in found)
