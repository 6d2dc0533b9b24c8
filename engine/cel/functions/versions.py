"""Kubernetes' semver library: semantic versions, compared as semver.org 2.0.0 says."""

from __future__ import annotations

import functools
import re

from engine.base.errors import quote
from engine.cel.costs import READING
from engine.cel.library import Library
from engine.cel.literals import INT_MAX, UINT_MAX
from engine.cel.values import CelError, OpaqueValue, Value, require_type

LIBRARY = Library(__name__, "Versions", source="Kubernetes semver library")

_LONGEST = 256
_NUMBER = r"(0|[1-9][0-9]*)"
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_STRICT = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?\Z")
_LENIENT = re.compile(
    rf"v?0*([0-9]+)(?:\.0*([0-9]+))?(?:\.0*([0-9]+))?((?:-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?)\Z"
)


class Version(OpaqueValue):
    """A semantic version; build metadata says nothing about order or equality."""

    __slots__ = ("key", "numbers", "text")
    __type_name__ = "kubernetes.Semver"

    def __init__(self, numbers: tuple[int, int, int], prerelease: str | None, text: str) -> None:
        self.numbers = numbers
        self.text = text
        self.key = (numbers, prerelease is None, tuple(map(_order, (prerelease or "").split("."))))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.text


def _order(identifier: str) -> tuple[bool, int, str]:
    """Return the order of an identifier: numbers by value, before all others."""
    number = identifier.isdigit()
    return (not number, int(identifier) if number else 0, "" if number else identifier)


@functools.lru_cache(maxsize=1024)
def _parse(text: str, normalize: bool) -> Version | None:
    """Return the version that a text is, or None."""
    if len(text) > _LONGEST:
        return None
    if normalize:
        lenient = _LENIENT.match(text)
        if lenient is None:
            return None
        major, minor, patch, rest = lenient.groups()
        text = f"{int(major)}.{int(minor or 0)}.{int(patch or 0)}{rest}"
    match = _STRICT.match(text)
    if match is None:
        return None
    first, second, third = (int(number) for number in match.groups()[:3])
    prerelease = match[4]
    identifiers = [] if prerelease is None else prerelease.split(".")
    padded = any(each.isdigit() and each[0] == "0" and len(each) > 1 for each in identifiers)
    if padded or max(first, second, third) > UINT_MAX:
        return None
    return Version((first, second, third), prerelease, text)


_FORMS = ("{0}(string) -> {1}", "{0}(string, bool) -> {1}")


@LIBRARY.function(
    "semver",
    *(form.format("semver", "kubernetes.Semver") for form in _FORMS),
    description="The semantic version that a text is; with true, v1.2 and 01.2.3 are accepted, too.",
    example="semver('1.10.0').isGreaterThan(semver('1.9.0')) && semver('v1.2', true) == semver('1.2.0')",
    cost=READING,
    operations=60,
)
def semver(text: Value, normalize: Value = False) -> Version:
    """Return `semver(text, normalize)`."""
    require_type("semver", text, str)
    require_type("semver", normalize, bool)
    parsed = _parse(text, normalize)
    if parsed is None:
        raise CelError(f"semver: {quote(text)} is not a semantic version")
    return parsed


@LIBRARY.function(
    "isSemver",
    *(form.format("isSemver", "bool") for form in _FORMS),
    description="True if a text is a semantic version; with true, v1.2 and 01.2.3 are, too.",
    example="isSemver('1.2.3-rc.1') && !isSemver('v1.2') && isSemver('v1.2', true)",
    cost=READING,
    operations=60,
)
def is_semver(text: Value, normalize: Value = False) -> bool:
    """Return `isSemver(text, normalize)`."""
    require_type("isSemver", text, str)
    require_type("isSemver", normalize, bool)
    return _parse(text, normalize) is not None


def _number(word: str, position: int, example: str) -> None:
    @LIBRARY.function(
        word,
        f"kubernetes.Semver.{word}() -> int",
        description=f"The {word} version.",
        example=example,
    )
    def number(version: Value) -> int:
        require_type(word, version, Version)
        found: int = version.numbers[position]
        if found > INT_MAX:
            raise CelError("integer overflow")
        return found


_number("major", 0, "semver('1.2.3').major() == 1")
_number("minor", 1, "semver('1.2.3').minor() == 2")
_number("patch", 2, "semver('1.2.3').patch() == 3")
