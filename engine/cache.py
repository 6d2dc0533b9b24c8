"""Compiled policies kept on disk, so that a process that decides once need not compile.

An image is found by the policy's text, the engine's version and code, and Python's version, and is used only
if every catalog and policy that it was compiled with is still what its reference means. What can't be read,
is damaged, or belongs to somebody else is left alone and compiled anew.
"""

from __future__ import annotations

import marshal
import os
import sys
from typing import TYPE_CHECKING, Any

from engine._version import __version__
from engine.documents.digest import sha256
from engine.documents.resources import shipped
from engine.errors import PolicyError

if TYPE_CHECKING:
    from engine.policy.store import PolicyStore, Source

_MOST_FILES = 100
"""Images that are kept; of more, the oldest go."""
_MAGIC = b"engine program 1\n"


def folder() -> str:
    """Where images are kept: ENGINE_CACHE, else the user's cache folder as platformdirs has it."""
    given = os.environ.get("ENGINE_CACHE")
    if given:
        return given
    if sys.platform.startswith("linux"):  # the same, without what importing platformdirs costs
        base = os.environ.get("XDG_CACHE_HOME", "").strip() or os.path.expanduser("~/.cache")
        return os.path.join(base, "shard-policy-engine")
    import platformdirs

    return platformdirs.user_cache_dir("shard-policy-engine", appauthor=False)


def find(source: Source, store: PolicyStore) -> dict[str, Any] | None:
    """The image of a policy's file, if there is one and it still holds."""
    text = _read(source.path)
    if text is None:
        return None
    for path in (_shipped_path(text), _path(text)):
        kept = _load(path)
        if kept is not None and _holds(kept, source, store):
            image: dict[str, Any] = kept["image"]
            return image
    return None


def keep(image: dict[str, Any], source: Source, store: PolicyStore) -> None:
    """Keep the image of a policy's file; where that can't be, nothing happens."""
    text = _read(source.path)
    if text is None:
        return
    packed = pack(image, source, store)
    if packed is not None:
        _write(_path(text), packed)


def pack(image: dict[str, Any], source: Source, store: PolicyStore) -> bytes | None:
    """The image as it is kept, with digests of all that it was compiled with."""
    reads = [(kind, reference, _digest_of(store, kind, reference)) for kind, reference in image["reads"]]
    if any(digest is None for _, _, digest in reads):
        return None
    kept = {"image": image, "reads": reads, "named": _named(source)}
    payload = marshal.dumps(kept)
    return _MAGIC + sha256(payload) + payload


def shipped_name(text: bytes) -> str:
    """The name of a shipped image, by the policy's text, the engine's and Python's versions."""
    return f"{_key(text, '')}.program"


def _shipped_path(text: bytes) -> str:
    return os.path.join(shipped("programs"), shipped_name(text))


def _path(text: bytes) -> str:
    return os.path.join(folder(), f"{_key(text, _code_stamp())}.program")


def _key(text: bytes, stamp: str) -> str:
    tag = f"{__version__} {sys.implementation.cache_tag} {sys.hexversion:x} {stamp}\n"
    return sha256(tag.encode() + text).hex()


def _code_stamp() -> str:
    """When the engine's own code was changed last: an image is of no use to another."""
    package = os.path.dirname(os.path.abspath(__file__))
    newest = 0
    for each in ("cel", "policy", "."):
        with os.scandir(os.path.join(package, each)) as files:
            newest = max(newest, *(f.stat().st_mtime_ns for f in files if f.name.endswith(".py")))
    return str(newest)


def _read(path: str) -> bytes | None:
    from engine.policy.store import LONGEST_FILE

    if path == "-":
        return None
    try:
        with open(path, "rb") as file:
            text = file.read(LONGEST_FILE + 1)
    except (OSError, ValueError):
        return None
    return text if len(text) <= LONGEST_FILE else None


def _load(path: str) -> dict[str, Any] | None:
    """What is kept in a file, if it is whole and nobody else's."""
    try:
        with open(path, "rb") as file:
            owner = os.fstat(file.fileno()).st_uid
            data = file.read()
    except OSError:
        return None
    if hasattr(os, "getuid") and owner not in (os.getuid(), 0):
        return None
    payload = data[len(_MAGIC) + 32 :]
    if not data.startswith(_MAGIC) or sha256(payload) != data[len(_MAGIC) : -len(payload)]:
        return None
    try:
        kept: dict[str, Any] = marshal.loads(payload)
    except (ValueError, EOFError, TypeError):
        return None
    return kept


def _holds(kept: dict[str, Any], source: Source, store: PolicyStore) -> bool:
    return kept["named"] == _named(source) and all(
        digest == _digest_of(store, kind, reference) for kind, reference, digest in kept["reads"]
    )


def _named(source: Source) -> tuple[str, str] | None:
    """The name and version that the file's path claims, which it is checked against."""
    return None if source.entry is None else (source.entry.name, source.entry.version)


def _digest_of(store: PolicyStore, kind: Any, reference: str) -> bytes | None:
    if kind == "schema":
        text = _read(os.path.join(shipped("schemas"), reference))
    else:
        try:
            text = _read(store.find(kind, reference).path)
        except PolicyError:
            return None
    return None if text is None else sha256(text)


def _write(path: str, data: bytes) -> None:
    """Write a file that appears when it is complete."""
    part = f"{path}.{os.getpid()}.part"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(part, path)
        _prune(os.path.dirname(path))
    except OSError:
        return


def _prune(images: str) -> None:
    with os.scandir(images) as files:
        ages = [(file.stat().st_mtime_ns, file.path) for file in files if file.name.endswith(".program")]
    for _, path in sorted(ages)[:-_MOST_FILES]:
        os.unlink(path)
