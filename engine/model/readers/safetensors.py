"""Weights in safetensors, one file or an index of several: parameters are counted from the headers.

No weight is loaded. Packed weights (int4 in int32 words) cannot be counted: use the model's `config.json`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import cast

from engine.base.errors import DocumentError
from engine.documents import Limits, read_text
from engine.documents.files import open_regular
from engine.documents.json_source import decode_json
from engine.model.model import Model
from engine.model.reader import Catalogs, ModelFileReader
from engine.model.tensors import Tensor, folder_of, library_missing, model_of_tensors

_LONGEST_INDEX = 64 * 1024 * 1024
"""Bytes of an index."""
_LARGEST = 2**60
_ASSUMED_BYTES = 2
"""Bytes per parameter of weights whose type is unknown, as in most checkpoints."""
_PART = re.compile(r".*-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")


def read(path: str, catalogs: Catalogs) -> Model:
    """Return the model in a file, or in the files that an index names.

    Raises:
        DocumentError: a file is missing, cut off or something else; weights are packed; the library
            `safetensors` is not installed.
    """
    open_regular(path).close()  # the library would wait for the writer of a FIFO
    if not path.endswith(".index.json"):
        _refuse_part(path)
    elif not _has_files(path):
        size = _total_size(path)
        if size is not None:
            return _of_size(path, size)
    return model_of_tensors(list(_tensors(path)), path)


def _refuse_part(path: str) -> None:
    """Refuse one file of several.

    Raises:
        DocumentError: the name is that of a part.
    """
    match = _PART.fullmatch(os.path.basename(path))
    if match is not None and int(match["count"]) > 1:
        raise DocumentError(
            f"{path}: one of {int(match['count'])} files of a model",
            hint="give the folder, or its model.safetensors.index.json",
        )


def _has_files(path: str) -> bool:
    return any(os.path.exists(file) for file in _files(path))


def _total_size(path: str) -> int | None:
    """Return the bytes of all weights that an index states."""
    index = decode_json(read_text(path, Limits(bytes=_LONGEST_INDEX), pipes=False))
    metadata = index.get("metadata") if isinstance(index, dict) else None
    size = metadata.get("total_size") if isinstance(metadata, dict) else None
    if isinstance(size, float) and size.is_integer():
        size = int(size)
    return size if isinstance(size, int) and not isinstance(size, bool) and 0 < size < _LARGEST else None


def _of_size(path: str, size: int) -> Model:
    """Return the model of an index without its files: its size is known, its parameters are assumed."""
    note = f"{os.path.basename(path)}: its files are missing; assuming {_ASSUMED_BYTES} bytes per parameter"
    return Model(params=size // _ASSUMED_BYTES, source=folder_of(path), notes=(note,))


def _tensors(path: str) -> Iterator[Tensor]:
    for file in _files(path):
        open_regular(file).close()
        try:
            from safetensors import SafetensorError, safe_open
        except ImportError:
            raise library_missing(path, "safetensors") from None
        try:
            with safe_open(file, framework="np") as opened:
                for name in opened.keys():  # noqa: SIM118  (not a mapping)
                    part = opened.get_slice(name)
                    yield Tensor(name, _product(part.get_shape()), str(part.get_dtype()))
        except FileNotFoundError:
            raise DocumentError(f"{file}: no such file") from None
        except (SafetensorError, OSError, ValueError) as error:
            reason = str(error).split("\n")[0].removeprefix("Error while deserializing header: ")
            raise DocumentError(f"{file}: incomplete or no safetensors file: {reason[:200]}") from None


def _files(path: str) -> list[str]:
    """Return the files that an index names, in the index's folder; for a file, itself."""
    if not path.endswith(".index.json"):
        return [path]
    try:
        text = read_text(path, Limits(bytes=_LONGEST_INDEX), pipes=False)
        index = cast("dict[str, dict[str, object]]", decode_json(text))
        files = sorted({str(name) for name in index["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DocumentError(f"{path}: expected an index of safetensors with a weight_map") from None
    folder = os.path.dirname(path)
    if not files or not all(map(_is_shard, files)):
        raise DocumentError(f"{path}: expected names of files in the same folder")
    return [os.path.join(folder, name) for name in files]


def _is_shard(name: str) -> bool:
    """Test for a file in the index's folder; links are allowed, since hubs' caches consist of them."""
    from engine.documents.confined import ConfinedError, parts_of  # deferred: start-up time

    try:
        return len(parts_of(name)) == 1 and name.endswith(".safetensors")
    except ConfinedError:
        return False


def _product(shape: Iterable[int]) -> int:
    total = 1
    for size in shape:
        total *= int(size)
    return total


_HEADER = b'{"model.embed_tokens.weight":{"dtype":"BF16","shape":[4,2],"data_offsets":[0,16]}}      '

READER = ModelFileReader(
    name="safetensors",
    endings=(".safetensors", ".safetensors.index.json"),
    read=read,
    indexes=("model.safetensors.index.json",),
    hint="use the model's config.json, or set the parameter count with --params",
    example=len(_HEADER).to_bytes(8, "little") + _HEADER + bytes(16),
)
