"""Policies with other constants: what a search does not read is not tried, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

import engine
from engine.fastpath.linked import PolicyProgram
from engine.regress import variants
from engine.regress.sensitivity import explain
from engine.regress.variants import ConstantExperiment

REQUEST = {
    "inventory": {"devices": [{"kind": "CudaGpu", "name": "L4", "memory": "23034MiB"}]},
    "model": {"params": "8B", "layers": 32, "hidden_size": 4096, "attention_heads": 32, "kv_heads": 8},
    "quantization": "bf16",
}


@pytest.mark.slow
def test_constants_that_are_not_read_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, request = engine.load_policy("sharding@2"), engine.Request.from_dict(REQUEST)
    quick = explain(policy, request).to_dict()
    tried: list[str] = []
    decide = ConstantExperiment.decide

    def counting(experiment: ConstantExperiment, name: str, value: object) -> engine.Decision:
        tried.append(name)
        return decide(experiment, name, value)

    monkeypatch.setattr(ConstantExperiment, "decide", counting)
    explain(policy, request)
    quickly = set(tried)
    monkeypatch.setattr(variants, "reads", lambda program, request: None)
    assert explain(policy, request).to_dict() == quick
    assert quickly < set(tried)


def test_an_error_at_some_value_is_the_interpreter_s() -> None:
    policy, request = engine.load_policy("sharding@2"), engine.Request.from_dict(REQUEST)
    prepared, _ = policy.prepared(request)
    experiment = ConstantExperiment(policy, frozenset({"most_candidates"}), prepared)
    assert experiment.decide("most_candidates", 4000).feasible
    with pytest.raises(engine.EvaluationError):
        experiment.decide("most_candidates", 0)
    assert experiment.decide(
        "most_candidates", policy.compiled.constants["most_candidates"].value
    ) == policy.decide(request)


def test_a_program_with_open_constants_is_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "times.yaml"
    file.write_text(
        "apiVersion: engine/v1\nkind: Policy\nname: times\nversion: 1.0.0\ninputs: [{name: n, type: int}]\n"
        "constants:\n  factor: {value: 2, unit: ratio, description: x}\n"
        "  offset: {value: 1, unit: ratio, description: x}\n"
        "rule: {match: [{output: n * constants.factor + constants.offset}]}\n"
    )
    names = frozenset({"factor"})
    made = engine.load_policy(str(file)).opened(names)
    monkeypatch.setattr("engine.fastpath.artifact.image", lambda *_: pytest.fail("compiled again"))
    policy = engine.load_policy(str(file))
    program = PolicyProgram(policy.opened(names))
    assert program.image == made
    program.namespace[variants.constant_name("factor")] = 3
    assert program.run({"n": 7}, 1000)[1][2] == 22  # type: ignore[index]
    assert policy.decide(engine.Request.from_inputs({"n": 7})).output == 15
    with pytest.raises(pytest.fail.Exception):
        policy.opened(frozenset({"offset"}))
