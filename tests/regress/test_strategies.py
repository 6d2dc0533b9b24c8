"""Requests drawn for any policy: every type, the policy's own values, the parts of `dyn` that it reads."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings

from engine.base.errors import EngineError
from engine.decide.policy import Policy, load_policy
from engine.decide.request import Request
from engine.regress.strategies import inputs, requests
from engine.regress.vocabulary import vocabulary
from tests.conftest import Run, examples

PODS = """apiVersion: engine/v1
kind: Policy
name: pods
version: 1.0.0
inputs:
  - {name: object, type: dyn}
  - {name: created, type: timestamp}
  - {name: ttl, type: duration}
  - {name: token, type: bytes}
  - {name: path, type: string}
  - {name: labels, type: "map(string, string)"}
constants:
  registries: {value: [ghcr.io, quay.io], unit: registry, description: Allowed registries.}
rule:
  variables:
    - {name: containers, expression: object.spec.containers}
  match:
    - id: privileged
      condition: >-
        variables.containers.exists(c, has(c.securityContext) && c.securityContext.privileged == true)
      output: '"deny"'
    - id: registry
      condition: '!variables.containers.all(c, constants.registries.exists(r, c.image.startsWith(r + "/")))'
      output: '"deny"'
    - id: latest
      condition: 'variables.containers.exists(c, c.image.endsWith(":latest"))'
      output: '"warn"'
    - id: expired
      condition: created + ttl < timestamp("2026-01-01T00:00:00Z") && token == b"abc"
      output: '"expired"'
    - id: long
      condition: size(path) > 63 || path.matches("^/v[0-9]+/admin$")
      output: '"deny"'
    - id: tier
      condition: '"tier" in labels && labels["tier"] == "gold" && created.getHours() >= 22'
      output: '"gold"'
    - {id: other, output: '"allow"'}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    file = tmp_path / "pods.yaml"
    file.write_text(PODS)
    return load_policy(str(file))


class Reached(Exception):
    """Every match was reached."""


@pytest.mark.slow
def test_requests_of_a_policy_on_any_subject_are_valid_and_reach_every_match(policy: Policy) -> None:
    reached: Counter[str | None] = Counter()
    every = {match.id for match in policy.compiled.rule.matches}

    # Ends with the last match: how many draws that takes depends on the modules that are loaded.
    @given(requests(policy))
    @settings(
        max_examples=20_000,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def draw(request: Request) -> None:
        try:
            reached[policy.decide(request).match_id] += 1
        except EngineError:
            reached["error"] += 1
        if reached.total() >= 200 and every <= set(reached):
            raise Reached

    with pytest.raises(Reached):
        draw()
    assert reached["error"] < 0.25 * reached.total()


@given(inputs(load_policy("sharding@2.0.0")))
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_requests_of_sharding_with_serving_goals_are_accepted(drawn: dict[str, Any]) -> None:
    decision = load_policy("sharding@2.0.0").decide(Request(drawn), remedies=False)
    assert decision.outcome in ("plan", "infeasible")


def test_vocabulary_of_a_policy_has_its_literals_and_what_it_reads(policy: Policy) -> None:
    words = vocabulary([policy.compiled])
    assert {"ghcr.io", "quay.io", ":latest", "gold", "tier"} <= set(words.texts)
    assert [str(moment) for moment in words.timestamps] == ["2026-01-01T00:00:00Z"]
    assert list(words.bytes) == [b"abc"]
    container = words.inputs["object"].fields["spec"].fields["containers"].element
    assert container is not None
    assert sorted(container.fields) == ["image", "securityContext"]
    assert container.fields["image"].values == ["ghcr.io/", "quay.io/", ":latest"]
    assert container.fields["securityContext"].tested
    assert words.inputs["path"].sized
    assert words.inputs["path"].patterns == ["^/v[0-9]+/admin$"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('endsWith(":latest")', 'endsWith(":last")', "latest"),
        ("created + ttl <", "created + ttl <=", "other"),
        ('b"abc"', 'b"abd"', "expired"),
        ("quay.io", "quay.iu", "other"),
        ("size(path) > 63", "size(path) > 64", "long"),
        ('"gold"', '"silver"', "tier"),
    ],
)
def test_search_for_a_difference_in_any_type_finds_it(
    tmp_path: Path, run: Run, old: str, new: str, match: str
) -> None:
    left, right = tmp_path / "a.yaml", tmp_path / "b.yaml"
    left.write_text(PODS)
    right.write_text(PODS.replace(old, new, 1))
    ran = run("diff", left, right, "--search", "--seed", "1", "--examples", "200000")
    assert ran.code == 1, ran.err
    (test,) = yaml.safe_load(ran.out)["tests"]
    assert test["expect"].get("match") in (match, "other", "registry")
    suite = tmp_path / "a_test.yaml"
    suite.write_text(f"apiVersion: engine/v1\nkind: Suite\npolicy: a.yaml\n{ran.out}")
    run("test", suite).ok()


def test_search_without_a_difference_reports_requests_really_tried(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "apiVersion: engine/v1\nkind: Policy\nname: a\nversion: 1.0.0\n"
        "inputs: [{name: on, type: bool}]\nrule: {match: [{id: all, output: 'on ? 1 : 0'}]}\n"
    )
    ran = run("diff", file, file, "--search").ok()
    assert "no difference found in 2 requests (not a proof)" in ran.err


def test_search_that_no_request_survives_is_an_error(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "apiVersion: engine/v1\nkind: Policy\nname: a\nversion: 1.0.0\n"
        "inputs: [{name: x, type: int}]\nrule: {match: [{id: all, output: 'x / 0'}]}\n"
    )
    ran = run("diff", file, file, "--search", "--examples", "50")
    assert (ran.code, ran.out) == (2, "")
    assert "could be decided; first error: divide by zero" in ran.err
