"""Inject faults and run property tests on many examples: checks that take too long for the tests.

    python benchmarks/nightly.py [PART[=COUNT] ...]

Without arguments, run all parts with their default counts:

    search=10000     properties of searched plans on generated requests
    names=10000      names in every position of generated policies
    kills=200        batches killed at random times, and resumed
    writers=50       concurrent batches with one output
    disk=50          batches on a full disk (a tmpfs if it can be mounted)
    bombs            decompression bombs
    cache            damaged and foreign files in the cache
    processes        workers whose parent is killed
    hostile          policies made to be slow, huge or confusing
    renders=200      hostile names in every form that is printed
    threads=20000    decisions in eight threads, equal to those of one
    endurance=1000000  decisions of one process, in bounded memory

Prints tries and failures of each part; exits with 1 after a failure.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import faults

Part = Callable[[int], faults.Count]

PARTS: dict[str, tuple[int, Part]] = {
    # Comparing runtimes takes half a second per example; the tests do it.
    "search": (
        10_000,
        lambda count: faults.pytest("tests/plan/test_search.py", "-k", "not runtimes", examples=count),
    ),
    "names": (10_000, lambda count: faults.pytest(*_tests("names"), examples=count)),
    "kills": (200, faults.kills),
    "writers": (50, faults.writers),
    "disk": (50, faults.full_disk),
    "bombs": (1, lambda _: faults.pytest("tests/bulk/test_bombs.py")),
    "cache": (
        1,
        lambda _: faults.pytest(
            "tests/fastpath/test_artifact_cache.py", "tests/fastpath/test_cache_attacks.py"
        ),
    ),
    "processes": (1, lambda _: faults.pytest("tests/base/test_pool.py")),
    "hostile": (1, faults.hostile),
    "renders": (200, lambda count: faults.pytest("tests/render/test_printable.py", examples=count)),
    "threads": (20_000, faults.threads),
    "endurance": (1_000_000, faults.endurance),
}


def _tests(word: str) -> list[str]:
    """Return the test files whose name contains a word."""
    return sorted(str(path.relative_to(faults.TOP)) for path in faults.TOP.glob(f"tests/**/test_*{word}*.py"))


def main() -> int:
    wanted = dict(argument.partition("=")[::2] for argument in sys.argv[1:]) or dict.fromkeys(PARTS, "")
    # A lone number is the count of the part "search", for compatibility.
    wanted = {
        ("search" if name.isdigit() else name): (name if name.isdigit() else n) for name, n in wanted.items()
    }
    unknown = [name for name in wanted if name not in PARTS]
    if unknown or not all(count.isdigit() for count in wanted.values() if count):
        print(__doc__, file=sys.stderr)
        return 2
    lines, failures = [], 0
    for name, count in wanted.items():
        usual, part = PARTS[name]
        since = time.monotonic()
        found = part(int(count or usual))
        lines.append(faults.timed(name, found, since))
        print(lines[-1], flush=True)
        # A part without tries has tested nothing and counts as a failure.
        failures += found[1] or int(found[0] == 0)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
