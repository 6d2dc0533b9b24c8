"""How long `engine eval` takes as a process, in times of a bare interpreter, and its peak memory.

    python benchmarks/start.py [--times 21]

Run it with the Python of an environment that has the package installed, not in place: only then are its
modules compiled ahead and its policies inside the wheel.
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


def seconds(command: list[str], times: int, environment: dict[str, str]) -> float:
    """The median of so many runs."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=True)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=21, help="runs for each figure")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder) / "request.json"
        request.write_text(REQUEST)
        environment = {**os.environ, "ENGINE_CACHE": str(Path(folder) / "cache")}
        asked = ["--inventory", str(INVENTORY), *MODEL]
        own = ["--policies", str(TOP / "policies")]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "python -c 'import yaml, json'": [sys.executable, "-c", "import yaml, json"],
            "eval, JSON in, JSON out": [ENGINE, "eval", "--request", str(request), "--format", "json"],
            "eval, YAML in, JSON out": [ENGINE, "eval", *asked, "--format", "json"],
            "eval, YAML in, text out": [ENGINE, "eval", *asked],
            "eval, own policies, cached": [ENGINE, "eval", *asked, "--format", "json", *own],
            "eval, own policies, no cache": [ENGINE, "eval", *asked, "--format", "json", *own, "--no-cache"],
        }
        floor = None
        for title, command in commands.items():
            subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=True)
            took = seconds(command, times, environment)
            floor = floor or took
            print(f"{title:32}{took * 1e3:8.1f} ms{took / floor:8.1f} x")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"peak memory of the largest: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
