"""What a policy is once it is checked: expressions with types and places, ready for any runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from engine.base.errors import Path, Place
from engine.base.records import field, record
from engine.catalogs.catalog import Catalog
from engine.cel.celtypes import BOOL, DOUBLE, INT, STRING, Kind, ObjectType, Type
from engine.cel.checker import Checked
from engine.documents import Document

if TYPE_CHECKING:
    from engine.base.jsontypes import Json
    from engine.cel.values import Value
    from engine.policy.table_cells import Column, Test

Reads = tuple[tuple[Literal["policy", "library", "catalog"], str], ...]
"""Kind and reference of documents that a policy is composed of."""


@record(eq=False)
class Expression:
    """A checked expression and where it is written."""

    checked: Checked
    document: Document = field(repr=False)
    path: Path

    @property
    def text(self) -> str:
        """The expression as it is written, folded to one line."""
        return " ".join(self.checked.text.split())

    @property
    def is_generated(self) -> bool:
        """True if it is written out for the policy, as objectives are; its text is in no file."""
        document, path = self.document.origin(self.path)
        return document is not self.document and document.at(path) != self.checked.text

    def place(self, offset: int | None = None) -> Place:
        """The place of a character of the expression; of where it begins without one."""
        start = self.checked.root.start if offset is None else offset
        return self.document.place_in_scalar(self.path, start)


@record
class CompiledVariable:
    """A variable of a rule; one that `shadows_itself` reads the outer variable of its own name."""

    name: str
    expression: Expression
    description: str = ""
    shadows_itself: bool = False
    unit: str = ""


@record
class CompiledMatch:
    """A match: its condition, and just one of a plan (builder and arguments), an output, a nested rule."""

    id: str
    path: Path
    condition: Expression | None = None
    builder: str | None = None
    arguments: Mapping[str, Expression] = field(default_factory=dict)
    output: Expression | None = None
    rule: CompiledRule | None = None
    explanation: Expression | None = None
    description: str = ""
    search: CompiledSearch | None = None
    """How the builder's candidates are weighed; the explanation reads the chosen one then."""


@record
class Score:
    """A number by which candidates are preferred."""

    id: str
    expression: Expression
    description: str = ""
    label: Expression | None = None
    """Its name in traces, where that depends on the objective; empty if the objective's list has ended."""


@record
class Remedy:
    """A change of the request, the values to try, and what the request has instead of them."""

    id: str
    change: str
    values: Expression
    asked: Expression | None = None
    text: str = ""
    asked_text: str = ""
    description: str = ""

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Its expressions: the values, and what was asked for."""
        return (self.values,) if self.asked is None else (self.values, self.asked)


@record
class Negotiation:
    """How far a refusal is followed up beyond single changes: whole numbers as expressions."""

    most_candidates: Expression
    most_combinations: Expression


@record
class CompiledSearch:
    """How candidates are weighed.

    `rule` has the variables that read a candidate, and a match for each requirement, of which only id,
    condition and explanation are used.
    """

    rule: CompiledRule
    monotone: Mapping[str, tuple[str, ...]]
    """Degrees in which a requirement only gets harder, by its id."""
    scores: tuple[Score, ...]
    results: Mapping[str, Expression]
    remedies: tuple[Remedy, ...]
    negotiation: Negotiation | None = None
    lazy: bool = False
    """Evaluate only what decides: each score only where those before it tie with the best candidate's."""


@record
class CompiledTable:
    """The decision table that a rule's matches are written out from.

    `tests` has one test for each of the tested columns, by row in the order of the matches; `rows` are the
    rows' numbers in the table.
    """

    path: Path
    hit: str
    columns: tuple[Column, ...]
    tests: tuple[tuple[Test, ...], ...]
    rows: tuple[int, ...]
    results: tuple[tuple[str, ...], ...]
    """The results of each row as CEL."""


@record
class CompiledRule:
    """Variables, and matches in order."""

    id: str
    variables: Mapping[str, CompiledVariable]
    matches: tuple[CompiledMatch, ...]
    table: CompiledTable | None = None
    collects: tuple[CompiledMatch, ...] = ()
    """The matches whose outputs a rule that aggregates collects; its variables evaluate them."""


@record
class Input:
    """A declared input: its CEL type, and the type's name as the policy writes it."""

    name: str
    type: Type
    type_name: str
    description: str = ""
    optional: bool = False
    """A request may leave it out: it is null then, or a record without fields."""
    default: Json = None
    """The value where a request leaves it out; None where it has none."""
    auto: CompiledPolicy | None = None
    """What chooses the value where a request says `auto`."""
    unit: str = ""

    @property
    def absent(self) -> Json:
        """The value where a request leaves it out."""
        return {} if self.type.kind is Kind.OBJECT else None


_PLAIN = (BOOL, INT, DOUBLE, STRING)


@record
class Constant:
    """A constant with its type."""

    name: str
    value: Value
    type: Type
    unit: str = ""
    description: str = ""
    document: Document | None = field(default=None, compare=False, repr=False)
    """The library that declares it; None for the policy's own."""
    path: Path = ()

    @property
    def is_table(self) -> bool:
        """True of rows of a table: a list of objects."""
        return self.type.kind is Kind.LIST and self.type.element.kind is Kind.OBJECT

    @property
    def is_plain(self) -> bool:
        """True of what YAML has notations of: an int, a double, text, a bool, a list of these or of rows."""
        type_ = self.type.element if self.type.kind is Kind.LIST else self.type
        return type_ in _PLAIN or (type_.kind is Kind.DYN and self.value == []) or self.is_table


@record
class CompiledPolicy:
    """A policy without faults."""

    name: str
    version: str
    description: str
    digest: str
    document: Document = field(repr=False)
    inputs: Mapping[str, Input]
    constants: Mapping[str, Constant]
    catalogs: Mapping[str, Catalog]
    objects: Mapping[str, ObjectType]
    rule: CompiledRule
    outcome: Literal["plan", "value"]
    output_type: Type | None = None
    """The type of its outputs; None where it gives plans."""
    reads: Reads = ()
    """Kind and reference of the documents that it is composed of, beside its own."""
    libraries: Mapping[str, Document] = field(default_factory=dict)
    """The libraries that it uses, by name and version."""

    def constant_place(self, name: str, *, value: bool = False) -> Place:
        """Return the place of a constant, or of its value: in the policy's file, or in its library's."""
        document, path = self.constant_origin(name)
        return document.place((*path, "value") if value else path, key=not value)

    def constant_origin(self, name: str) -> tuple[Document, Path]:
        """Return the document that declares a constant, and the constant's path in it."""
        constant = self.constants[name]
        if constant.document is not None:
            return constant.document, constant.path
        return self.document, ("constants", name)


@record
class Use:
    """An expression of a policy and what it is for.

    `name` is one that people know: `variables.needed`, `single-device: condition`. `match` and `rule` are
    what it belongs to; a variable belongs to no match.
    """

    name: str
    expression: Expression
    rule: CompiledRule
    match: CompiledMatch | None = None


def uses(policy: CompiledPolicy) -> Iterator[Use]:
    """All expressions of a policy, nested rules' too, in the order of the file."""
    return rule_uses(policy.rule)


def rule_uses(rule: CompiledRule) -> Iterator[Use]:
    """Yield all expressions of a rule, those of nested rules and candidates too, in the order of the file."""
    return _uses(rule)


def _uses(rule: CompiledRule) -> Iterator[Use]:
    for name, variable in rule.variables.items():
        yield Use(f"variables.{name}", variable.expression, rule)
    for match in rule.matches:
        parts = {
            "condition": match.condition,
            **{f"arguments.{name}": argument for name, argument in match.arguments.items()},
            "output": match.output,
            "explanation": match.explanation,
        }
        for part, expression in parts.items():
            if expression is not None:
                yield Use(f"{match.id}: {part}", expression, rule, match)
        if match.search is not None:
            yield from _search_uses(match, match.search, rule)
        if match.rule is not None:
            yield from _uses(match.rule)


def _search_uses(match: CompiledMatch, search: CompiledSearch, rule: CompiledRule) -> Iterator[Use]:
    yield from _uses(search.rule)
    for score in search.scores:
        yield Use(f"{match.id}: prefer {score.id}", score.expression, search.rule, match)
    for name, expression in search.results.items():
        yield Use(f"{match.id}: result.{name}", expression, search.rule, match)
    for remedy in search.remedies:
        yield Use(f"{match.id}: remedy {remedy.id}", remedy.values, rule, match)
        if remedy.asked is not None:
            yield Use(f"{match.id}: remedy {remedy.id} asked", remedy.asked, rule, match)
    if search.negotiation is not None:
        yield Use(f"{match.id}: most_candidates", search.negotiation.most_candidates, rule, match)
        yield Use(f"{match.id}: most_combinations", search.negotiation.most_combinations, rule, match)


def collected(matches: Iterable[CompiledMatch]) -> Iterator[CompiledMatch]:
    """Yield matches, and those of rules nested in them."""
    for match in matches:
        yield match
        if match.rule is not None:
            yield from collected(match.rule.matches)


def rules(rule: CompiledRule) -> Iterator[CompiledRule]:
    """A rule and all that are nested in it."""
    yield rule
    for match in rule.matches:
        if match.rule is not None:
            yield from rules(match.rule)
