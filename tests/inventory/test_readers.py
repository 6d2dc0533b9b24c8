"""Every reader, by its own example; readers of other packages; what is imported when."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from docs.generate import machines_page, readers_page
from engine.base.errors import EngineError
from engine.catalogs.hardware import load_hardware
from engine.inventory import discovery
from engine.inventory.reader import DocumentReader, Reader, TextReader
from engine.inventory.recognize import is_capture
from engine.inventory.source import import_texts, read_source
from tests.conftest import TOP, Run

pytestmark = pytest.mark.usefixtures("first_version")

HARDWARE = load_hardware()
READERS = discovery.documentation()
HELPERS = ("common", "detect")
"""How names of modules under readers/ begin that register no reader."""


def short(module: str) -> str:
    return module.removeprefix(f"{discovery.PACKAGE}.")


def damaged(text: str) -> list[str]:
    """A text truncated at each line and at some characters, doubled, and with each line doubled."""
    lines = text.splitlines(keepends=True)
    step = max(len(text) // 40, 1)
    return [
        *("".join(lines[:count]) for count in range(len(lines) + 1)),
        *(text[:end] for end in range(0, len(text), step)),
        *(text[start:] for start in range(0, len(text), step)),
        *("".join([*lines[:at], lines[at], *lines[at:]]) for at in range(len(lines))),
        text + text,
        text + "\n" + text,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("module", READERS, ids=short)
def test_reader_example_is_read_and_damage_is_one_error(module: str, tmp_path: Path) -> None:
    reader = READERS[module]
    assert (importlib.import_module(module).__doc__ or "").strip()
    assert reader.name
    assert reader.hint
    imported = import_texts([("example", reader.example)], HARDWARE)
    assert imported.inventory.devices
    if isinstance(reader, TextReader):
        assert reader.sign.search(reader.example)
        assert is_capture(reader.example)
    for source in reader.sources:
        assert import_texts([("example", reader.example)], HARDWARE, source) == imported
    file = tmp_path / "example"
    file.write_text(reader.example)
    assert read_source(str(file), lambda: HARDWARE).inventory.devices == imported.inventory.devices
    for text in damaged(reader.example):
        with suppress(EngineError):
            import_texts([("damaged", text)], HARDWARE)


def test_texts_that_are_mixed_and_damaged_are_read_or_refused() -> None:
    """Two examples spliced, interleaved or one after the other, and characters changed: never a traceback."""
    texts = [reader.example for reader in READERS.values()]
    draw = random.Random(18)
    characters = [
        "|",
        ":",
        ",",
        "0",
        "99999999999999999999",
        "\x1b[31m",
        "\x00",
        "é",
        "\n",
        "GPU 0: ",
        "[",
        "{",
    ]
    for _ in range(400):
        first, second = (draw.choice(texts).split("\n") for _ in range(2))
        at = draw.randrange(len(first) + 1)
        mixed = draw.choice(
            [
                first[:at] + second,
                [line for pair in zip(first, second, strict=False) for line in pair],
                first + second,
            ]
        )
        text = "\n".join(mixed)
        for _ in range(draw.randrange(6)):
            at = draw.randrange(len(text) + 1)
            text = text[:at] + draw.choice(characters) + text[at + draw.randrange(3) :]
        with suppress(EngineError):
            import_texts([("mixed", text)], HARDWARE)


def test_readers_modules_all_register() -> None:
    package = importlib.import_module(discovery.PACKAGE)
    found = {module.name for module in pkgutil.walk_packages(package.__path__, f"{discovery.PACKAGE}.")}
    modules = {name for name in found if name.count(".") == 4}
    assert {name for name in modules if not name.rpartition(".")[2].startswith(HELPERS)} == set(READERS)
    assert sum(name.endswith(".detect") for name in modules) == len(discovery.detectors())


def test_readers_order_is_unambiguous() -> None:
    ranks = [(reader.priority, reader.name, reader.sign.pattern) for reader in discovery.text_readers()]
    assert ranks == sorted(set(ranks))
    documents = discovery.document_readers()
    for one, other in itertools.permutations(documents, 2):
        text = import_value(one)
        assert one.takes(text)
        assert not other.takes(text)


def import_value(reader: Reader) -> object:
    from engine.documents import parse_document

    return parse_document(reader.example, "example").value


def test_readers_hint_is_shown_for_a_form_without_a_device(run: Run) -> None:
    listing = "GPU models and configuration: Could not collect\n"
    ran = run("inventory", "import", "-", stdin=listing)
    assert ran.code == 2
    hints = [reader.hint for reader in discovery.text_readers() if reader.sign.search(listing)]
    assert any(hint in ran.err for hint in hints)


def test_readers_page_is_current() -> None:
    page = (TOP / "docs" / "readers.md").read_text(encoding="utf-8")
    assert page == readers_page(), "run python docs/generate.py"


@pytest.mark.slow
def test_machines_page_is_current_and_names_every_reader() -> None:
    page = (TOP / "docs" / "machines.md").read_text(encoding="utf-8")
    assert page == machines_page(), "run python docs/generate.py"
    assert [reader.name for reader in READERS.values() if f"`{reader.name}`" not in page] == []


# --- readers of other packages ----------------------------------------------------------------------

ACME = '''"""Table of `acme-smi`."""
import re

from engine.inventory.reader import DocumentReader, Priority, TextReader
from engine.inventory.inventory import Device, Imported, Inventory
from engine.inventory.seen import Seen

def read(text, hardware):
    seen = Seen("CudaGpu")
    for line, content in enumerate(text.lines):
        if match := re.match(r"acme(\\d+) (\\d+) GiB", content):
            device = seen.device(int(match[1]), line + 1)
            device.name, device.memory_bytes = "ACME One", int(match[2]) * 2**30
    if "boom" in "".join(text.lines):
        raise ZeroDivisionError("boom")
    yield seen

READER = TextReader(name="acme-smi", sources=("acme-smi",), sign=re.compile(r"^ACME-SMI", re.M), read=read,
                    priority=Priority.TABLE, hint="acme-smi", example="ACME-SMI\\nacme0 16 GiB\\n")

def read_document(value, hardware):
    return Imported(Inventory(tuple(Device("CudaGpu", n * 2**30) for n in value["acme_sizes"])))

DOCUMENT = DocumentReader(name="acme export", sources=("acme",), expected="sizes", hint="", example="",
                          takes=lambda value: "acme_sizes" in value, read=read_document)
'''


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A package with two readers, installed in a folder of sys.path by nothing but its files."""
    entries = getattr(request, "param", "acme-smi = acme_readers:READER\nacme = acme_readers:DOCUMENT\n")
    folder = tmp_path / "site"
    metadata = folder / "acme_readers-1.2.dist-info"
    metadata.mkdir(parents=True)
    (folder / "acme_readers.py").write_text(ACME)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-readers\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(f"[engine.readers]\n{entries}")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "acme_readers", raising=False)


without_module = pytest.mark.parametrize("acme", ["acme-smi = acme_nowhere:READER\n"], indirect=True)


@pytest.mark.usefixtures("acme")
def test_plugin_reader_takes_a_text_that_no_built_in_reader_takes(run: Run) -> None:
    text = "ACME-SMI 1.0\nacme0 16 GiB\nacme1 16 GiB\n"
    for arguments in (("import", "-"), ("import", "-", "--from", "acme-smi"), ("show", "-")):
        ran = run("inventory", *arguments, "--format", "json", stdin=text)
        assert ran.code == 0, ran.err
        assert [device["memory_bytes"] for device in ran.json["devices"]] == [16 * 2**30] * 2
    document = '{"acme_sizes": [8, 8, 8]}'
    for more in ((), ("--from", "acme")):
        ran = run("inventory", "import", "-", *more, "--format", "json", stdin=document)
        assert ran.code == 0, ran.err
        assert len(ran.json["devices"]) == 3


@pytest.mark.usefixtures("acme")
def test_plugin_reader_that_fails_is_one_error_that_names_its_package(run: Run) -> None:
    ran = run("inventory", "import", "-", stdin="ACME-SMI boom\n")
    assert (ran.code, ran.out) == (2, "")
    assert "engine.readers 'acme-smi' of package acme-readers 1.2 failed: ZeroDivisionError: boom" in ran.err


@without_module
@pytest.mark.usefixtures("acme")
def test_plugin_reader_without_its_module_is_an_error_that_says_so(run: Run) -> None:
    ran = run("inventory", "import", "-", "--from", "acme-smi", stdin="x")
    assert (ran.code, ran.out) == (2, "")
    assert "ModuleNotFoundError" in ran.err


@pytest.mark.slow
@without_module
@pytest.mark.usefixtures("acme")
def test_plugin_readers_are_not_loaded_for_texts_that_built_in_readers_take(run: Run) -> None:
    for reader in READERS.values():
        assert run("inventory", "import", "-", stdin=reader.example).code == 0


def test_inventory_document_imports_no_reader() -> None:
    script = (
        "import sys; from engine.inventory.source import read_source\n"
        "read_source('examples/8x-a100.yaml', None)\n"
        "print(*(name for name in sys.modules if name.startswith('engine.inventory')))"
    )
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) <= {
        "engine.inventory",
        "engine.inventory.inventory",
        "engine.inventory.native",
        "engine.inventory.source",
    }


def test_document_reader_refuses_another_document() -> None:
    for reader in READERS.values():
        if isinstance(reader, DocumentReader):
            with pytest.raises(EngineError, match=reader.expected):
                import_texts([("x", "{}")], HARDWARE, reader.sources[0])
