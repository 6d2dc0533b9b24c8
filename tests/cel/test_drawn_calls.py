"""Every overload of every function of the table, on drawn arguments: one value on all runtimes, or errors.

Arguments are drawn by the overloads' types, among them values at the edges, and calls inside of calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.cel.celtypes import OPAQUE, Kind, Type
from engine.cel.checker import CelCheckError
from engine.cel.declarations import Overload, functions
from engine.cel.values import CelError, Value
from tests.support.cel import outcome, same
from tests.support.runtimes import CEL_CPP, RUNTIMES, runtimes_of

# Times lie close to each other: C++ CEL has no duration of more than 292 years. The zone is not UTC, since
# C++ CEL takes UTC0, which can be put together, for another name of it.
LITERALS = {
    "bool": ["true", "false"],
    "int": ["0", "1", "-1", "2", "7", "9223372036854775807", "-9223372036854775808"],
    "uint": ["0u", "1u", "3u", "18446744073709551615u"],
    "double": ["0.0", "-0.0", "1.5", "-2.5", "1e300", "9.3e18", "0.1", "3.0"],
    "string": ["''", "'ab'", "'Ünï🎈'", "' a '", "'b'", "'12'", "'-1.5'", "'true'", "'a,,b'", "'Asia/Tokyo'"],
    "bytes": ["b''", "b'ab'", r"b'\xff\x00'"],
    "timestamp": ["timestamp('2024-02-29T12:30:45Z')", "timestamp(0)", "timestamp('2069-12-31T23:59:59Z')"],
    "duration": ["duration('90s')", "duration('-1h30m')", "duration('0s')", "duration('2500ms')"],
    "null_type": ["null"],
    "net.IP": ["ip('10.0.0.1')", "ip('2001:DB8::68')", "ip('::ffff:a00:1')"],
    "net.CIDR": ["cidr('10.0.0.0/8')", "cidr('2001:db8::68/32')"],
    "kubernetes.Quantity": ["quantity('500m')", "quantity('-2Gi')", "quantity('1e30')"],
    "kubernetes.Semver": ["semver('1.2.3-rc.1+5')", "semver('v2', true)"],
    "kubernetes.NamedFormat": ["format.uuid()", "format.dns1123Subdomain()"],
    "kubernetes.URL": ["url('https://[::1]:80/a b?k=%20&k')", "url('/%zz?;=')", "url('mailto:a@b')"],
}  # fmt: skip
SCALARS = sorted(set(LITERALS) - set(OPAQUE))
KEYS = ["int", "string", "bool", "uint"]

CPP_DIFFERS = {
    "string(timestamp) -> string": "a fraction of a second is written with three digits",
    "string(duration) -> string": "a fraction of a second is written with three digits",
    "string(double) -> string": "infinity is inf",
    "string.split(string) -> list(string)": "no text in no pieces is one piece",
    "string.split(string, int) -> list(string)": "no text in no pieces is one piece",
    "string.substring(int, int) -> string": "the text's end is beyond its range",
    "list(dyn).flatten(int) -> list(dyn)": "a uint is an int in a function that is called back",
    "list(uint).sum() -> uint": "an element from 2^63 is an error in a function that is called back",
}
"""Deviations of C++ CEL from the specification: those overloads are compared on the other runtimes."""


def results() -> dict[str, list[Overload]]:
    """Overloads without type parameters, by the scalar that they give."""
    found = defaultdict(list)
    for function in functions().values():
        for overload in function.overloads:
            simple = all(each.name in SCALARS for each in overload.parameters)
            everywhere = runtimes_of(function.definition) is RUNTIMES
            if (
                simple
                and everywhere
                and overload.result.name in SCALARS
                and overload.signature not in CPP_DIFFERS
            ):
                found[overload.result.name].append((function.name, overload))
    return dict(found)


BY_RESULT: Any = results()


def call(name: str, overload: Overload, arguments: list[str]) -> str:
    """The text of a call."""
    if name == "_?_:_":
        return "({} ? {} : {})".format(*arguments)
    if name in ("_[_]", "_[?_]"):
        return f"{arguments[0]}[{name[2:-2]}{arguments[1]}]"
    if name == "_?._":
        return f"{{'ab': {arguments[0]}}}.?{'ab' if len(arguments[1]) % 2 else 'b'}"
    if name.endswith("_") and name.startswith("_"):
        return f"({arguments[0]} {name.strip('_')} {arguments[1]})"
    if name.endswith("_"):
        return f"{name[0]}({arguments[0]})"
    if overload.member:
        return f"{arguments[0]}.{name}({', '.join(arguments[1:])})"
    return f"{name}({', '.join(arguments)})"


@st.composite
def expression(draw: Any, type_: Type, bound: dict[str, str], depth: int = 2) -> str:
    """An expression of that type; a type parameter is bound to a scalar where it is first met."""
    kind = type_.kind
    if kind is Kind.PARAMETER:
        name = bound.setdefault(type_.name, draw(st.sampled_from(KEYS)))
        return draw(scalar(name, depth))  # type: ignore[no-any-return]
    if kind is Kind.LIST:
        parts = draw(st.lists(expression(type_.element, bound, 0), min_size=1, max_size=4))
        return f"[{', '.join(parts)}]"
    if kind is Kind.MAP:
        keys = draw(st.lists(expression(type_.key, bound, 0), min_size=1, max_size=3, unique=True))
        return "{" + ", ".join(f"{key}: {draw(expression(type_.value, bound, 0))}" for key in keys) + "}"
    if kind is Kind.OPTIONAL:
        present = draw(st.booleans())
        return f"optional.of({draw(expression(type_.element, bound, 0))})" if present else "optional.none()"
    if kind is Kind.DYN:
        return f"dyn({draw(scalar(draw(st.sampled_from(SCALARS)), 0))})"
    return draw(scalar(type_.name, depth))  # type: ignore[no-any-return]


@st.composite
def scalar(draw: Any, kind: str, depth: int) -> str:
    nested = BY_RESULT.get(kind)
    if depth == 0 or not nested or draw(st.integers(0, 2)) == 0:
        return draw(st.sampled_from(LITERALS[kind]))  # type: ignore[no-any-return]
    name, overload = draw(st.sampled_from(nested))
    return call(name, overload, [draw(scalar(each.name, depth - 1)) for each in overload.parameters])


def pairs(*, oracle: bool) -> list[Any]:
    return [
        pytest.param(function.name, overload, id=overload.signature)
        for function in functions().values()
        if not function.name.startswith("@") and (runtimes_of(function.definition) == RUNTIMES) is oracle
        for overload in function.overloads
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "overload"), pairs(oracle=True))
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_overload(name: str, overload: Overload, data: st.DataObject) -> None:
    agree(drawn(name, overload, data), overload)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "overload"), pairs(oracle=False))
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_overload_that_the_oracle_lacks(name: str, overload: Overload, data: st.DataObject) -> None:
    agree(drawn(name, overload, data), overload, runtimes_of(functions()[name].definition))


def drawn(name: str, overload: Overload, data: st.DataObject) -> str:
    """A call with drawn arguments."""
    bound: dict[str, str] = {}
    return call(name, overload, [data.draw(expression(each, bound)) for each in overload.parameters])


def agree(text: str, overload: Overload | None = None, runtimes: Sequence[str] = RUNTIMES) -> None:
    runtimes = list(runtimes)
    # The oracle has no opaque types, and returns no optionals.
    lacked = overload is not None and (
        "optional_type" in overload.signature
        or not {str(each) for each in overload.parameters}.isdisjoint(OPAQUE)
    )
    if overload is not None and (lacked or overload.signature in CPP_DIFFERS) and CEL_CPP in runtimes:
        runtimes.remove(CEL_CPP)
    # It decodes base64 with spaces, which RFC 4648 refuses (section 3.3), as cel-go does.
    if "base64.decode" in text and CEL_CPP in runtimes:
        runtimes.remove(CEL_CPP)
    try:
        found: list[Value] = [outcome(text, runtime) for runtime in runtimes]
    except CelCheckError:
        assume(False)
    for runtime, other in zip(runtimes[1:], found[1:], strict=True):
        if CelError in (found[0], other):
            assert found[0] is other, f"{text}: {runtimes[0]} {found[0]!r}, {runtime} {other!r}"
        else:
            assert same(found[0], other), f"{text}: {runtimes[0]} {found[0]!r}, {runtime} {other!r}"


MACROS = [
    "has({map}.{key})", "{list}.all(x, {bool})", "{list}.exists(x, {bool})", "{list}.exists_one(x, {bool})",
    "{list}.map(x, x)", "{list}.map(x, {bool}, x)", "{list}.filter(x, {bool} || x == x)",
    "{list}.sortBy(x, x)", "cel.bind(x, {bool}, x || {bool})", "{list}.map(x, {list}.filter(y, x == y))",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("form", MACROS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_macro(form: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["int", "string", "double"]))
    elements = data.draw(st.lists(scalar(kind, 1), min_size=1, max_size=4))
    text = form.format(
        list=f"[{', '.join(elements)}]",
        bool=data.draw(scalar("bool", 2)),
        map="{'a': 1}",
        key="ab"[len(elements) % 2],
    )
    agree(text)
