"""CEL's policy suite: policies with environments and tests, and the functions that they call."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from engine.cel import library
from engine.cel.library import Library, add_library
from engine.cli.main import main

DATA = Path(__file__).resolve().parent.parent / "data" / "cel" / "policies.jsonl"
ERRORS = "compile_errors/"
"""What the names of policies begin with that must be refused."""

LIBRARY = Library(__name__, "Functions of the policy suite", source="tests")


@LIBRARY.function(
    "locationCode",
    "locationCode(string) -> string",
    description="The country of an address.",
    example="locationCode('10.0.0.1') == 'us'",
)
def location_code(address: str) -> str:
    """The country of an address, as the suite's tests have it."""
    return {"10.0.0.1": "us", "10.0.0.2": "de"}.get(address, "ir")


@LIBRARY.function(
    "hasCreditCard",
    "hasCreditCard(dyn) -> bool",
    description="True if a value of the map is a card's number.",
    example="hasCreditCard({'cc': '411111111111'})",
)
def has_credit_card(values: Any) -> bool:
    """True if a value of the map is a card's number."""
    return any(isinstance(each, str) and each.isdigit() and len(each) >= 12 for each in values.values())


@LIBRARY.function(
    "hasEmailOrPhone",
    "hasEmailOrPhone(dyn) -> bool",
    description="True if a value of the map is an email address or a phone number.",
    example="hasEmailOrPhone({'email': 'user@example.com'})",
)
def has_email_or_phone(values: Any) -> bool:
    """True if a value of the map is an email address or a phone number."""
    return any(isinstance(each, str) and ("@" in each or each.startswith("+")) for each in values.values())


def suite() -> list[dict[str, str]]:
    """The policies: name, and the texts of policy, config and tests."""
    return [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]


def write(entry: dict[str, str], folder: Path) -> Path:
    """Write a policy's files into a folder of its own, and return that."""
    own = folder / entry["name"]
    own.mkdir(parents=True)
    for part in ("policy", "config", "tests"):
        if part in entry:
            (own / f"{part}.yaml").write_text(entry[part], encoding="utf-8")
    return own


def answers() -> Iterator[tuple[str, int, str]]:
    """Yield each policy's name, the number of its tests, and what becomes of it."""
    with TemporaryDirectory() as folder, offered():
        for entry in suite():
            own, made = write(entry, Path(folder)), Path(folder) / "made" / entry["name"]
            said = io.StringIO()
            with redirect_stdout(said), redirect_stderr(said):
                code = main(["policies", "import", str(own), str(made)])
            if code:
                yield entry["name"], 0, said.getvalue().splitlines()[0].partition(f"{own}/")[2]
                continue
            tested = io.StringIO()
            with redirect_stdout(tested), redirect_stderr(tested):
                code = main(["test", str(made)])
            passed = re.search(r"^(\d+) passed", tested.getvalue(), re.MULTILINE)
            yield entry["name"], int(passed[1]) if passed else 0, "fails" if code else "passes"


@contextmanager
def offered() -> Iterator[None]:
    """Offer the functions of this module in a block."""
    add_library(__name__)
    try:
        yield
    finally:
        library._added.remove(__name__)
