"""Deployments published by makers of servers and models, by well-known names: decisions, and commands."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

import engine
from engine.catalogs.servers import numbers
from engine.decide.policy import Policy, load_policy
from engine.decide.sources import Sources, read_sources
from tests.conftest import DATA
from tests.render.launching import commands, flags
from tests.render.test_launch_deployments import FORMS, STARTS
from tests.render.test_launch_options import OPTIONS

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(
    (DATA / "published_deployments.yaml").read_text(encoding="utf-8")
)["deployments"]
DEGREES = {"tp": "tensor_parallel", "pp": "pipeline_parallel", "dp": "data_parallel", "ep": "expert_parallel"}


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy("sharding@3")


def decide(policy: Policy, case: dict[str, Any]) -> engine.Decision:
    """Decide a deployment at its published degrees, for its server."""
    pin = {DEGREES[name]: int(degree) for name, _, degree in map(_parted, case["pin"].split(","))}
    sources = Sources(
        inventory=case["inventory"],
        model=case["model"],
        quantization=case["quantization"],
        memory=case.get("memory"),
        serving={**case.get("serving", {}), "server": case["server"]},
        pin=pin,
    )
    return policy.decide(read_sources(sources, policy.catalogs).request)


def _parted(degree: str) -> tuple[str, str, str]:
    return degree.partition("=")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", DEPLOYMENTS, ids=lambda case: str(case["id"]))
def test_a_published_deployment_is_decided_as_it_went(case: dict[str, Any], policy: Policy) -> None:
    decided = decide(policy, case)
    if "failed" in case:
        assert decided.refusal is not None, decided.explanation
        assert decided.refusal.requirement == case["failed"], decided.explanation
        return
    assert decided.plan is not None, decided.explanation
    server = case["server"]
    known = set(OPTIONS[server][max(OPTIONS[server], key=numbers)])
    starting = [words for words in commands(FORMS[server], decided) if STARTS & {*words}]
    assert starting
    for words in starting:
        first = next(at for at, word in enumerate(words) if word in STARTS)
        assert flags(words[first:]).keys() <= known


def test_both_ways_are_there() -> None:
    failed = [case for case in DEPLOYMENTS if "failed" in case]
    assert len(failed) >= 10
    assert len(DEPLOYMENTS) - len(failed) >= 50
