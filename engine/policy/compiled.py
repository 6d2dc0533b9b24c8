"""What a policy is once it is checked: expressions with types and places, ready for any runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from engine.cel.checker import Checked
from engine.cel.types import ObjectType, Type
from engine.documents import Document
from engine.errors import Path, Place
from engine.policy.catalog import Catalog
from engine.records import field, record


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


@record
class Remedy:
    """A change of the request, and the values to try."""

    id: str
    change: str
    values: Expression
    description: str = ""


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


@record
class CompiledRule:
    """Variables, and matches in order."""

    id: str
    variables: Mapping[str, CompiledVariable]
    matches: tuple[CompiledMatch, ...]


@record
class Input:
    """A declared input: its CEL type, and the type's name as the policy writes it."""

    name: str
    type: Type
    type_name: str
    description: str = ""
    optional: bool = False
    """A request may leave it out: all of its fields are null then."""
    auto: CompiledPolicy | None = None
    """What chooses the value where a request says `auto`."""


@record
class Constant:
    """A constant with its type."""

    name: str
    value: Any
    type: Type
    unit: str = ""
    description: str = ""


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
    return _uses(policy.rule)


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


def rules(rule: CompiledRule) -> Iterator[CompiledRule]:
    """A rule and all that are nested in it."""
    yield rule
    for match in rule.matches:
        if match.rule is not None:
            yield from rules(match.rule)
