"""Weights in GGUF (llama.cpp): parameters and bits by tensor, shapes and cache from the metadata. No weight
is loaded.

Of a split model, any part stands for all of them (`-00001-of-00003.gguf`).
"""

from __future__ import annotations

from engine.model.model import Model
from engine.model.reader import Catalogs, ModelFileReader


def read(path: str, catalogs: Catalogs) -> Model:
    """Return the model in a file, or in all parts of a split one.

    Raises:
        DocumentError: a file is missing, cut off or something else.
    """
    from engine.model.gguf_model import read_gguf  # deferred: start-up time

    return read_gguf(path, catalogs)


def _example() -> bytes:
    """Return a file with an architecture and one tensor of 2 x 4 F32 (type 0)."""
    name, kind = b"general.architecture", b"llama"
    tensor = b"token_embd.weight"
    header = b"GGUF" + (3).to_bytes(4, "little") + (1).to_bytes(8, "little") * 2
    string = (8).to_bytes(4, "little")
    pair = len(name).to_bytes(8, "little") + name + string + len(kind).to_bytes(8, "little") + kind
    shape = (2).to_bytes(4, "little") + (4).to_bytes(8, "little") + (2).to_bytes(8, "little")
    info = len(tensor).to_bytes(8, "little") + tensor + shape + bytes(4) + bytes(8)
    start = header + pair + info
    return start + bytes(-len(start) % 32) + bytes(32)


READER = ModelFileReader(
    name="GGUF",
    endings=(".gguf",),
    read=read,
    indexes=(),
    hint="use the model's config.json, or set the parameter count with --params",
    example=_example(),
)
