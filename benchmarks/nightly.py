"""The properties of searched plans, on many more drawn requests than the tests try.

    python benchmarks/nightly.py [examples]

10,000 of each unless told otherwise; exit code 1 where one fails, with the request that it fails on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent


def main() -> int:
    examples = sys.argv[1] if len(sys.argv) > 1 else "10000"
    # That the runtimes agree takes half a second an example, and is for the tests.
    command = [sys.executable, "-m", "pytest", "-q", "tests/plan/test_search.py", "-k", "not runtimes"]
    return subprocess.run(command, cwd=TOP, env={**os.environ, "ENGINE_EXAMPLES": examples}).returncode


if __name__ == "__main__":
    sys.exit(main())
