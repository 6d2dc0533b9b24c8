"""Kubernetes' URL library: absolute URIs and absolute paths, as a request line has them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from engine.base.errors import quote
from engine.cel.costs import CHARGING, READING, REWRITING, Spend
from engine.cel.library import Library
from engine.cel.values import CelError, OpaqueValue, Value, require_type

LIBRARY = Library(__name__, "URLs", source="Kubernetes URL library")

_LONGEST = 8_192
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=<>\"-]|[^\x00-\x7f]|%[89A-Fa-f][0-9A-Fa-f])*(?::[0-9]*)?\Z")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+(?:%25(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+)?\](?::[0-9]*)?\Z")
_USER = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*\Z")
_WRITTEN_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/\[\]%-]*\Z")
_PATH_SAFE = "$&+,/:;=@~"


class Url(OpaqueValue):
    """A URL in its parts; `path` and `query` are as they are sent."""

    __slots__ = ("host", "path", "query", "scheme", "text", "user")
    __type_name__ = "kubernetes.URL"

    def __init__(self, text: str, scheme: str, user: str, host: str, path: str, query: str) -> None:
        self.text = text
        self.scheme = scheme
        self.user = user
        self.host = host
        self.path = path
        self.query = query

    def _parts(self) -> tuple[str, ...]:
        return self.scheme, self.user, self.host, self.path, self.query

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def __str__(self) -> str:
        return self.text

    @property
    def host_and_port(self) -> tuple[str, str]:
        """Return the host without brackets, and the port."""
        match = re.match(r"(?:\[(.*)\]|([^:]*))(?::(.*))?\Z", self.host)
        assert match is not None
        return match[1] if match[1] is not None else match[2], match[3] or ""


@functools.lru_cache(maxsize=256)
def _parse(text: str) -> Url | None:
    """Return the URL that a text is, or None."""
    if not text or len(text) > _LONGEST or _CONTROL.search(text):
        return None
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    rest, _, query = rest.partition("?")
    name = scheme[1].lower() if scheme else ""
    if not rest.startswith("/"):
        usable = (bool(scheme) and bool(rest)) or text == "*"
        return Url(text, name, "", "", "" if scheme else rest, query) if usable else None
    user = host = ""
    if scheme and rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        user, at, host = authority.rpartition("@")
        rest = slash + path
        form = _BRACKETED if host.startswith("[") else _HOST
        if not form.match(host) or not _USER.match(user):
            return None
        user += at
    if _BAD_ESCAPE.search(rest):
        return None
    return Url(text, name, user, _decoded(host), _escaped(rest), query)


def _decoded(text: str) -> str:
    from urllib.parse import unquote  # deferred: start-up time

    return unquote(text, errors="replace") if "%" in text else text


def _escaped(path: str) -> str:
    """Return a path as it is sent: as it is written, if that can be sent."""
    if _WRITTEN_PATH.match(path):
        return path
    from urllib.parse import quote as escape  # deferred: start-up time
    from urllib.parse import unquote_to_bytes

    return escape(unquote_to_bytes(path), safe=_PATH_SAFE)


@LIBRARY.function(
    "url",
    "url(string) -> kubernetes.URL",
    description="The URL that a text is: an absolute URI, or an absolute path.",
    example="url('https://example.com:8443/models').getPort() == '8443'",
    cost=REWRITING,
    operations=80,
)
def url(text: Value) -> Url:
    """Return `url(text)`."""
    require_type("url", text, str)
    parsed = _parse(text)
    if parsed is None:
        raise CelError(f"url: {quote(text)} is not an absolute URI or path")
    return parsed


@LIBRARY.function(
    "isURL",
    "isURL(string) -> bool",
    description="True if a text is an absolute URI, or an absolute path.",
    example="isURL('https://example.com/') && isURL('/models') && !isURL('models')",
    cost=REWRITING,
    operations=80,
)
def is_url(text: Value) -> bool:
    """Return `isURL(text)`."""
    require_type("isURL", text, str)
    return _parse(text) is not None


def _part(word: str, description: str, example: str, part: Callable[[Url], str]) -> None:
    @LIBRARY.function(
        word,
        f"kubernetes.URL.{word}() -> string",
        description=description,
        example=example,
        cost=READING,
        operations=30,
    )
    def part_of(address: Value) -> str:
        require_type(word, address, Url)
        return part(address)


_part(
    "getScheme",
    "The scheme; empty if there is none.",
    "url('HTTPS://a/').getScheme() == 'https'",
    lambda u: u.scheme,
)
_part(
    "getHost",
    "The host, with the port if there is one.",
    "url('https://[::1]:80/').getHost() == '[::1]:80'",
    lambda u: u.host,
)
_part(
    "getHostname",
    "The host without port and brackets.",
    "url('https://[::1]:80/').getHostname() == '::1'",
    lambda u: u.host_and_port[0],
)
_part(
    "getPort",
    "The port; empty if there is none.",
    "url('https://example.com/').getPort() == ''",
    lambda u: u.host_and_port[1],
)
_part(
    "getEscapedPath",
    "The path, percent-encoded.",
    "url('https://a/with space').getEscapedPath() == '/with%20space'",
    lambda u: u.path,
)


@LIBRARY.function(
    "getQuery",
    "kubernetes.URL.getQuery() -> map(string, list(string))",
    description="The values of each key of the query, decoded.",
    example="url('/a?k=1&k=2%20').getQuery() == {'k': ['1', '2 ']}",
    cost=CHARGING,
    operations=60,
)
def get_query(spend: Spend, address: Value) -> dict[str, list[str]]:
    """Return `address.getQuery()`; what is no key and value is left out."""
    from urllib.parse import unquote_plus  # deferred: start-up time

    require_type("getQuery", address, Url)
    spend(steps=2 * len(address.query))
    values: dict[str, list[str]] = {}
    for pair in address.query.split("&"):
        if not pair or ";" in pair or _BAD_ESCAPE.search(pair):
            continue
        key, _, value = pair.partition("=")
        values.setdefault(unquote_plus(key), []).append(unquote_plus(value))
    return values
