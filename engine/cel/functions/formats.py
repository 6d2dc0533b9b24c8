"""Kubernetes' format library: named formats, and why a text does not have one."""

from __future__ import annotations

import re
from collections.abc import Callable

from engine.cel.costs import REWRITING
from engine.cel.functions.dates import to_timestamp
from engine.cel.functions.urls import is_url
from engine.cel.library import Library
from engine.cel.values import CelError, OpaqueValue, OptionalValue, Value, require_type

LIBRARY = Library(__name__, "Formats", source="Kubernetes format library", namespace="format")

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_PREFIX = r"[a-z0-9]([-a-z0-9]*)?"
_NAME = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_NAME_RULE = "must be letters, digits, '-', '_' and '.', with a letter or digit at both ends"
_LONGEST_NAME = 63
_LONGEST_SUBDOMAIN = 253


class Format(OpaqueValue):
    """A named format; `faults` gives what keeps a text from having it."""

    __slots__ = ("faults", "name")
    __type_name__ = "kubernetes.NamedFormat"

    def __init__(self, name: str, faults: Callable[[str], list[str]]) -> None:
        self.name = name
        self.faults = faults

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Format) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


FORMATS: dict[str, Format] = {}
"""Formats by name."""


def _format(name: str, good: str, faults: Callable[[str], list[str]], description: str) -> None:
    """Add a format and the function that returns it; `good` is a text that has it."""
    FORMATS[name] = Format(name, faults)
    LIBRARY.define(
        f"format.{name}",
        f"format.{name}() -> kubernetes.NamedFormat",
        description=description,
        example=f"!format.{name}().validate('{good}').hasValue()",
        implementation=lambda: FORMATS[name],
    )


def _by_pattern(pattern: str, longest: int, expected: str) -> Callable[[str], list[str]]:
    compiled = re.compile(rf"(?:{pattern})\Z")

    def faults(text: str) -> list[str]:
        found = [f"must be no more than {longest} characters"] if len(text) > longest else []
        # A text that is much too long is not searched: it has a fault anyway.
        return found if found or compiled.match(text) else [expected]

    return faults


def _is_qualified(text: str) -> list[str]:
    prefix, slash, name = text.rpartition("/")
    found = []
    if slash and (not prefix or FORMATS["dns1123Subdomain"].faults(prefix)):
        found.append("the prefix must be a DNS subdomain")
    if _by_pattern(_NAME, _LONGEST_NAME, "")(name):
        found.append(f"the name {_NAME_RULE}, at most 63 characters")
    return found


def _is_base64(text: str) -> list[str]:
    good = len(text) % 4 == 0 and re.match(r"[A-Za-z0-9+/]*={0,2}\Z", text)
    return [] if good else ["must be base64 with padding"]


def _is_uri(text: str) -> list[str]:
    return [] if is_url(text) else ["must be an absolute URI or path"]


def _is_date(text: str) -> list[str]:
    return (
        []
        if re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z", text) and _is_time(f"{text}T00:00:00Z")
        else ["must be a date like 2026-01-31"]
    )


def _is_datetime(text: str) -> list[str]:
    return [] if _is_time(text) else ["must be a time like 2026-01-31T12:00:00Z"]


def _is_time(text: str) -> bool:
    try:
        to_timestamp(text)
    except CelError:
        return False
    return True


_DNS_LABEL = "must be lowercase letters, digits and '-', with a letter or digit at both ends"
_DNS_PREFIX = "must be lowercase letters, digits and '-', with a letter or digit at the beginning"
_1035_LABEL = "must be lowercase letters, digits and '-', with a letter first and no '-' last"
_1035_PREFIX = "must be lowercase letters, digits and '-', with a letter first"
_SUBDOMAIN = "must be DNS labels, separated by '.'"

_format("dns1123Label", "a-1", _by_pattern(_LABEL, 63, _DNS_LABEL), "A DNS label of RFC 1123.")
_format(
    "dns1123Subdomain",
    "a.example.com",
    _by_pattern(rf"{_LABEL}(\.{_LABEL})*", _LONGEST_SUBDOMAIN, _SUBDOMAIN),
    "A DNS subdomain of RFC 1123.",
)
_format(
    "dns1035Label",
    "a-1",
    _by_pattern(r"[a-z]([-a-z0-9]*[a-z0-9])?", 63, _1035_LABEL),
    "A DNS label of RFC 1035.",
)
_format("qualifiedName", "example.com/name", _is_qualified, "A name, after a DNS subdomain and / or alone.")
_format(
    "dns1123LabelPrefix",
    "a-",
    _by_pattern(_LABEL_PREFIX, 63, _DNS_PREFIX),
    "What a DNS label of RFC 1123 may begin with.",
)
_format(
    "dns1123SubdomainPrefix",
    "a.b-",
    _by_pattern(rf"{_LABEL}(\.{_LABEL})*-?", _LONGEST_SUBDOMAIN, _SUBDOMAIN),
    "What a DNS subdomain of RFC 1123 may begin with.",
)
_format(
    "dns1035LabelPrefix",
    "a-",
    _by_pattern(r"[a-z]([-a-z0-9]*)?", 63, _1035_PREFIX),
    "What a DNS label of RFC 1035 may begin with.",
)
_format(
    "labelValue",
    "v_1.0",
    _by_pattern(
        rf"({_NAME})?",
        63,
        _NAME_RULE,
    ),
    "The value of a label; it may be empty.",
)
_format("uri", "https://example.com", _is_uri, "An absolute URI, or an absolute path.")
_format(
    "uuid",
    "00000000-0000-0000-0000-000000000000",
    _by_pattern(r"[0-9A-Fa-f]{8}(-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}", 36, "must be a UUID"),
    "A UUID.",
)
_format("byte", "aGVsbG8=", _is_base64, "Base64 with padding.")
_format("date", "2026-01-31", _is_date, "A date of RFC 3339.")
_format("datetime", "2026-01-31T12:00:00Z", _is_datetime, "A time of RFC 3339.")


@LIBRARY.function(
    "format.named",
    "format.named(string) -> optional_type(kubernetes.NamedFormat)",
    description="The format of that name; none if there is none.",
    example="format.named('uuid').hasValue() && !format.named('unknown').hasValue()",
)
def named(name: Value) -> OptionalValue:
    """Return `format.named(name)`."""
    require_type("format.named", name, str)
    return OptionalValue(True, FORMATS[name]) if name in FORMATS else OptionalValue()


@LIBRARY.function(
    "validate",
    "kubernetes.NamedFormat.validate(string) -> optional_type(list(string))",
    description="What keeps a text from having the format; none if it has it.",
    example="format.dns1123Label().validate('A').value().size() == 1",
    cost=REWRITING,
    operations=60,
)
def validate(form: Value, text: Value) -> OptionalValue:
    """Return `form.validate(text)`."""
    require_type("validate", form, Format)
    require_type("validate", text, str)
    found = form.faults(text)
    return OptionalValue(True, found) if found else OptionalValue()
