"""What a token costs and what a device holds, by hand: the arithmetic of sharding 2.0.0 over plain numbers.

It shares nothing with the policy but the published facts that both start from.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

GIB = 2**30
BITS = {"fp32": 32.0, "bf16": 16.0, "fp8": 8.0, "int8": 8.0, "int4": 4.15625, "mxfp4": 4.25}


@dataclass(frozen=True)
class Chip:
    """A device: GB/s of its memory and the part of it that decoding gets, TFLOP/s, and its fabric."""

    memory: int
    bandwidth: float
    tflops: float
    efficiency: float = 0.82
    fast: bool = False
    allreduce_us: float = 20.0
    link: float = 25.0


CHIPS = {
    "H100-SXM": Chip(81559 * 2**20, 3350.0, 989.0, 0.9, True, 3.5, 450.0),
    "A100-SXM": Chip(81920 * 2**20, 2039.0, 312.0, 0.74, True, 9.5, 300.0),
    "RTX-4090": Chip(24564 * 2**20, 1008.0, 165.0),
    "MI300X": Chip(196592 * 2**20, 5300.0, 1307.0, 0.82, True, 10.0, 448.0),
}


@dataclass(frozen=True)
class Expected:
    """By stage the bytes of a device; milliseconds; tokens a second of all."""

    stage_bytes: tuple[int, ...]
    parts_ms: dict[str, float]
    first_token_ms: float
    saturated: float

    @property
    def token_ms(self) -> float:
        return sum(self.parts_ms.values())


def expected(
    model: dict[str, Any],
    chip: Chip,
    quantization: str,
    degrees: tuple[int, int, int, int],
    serving: dict[str, int],
    layers_of_stages: list[int],
    node_hops: int = 0,
) -> Expected:
    """Of equal devices; `layers_of_stages` is how a plan dealt the layers."""
    tensor, pipeline, data, expert = degrees
    layers, hidden = model["layers"], model["hidden_size"]
    byte = BITS[quantization] / 8
    embedding_byte = max(BITS[quantization], 16.0) / 8
    experts = model.get("experts", 0)
    routed = model.get("expert_params", 0)
    embedding = model["embedding_params"]
    tied = model.get("tied_embeddings", False)
    dense = (model["params"] - embedding - routed) * byte / layers
    routed_layer = routed * byte / layers
    active_routed = (
        max(model.get("active_params", model["params"]) - model["params"] + routed, 0) * byte / layers
    )
    table = embedding if tied else embedding / 2
    ranks = tensor * data if expert > 1 else tensor

    # What a device holds.
    requests = ceil(serving["concurrency"] / data)
    numbers = (
        model["latent_size"]
        if "latent_size" in model
        else 2 * ceil(model["kv_heads"] / tensor) * model["head_dim"]
    )
    window, windowed = model.get("sliding_window"), model.get("sliding_layers")

    def seen(tokens: float) -> float:
        if window is None or windowed is None:
            return tokens
        return ((layers - windowed) * tokens + windowed * min(tokens, window)) / layers

    cached = numbers * 2 * seen(serving["context"]) * requests
    layer = ceil(dense / tensor + routed_layer / ranks + cached)
    reserve = 3.0 + min(2048, serving["context"]) * hidden * 16 * 2 / GIB
    if tensor * pipeline * data > 1:
        reserve += 0.375
    stage_bytes = []
    for stage, count in enumerate(layers_of_stages):
        fixed = reserve * GIB
        if stage == 0:
            fixed += table * embedding_byte / tensor
        if stage == pipeline - 1 and not (stage == 0 and tied):
            fixed += table * embedding_byte / tensor
        stage_bytes.append(ceil(fixed) + count * layer)

    # What a token takes.
    rate = chip.bandwidth * 1e6 * chip.efficiency
    middle = serving["input_tokens"] + serving["output_tokens"] / 2
    if expert > 1:
        used = active_routed / (min(expert, model["experts_per_token"]) * (tensor * data // expert))
    else:
        used = active_routed / tensor
    weights = (dense / tensor + used) * layers / rate + table * embedding_byte / tensor / rate
    cache = numbers * 2 * seen(middle) * layers / rate
    overhead = layers * (40.0 + (11.0 if experts and routed else 0.0)) / 1000
    exchanged = layers * 2 * 2 * (tensor - 1) / tensor * hidden * 2 / (chip.link * 1e6 * 0.7)
    latency = layers * 2 * chip.allreduce_us / 1000 if tensor > 1 else 0.0
    hops = ((pipeline - 1 - node_hops) * 15.0 + node_hops * 30.0) / 1000
    parts = {
        "weights": weights,
        "kv_cache": cache,
        "overhead": overhead,
        "all_reduce": latency + exchanged,
        "hops": hops,
    }
    speed = chip.tflops * 1e9 * 0.5 * tensor
    work = 2.0 * model.get("active_params", model["params"])
    first = max(work * serving["input_tokens"] / speed, weights) + overhead + hops
    first += exchanged * serving["input_tokens"]
    more = routed_layer / ranks * min(1.0, requests * model.get("experts_per_token", 1) / max(experts, 1))
    batch_weights = weights + (more - active_routed / ranks) * layers / rate
    shared = min(pipeline, requests)
    step = max(max(batch_weights, weights) + cache * requests / shared, work * requests / (speed * shared))
    step += overhead + hops + latency + exchanged + exchanged * (requests - 1)
    # Each request brings a prompt once in all steps of its answer; stages read several at a time.
    step += requests / shared * first / serving["output_tokens"]
    return Expected(tuple(stage_bytes), parts, first, serving["concurrency"] * 1000 / step)
