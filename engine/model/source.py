"""Models from whatever people name: a file, a folder, or a well-known model.

Readers are tried in this order: files of weights by their names, names of the catalog `models`, documents by
their shape; then those of other packages.
"""

from __future__ import annotations

import os

from engine.base.errors import DocumentError, RequestError, quote
from engine.base.jsontypes import Json
from engine.base.records import replace
from engine.documents import Document, Limits, read_document
from engine.model import discovery
from engine.model.documents import read_document_model
from engine.model.model import Model
from engine.model.reader import Catalogs, ModelFileReader, ModelNameReader
from engine.model.sidecar import read_sidecar, sidecar_of, with_sidecar
from engine.model.tensors import folder_of

_DOCUMENTS = (".json", ".yaml", ".yml")


def find_model(source: str, catalogs: Catalogs) -> tuple[Model, Document | None]:
    """Return the model that an argument names, and its document if it has one.

    Args:
        source: a file, "-" for standard input, a folder with a config.json or weights, or a name.
        catalogs: loads a catalog by its name.

    Raises:
        EngineError: there is no such file or model, or its content is invalid.
    """
    path = source
    if source != "-" and os.path.isdir(source):
        path = _in_folder(source)
    elif "\0" in source:
        raise DocumentError(f"{quote(source)}: not a file name")
    elif source != "-" and not os.path.exists(source) and not source.endswith(_endings()):
        return _by_name(source, catalogs), None
    for reader in discovery.file_readers():
        if path.endswith(reader.endings):
            return reader.read(path, catalogs), None
    if not path.endswith(_DOCUMENTS) and path != "-":
        for plugin in discovery.plugin_readers():
            if isinstance(plugin, ModelFileReader) and path.endswith(plugin.endings):
                return plugin.read(path, catalogs), None
    document = read_document(path, Limits(infinite=True), pipes=False)
    try:
        model = read_document_model(_with_sidecar(document, path), catalogs)
    except RequestError as error:
        raise error.located(document) from None
    if path != "-" and os.path.basename(path) in _folder_files():
        model = replace(model, source=folder_of(path))
    return model, document


def _with_sidecar(document: Document, path: str) -> Json:
    """Return a document's value, with what a file beside it says about the checkpoint's storage."""
    value: Json = document.value
    beside = None if path == "-" or not path.endswith(".json") else sidecar_of(path)
    if beside is None or not isinstance(value, dict):
        return value
    return with_sidecar(value, read_sidecar(beside), beside)


def _endings() -> tuple[str, ...]:
    """Return the endings by which an argument is a file, even if it does not exist."""
    return (*_DOCUMENTS, *(ending for reader in discovery.file_readers() for ending in reader.endings))


def _folder_files() -> list[str]:
    """Return the names of documents in a model's folder."""
    readers = sorted(discovery.document_readers(), key=lambda reader: reader.refuses)
    return [name for reader in readers for name in reader.files]


def _in_folder(folder: str) -> str:
    """Return the file to read in a folder: its configuration, an index of weights, or its only weights."""
    readers = list(discovery.file_readers())
    names = [*_folder_files(), *(name for reader in readers for name in reader.indexes)]
    for name in names:
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    endings = tuple(ending for reader in readers for ending in reader.endings if not ending.endswith(".json"))
    weights = sorted(name for name in os.listdir(folder) if name.endswith(endings))
    return os.path.join(folder, weights[0] if len(weights) == 1 else names[0])


def _by_name(name: str, catalogs: Catalogs) -> Model:
    for reader in discovery.name_readers():
        model = reader.read(name, catalogs)
        if model is not None:
            return model
    for plugin in discovery.plugin_readers():
        model = plugin.read(name, catalogs) if isinstance(plugin, ModelNameReader) else None
        if model is not None:
            return model
    from engine.model.well_known import nearest_model  # deferred: start-up time

    hint = nearest_model(catalogs, name) or next(reader.hint for reader in discovery.name_readers())
    raise RequestError(f"no file and no well-known model {quote(name)}", hint=hint)
