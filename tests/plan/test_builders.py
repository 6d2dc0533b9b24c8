"""Every builder: its example makes a plan, on the fast path and in the interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import engine
from engine.plan import BUILDERS

REQUEST = {"inventory": {"devices": [{"kind": "CudaGpu", "memory": "80GiB", "count": 4}]}}


@pytest.mark.parametrize("name", BUILDERS)
def test_builder_example_makes_the_same_plan_by_both_implementations(name: str, tmp_path: Path) -> None:
    document = {
        "apiVersion": "engine/v1",
        "kind": "Policy",
        "name": "example",
        "version": "1.0.0",
        "inputs": [{"name": "inventory", "type": "Inventory"}],
        "rule": {"match": [{"id": "example", "plan": yaml.safe_load(BUILDERS[name].example)}]},
    }
    assert document["rule"]["match"][0]["plan"]["builder"] == name
    file = tmp_path / "example.yaml"
    file.write_text(yaml.safe_dump(document))
    policy = engine.load_policy(str(file))
    request = engine.Request.from_dict(REQUEST)
    decision = policy.decide(request)
    assert decision.outcome == "plan"
    assert decision.plan == policy.decide(request, explain=True).plan


@pytest.mark.parametrize("name", BUILDERS)
def test_builder_describes_itself_and_its_parameters(name: str) -> None:
    signature = BUILDERS[name].signature
    assert signature.name == name
    parameters = [*signature.parameters.values(), *signature.results.values()]
    assert all(
        text.endswith(".") for text in (signature.description, *(each.description for each in parameters))
    )


def test_builder_unknown_name_raises() -> None:
    with pytest.raises(KeyError):
        BUILDERS["sideways"]
