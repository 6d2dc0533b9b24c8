"""Compiled policies kept on disk, so that a process that decides once need not compile.

An image is found by the policy's text, the engine's version and code, and Python's version, and is used only
if every catalog and policy that it was compiled with is still what its reference means.

An image holds code. One from the user's cache is used only if this engine wrote it for this user: folder and
file are such that nobody else can write them, and it carries a tag that is made with a secret key, which lies
apart from the cache. Its own key, the policy's digest and the engine's version are inside, under the tag.
Everything else is left alone, and the policy is compiled. An image that came with the package is trusted as
the package's code is.
"""

from __future__ import annotations

import marshal
import os
import sys
from _operator import _compare_digest  # hmac's, without what importing hmac costs
from contextlib import suppress
from time import time
from types import CodeType
from typing import TYPE_CHECKING, cast

from engine._version import __version__
from engine.base.errors import DocumentError, PolicyError
from engine.cel.limits import limits
from engine.cel.runtimes.identifiers import DECIDE
from engine.documents.digest import sha256
from engine.documents.guarded import own_folder, read_own, read_shipped, write_own
from engine.documents.resources import packaged, shipped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.catalogs.store import Snapshot, Source
    from engine.fastpath.image import Image, Kept, ReadKind

_MOST_FILES = 100
"""Images that are kept; of more, the oldest go."""
_MOST_BYTES = 16 * 1024 * 1024
"""Of an image's file; a larger image isn't kept."""
_PART_SECONDS = 3600
"""How old an unfinished file is when it goes: whoever wrote it has been killed."""

_MAGIC = b"engine program 3\n"
_ROOMS = (
    ("base",),
    ("catalogs",),
    ("cel",),
    ("cel", "functions"),
    ("cel", "runtimes"),
    ("fastpath",),
    ("plan",),
    ("policy",),
)
"""Folders of the code that images depend on."""
_SHIPPED_MAGIC = b"engine shipped program 3\n"
_SECRET_MAGIC = b"engine cache key 1\n"
_TAG_BYTES = _SECRET_BYTES = 32
_BLOCK_BYTES = 64
"""SHA-256's, which HMAC fills its key up to."""


def folder() -> str:
    """Return the cache folder: ENGINE_CACHE, else the user's cache folder as platformdirs defines it."""
    given = os.environ.get("ENGINE_CACHE")
    if given:
        return given
    if sys.platform.startswith("linux"):  # the same, without what importing platformdirs costs
        base = os.environ.get("XDG_CACHE_HOME", "").strip() or os.path.expanduser("~/.cache")
        return os.path.join(base, "shard-policy-engine")
    import platformdirs

    return platformdirs.user_cache_dir("shard-policy-engine", appauthor=False)


def secret_folder() -> str:
    """Where the secret key lies: the user's folder for state, which ENGINE_CACHE has no say in."""
    if sys.platform.startswith("linux"):
        base = os.environ.get("XDG_STATE_HOME", "").strip() or os.path.expanduser("~/.local/state")
        return os.path.join(base, "shard-policy-engine")
    import platformdirs

    return platformdirs.user_state_dir("shard-policy-engine", appauthor=False)


def find(source: Source, store: Snapshot, open_constants: frozenset[str] = frozenset()) -> Image | None:
    """Return the cached image of a policy's file, with some constants left open, if it is current."""
    text = _source_content(source)
    if text is None:
        return None
    for load in (_load_shipped, _load_own):
        kept = load(text, store, open_constants)
        if kept is not None and _holds(kept, source, store):
            return kept["image"]
    return None


def keep(image: Image, source: Source, store: Snapshot, open_constants: frozenset[str] = frozenset()) -> None:
    """Keep the image of a policy's file; where that can't be, nothing happens.

    Args:
        image: what was compiled of `store`, which has read each file just once: what is kept under a text is
            what was compiled of that text.
        source: the policy's file.
        store: the files as they were read.
        open_constants: the constants that can be replaced in the image.
    """
    from engine.cel.runtimes.link import is_built_in  # deferred: start-up time

    text = _source_content(source)
    if text is None or not is_built_in(image["symbols"]):
        return
    try:
        images = own_folder(folder(), make=True)
        if images is None:
            return
        secret, key = _make_secret(images), _own_key(text, store, open_constants)
        payload = None if secret is None else _payload(image, source, store, key)
        if secret is None or payload is None:
            return
        data = _MAGIC + _tag(secret, payload) + payload
        if len(data) <= _MOST_BYTES:
            write_own(_path(images, key), data)
            _prune(images)
    except (OSError, ValueError):  # ValueError: what marshal can't write, names that are no file's
        return


def pack(image: Image, source: Source, store: Snapshot) -> bytes | None:
    """The image as it is shipped, with digests of all that it was compiled with."""
    text = source.content()
    payload = _payload(image, source, store, _key(text, ""))
    return None if payload is None else _SHIPPED_MAGIC + sha256(payload) + payload


def shipped_name(text: bytes) -> str:
    """The name of a shipped image, by the policy's text, the engine's and Python's versions."""
    return f"{_key(text, '')}.program"


def _payload(image: Image, source: Source, store: Snapshot, key: str) -> bytes | None:
    reads = [(kind, reference, _digest_of(store, kind, reference)) for kind, reference in image["reads"]]
    if any(digest is None for _, _, digest in reads):
        return None
    return marshal.dumps(
        {
            "key": key,
            "engine": __version__,
            "policy": sha256(source.content()),
            "named": _named(source),
            "reads": reads,
            "image": image,
        }
    )


def _path(images: str, key: str) -> str:
    return os.path.join(images, f"{key}.program")


def _key(text: bytes, stamp: str) -> str:
    tag = f"{__version__} {sys.implementation.cache_tag} {sys.hexversion:x} {stamp}\n"
    return sha256(tag.encode() + text).hex()


def _code_stamp() -> str:
    """The newest change of the engine's own code, and the limits that a policy was compiled under.

    An image made by other code is of no use; these limits may refuse what others let through.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    newest = 0
    for room in _ROOMS:
        with os.scandir(os.path.join(package, *room)) as files:
            newest = max(newest, *(f.stat().st_mtime_ns for f in files if f.name.endswith(".py")))
    return f"{newest} {' '.join(map(str, limits()))}"


def _load_shipped(text: bytes, store: Snapshot, open_constants: frozenset[str]) -> Kept | None:
    """What is shipped for a policy's text: nothing with open constants."""
    if open_constants:
        return None
    key = _key(text, "")
    data = read_shipped(_path(packaged("programs"), key), _MOST_BYTES)
    tag, payload = _parted(data, _SHIPPED_MAGIC)
    return _unpacked(payload, text, key) if sha256(payload) == tag else None


def _own_key(text: bytes, store: Snapshot, open_constants: frozenset[str]) -> str:
    """The key of an image that is kept for this user.

    The folders that catalogs, libraries and patches come from are in it, so that decisions with and without
    a site's folder, in turns, don't overwrite each other's image.
    """
    folders = "\n".join(map(os.path.abspath, store.folders))
    return _key(text, f"{_code_stamp()}{_opened(open_constants)}\n{folders}")


def _opened(constants: frozenset[str]) -> str:
    """What the key of an image says of the constants that can be replaced in it."""
    return f" open {' '.join(sorted(constants))}" if constants else ""


def _load_own(text: bytes, store: Snapshot, open_constants: frozenset[str]) -> Kept | None:
    """What this user's engine has kept for a policy's text."""
    try:
        images = own_folder(folder())
        if images is None:
            return None
        key = _own_key(text, store, open_constants)
        tag, payload = _parted(read_own(_path(images, key), _MOST_BYTES), _MAGIC)
        secret = _read_secret(images) if payload else None
    except (OSError, ValueError):
        return None
    if secret is None or not _compare_digest(_tag(secret, payload), tag):
        return None
    return _unpacked(payload, text, key)


def _parted(data: bytes | None, magic: bytes) -> tuple[bytes, bytes]:
    """The tag and the payload of a file's content; nothing where it begins otherwise."""
    if data is None or not data.startswith(magic):
        return b"", b""
    start = len(magic) + _TAG_BYTES
    return data[len(magic) : start], data[start:]


def _unpacked(payload: bytes, text: bytes, key: str) -> Kept | None:
    """What a payload of the engine's own holds; None unless it was made for this text and key."""
    try:
        kept = marshal.loads(payload)
    except (ValueError, EOFError, TypeError, MemoryError):
        return None
    made_for = {"key": key, "engine": __version__, "policy": sha256(text)}
    if not isinstance(kept, dict) or any(kept.get(each) != wanted for each, wanted in made_for.items()):
        return None
    if not _are_digests(kept.get("reads")) or not _is_image(kept.get("image")):
        return None
    return cast("Kept", kept)


def _are_digests(reads: object) -> bool:
    return isinstance(reads, list) and all(
        isinstance(each, tuple) and len(each) == 3 and all(isinstance(part, str) for part in each[:2])
        for each in reads
    )


_IMAGE: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("name", "version", "digest"), str),
    **dict.fromkeys(("inputs", "reads"), tuple),
    "auto": dict,
    "defaults": dict,
    "code": (CodeType, type(None)),
}
_CODED: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("objects", "scalars", "catalogs", "describing", "identifying", "symbols"), dict),
    "matches": tuple,
}
"""What else an image has that has code."""


def _is_image(image: object) -> bool:
    """Whether this has an image's structure, as far as it is read before it is linked."""
    if not isinstance(image, dict) or not _has(image, _IMAGE):
        return False
    if image["code"] is not None and not _has(image, _CODED):
        return False
    inputs_are = all(
        isinstance(each, tuple) and len(each) == 3 and all(isinstance(part, str) for part in each[:2])
        for each in image["inputs"]
    )
    if not inputs_are or not _takes(image["code"], len(image["inputs"])):
        return False
    return all(isinstance(each, str) and _is_image(of) for each, of in image["auto"].items())


def _takes(code: CodeType | None, inputs: int) -> bool:
    """Return True if the policy's function takes that many inputs, and `spend`."""
    if code is None:
        return True
    constants = (each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == DECIDE)
    return any(function.co_argcount == inputs + 1 for function in constants)


def _has(image: dict[object, object], types: Mapping[str, type | tuple[type, ...]]) -> bool:
    return all(isinstance(image.get(each, _MISSING), type_) for each, type_ in types.items())


_MISSING = object()


def _holds(kept: Kept, source: Source, store: Snapshot) -> bool:
    return kept.get("named") == _named(source) and all(
        digest == _digest_of(store, kind, reference) for kind, reference, digest in kept["reads"]
    )


def _named(source: Source) -> tuple[str, str] | None:
    """The name and version that the file's path claims, which it is checked against."""
    return None if source.entry is None else (source.entry.name, source.entry.version)


def _digest_of(store: Snapshot, kind: ReadKind, reference: str) -> bytes | None:
    if kind == "schema":
        text = _content(store, os.path.join(shipped("schemas"), reference))
    else:
        try:
            text = store.patched_content(store.find(kind, reference))
        except (PolicyError, DocumentError):
            return None
    return None if text is None else sha256(text)


def _source_content(source: Source) -> bytes | None:
    try:
        return source.content()
    except DocumentError:
        return None


def _content(store: Snapshot, path: str) -> bytes | None:
    try:
        return store.content(path)
    except DocumentError:
        return None


def _tag(secret: bytes, payload: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) by the module that digests are made with: importing hmac loads OpenSSL."""
    block = secret.ljust(_BLOCK_BYTES, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in block) + payload)
    return sha256(bytes(byte ^ 0x5C for byte in block) + inner)


def _secret_path(images: str, *, make: bool = False) -> str | None:
    """Where the secret key lies; None where others could reach it.

    It doesn't lie inside the cache, which may come from elsewhere as a whole.
    """
    secrets = own_folder(secret_folder(), make=make)
    if secrets is None or os.path.join(secrets, "").startswith(os.path.join(images, "")):
        return None
    return os.path.join(secrets, "cache.key")


def _read_secret(images: str) -> bytes | None:
    """The user's secret key; None where there is none that only the user can read and write."""
    path = _secret_path(images)
    whole = len(_SECRET_MAGIC) + _SECRET_BYTES
    data = None if path is None else read_own(path, whole, secret=True)
    if data is None or not data.startswith(_SECRET_MAGIC) or len(data) != whole:
        return None
    return data[len(_SECRET_MAGIC) :]


def _make_secret(images: str) -> bytes | None:
    """The user's secret key, made where there is none or others could have read or written it."""
    path = _secret_path(images, make=True)
    if path is not None and _read_secret(images) is None:
        write_own(path, _SECRET_MAGIC + os.urandom(_SECRET_BYTES))
    return _read_secret(images)  # of processes that make one at the same time, the last one's stays


def _prune(images: str) -> None:
    """Delete the oldest images of too many, and what writers that were killed have left."""
    ages = []
    with os.scandir(images) as files:
        for file in files:
            with suppress(OSError):  # another process deletes too
                changed = file.stat(follow_symlinks=False).st_mtime
                if file.name.endswith(".program"):
                    ages.append((changed, file.path))
                elif file.name.endswith(".part") and changed < time() - _PART_SECONDS:
                    os.unlink(file.path)
    for _, path in sorted(ages)[:-_MOST_FILES]:
        with suppress(OSError):
            os.unlink(path)
