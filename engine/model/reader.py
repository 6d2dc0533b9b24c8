"""Types of the readers of models: what a module under `readers/` registers as `READER`.

A reader owns its sign (how its source is recognised), its reading, its hint and an example; its documentation
is the docstring of its module. Modules are discovered (`engine.model.discovery`), never listed.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.base.aliases import Names
from engine.base.errors import Path
from engine.base.jsontypes import Json, JsonObject
from engine.base.records import record
from engine.model.model import Model

Catalogs = Callable[[str], Names]
"""Loads a catalog by its name, when a reader needs it."""


@record(eq=False)
class ModelDocumentReader:
    """Reader of a YAML or JSON document that describes a model.

    Attributes:
        name: of the format.
        takes: tests the shape of a decoded document.
        read: returns the model, from the document, the catalogs and the document's path in a larger one;
            raises RequestError with paths.
        files: names of the document in a model's folder.
        hint: what to do if it cannot be read.
        example: a document.
        refuses: the document describes no model, and reading it always fails with what to give instead.
    """

    name: str
    takes: Callable[[Json], bool]
    read: Callable[[JsonObject, Catalogs, Path], Model]
    files: tuple[str, ...]
    hint: str
    example: str
    refuses: bool = False


@record(eq=False)
class ModelFileReader:
    """Reader of files of weights, which are recognised by their names.

    Attributes:
        name: of the format.
        endings: of the names of its files.
        read: returns the model of a path, by catalogs; raises DocumentError.
        indexes: names of files in a folder that list all others.
        hint: what to do if it cannot be read.
        example: the bytes of a small file.
    """

    name: str
    endings: tuple[str, ...]
    read: Callable[[str, Catalogs], Model]
    indexes: tuple[str, ...]
    hint: str
    example: bytes


@record(eq=False)
class ModelNameReader:
    """Reader of names of models.

    Attributes:
        name: of the source.
        read: returns the model of a name; None if the name is unknown.
        hint: what to do if no reader knows the name.
        example: a name.
    """

    name: str
    read: Callable[[str, Catalogs], Model | None]
    hint: str
    example: str


ModelReader = ModelDocumentReader | ModelFileReader | ModelNameReader
