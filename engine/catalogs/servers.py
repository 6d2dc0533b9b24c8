"""Model servers by name and version: catalogs `commands` and `servers`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from engine.base.aliases import Row
from engine.base.errors import RenderError, RequestError, near

if TYPE_CHECKING:
    from engine.catalogs.resolved import Catalogs

_PATH = ("serving", "server")
_VERSION = re.compile(r"[vb]?\d{1,9}(\.\d{1,9})*([.-]?[a-z]+\d*)*")
"""`0.33`, `0.5.10.post1`, `b8738`, `1.3.0rc11`."""


def find_server(text: str, catalogs: Catalogs) -> tuple[str, str | None]:
    """Return the name and the version that `vllm` or `vllm@0.33` mean.

    Args:
        text: the server, with a version after `@` or without.
        catalogs: the catalogs of the policy that decides.

    Raises:
        RequestError: the server or its version is unknown.
    """
    name, separator, version = text.partition("@")
    found = _find_name(name, catalogs)
    if not separator:
        return found, None
    rows = command_rows(found, catalogs)
    if not rows:
        raise RequestError(f"no versions of server {found} are known", path=_PATH, hint=f"use {found}")
    oldest, newest = rows[0]["since"], rows[-1]["until"]
    late = newest is not None and _filled(version, newest) > numbers(newest)
    if _VERSION.fullmatch(version) is None or late or _filled(version, oldest) < numbers(oldest):
        raise RequestError(
            f"unknown version '{version}' of {found}",
            path=_PATH,
            hint=f"known: {oldest} to {newest or 'the newest'}; without a version the newest is assumed",
        )
    return found, version


def server_names(catalogs: Catalogs) -> list[str]:
    """Return the servers that a policy knows; those with launch commands if it reads no catalog of them."""
    rows = catalogs("servers" if "servers" in catalogs.references else "commands").rows.values()
    return sorted({row["server"] for row in rows})


def find_kv_type(name: str, catalogs: Catalogs) -> str:
    """Return the row of catalog `kv_types` that a name means; the name itself if the policy reads none.

    Args:
        name: the type, by its name or an alias.
        catalogs: the catalogs of the policy that decides.

    Raises:
        RequestError: the type is unknown.
    """
    if "kv_types" not in catalogs.references:
        return name
    types = catalogs("kv_types")
    found = types.exact(name) or types.exact(name.lower())
    if found is None:
        raise RequestError(
            f"unknown KV cache type '{name}'",
            path=("serving", "kv_dtype"),
            hint=types.nearest(name) or f"known: {', '.join(types.rows)}",
        )
    return found


def _find_name(name: str, catalogs: Catalogs) -> str:
    commands = catalogs("commands")
    entry = commands.exact(name) or commands.loose(name)
    found = name if entry is None else str(commands.rows[entry]["server"])
    known = server_names(catalogs)
    if found not in known:
        raise RequestError(
            f"unknown server '{name}'",
            path=_PATH,
            hint=near(name, [*known, *(alias for alias, of in commands.aliases.items() if of in known)])
            or f"known: {', '.join(known)}",
        )
    return found


def command_rows(server: str, catalogs: Catalogs) -> list[Row]:
    """Return a server's rows of catalog `commands`, the oldest first."""
    rows = [row for row in catalogs("commands").rows.values() if row["server"] == server]
    return sorted(rows, key=lambda row: numbers(row["since"]))


def command_row(server: str, version: str | None, catalogs: Catalogs) -> Row | None:
    """Return the row of catalog `commands` for a version of a server; None for a server without rows.

    Args:
        server: the server's name.
        version: a version, in full or its first numbers; None for the newest.
        catalogs: the catalogs of the policy that decided.

    Raises:
        RenderError: the version is older than all rows of the server.
    """
    rows = command_rows(server, catalogs)
    if not rows or version is None:
        return rows[-1] if rows else None
    fitting = [row for row in rows if numbers(row["since"]) <= _filled(version, row["since"])]
    if not fitting:
        raise RenderError(
            f"the options of {server} {version} are not known",
            hint=f"catalog commands begins with {rows[0]['since']}",
        )
    return fitting[-1]


def server_row(server: str, kind: str, catalogs: Catalogs) -> Row | None:
    """Return the row of catalog `servers` that the policy assumed; None if it reads no such catalog."""
    if "servers" not in catalogs.references:
        return None
    rows: Mapping[str, Row] = catalogs("servers").rows
    return next((row for row in rows.values() if row["server"] == server and kind in row["kinds"]), None)


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers in a version, for comparison: `(0, 12, 1)` for 0.12.1, `(8738,)` for b8738."""
    return tuple(map(int, _leading(version)))


def _leading(version: str) -> Iterator[str]:
    for part in version.removeprefix("v").removeprefix("b").split("."):
        match = re.match(r"\d{1,9}", part)
        if match is None:
            return
        yield match[0]


def _filled(version: str, bound: str) -> tuple[int, ...]:
    """Return a version's numbers, the missing ones from a bound that begins alike: 0.8 includes 0.8.5."""
    own, other = numbers(version), numbers(bound)
    return other if other[: len(own)] == own else own
