"""Units by name, from the catalogs `units` and `unit_prefixes`, and the notation of products and powers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from fractions import Fraction
from functools import cached_property
from typing import Any

from engine.base.errors import PolicyError, near
from engine.base.memory import recall
from engine.base.records import replace
from engine.catalogs import Catalogs
from engine.policy.units.unit import NUMBER, RATIO, Symbol, Unit, power, product, quotient

LONGEST = 100
"""Characters of a unit."""
_TOKEN = re.compile(r"\s*(?:(?P<name>[^\W\d_][\w%-]*|%)|(?P<sign>[·*/()²³^])|(?P<number>-?\d+))")
_FACTOR = re.compile(r"[1-9]\d{0,29}(?:/[1-9]\d{0,29})?", re.ASCII)
_DEFINITION = re.compile(rf"\s*(?P<factor>{_FACTOR.pattern})\s+(?P<unit>\S+)\s*", re.ASCII)
_WORD = re.compile(r"[a-z][a-z_-]{2,}")
"""The name of something counted, which needs no row."""
_ALIKE = 0.8
"""Likeness, as difflib measures it, from which an unknown word is taken for a misspelt unit."""
_MOST_HINTS = 50
_MOST_WORDS = 500
_HIGHEST_POWER = 9
_DEEPEST = 20


class UnitError(ValueError):
    """Text that is not a unit; `offset` counts its characters."""

    def __init__(self, message: str, offset: int = 0, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


class UnitTable:
    """The units that may be named."""

    def __init__(
        self,
        rows: Mapping[str, Mapping[str, Any]],
        aliases: Mapping[str, str],
        prefixes: Mapping[str, tuple[Fraction, str]],
    ) -> None:
        """Make a table of units.

        Args:
            rows: the rows of the catalog `units`: kind, definition, prefixes.
            aliases: other names of the rows.
            prefixes: by name, the factor and the system, decimal or binary.
        """
        self.rows = rows
        self.aliases = {name: row for name, row in aliases.items() if row in rows}
        self.prefixes = prefixes
        self.parsed: dict[str, Unit | UnitError] = {}
        self.open: list[str] = []
        self.hints = 0
        self.words = 0
        # The shortest name of a row stands behind a prefix: GB, not Gbyte.
        self.short = {row: row for row in rows}
        for alias, row in self.aliases.items():
            if len(alias) < len(self.short[row]):
                self.short[row] = alias

    def parse(self, text: str) -> Unit:
        """Return the unit that a text names.

        Raises:
            UnitError: it names none.
        """
        found = self.parsed.get(text)
        if found is None:
            try:
                found = _Parser(text, self).parse()
            except UnitError as error:
                found = error
            self.parsed[text] = found
        if isinstance(found, UnitError):
            raise found
        return found

    def find(self, text: str) -> Unit | None:
        """Return the unit that a text names; None if it names none, or is empty."""
        try:
            return self.parse(text) if text else None
        except UnitError:
            return None

    def named(self, name: str, offset: int) -> Unit:
        """Return the unit of a single name, with a prefix or without."""
        row = self.row(name)
        if row is not None:
            return self.of_row(row, offset)
        for prefix, (factor, system) in self.prefixes.items():
            row = self.row(name[len(prefix) :]) if name.startswith(prefix) else None
            if row is not None and self.rows[row].get("prefixes", "none") in (system, "any"):
                unit = self.of_row(row, offset)
                return _scaled(unit, factor, f"{prefix}{self.short[row]}")
        if self.is_word(name):
            return Unit(item=name, symbols=(Symbol(name, Fraction(1), name),))
        raise UnitError(f"unknown unit '{name}'", offset, self.hint(name))

    def row(self, name: str) -> str | None:
        """Return the row that a name means, without a prefix."""
        return name if name in self.rows else self.aliases.get(name)

    def of_row(self, name: str, offset: int) -> Unit:
        """Return the unit of a row: one of its own, or what its definition says."""
        row = self.rows[name]
        definition = row.get("definition")
        if definition is None:
            return _own_unit(name, row.get("kind", "quantity"))
        match = _DEFINITION.fullmatch(definition)
        if match is None or name in self.open:
            reason = "is defined by itself" if name in self.open else f"has the definition '{definition}'"
            raise UnitError(f"unit '{name}' {reason}", offset, "a definition is a factor and a unit: 60 s")
        self.open.append(name)
        try:
            unit = self.parse(match["unit"])
        finally:
            self.open.pop()
        factor = Fraction(match["factor"])
        return unit if factor == 1 else _scaled(unit, factor, name)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All names, those with prefixes too."""
        plain = {name: self.row(name) for name in (*self.rows, *self.aliases)}
        return (*plain, *(name for each, row in plain.items() if row for name in self.prefixed(each, row)))

    def prefixed(self, name: str, row: str) -> Iterator[str]:
        taken = self.rows[row].get("prefixes", "none")
        for prefix, (_, system) in self.prefixes.items():
            if taken in (system, "any"):
                yield f"{prefix}{name}"

    @cached_property
    def folded(self) -> dict[str, list[str]]:
        """All names by how they read in small letters."""
        found: dict[str, list[str]] = {}
        for name in sorted(self.names):
            found.setdefault(name.casefold(), []).append(name)
        return found

    def is_word(self, name: str) -> bool:
        """Return True for a word that can only be the name of something counted, like `widget`."""
        if not _WORD.fullmatch(name) or name in self.folded:
            return False
        self.words += 1
        if self.words > _MOST_WORDS:  # comparing names takes its time
            return True
        alike = [each for each in self.folded if abs(len(each) - len(name)) <= 1]
        return not get_close_matches(name, alike, n=1, cutoff=_ALIKE)

    def hint(self, name: str) -> str | None:
        """Return what the author of an unknown unit may have meant."""
        same = self.folded.get(name.casefold())
        if same:
            return "did you mean " + " or ".join(repr(each) for each in same[:2]) + "?"
        self.hints += 1
        if self.hints > _MOST_HINTS:
            return None
        own = "add it by a patch of catalog units"
        return near(name, (*self.rows, *self.aliases)) or near(name, self.names) or own


def load_units(folders: Sequence[str] = ()) -> UnitTable:
    """Return the units of the newest catalogs.

    Args:
        folders: folders of policies that take precedence over the shipped ones.

    Raises:
        EngineError: a catalog is missing or faulty.
    """
    catalogs = Catalogs(folders)
    units, prefixes = catalogs("units"), catalogs("unit_prefixes")
    factors = {
        name: (_factor(name, row["factor"]), str(row["system"])) for name, row in prefixes.rows.items()
    }
    factors |= {alias: factors[name] for alias, name in prefixes.aliases.items() if alias not in factors}
    key = repr((units.rows, units.aliases, factors))
    return recall("unit table", key, lambda: UnitTable(units.rows, units.aliases, factors))


def _factor(name: str, text: str) -> Fraction:
    match = _FACTOR.fullmatch(text)
    if match is None:
        raise PolicyError(f"unit_prefixes: '{name}' has the factor '{text}'", hint="write 1000 or 1/1000")
    return Fraction(text)


def _scaled(unit: Unit, factor: Fraction, name: str) -> Unit:
    """Return a multiple of a unit under a name of its own."""
    return replace(unit, scale=unit.scale * factor, symbols=(Symbol(name, Fraction(1)),))


def _own_unit(name: str, kind: str) -> Unit:
    """Return a unit that no other one defines."""
    if kind == "number":
        return NUMBER
    item = {"item": name, "ratio": RATIO}.get(kind, "")
    symbols = (Symbol(name, Fraction(1), item),)
    itself = ((name, Fraction(1)),)
    if kind == "count":
        return Unit(counts=itself, symbols=symbols)
    return Unit(item=item, symbols=symbols) if item else Unit(itself, symbols=symbols)


class _Parser:
    """Reads `GB/s`, `byte/(token·layer)`, `m^2`, `1/s`: products and quotients from left to right."""

    def __init__(self, text: str, table: UnitTable) -> None:
        self.text = text
        self.table = table
        self.tokens: list[tuple[str, str, int]] = []
        self.position = 0
        self.depth = 0

    def parse(self) -> Unit:
        if len(self.text) > LONGEST:
            raise UnitError(f"a unit of more than {LONGEST} characters")
        self.split()
        unit = self.product()
        if self.kind:
            raise self.unexpected()
        return unit

    def split(self) -> None:
        position, text = 0, self.text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise UnitError(f"'{self.text}' is not a unit", position, _NOTATION)
            self.tokens.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            position = match.end()
        self.tokens.append(("", "", len(text)))

    @property
    def kind(self) -> str:
        return self.tokens[self.position][0]

    @property
    def value(self) -> str:
        return self.tokens[self.position][1]

    def product(self) -> Unit:
        unit = self.power()
        while self.value in ("·", "*", "/"):
            sign = self.value
            self.position += 1
            other = self.power()
            unit = quotient(unit, other) if sign == "/" else product(unit, other)
        return unit

    def power(self) -> Unit:
        unit, offset = self.single(), self.tokens[self.position][2]
        exponent = {"²": 2, "³": 3}.get(self.value)
        if self.value == "^":
            self.position += 1
            if self.kind != "number" or not 0 < abs(int(self.value)) <= _HIGHEST_POWER:
                raise UnitError(f"a power of a unit is -{_HIGHEST_POWER} to {_HIGHEST_POWER}", offset)
            exponent = int(self.value)
        if exponent is None:
            return unit
        self.position += 1
        raised = power(unit, Fraction(exponent))
        return unit if raised is None else raised

    def single(self) -> Unit:
        kind, value, offset = self.tokens[self.position]
        if kind == "name":
            self.position += 1
            return self.table.named(value, offset)
        if value == "1":
            self.position += 1
            return NUMBER
        if value == "(" and self.depth < _DEEPEST:
            self.position += 1
            self.depth += 1
            unit = self.product()
            self.depth -= 1
            if self.value != ")":
                raise self.unexpected()
            self.position += 1
            return unit
        raise self.unexpected()

    def unexpected(self) -> UnitError:
        _, value, offset = self.tokens[self.position]
        found = f"found '{value}'" if value else "it ends too early"
        return UnitError(f"'{self.text}' is not a unit: {found}", offset, _NOTATION)


_NOTATION = "write units like GB/s, byte/(token·layer), m^2, ratio or the name of what is counted"
