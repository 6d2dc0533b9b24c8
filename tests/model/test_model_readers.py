"""Every reader of models, by its own example; readers of other packages."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from engine.base.errors import EngineError
from engine.catalogs.hardware import load_names
from engine.model import discovery, read_model
from engine.model.reader import ModelDocumentReader, ModelFileReader, ModelNameReader
from engine.model.source import find_model
from tests.conftest import Run

pytestmark = pytest.mark.usefixtures("first_version")

READERS = discovery.documentation()


def damaged(data: bytes) -> list[bytes]:
    """A file truncated at some places, and doubled."""
    step = max(len(data) // 60, 1)
    return [*(data[:end] for end in range(0, len(data), step)), data + data, data + b"\n" + data]


@pytest.mark.parametrize("module", READERS, ids=lambda name: name.rpartition(".")[2])
def test_reader_example_is_read_and_damage_is_one_error(module: str, tmp_path: Path) -> None:
    reader = READERS[module]
    assert (importlib.import_module(module).__doc__ or "").strip()
    assert reader.name
    assert reader.hint
    if isinstance(reader, ModelNameReader):
        model, document = find_model(reader.example, load_names)
        assert (model.params > 0, document) == (True, None)
        for text in (reader.example[:5], reader.example * 2):
            with pytest.raises(EngineError, match="no well-known model"):
                find_model(text, load_names)
        return
    if isinstance(reader, ModelFileReader):
        data, file = reader.example, tmp_path / f"model{reader.endings[0]}"
    else:
        data = reader.example.encode()
        file = tmp_path / (reader.files[0] if reader.files else "model.yaml")
    file.write_bytes(data)
    if isinstance(reader, ModelDocumentReader) and reader.refuses:
        with pytest.raises(EngineError, match="not a") as refused:
            find_model(str(tmp_path), load_names)
        assert refused.value.hint
        return
    model, document = find_model(str(file), load_names)
    assert model.params > 0
    assert (document is not None) is isinstance(reader, ModelDocumentReader)
    if isinstance(reader, ModelFileReader) or reader.files:
        assert find_model(str(tmp_path), load_names)[0].params == model.params
    for text in damaged(data):
        file.write_bytes(text)
        with suppress(EngineError):
            find_model(str(file), load_names)


def test_readers_modules_all_register() -> None:
    package = importlib.import_module(discovery.PACKAGE)
    names = [f"{discovery.PACKAGE}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    assert sorted(READERS) == sorted(names)


def test_readers_take_different_documents() -> None:
    documents = list(discovery.document_readers())
    for example in documents:
        value = read_yaml(example.example)
        assert [reader.name for reader in documents if reader.takes(value)] == [example.name]


def read_yaml(text: str) -> object:
    from engine.documents import parse_document

    return parse_document(text, "example").value


ACME = '''"""Models of ACME."""
from engine.model import Model
from engine.model.reader import ModelDocumentReader, ModelFileReader, ModelNameReader

DOCUMENT = ModelDocumentReader("acme", lambda value: "acme_size" in value,
                               lambda value, catalogs, path: Model(params=value["acme_size"]), (), "", "")
FILE = ModelFileReader("acme", (".acme",), lambda path, catalogs: Model(params=7), (), "", b"")
NAME = ModelNameReader("acme", lambda name, catalogs: Model(params=8) if name == "acme-1" else None, "", "")
'''


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with three readers, installed by nothing but its files in a folder of sys.path."""
    folder = tmp_path / "site"
    metadata = folder / "acme_models-1.2.dist-info"
    metadata.mkdir(parents=True)
    (folder / "acme_models.py").write_text(ACME)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-models\nVersion: 1.2\n")
    names = "\n".join(f"acme-{name.lower()} = acme_models:{name}" for name in ("DOCUMENT", "FILE", "NAME"))
    (metadata / "entry_points.txt").write_text(f"[engine.readers]\n{names}\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "acme_models", raising=False)


@pytest.mark.usefixtures("acme")
def test_plugin_readers_take_what_no_built_in_reader_takes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text("acme_size: 9\n")
    (tmp_path / "model.acme").write_text("")
    for source, params in ((tmp_path / "model.yaml", 9), (tmp_path / "model.acme", 7), ("acme-1", 8)):
        ran = run("model", "show", source, "--format", "json")
        assert ran.code == 0, ran.err
        assert ran.json["parameters"]["total"] == params
    assert read_model({"acme_size": 9}).params == 9


@pytest.mark.usefixtures("acme")
def test_plugin_reader_that_fails_is_one_error_that_names_its_package(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text("acme_size: 1\nother: 2\n")
    sys.modules.pop("acme_models", None)
    (tmp_path / "site" / "acme_models.py").write_text(ACME.replace('value["acme_size"]', 'value["none"]'))
    ran = run("model", "show", tmp_path / "model.yaml")
    assert (ran.code, ran.out) == (2, "")
    assert "engine.readers 'acme-document' of package acme-models 1.2 failed: KeyError: 'none'" in ran.err
