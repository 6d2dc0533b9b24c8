"""Shipped files with pieces cut out, moved and put in: an answer or a message, never a traceback."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cli.main import main
from tests.conftest import DATA, TOP

pytestmark = pytest.mark.slow

PIECES = [
    *(
        "",
        "null",
        "-1",
        "1e400",
        "9223372036854775808",
        "[]",
        "{}",
        '""',
        "true",
        ".nan",
        "!!binary aGk=",
        "*a",
    ),
    *(
        "&a x",
        "- ",
        "? ",
        ": ",
        "#",
        "\t",
        "\n",
        '"',
        "'",
        "|",
        ">",
        "%",
        "@",
        "\x00",
        "é",
        "😀",
        "variables.x",
    ),
    *(
        "1 / 0",
        "(",
        ")",
        "[",
        "]",
        "&&",
        "+",
        "1u",
        "plan",
        "output",
        "rule",
        "string",
        "list(int)",
        "has(x)",
    ),
]
INVENTORY = TOP / "examples" / "tpu-v5p-slice.yaml"


@st.composite
def mutated(draw: st.DrawFn, texts: list[str]) -> str:
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 24)))
        text = text[:start] + draw(st.sampled_from(PIECES)) + text[end:]
    return text


def check(text: str, name: str, *arguments: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_text(text, encoding="utf-8")
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([argument.replace("FILE", str(file)) for argument in arguments])
    assert code in (0, 1, 2)
    assert (code == 2) == err.getvalue().startswith("error: ")
    assert bool(out.getvalue()) is not (code == 2)


@pytest.mark.parametrize("form", ["text", "json"])
@settings(max_examples=40, deadline=None)
@given(text=mutated([path.read_text() for path in sorted((TOP / "examples").glob("*x-*.yaml"))]))
def test_inventories(text: str, form: str) -> None:
    check(
        text,
        "i.yaml",
        *("eval", "--inventory", "FILE", "--params", "70B", "--quantization", "auto", "--format", form),
    )


@settings(max_examples=60, deadline=None)
@given(
    text=mutated(
        [path.read_text() for path in (TOP / "policies").glob("*/1.0.0.yaml")]
        + [path.read_text() for path in DATA.glob("policies/*/policy.yaml")]
    )
)
def test_policies(text: str) -> None:
    check(
        text,
        "p.yaml",
        *(
            "eval",
            "--policy",
            "FILE",
            "--inventory",
            str(INVENTORY),
            "--params",
            "70B",
            "--quantization",
            "int8",
        ),
        *("--explain",),
    )
