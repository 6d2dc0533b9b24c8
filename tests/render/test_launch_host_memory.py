"""Weights in host memory: plans, and the options that servers get."""

from __future__ import annotations

import re
from typing import Any

import pytest

import engine
from engine.base.errors import RenderError, RequestError
from engine.render import Screen, find_target
from tests.conftest import Run


def decide(inventory: str, model: str, quantization: str, **asked: Any) -> engine.Decision:
    return engine.decide(
        inventory=inventory,
        model=model,
        quantization=quantization,
        context=8192,
        host_memory="96GiB",
        **asked,
    )


def render(target: str, decision: engine.Decision) -> str:
    found = find_target(target)
    assert found is not None
    return found.render(decision, Screen())


def test_vllm_takes_gib_per_device() -> None:
    decision = decide("1xRTX-4090", "llama-3.1-70b", "int4", server="vllm")
    assert decision.plan is not None
    assert decision.plan.estimates is not None
    kept = decision.plan.estimates.host_memory_bytes_per_device
    assert kept is not None
    (line,) = (line for line in render("vllm", decision).splitlines() if "cpu-offload" in line)
    given = float(line.split()[1])
    assert 0 <= given * 2**30 - kept < 0.01 * 2**30 + 1


def test_sglang_takes_whole_gib() -> None:
    decision = decide("1xRTX-4090", "llama-3.1-70b", "int4", server="sglang")
    assert re.search(r"--cpu-offload-gb \d+( |$)", render("sglang", decision), re.MULTILINE)


def test_llama_cpp_keeps_whole_layers() -> None:
    decision = decide("2xRTX-3090", "llama-3.1-70b", "int8")
    assert decision.plan is not None
    assert decision.plan.server == "llama.cpp"
    assert decision.plan.estimates is not None
    layers = decision.plan.estimates.host_layers
    assert layers
    assert f"-ngl {80 - layers} " in render("llama.cpp", decision)


def test_llama_cpp_keeps_experts_of_whole_layers() -> None:
    decision = decide("1xRTX-4090", "gpt-oss-120b", "mxfp4")
    assert decision.plan is not None
    assert decision.plan.estimates is not None
    text = render("llama.cpp", decision)
    assert f"--n-cpu-moe {decision.plan.estimates.host_layers} " in text
    assert "-ngl 999 " in text


def test_llama_cpp_keeps_experts_of_each_stage() -> None:
    decision = decide("2xRTX-3090", "gpt-oss-120b", "mxfp4")
    assert decision.plan is not None
    assert decision.plan.strategy.pipeline_parallel == 2
    assert decision.plan.estimates is not None
    each = (decision.plan.estimates.host_layers or 0) // 2
    first = [str(layer) for layer in (*range(each), *range(18, 18 + each))]
    assert f"-ot 'blk\\.({'|'.join(first)})\\.ffn_.*_exps.*=CPU'" in render("llama.cpp", decision)


def test_more_memory_is_never_in_the_host() -> None:
    decision = decide("8xH100-SXM", "llama-3.1-70b", "bf16")
    assert decision.plan is not None
    assert decision.plan.estimates is not None
    assert not decision.plan.estimates.host_memory_bytes
    assert "host_memory" not in decision.plan.estimates.to_dict()


def test_json_has_the_bytes() -> None:
    decision = decide("1xRTX-4090", "gpt-oss-120b", "mxfp4")
    assert decision.plan is not None
    assert decision.plan.estimates is not None
    kept = decision.plan.estimates.to_dict()["host_memory"]
    assert kept["bytes"] == kept["bytes_per_device"]
    assert kept["layers"] == decision.plan.estimates.host_layers


@pytest.mark.parametrize("target", ["ollama", "vllm", "trtllm-serve"])
def test_servers_that_keep_nothing_so(target: str) -> None:
    decision = decide("1xRTX-4090", "gpt-oss-120b", "mxfp4")
    with pytest.raises(RenderError, match="cannot keep weights in host memory as the plan does"):
        render(target, decision)


def test_a_size_is_checked(run: Run) -> None:
    asked = ("eval", "--inventory", "1xRTX-4090", "--params", "70B", "--quantization", "int4")
    assert "host memory  " in run(*asked, "--host-memory", "64GiB").out
    ran = run(*asked, "--host-memory", "64 tons")
    assert (ran.code, "host memory: '64 tons' is not a size" in ran.err) == (2, True)
    with pytest.raises(RequestError, match="host_memory: '64 tons' is not a size"):
        engine.decide(inventory="1xRTX-4090", params="8B", quantization="int4", host_memory="64 tons")


def test_a_size_has_a_unit(run: Run) -> None:
    ran = run("eval", "--inventory", "1xRTX-4090", "--model", "llama-3.1-70b", "--host-memory", "128")
    assert ran.code == 2
    assert "'128' has no unit; write 128GiB" in ran.err
