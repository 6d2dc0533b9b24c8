"""Measure a search: candidates per second of sharding 2.0.0 and 3.0.0, beside a hand-written loop.

    python benchmarks/search.py [--times 5] [--model 70B] [--concurrency 1] [--objective balanced]

All decide the same requests: 8, 1,024 and 10,000 equal devices, and 1,024 devices of 40 sizes. The time is
CPU time of `policy.decide(request)`, plan included, the best of some runs; on a machine that is busy with
other work it is still inflated, ratios less so. 2.0.0 evaluates all of every candidate; 3.0.0 is `lazy`.

The hand-written loop goes over the candidates that 3.0.0 judged, with the arithmetic of a planner that knows
one model, one server and one kind of device: bytes of weights and KV cache per device, time per output token,
five scores. It makes no plan, checks no divisibility, and explains nothing.
"""

from __future__ import annotations

import argparse
import gc
import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))

import engine  # noqa: E402
from engine.plan.search import builder  # noqa: E402

GIB = 2**30
LAYERS, HIDDEN, KV_HEADS, HEAD_DIM = 80, 8192, 8, 128
BARS = (
    ("3.0.0 over 2.0.0, candidates per second, 1,024 equal devices", 3.0, True),
    ("time of 1,024 equal devices over 8", 60.0, False),
    ("time of 10,000 equal devices over 1,024", 12.0, False),
    ("time of 1,024 devices of 40 sizes over equal ones", 5.0, False),
)


def request(count: int, sizes: int, model: str, serving: dict[str, Any]) -> engine.Request:
    """Return a request for that many H100s on nodes of 8, their memory of so many sizes."""
    devices = [
        {
            "kind": "CudaGpu",
            "device_id": number,
            "name": "NVIDIA H100 80GB HBM3",
            "memory": f"{80 - (number % sizes)}GiB",
            "node": f"node{number // 8}",
        }
        for number in range(count)
    ]
    joined = [{"kind": "NVSwitch", "bandwidth_gbps": 900}, {"kind": "InfiniBand", "bandwidth_gbps": 50}]
    return engine.Request.from_dict(
        {
            "inventory": {"devices": devices, "interconnects": joined},
            "model": {"params": model},
            "quantization": "bf16",
            "serving": serving,
        }
    )


def measured(work: Callable[[], object], times: int) -> float:
    """Return the least CPU time of some runs, in seconds."""
    best = math.inf
    for _ in range(times):
        gc.collect()
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def judged(policy: engine.Policy, asked: engine.Request) -> list[tuple[int, int, int, int, int]]:
    """Return degrees, budget and hops of the candidates that a search judges."""
    found: list[tuple[int, int, int, int, int]] = []
    original = builder._Search.judge_new

    def judge_new(self: Any, place: Any, candidate: Any) -> frozenset[str]:
        tensor, pipeline, data = candidate.degrees[:3]
        found.append((tensor, pipeline, data, candidate.stages[0]["budget_bytes"], candidate.values[-3]))
        return original(self, place, candidate)

    builder._Search.judge_new = judge_new  # type: ignore[method-assign]
    try:
        policy.decide(asked)
    finally:
        builder._Search.judge_new = original  # type: ignore[method-assign]
    return found


def handwritten(candidates: Sequence[tuple[int, int, int, int, int]], params: float, requests: int) -> object:
    """Return the best candidate: what a short loop by hand does."""
    best, best_scores = None, None
    layer_bytes = params * 2 / LAYERS
    for candidate in candidates:
        tensor, pipeline, data, budget, hops = candidate
        if HIDDEN % tensor:
            continue
        held = -(-LAYERS // pipeline)
        cache = 2 * max(1, KV_HEADS // tensor) * HEAD_DIM * 2 * 8192 * -(-requests // data)
        if held * (layer_bytes / tensor + cache) + 4 * GIB > budget:
            continue
        weights_ms = params * 2 / tensor / 3.35e12 / 0.8 * 1e3
        tpot = weights_ms + LAYERS * cache / 3.35e12 * 1e3 + LAYERS * 0.01 + hops * 0.02
        one = tensor * pipeline == 1
        preferred = 3.0 if one else 2.0 if pipeline == 1 and tensor <= 8 else 1.0
        scores = (preferred, tensor, -pipeline, data, -tpot)
        if best_scores is None or scores > best_scores:
            best, best_scores = candidate, scores
    return best


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=5, help="runs for each figure, of which the best counts")
    parser.add_argument("--model", default="70B", help="parameters of the model")
    parser.add_argument("--concurrency", type=int, default=1, help="requests in flight")
    parser.add_argument("--objective", default="balanced", help="objective of the request")
    options = parser.parse_args()
    serving = {"concurrency": options.concurrency, "objective": options.objective}
    params = float(options.model.removesuffix("B")) * 1e9
    policies = {version: engine.load_policy(f"sharding@{version}") for version in ("2.0.0", "3.0.0")}
    seconds: dict[tuple[str, str], float] = {}
    rates: dict[tuple[str, str], float] = {}
    print(f"{'devices':24}{'':14}{'candidates':>12}{'time':>12}{'candidates/s':>14}{'of the loop':>13}")
    for title, count, sizes in (
        ("8", 8, 1),
        ("1,024", 1024, 1),
        ("10,000", 10_000, 1),
        ("40 sizes", 1024, 40),
    ):
        asked = request(count, sizes, options.model, serving)
        candidates = judged(policies["3.0.0"], asked)
        times = options.times * (10 if count == 8 else 1)
        by_hand = partial(handwritten, candidates, params, options.concurrency)
        loop = len(candidates) / measured(by_hand, times)
        label = f"1,024 of {title}" if sizes > 1 else title
        print(f"{label:24}{'loop by hand':14}{len(candidates):12,}{'':12}{loop:14,.0f}")
        for version, policy in policies.items():
            found = policy.decide(asked).to_dict()["search"]["candidates"]
            took = measured(partial(policy.decide, asked), times)
            rate = found / took
            seconds[version, title], rates[version, title] = took, rate
            print(f"{'':24}{version:14}{found:12,}{took * 1e3:9.1f} ms{rate:14,.0f}{rate / loop:13.3f}")
    print()
    own = {title: seconds["3.0.0", title] for _, title in seconds}
    ratios = (
        rates["3.0.0", "1,024"] / rates["2.0.0", "1,024"],
        own["1,024"] / own["8"],
        own["10,000"] / own["1,024"],
        own["40 sizes"] / own["1,024"],
    )
    missed = 0
    for (what, bar, least), ratio in zip(BARS, ratios, strict=True):
        met = ratio >= bar if least else ratio <= bar
        missed += not met
        wanted = f"{'at least' if least else 'at most'} {bar:g}"
        print(f"{what:64}{ratio:7.1f}  ({wanted}){'' if met else '  MISSED'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
