"""`engine.decide`: one decision in one call, with the words of the command line."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

from engine.base.errors import RequestError
from engine.cel.runtimes.registry import RUNTIMES
from engine.decide.decision import Decision
from engine.decide.goals import check_policy, goal_fields
from engine.decide.policy import Policy, load_policy
from engine.decide.request import Request
from engine.decide.sources import Sources, memory_bytes, parse_pin, read_sources
from engine.documents import validate
from engine.inventory import Inventory
from engine.model import Model

FilePath = os.PathLike[str] | str
Objective = Literal["balanced", "latency", "throughput", "economy", "cost"]
_Source = TypeVar("_Source")
_NAMES = {"input": "inputs"}


def decide(
    *,
    inventory: Inventory | Mapping[str, object] | FilePath | None = None,
    model: Model | Mapping[str, object] | FilePath | None = None,
    params: int | str | None = None,
    quantization: str | None = None,
    memory: int | str | None = None,
    context: int | None = None,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    concurrency: int | None = None,
    utilization: float | None = None,
    server: str | None = None,
    kv_dtype: str | None = None,
    batched_tokens: int | None = None,
    prefix_cache_hit_rate: float | None = None,
    speculative: str | None = None,
    speculative_tokens: int | None = None,
    acceptance_length: float | None = None,
    draft_model: str | None = None,
    max_loras: int | None = None,
    max_lora_rank: int | None = None,
    language_model_only: bool | None = None,
    host_memory: int | str | None = None,
    objective: Objective | None = None,
    slo: str | Mapping[str, object] | None = None,
    rate: str | float | None = None,
    pin: Mapping[str, int] | str | None = None,
    request: Request | Mapping[str, object] | FilePath | None = None,
    inputs: Mapping[str, object] | FilePath | None = None,
    policy: Policy | FilePath = "sharding",
    policies: FilePath | Sequence[FilePath] = (),
    constants: Mapping[str, object] | None = None,
    explain: bool = False,
    runtime: str = RUNTIMES[0],
    use_cache: bool = True,
) -> Decision:
    """Decide one request: what `engine eval` does, in one call.

    A path may be "-" for standard input. Values that are passed win over those in `request` or `inputs`.
    Remarks on how an inventory was understood are issued as warnings.

    Args:
        inventory: the devices: `"8xH100-SXM"`, a file (YAML, JSON, output of nvidia-smi …), a mapping or an
            `Inventory`.
        model: the model: `"llama-3.1-70b"`, a file or folder (YAML, config.json, weights), a mapping or a
            `Model`.
        params: the parameter count instead of a model: `"70B"` or `70_000_000_000`.
        quantization: `"bf16"`, `"fp8"`, `"int4"` …, or `"auto"`.
        memory: memory per device, if the inventory omits it: `"80GiB"` or a number of bytes.
        context: tokens of the longest request, including its output.
        input_tokens: input tokens of a typical request.
        output_tokens: output tokens of a typical request.
        concurrency: concurrent requests, over all replicas.
        utilization: fraction of device memory to use, from 0 to 1.
        server: the model server that must run the plan: `"vllm"`, `"sglang"`, or with a version for launch
            commands, `"vllm@0.33"`.
        kv_dtype: the KV cache type: `"fp8"`, `"q8_0"` …; by default the checkpoint's.
        batched_tokens: tokens per forward pass (chunked prefill); by default the server's.
        prefix_cache_hit_rate: share of prompt tokens that the prefix cache has, from 0 to 1.
        speculative: method of speculative decoding: `"mtp"`, `"eagle3"`, `"draft_model"`, `"ngram"` …
        speculative_tokens: tokens drafted per step; by default the method's.
        acceptance_length: mean tokens that a step yields, the model's own included; by default no drafted
            token is accepted.
        draft_model: the model or head that drafts, by name, file or folder.
        max_loras: LoRA adapters that a batch may use.
        max_lora_rank: highest rank of these adapters; by default 16.
        language_model_only: leave out the model's towers for images, video and audio.
        host_memory: memory of a machine, for weights that fit nowhere else: `"128GiB"` or a number of bytes.
        objective: what to optimize for.
        slo: latency limits: `"ttft=1s,tpot=40ms,p99"`, or `{"ttft": "1s", "tpot": 40, "percentile": 99}` with
            numbers in milliseconds. Without a concurrency, the largest that meets them is found.
        rate: requests to serve: `"20/s"`, or a number of requests per second; instead of a concurrency.
        pin: fixed parallel degrees: `"tp=8,pp=2"` or `{"tensor_parallel": 8}`.
        request: a whole request, or a file with one.
        inputs: inputs of a policy on any subject by name, or a file with them.
        policy: a loaded policy, `"name"`, `"name@1"`, `"name@1.0.0"`, or a policy's file.
        policies: folders of policies and catalogs that take precedence over the shipped ones.
        constants: other values of the policy's constants, for this decision: `{"default_utilization": 0.85}`.
        explain: record a trace of what was evaluated.
        runtime: the CEL runtime.
        use_cache: use the cache of compiled policies.

    Returns:
        The decision. It has no plan if nothing fits; that is not an error.

    Raises:
        TypeError: two arguments exclude each other.
        DocumentError: a file can't be read.
        PolicyError: the policy doesn't exist or doesn't compile.
        RequestError: an input is missing or invalid; with its place if it comes from a file.
        EvaluationError: an expression of the policy ended in an error.
        RuntimeUnavailableError: the runtime isn't installed.
    """
    serving = {
        "context": context,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "concurrency": concurrency,
        "utilization": utilization,
        "server": server,
        "kv_dtype": kv_dtype,
        "batched_tokens": batched_tokens,
        "prefix_cache_hit_rate": prefix_cache_hit_rate,
        "speculative": speculative,
        "speculative_tokens": speculative_tokens,
        "acceptance_length": acceptance_length,
        "draft_model": draft_model,
        "max_loras": max_loras,
        "max_lora_rank": max_lora_rank,
        "language_model_only": language_model_only,
        "host_memory_bytes": None if host_memory is None else memory_bytes(host_memory, "host_memory"),
        "objective": objective,
        **goal_fields(slo, rate),
    }
    sources = Sources(
        inventory=_source(inventory),
        model=_source(model),
        params=params,
        quantization=quantization,
        request=_source(request),
        input=_source(inputs),
        memory=memory,
        serving={name: value for name, value in serving.items() if value is not None},
        pin=_pin(pin),
    )
    conflict = sources.conflict()
    if conflict is not None:
        first, second = (_NAMES.get(name, name) for name in conflict)
        raise TypeError(f"{first} and {second} exclude each other; pass one of them")
    if sources.reads_standard_input_twice():
        raise TypeError("standard input (-) can be read only once")
    problems = validate({name: dict(getattr(sources, name)) for name in ("serving", "pin")}, "request")
    if problems:
        raise RequestError(problems)
    folders = [policies] if isinstance(policies, (str, os.PathLike)) else list(policies)
    loaded = policy
    if not isinstance(loaded, Policy):
        names = [os.fspath(folder) for folder in folders]
        loaded = load_policy(os.fspath(loaded), names, constants=constants, use_cache=use_cache)
    elif constants:
        raise TypeError("constants belong to load_policy if the policy is loaded already")
    if slo is not None or rate is not None:
        check_policy(f"{loaded.name}@{loaded.version}", reads=loaded.reads("serving"))
    located = read_sources(sources, loaded.catalogs, note=_warn, hint=_hint)
    with located.located():
        return loaded.decide(located.request, explain=explain, runtime=runtime)


def _source(source: _Source | os.PathLike[str]) -> _Source | str:
    """Return a path as text, anything else as it is."""
    return os.fspath(source) if isinstance(source, os.PathLike) else source


def _pin(pin: Mapping[str, int] | str | None) -> Mapping[str, int]:
    if not isinstance(pin, str):
        return pin or {}
    try:
        return parse_pin(pin)
    except ValueError as error:
        raise RequestError(f"pin: {error}", path=("pin",)) from None


def _hint(name: str) -> str:
    known = name in ("inventory", "model", "quantization")
    return f"pass {name}=…" if known else f'pass inputs={{"{name}": …}}'


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=4)
