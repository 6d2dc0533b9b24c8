"""Measure the cost of questions about capacity: decisions and surveys, and CPU time.

    python benchmarks/sizing.py [--against COMMAND]

`--against` runs `engine size` for one machine and another tool's command by turns, and compares their CPU and
wall-clock times: `--against "aiconfigurator cli default --model-path Qwen/Qwen3-32B --total-gpus 8 --system
h200_sxm --backend trtllm --isl 1024 --osl 512 --ttft 1000 --tpot 40 --serving-mode agg"`.
"""

from __future__ import annotations

import argparse
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from engine.decide.capacity.frontier import frontier
from engine.decide.capacity.machines import read_offers
from engine.decide.capacity.regions import parse_span, plan_map
from engine.decide.capacity.sizing import size
from engine.decide.goals import parse_slo
from engine.decide.policy import load_policy
from engine.decide.request import Request
from engine.decide.sources import Sources, read_sources

POLICY = load_policy("sharding")
MACHINES = "8xH100-SXM,4xL40S,8xMI300X,8xB200-SXM,8xA100-SXM-80GB,8xH200-SXM"
GOALS = parse_slo("ttft=1s,tpot=40ms")
SIZE = (
    "size --model qwen3-32b --quantization bf16 --input-tokens 1024 --output-tokens 512 "
    "--slo ttft=1s,tpot=40ms --on 8xH200-SXM"
)
RUNS = 3


class Counter:
    """Counts decisions and surveys of the policy."""

    def __init__(self) -> None:
        self.count = 0
        for name in ("survey", "_decide"):
            setattr(POLICY, name, self.counted(getattr(POLICY, name)))

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that counts its calls."""

        def call(*arguments: Any) -> Any:
            self.count += 1
            return function(*arguments)

        return call


def request(model: str, inventory: str | None = None, **serving: object) -> Request:
    """Return a request in fp8."""
    sources = Sources(model=model, quantization="fp8", inventory=inventory, serving=serving)
    return read_sources(sources, POLICY.catalogs).request


def measure(counter: Counter, question: Callable[[], object]) -> tuple[int, float]:
    """Return the decisions that a question takes, and the least CPU time of some runs in seconds."""
    question()
    times = []
    for _ in range(RUNS):
        counter.count = 0
        start = time.process_time()
        question()
        times.append(time.process_time() - start)
    return counter.count, min(times)


def questions() -> dict[str, Callable[[], object]]:
    """Return the questions by name."""
    offers = read_offers(MACHINES, POLICY.catalogs)
    rate = {**GOALS, "request_rate": 20.0}
    dense, moe = request("llama-3.1-70b", **rate), request("deepseek-v3", **rate)
    limited = request("llama-3.1-70b", "8xH100-SXM", **GOALS)
    x, y = parse_span("context=1k..128k"), parse_span("concurrency=1..512")
    plain = request("llama-3.1-70b", "8xH100-SXM")
    return {
        "`eval --slo`, 70B on 8 H100": lambda: POLICY.decide(limited),
        "`size`, 70B over 6 machines of 4 to 8 devices": lambda: size(POLICY, dense, offers),
        "`size`, DeepSeek-V3 over the same": lambda: size(POLICY, moe, offers),
        "`frontier`, 70B on 8 H100": lambda: frontier(POLICY, limited, "8xH100-SXM"),
        "`map`, 70B on 8 H100": lambda: plan_map(POLICY, plain, x, y, "8xH100-SXM"),
    }


def timed(command: list[str]) -> tuple[float, float]:
    """Return the CPU and the wall-clock time of a command in seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - start


def compare(other: list[str]) -> None:
    """Print the times of `engine size` and of another tool's command, run by turns."""
    commands = {"engine size": [sys.executable, "-m", "engine.cli.main", *shlex.split(SIZE)], other[0]: other}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for turn in range(RUNS + 1):
        for name, command in commands.items():
            taken = timed(command)
            if turn:  # the first turn fills caches
                times[name].append(taken)
    for name, taken_times in times.items():
        cpu, wall = (statistics.median(column) for column in zip(*taken_times, strict=True))
        print(f"{name}: {cpu:.2f} s CPU, {wall:.2f} s")


def main() -> None:
    """Print a table, and the comparison if there is one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", metavar="COMMAND")
    against = parser.parse_args().against
    counter = Counter()
    print("| question | decisions or surveys | CPU time |\n|---|--:|--:|")
    for name, question in questions().items():
        count, seconds = measure(counter, question)
        print(f"| {name} | {count:,} | {seconds:.2f} s |")
    if against:
        compare(shlex.split(against))


if __name__ == "__main__":
    main()
