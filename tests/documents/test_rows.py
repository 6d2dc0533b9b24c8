"""Shipped rows without YAML: the same as the library and the compiler read, or no answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.base.errors import EngineError
from engine.catalogs.catalog import compile_catalog
from engine.catalogs.schema_types import schema_types
from engine.documents import Limits, check_schema, parse_document
from engine.documents.rows import plain_rows
from tests.conftest import DATA, TOP, examples

CATALOGS = sorted((TOP / "policies" / "catalog").glob("*/*.yaml"))
READ = (
    *(
        "architecture_defaults",
        "architectures",
        "blocks",
        "heads",
        "launch",
        "links",
        "models",
        "pci",
        "products",
    ),
    *("quantization", "quantization_methods", "towers"),
)
"""What readers of inventories and models, and launch targets, look up."""

HEAD = "apiVersion: engine/v1\nkind: Catalog\nname: c\nversion: 1.0.0\n"
COLUMNS = """
columns:
  # of every type
  s: {type: string, description: "Text: with a colon, \\"quotes\\" and # more."}
  b: {type: bool, default: false}
  i: {type: int, unit: GiB, optional: true}
  d: {type: double, default: 1}
  l: {type: list(string), default: [a, b]}
  n: {type: "map(string, int)", default: {}}
  f: {type: "map(string, bool)", optional: true}
  t: {type: "map(string, string)", default: {}}
"""


def compiled(text: str, name: str = "c") -> tuple[Any, Any] | None:
    """The same by YAML's library and the compiler; None where it has faults."""
    try:
        document = parse_document(text, f"{name}.yaml", Limits())
        check_schema(document, "catalog")
        catalog = compile_catalog(document, schema_types())
    except EngineError:
        return None
    entries = document.value["entries"]
    aliases = {alias: entry for entry, row in entries.items() for alias in row.get("aliases", ())}
    return catalog.table(), aliases


def typed(value: Any) -> Any:
    """A value with the types of all its parts, for which 1, 1.0 and true differ."""
    if isinstance(value, dict):
        return {key: typed(part) for key, part in value.items()}
    return [typed(part) for part in value] if isinstance(value, list) else (type(value), value)


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_shipped_catalogs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    plain = plain_rows(text, path.parent.name, path.stem)
    if plain is None:
        assert path.parent.name not in READ
        return
    found = compiled(text, path.parent.name)
    assert found is not None
    assert typed(plain[0]) == typed(found[0])
    assert plain[1] == found[1]


def test_all_types_defaults_and_aliases() -> None:
    text = (
        HEAD
        + COLUMNS
        + '\nentries:\n  x: {s: a b-c, i: 3, aliases: [y, "z: w"]}\n  "1:2": {s: "3", d: 2.5}\n'
    )
    rows = {
        "x": {"s": "a b-c", "b": False, "i": 3, "d": 1.0, "l": ["a", "b"], "n": {}, "f": None, "t": {}},
        "1:2": {"s": "3", "b": False, "i": None, "d": 2.5, "l": ["a", "b"], "n": {}, "f": None, "t": {}},
    }
    plain = plain_rows(text, "c", "1.0.0")
    assert plain is not None
    assert typed(plain[0]) == typed(rows)
    assert plain[1] == {"y": "x", "z: w": "x"}


@pytest.mark.parametrize(
    "row",
    [
        *("s: a #b", "s: a, s: b", "s: 'a'", "s: &a b", "s: !t b", "s: |", "s: {expression: x}", "s: null"),
        *("s: 12", "s: true", "s: True", "s: ~", "s: 010", "s: 1e3", "s: 0x1f", "s: 1_000", "s: .5", "s: 1."),
        *("s: a, i: 1.5", "s: a, i: 9223372036854775808", "s: a, b: yes", "s: a, d: .inf", "s: a, q: 1"),
        *("s: a, f: {x: 1}", "s: a, n: {x: 1.0}", "s: a, l: [1]", "s: a, l: b", "i: 3", "s: a, b: True"),
        *("s: a, aliases: b", "s: a, aliases: [1]", "s: a, aliases: [o]", "s: a, fields: [p]", "s: a,, i: 1"),
        *("a:b", "s:a", "s: a, l: [a: b]", '"s": a', "s : a", "s: a} {", "s: [a", 's: "a\\x41"', "? s: a"),
        *(
            "s: a\n    b",
            "s: a, i: -3",
            "s: a, i: +3",
            "s: a, i: 0",
            "s: -a",
            "s: a/b.c",
            "s: a:b",
            "s: a: b",
        ),
        *("s: 12x", "s: 0.5.23", "s: 1.2.3", "s: 2026-01-01", "s: 12:30", "s: nULL", "s: _1", "s: 5 6"),
    ],
)
def test_odd_rows_are_read_alike_or_not(row: str) -> None:
    text = HEAD + COLUMNS + f"\nentries:\n  o: {{s: o}}\n  x: {{{row}}}\n"
    assert_alike(text)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + COLUMNS + "entries:\n  x: {s: a}\n  x: {s: b}\n",
        HEAD + COLUMNS + "entries:\n  x: {s: a}\nentries:\n  y: {s: b}\n",
        HEAD + COLUMNS + "entries:\n  true: {s: a}\n",
        HEAD + COLUMNS + "entries:\n  x: {s: a}\n  y: {s: b, aliases: [x]}\n",
        HEAD + COLUMNS + "entries:\n  x:\n    s: a\n",
        HEAD + COLUMNS + "entries:\n   x: {s: a}\n",
        HEAD + COLUMNS + "entries:\n  x: {s: a}\n---\n",
        HEAD + COLUMNS + "entries: {}\n",
        HEAD + COLUMNS,
        HEAD + "columns:\n  s: {type: string, default: 3}\nentries:\n  x: {}\n",
        HEAD + "columns:\n  s: {type: whole}\nentries:\n  x: {s: 3}\n",
        HEAD + "columns:\n  s: {type: string, optional: true, default: a}\nentries:\n  x: {}\n",
        HEAD.replace("1.0.0", "1.0.1") + COLUMNS + "entries:\n  x: {s: a}\n",
        "",
    ],
)
def test_odd_catalogs_are_read_alike_or_not(text: str) -> None:
    assert_alike(text)


BLOCKS = [
    *(
        "s: a b-c",
        "s: a\n    i: 3",
        's: "3"\n    l: [p, q]\n    d: 2',
        "s: a\n\n    # note\n    i: 3",
        "s: a\n    n: {x: 3}",
    ),
    *(
        "s: a, b",
        "s: a #b",
        "s: a # b",
        "s: [a",
        "s: |",
        "s: |\n      a",
        "s: >-\n      a: b",
        "s: a\n     b",
        "s: a\n      i: 3",
    ),
    *(
        "s: a\n    s: b",
        "s:",
        "s: ",
        "s: a\n   i: 3",
        "s: a\n  y:\n",
        "s: 010",
        "s: ~",
        "s: 'a'",
        "s: a: b",
        "s: &a b",
        "- s",
    ),
    *(
        "s: a\r\n    i: 3",
        "s: a\r",
        "s : a",
        '"s": a',
        "? s",
        "s: a\n    l:\n      - p",
        "s: a\n    aliases: [z]",
        "s: a\n  # x",
    ),
]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("after", ["", "  y: {s: b}\n", "  y:\n    s: b\n"])
def test_cells_on_lines_of_their_own_are_read_alike_or_not(block: str, after: str) -> None:
    assert_alike(HEAD + COLUMNS + f"\nentries:\n  o: {{s: o}}\n  x:\n    {block}\n{after}")


def test_cells_on_lines_of_their_own_are_plain() -> None:
    text = HEAD + COLUMNS + "\nentries:\n  x:\n    # note\n    s: a b\n    i: 3\n    l: [p, q]\n  y: {s: b}\n"
    plain = plain_rows(text, "c", "1.0.0")
    assert plain is not None
    assert (plain[0]["x"]["s"], plain[0]["x"]["i"], plain[0]["x"]["l"]) == ("a b", 3, ["p", "q"])
    assert plain[0]["y"]["s"] == "b"


PIECES = st.sampled_from(
    [
        *("s", "i", "l", "n", "x", "a b", "12", "1.5", "010", "true", "Null", "~", '"q"', "é", "e3", "0x"),
        *(": ", ":", ", ", ",", "{", "}", "[", "]", " ", "\n", "\n  ", "\t", "- "),
        *('"', "'", "#", " #", "&", "-", "|", "\\"),
    ]
)
AROUND = st.sampled_from(["s: a, {}", "s: {}", "s: a, n: {{{}}}", "{}"])


@pytest.mark.slow
@settings(max_examples=examples(300), deadline=None)
@given(st.lists(PIECES, max_size=9).map("".join), AROUND)
def test_whatever_a_row_holds_is_read_alike_or_not(junk: str, around: str) -> None:
    assert_alike(HEAD + COLUMNS + f"\nentries:\n  o: {{s: o}}\n  x: {{{around.format(junk)}}}\n")
    assert_alike(HEAD + COLUMNS + f"\nentries:\n  o: {{s: o}}\n  x:\n    {around.format(junk)}\n    i: 1\n")


def assert_alike(text: str) -> None:
    plain = plain_rows(text, "c", "1.0.0")
    if plain is None:
        return
    found = compiled(text)
    assert found is not None, text
    assert typed(plain[0]) == typed(found[0])
    assert plain[1] == found[1]


SCRIPT = """
import sys
from engine.cli.main import main
code = main(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("source", [DATA / "models" / "Qwen--Qwen3-8B.json", "llama-3.1-70b"])
def test_showing_a_model_loads_neither_yaml_nor_cel(source: str | Path) -> None:
    command = [sys.executable, "-c", SCRIPT, "model", "show", str(source)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {"yaml", "lark", "celpy", "engine.cel.checker", "jsonschema"} & set(ran.stderr.split()) == set()
