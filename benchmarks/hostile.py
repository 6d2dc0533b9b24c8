"""Run every policy of a folder under check, eval and eval --explain, and print CPU time and peak memory.

    python benchmarks/hostile.py FOLDER [--limit 5] [--memory 500] [--runtime NAME] [FILE…]

Exits with 1 if a run takes longer, needs more memory, or ends in something other than an answer or one
message (exit codes 0 to 2, no traceback).
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

_ENGINE = "import sys; from engine.cli.main import main; sys.exit(main())"
INPUT = '{"x": 3, "s": "abc"}'
KILL_AFTER = 20
"""Seconds of processor time."""
ADDRESS_SPACE = 4 << 30
"""Bytes."""


def commands(policy: Path, values: Path, runtime: str | None) -> dict[str, list[str]]:
    """The commands by name."""
    chosen = ["--runtime", runtime] if runtime else []
    evaluate = ["eval", "--policy", str(policy), "--input", str(values), "--no-cache", *chosen]
    return {
        "check": ["check", str(policy)],
        "eval": evaluate,
        "explain": [*evaluate, "--explain"],
    }


def run(arguments: list[str]) -> tuple[float, float, int, str]:
    """CPU seconds, peak MiB, exit code and output; the exit code is negative if it was killed."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _ENGINE, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_bound,
            env={**os.environ, "NO_COLOR": "1"},
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = usage.ru_utime + usage.ru_stime
        output.seek(0)
        text = output.read(100_000).decode("utf-8", "replace")
    return seconds, usage.ru_maxrss / 1024, process.returncode, text


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CPU, (KILL_AFTER, KILL_AFTER))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", nargs="*", help="names of files in the folder (default: all)")
    parser.add_argument("--limit", type=float, default=5.0, help="seconds of processor time a run may take")
    parser.add_argument("--memory", type=float, default=500.0, help="MiB a run may take")
    parser.add_argument("--runtime", help="the runtime of eval")
    parser.add_argument("--only", help="one of check, eval, explain")
    options = parser.parse_args()
    files = sorted(options.folder.glob("*.yaml"))
    files = [each for each in files if not options.files or each.name in options.files]
    tries = failures = 0
    with tempfile.TemporaryDirectory() as folder:
        values = Path(folder, "input.json")
        values.write_text(INPUT, encoding="utf-8")
        for policy in files:
            for name, arguments in commands(policy, values, options.runtime).items():
                if options.only not in (None, name):
                    continue
                seconds, memory, code, text = run(arguments)
                fine = (
                    seconds <= options.limit
                    and memory <= options.memory
                    and code in (0, 1, 2)
                    and "Traceback" not in text
                )
                tries, failures = tries + 1, failures + (not fine)
                mark = "  " if fine else "! "
                line = f"{mark}{policy.name:24} {name:8} {seconds:6.2f} s {memory:6.0f} MiB  exit {code:3}"
                print(line, repr(text.strip()[:90]), flush=True)
    print(f"{tries} runs, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
