"""Measure decisions per second of each CEL runtime and of a hand-written Python planner.

    python benchmarks/decide.py [--seconds 2]

All planners decide the same requests: a sample of the reference data, and large inventories. The time covers
`policy.decide(request)`: coercion, catalogs, evaluation, the plan and its warnings.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import json
import multiprocessing
import random
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))

import engine  # noqa: E402
from benchmarks.handwritten import plan as handwritten_plan  # noqa: E402
from tests.support.runtimes import RUNTIMES  # noqa: E402

PLANS = TOP / "tests" / "data" / "reference" / "plans.jsonl.gz"


def reference_requests(count: int) -> list[engine.Request]:
    with gzip.open(PLANS, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return [engine.Request.from_dict(line) for line in random.Random(1).sample(lines, count)]


def wide_request(devices: int) -> engine.Request:
    """Return a request with GPUs without a switch and a model that needs most of them: a pipeline."""
    return engine.Request.from_dict(
        {
            "inventory": {"devices": [{"kind": "CudaGpu", "count": devices, "memory": "80GiB"}]},
            "model": {"params": devices * 25_000_000_000},
            "quantization": "bf16",
        }
    )


def rego_seconds(devices: int, seconds: float) -> float | None:
    """Median seconds of the same choice in Rego (sharding.rego), by regopy; without a plan and words.

    In a process of its own: regopy and C++ CEL can't be used in one. None where regopy isn't installed.
    """
    if find_spec("regopy") is None:
        return None
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_rego_seconds, devices, seconds).result()


def _rego_seconds(devices: int, seconds: float) -> float:
    from regopy import Interpreter

    interpreter = Interpreter()
    interpreter.add_module("sharding", (TOP / "benchmarks" / "sharding.rego").read_text(encoding="utf-8"))

    def decide(request: engine.Request) -> Any:
        inventory, model = request.inventory, request.model
        assert inventory is not None
        assert model is not None
        interpreter.set_input(
            {
                "devices": [
                    {"kind": each.kind, "memory_bytes": each.memory_bytes, "available": each.available}
                    for each in inventory.devices
                ],
                "interconnects": [],
                "params": model.params,
                "bits": 16,
            }
        )
        return interpreter.query("data.sharding.decision")

    request = wide_request(devices)
    assert '"pipeline-parallel"' in str(decide(request))
    return per_decision(decide, [request], seconds)


def per_decision(
    decide: Callable[[engine.Request], Any], requests: list[engine.Request], seconds: float
) -> float:
    """Median seconds of one decision, over rounds through all requests."""
    for request in requests:
        decide(request)
    rounds: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(rounds) < 3:
        start = time.perf_counter()
        for request in requests:
            decide(request)
        rounds.append((time.perf_counter() - start) / len(requests))
    return statistics.median(rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each figure")
    seconds = parser.parse_args().seconds

    policy = engine.load_policy("sharding@1.0.0")
    planners: dict[str, Callable[[engine.Request], Any]] = {"hand-written Python": handwritten_plan}
    for name in RUNTIMES:
        planners[name] = lambda request, name=name: policy.decide(request, runtime=name)

    requests = reference_requests(100)
    sizes = [len(request.inventory.devices) for request in requests if request.inventory]
    workloads = {
        f"reference, {statistics.mean(sizes):.1f} devices": requests,
        **{f"{devices:,} devices": [wide_request(devices)] for devices in (5, 14, 1_000, 10_000)},
    }
    for decide in planners.values():
        for request in (requests[0], workloads["14 devices"][0]):
            plan = getattr(decide(request), "plan", None) or decide(request)
            assert replace(plan, warnings=()) == handwritten_plan(request)

    print(f"{'':26}{'decisions/s':>14}{'one decision':>16}{'times the floor':>18}")
    for title, work in workloads.items():
        # As a server does when it has started: what stays is not looked at with every collection.
        gc.collect()
        gc.freeze()
        print(title)
        floor = None
        for name, decide in planners.items():
            if title.startswith("10,000") and name.startswith("cel-"):
                continue  # minutes
            took = per_decision(decide, work, seconds)
            floor = floor or took
            print(line(name, took, floor))
        devices = work[0].inventory.devices if len(work) == 1 and work[0].inventory else ()
        if 0 < len(devices) <= 1_000 and (took_rego := rego_seconds(len(devices), seconds)):
            print(line("regopy", took_rego, floor or took_rego))


def line(name: str, took: float, floor: float) -> str:
    """A row of the table."""
    return f"  {name:24}{1 / took:>14,.0f}{took * 1e6:>13,.1f} µs{took / floor:>18,.1f}"


if __name__ == "__main__":
    main()
