"""Models from documents, by the first reader that takes their shape."""

from __future__ import annotations

from engine.base.errors import Path
from engine.base.jsontypes import Json
from engine.model import discovery
from engine.model.model import Model
from engine.model.native import read_native
from engine.model.reader import Catalogs, ModelDocumentReader


def read_document_model(value: Json, catalogs: Catalogs, path: Path = ()) -> Model:
    """Return the model in a decoded document.

    Args:
        value: the decoded document.
        catalogs: loads a catalog by its name.
        path: of the model in its document, for errors.

    Raises:
        RequestError: what is wrong, with paths below `path`.
    """
    if not isinstance(value, dict):
        return read_native(value, path)
    for reader in discovery.document_readers():
        if reader.takes(value):
            return reader.read(value, catalogs, path)
    for plugin in discovery.plugin_readers():
        if isinstance(plugin, ModelDocumentReader) and plugin.takes(value):
            return plugin.read(value, catalogs, path)
    return read_native(value, path)
