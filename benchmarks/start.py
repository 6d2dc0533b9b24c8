"""Measure the start-up time of `engine eval` relative to a bare interpreter, and its peak memory.

    python benchmarks/start.py [--times 21] [--cpu]

`--cpu` measures CPU time (user and system) instead of wall-clock time, for machines busy with other work.

Run it in an environment with a regular (not editable) install: only then are modules precompiled and policies
part of the wheel.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
ENGINE = str(Path(sys.executable).parent / "engine")
INVENTORY = TOP / "examples" / "8x-a100.yaml"
MODEL = ("--params", "70B", "--quantization", "bf16")
REQUEST = """{"inventory": {"devices": [{"kind": "CudaGpu", "count": 8, "memory": "80GiB"}],
"interconnects": [{"kind": "NVSwitch", "bandwidth_gbps": 600}]}, "model": {"params": "70B"},
"quantization": "bf16"}"""


def seconds(command: list[str], times: int, environment: dict[str, str], *, cpu: bool = False) -> float:
    """Return the median duration, or CPU time, of a number of runs."""
    clock = cpu_seconds if cpu else time.perf_counter
    durations = []
    for _ in range(times):
        start = clock()
        subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=True)
        durations.append(clock() - start)
    return statistics.median(durations)


def cpu_seconds() -> float:
    """Return the CPU time of all finished child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=21, help="runs for each figure")
    parser.add_argument("--cpu", action="store_true", help="measure CPU time instead of wall-clock time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder) / "request.json"
        request.write_text(REQUEST)
        environment = {**os.environ, "ENGINE_CACHE": str(Path(folder) / "cache")}
        asked = ["--inventory", str(INVENTORY), *MODEL]
        own = ["--policies", str(TOP / "policies")]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "python -I -S -c pass": [sys.executable, "-I", "-S", "-c", "pass"],
            "python -c 'import yaml, json'": [sys.executable, "-c", "import yaml, json"],
            "eval, JSON in, JSON out": [ENGINE, "eval", "--request", str(request), "--format", "json"],
            "eval, YAML in, JSON out": [ENGINE, "eval", *asked, "--format", "json"],
            "eval, YAML in, text out": [ENGINE, "eval", *asked],
            "eval, shorthand, text out": [ENGINE, "eval", "--inventory", "8xA100-SXM", *MODEL],
            "eval, own policies, cached": [ENGINE, "eval", *asked, "--format", "json", *own],
            "eval, own policies, no cache": [ENGINE, "eval", *asked, "--format", "json", *own, "--no-cache"],
        }
        floor = None
        for title, command in commands.items():
            subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=True)
            took = seconds(command, options.times, environment, cpu=options.cpu)
            floor = floor or took
            print(f"{title:32}{took * 1e3:8.1f} ms{took / floor:8.1f} x")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"peak memory of the largest: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
