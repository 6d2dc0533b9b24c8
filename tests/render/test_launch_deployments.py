"""Published deployments that ran: each has a command for its server, with options that the server knows."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

import engine
from engine.catalogs.servers import numbers
from engine.decide.policy import Policy, load_policy
from engine.decide.sources import Sources, read_sources
from tests.conftest import DATA, TOP
from tests.render.launching import commands, flags, render
from tests.render.test_launch_options import OPTIONS

REFERENCE = TOP.parent / "shared" / "reference"
FILE = REFERENCE / "deployments2.yaml"
SERVERS = {
    "vllm": ("vllm", "vllm"),
    "sglang": ("sglang", "sglang"),
    "trtllm": ("tensorrt-llm", "trtllm-serve"),
    "llama.cpp": ("llama.cpp", "llama.cpp"),
    "mlx": ("mlx", "mlx_lm.server"),
}
"""Names of servers and of targets, by engine."""
FORMS = dict(SERVERS.values())
"""Targets by server."""

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="the shared reference data is not there")


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy("sharding@3")


def ran() -> list[dict[str, Any]]:
    """Return the deployments that ran."""
    if not FILE.exists():
        return []
    deployments = yaml.safe_load(FILE.read_text(encoding="utf-8"))["deployments"]
    return [case for case in deployments if case["outcome"] == "ran"]


def decide(
    policy: Policy, case: dict[str, Any], *, server: bool = True, pinned: bool = True
) -> engine.Decision:
    """Decide a deployment, with its server named and its degrees pinned unless told otherwise."""
    inventory = case["inventory"]
    serving = {name: case[name] for name in LENGTHS if case.get(name)}
    if server:
        serving["server"] = SERVERS[case["engine"]][0]
    if "kv fp8" in case["features"]:
        serving["kv_dtype"] = "fp8"
    sources = Sources(
        inventory=str(REFERENCE / inventory) if (REFERENCE / inventory).exists() else inventory,
        model=case.get("catalog_name") or str(REFERENCE / case["config"]),
        quantization=case["precision"],
        memory=MEMORY.get(case["id"]),
        serving=serving,
        pin={name: case[short] for name, short in DEGREES.items()} if pinned else {},
    )
    return policy.decide(read_sources(sources, policy.catalogs).request)


LENGTHS = ("context", "input_tokens", "output_tokens", "concurrency")
DEGREES = {
    "tensor_parallel": "tp",
    "pipeline_parallel": "pp",
    "data_parallel": "dp",
    "expert_parallel": "ep",
}
MEMORY = {"kubis-gptoss120b-2spark-tp2": "120GiB"}
"""Memory of devices whose product may be unknown."""


@pytest.mark.parametrize("case", ran(), ids=lambda case: case["id"])
def test_deployment_that_ran_has_a_command(case: dict[str, Any], policy: Policy) -> None:
    decided = decide(policy, case)
    assert decided.plan is not None, decided.explanation
    server, form = SERVERS[case["engine"]]
    assert render(form, decided)
    starting = [words for words in commands(form, decided) if any(word in STARTS for word in words)]
    assert starting
    newest = set(OPTIONS[server][max(OPTIONS[server], key=numbers)])
    for words in starting:
        first = next(position for position, word in enumerate(words) if word in STARTS)
        found = flags(words[first:])
        assert found.keys() <= newest
        check_values(form, found)
        assert context_of(found) is not None or case["context"] is None or form == "mlx_lm.server"
    check_degrees(case, form, [flags(words) for words in starting])


@pytest.mark.parametrize("server", [True, False], ids=["named", "usual"])
@pytest.mark.parametrize("case", ran(), ids=lambda case: case["id"])
def test_deployment_planned_freely_has_a_command(case: dict[str, Any], server: bool, policy: Policy) -> None:
    decided = decide(policy, case, server=server, pinned=False)
    if decided.plan is None:  # what ran on its own server may not fit the usual one
        assert not server, decided.explanation
        assert decided.remedies
        return
    assert any(STARTS & {*words} for words in commands(FORMS[decided.plan.server or "vllm"], decided))


def check_values(form: str, found: dict[str, str | None]) -> None:
    """Check the values of options against types and choices in the server's parser, if these are known."""
    file = DATA / "launch" / f"{form}.json"
    if not file.exists():
        return
    known = json.loads(file.read_text(encoding="utf-8"))["flags"]
    for name, value in found.items():
        described = known[name]
        assert described["value"] is (value is not None), name
        assert "choices" not in described or value in described["choices"], name
        assert described.get("type") != "int" or str(value).isdigit(), name
        assert described.get("type") != "float" or float(str(value)) > 0, name


STARTS = frozenset({"vllm", "sglang.launch_server", "trtllm-serve", "llama-server", "mlx_lm.server"})


def context_of(found: dict[str, str | None]) -> str | None:
    """Return the context length among the options of any server."""
    names = ("--max-model-len", "--context-length", "--max_seq_len", "-c")
    return next((found[name] for name in names if name in found), None)


def check_degrees(case: dict[str, Any], form: str, found: list[dict[str, str | None]]) -> None:
    """Check the degrees in commands against those of the deployment."""

    def degree(name: str, position: int = 0) -> int:
        return int(found[position].get(name) or 1)

    ranks = case["tp"] * case["dp"]
    if form == "sglang":
        replicas = 1 if "--enable-dp-attention" in found[0] else degree("--dp-size")
        nodes = degree("--nnodes")
        assert degree("--tp-size") * replicas * len(found) // nodes == ranks
        assert degree("--pp-size") == case["pp"]
        assert degree("--ep-size") == case["ep"]
    elif form == "vllm":
        assert degree("--tensor-parallel-size") == case["tp"]
        assert degree("--pipeline-parallel-size") == case["pp"]
        assert ("--enable-expert-parallel" in found[0]) == (case["ep"] > 1)
        joined = "--nnodes" in found[0] or "--data-parallel-address" in found[0]
        assert degree("--data-parallel-size") * (1 if joined else len(found)) == case["dp"]
    elif form == "trtllm-serve":
        assert degree("--tp_size") * len(found) == ranks
        assert (degree("--pp_size"), degree("--ep_size")) == (case["pp"], case["ep"])
