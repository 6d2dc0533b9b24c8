"""What a run of tests has seen of a policy.

Expressions are compiled with a call around each value of interest, so that macros' bodies and everything that
is evaluated lazily is seen just as it is evaluated, and nothing else.
"""

from __future__ import annotations

import ast as py
from collections.abc import Iterator, Mapping
from typing import Any

from engine.cel import ast
from engine.cel.checker import Checked
from engine.cel.codegen import Emitter, Read, Scope, Writer, constant, name, placed
from engine.cel.compiled_runtime import CompiledRuntime
from engine.decide import Decision, Policy
from engine.errors import Path, Place
from engine.evaluate import Evaluator
from engine.policy.compiled import CompiledPolicy, Expression, rules, uses
from engine.records import field, record, replace
from engine.regress.points import Chain, Kind, points
from engine.request import Request

Row = tuple[tuple[int, bool], ...]
"""One evaluation of a chain: its operands that were evaluated, by position, with their values."""


@record(frozen=False)
class Seen:
    """What was seen, as plain data that can be added up: all by positions in a policy's points."""

    matches: set[str] = field(default_factory=set)
    choices: set[tuple[int, bool]] = field(default_factory=set)
    rows: set[tuple[int, Row]] = field(default_factory=set)
    sides: set[tuple[int, int]] = field(default_factory=set)
    """Positions of thresholds, with -1, 0 or 1 for below, at and above."""

    def add(self, other: Seen) -> None:
        """What was seen elsewhere, too."""
        self.matches |= other.matches
        self.choices |= other.choices
        self.rows |= other.rows
        self.sides |= other.sides


class Watcher:
    """Decides as the policy does, and keeps what is seen of its points."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.points = points(policy.compiled)
        self.seen = Seen()
        self.evaluator = Evaluator(policy.compiled, _WatchedRuntime(policy.compiled, self))
        self.open_rows: dict[int, dict[int, bool]] = {}
        self.values: dict[int, Any] = {}

    def decide(self, request: Request) -> Decision:
        """The decision, as `Policy.decide` makes it.

        Raises:
            EngineError: as there.
        """
        self.open_rows, self.values = {}, {}
        request, _ = self.policy.prepared(request)
        decision, tries = self.evaluator.decide_with_tries(request, explain=False)
        decision = self.policy.with_remedies(decision, tries)
        if decision.match_id is not None:
            self.seen.matches.add(decision.match_id)
        return decision

    def observe(self, role: str, position: int, part: int, value: Any) -> Any:
        """Called with each value of interest; gives it back."""
        if role == "choice":
            if isinstance(value, bool):
                self.seen.choices.add((position, value))
        elif role == "operand":
            row = self.open_rows.setdefault(position, {})
            if part == 0:
                row.clear()
            if isinstance(value, bool):
                row[part] = value
        elif role == "chain":
            self.seen.rows.add((position, tuple(sorted(self.open_rows.pop(position, {}).items()))))
        elif part == 0:
            self.values[position] = value
            self.compare(position)
        else:
            self.values[~position] = value
            self.compare(position)
        return value

    def compare(self, position: int) -> None:
        """Once both sides of a comparison are known, on which side of its constant the value is."""
        if position in self.values and ~position in self.values:
            value, bound = self.values.pop(position), self.values.pop(~position)
            self.seen.sides.add((position, (value > bound) - (value < bound)))


class _WatchedRuntime(CompiledRuntime):
    """Compiles expressions with calls of `observe` around the values of interest."""

    def __init__(self, policy: CompiledPolicy, watcher: Watcher) -> None:
        super().__init__(policy.objects)
        self.watcher = watcher
        self.roles: dict[ast.Node, list[tuple[str, int, int]]] = {}
        found = watcher.points
        for number, threshold in enumerate(found.thresholds):
            self.watch(threshold.value, "side", number, 0)
            self.watch(threshold.constant, "side", number, 1)
        for number, chain in enumerate(found.chains):
            for part, operand in enumerate(chain.operands):
                self.watch(operand, "operand", number, part)
            self.watch(chain.node, "chain", number, 0)
        for number, choice in enumerate(found.choices):
            self.watch(choice.node, "choice", number, 0)

    def watch(self, node: ast.Node, role: str, number: int, part: int) -> None:
        self.roles.setdefault(node, []).append((role, number, part))

    def emitter(self, writer: Writer, checked: Checked, read: Read) -> Emitter:
        return _WatchedEmitter(writer, checked, read, self.roles)

    def further_names(self) -> Mapping[str, Any]:
        return {"observe": self.watcher.observe}


class _WatchedEmitter(Emitter):
    def __init__(
        self,
        writer: Writer,
        checked: Checked,
        read: Read,
        roles: Mapping[ast.Node, list[tuple[str, int, int]]],
    ) -> None:
        super().__init__(writer, checked, read, lambda _: True)
        self.roles = roles

    def expression(self, node: ast.Node | None = None, scope: Scope | None = None) -> py.expr:
        node = node or self.checked.root
        made = super().expression(node, scope)
        for role in self.roles.get(node, ()):
            made = placed(py.Call(name("observe"), [*map(constant, role), made], []), node)
        return made


@record(eq=False)
class Item:
    """One outcome that should be seen: a match chosen, a condition false, an operand that decides …

    `name` tells it from all others of the policy. One that is listed as out of reach has a `reason`.
    """

    kind: Kind
    name: str
    seen: bool
    expression: Expression | None = None
    node: ast.Node | None = None
    path: Path = ()
    reason: str | None = None

    @property
    def missing(self) -> bool:
        """It should have been seen, and was not."""
        return not self.seen and self.reason is None

    def place(self, policy: CompiledPolicy) -> Place:
        """Where it stands in the policy's file."""
        if self.expression is not None and self.node is not None:
            return self.expression.place(self.node.start)
        return policy.document.place(self.path)


@record(eq=False)
class Coverage:
    """How much of a policy has been seen."""

    policy: CompiledPolicy
    items: tuple[Item, ...]
    stale: tuple[str, ...] = ()
    """Outcomes listed as out of reach that aren't there, or that were seen."""

    def of(self, kind: Kind | None = None) -> tuple[int, int]:
        """How many outcomes of one kind, or of all, were seen, and how many there are within reach."""
        items = [each for each in self.items if kind in (None, each.kind) and (each.seen or each.missing)]
        return sum(item.seen for item in items), len(items)

    def percent(self, kind: Kind | None = None) -> float:
        """What was seen of one kind, or of all, in percent; 100 where there is nothing to see."""
        seen, wanted = self.of(kind)
        return 100.0 * seen / wanted if wanted else 100.0

    def to_dict(self) -> dict[str, Any]:
        """As programs read it."""
        return {
            "policy": f"{self.policy.name}@{self.policy.version}",
            "percent": self.percent(),
            **{kind: {"seen": self.of(kind)[0], "of": self.of(kind)[1]} for kind in KINDS},
            "missing": [
                {"kind": item.kind, "point": item.name, "line": item.place(self.policy).line}
                for item in self.items
                if item.missing
            ],
            "unreachable": [item.name for item in self.items if item.reason is not None and not item.seen],
            "stale": list(self.stale),
        }


KINDS: tuple[Kind, ...] = ("match", "condition", "operand", "threshold")

_SIDES = {-1: "below", 0: "at", 1: "above"}


def coverage(policy: CompiledPolicy, seen: Seen, unreachable: Mapping[str, str] | None = None) -> Coverage:
    """What has been seen of a policy's points, and what hasn't.

    Args:
        policy: the policy.
        seen: what a run has seen of it.
        unreachable: outcomes that no request can reach, by their names, with the reasons.
    """
    listed = unreachable or {}
    items = [replace(item, reason=listed.get(item.name)) for item in _Items(policy, seen).all()]
    apart = {item.name for item in items if item.reason is not None and not item.seen}
    return Coverage(policy, tuple(items), tuple(name for name in listed if name not in apart))


class _Items:
    def __init__(self, policy: CompiledPolicy, seen: Seen) -> None:
        self.policy = policy
        self.points = points(policy)
        self.seen = seen
        self.names = {use.expression.path: use.name for use in uses(policy)}

    def all(self) -> Iterator[Item]:
        for rule in rules(self.policy.rule):
            for match in rule.matches:
                if match.rule is None:
                    chosen = match.id in self.seen.matches
                    yield Item("match", f"match {match.id} chosen", chosen, path=match.path)
        for number, choice in enumerate(self.points.choices):
            for value in (True, False):
                seen = (number, value) in self.seen.choices
                yield self.item("condition", choice.expression, choice.node, str(value).lower(), seen)
        for number, chain in enumerate(self.points.chains):
            yield from self.operands(number, chain)
        for number, threshold in enumerate(self.points.thresholds):
            for side, word in _SIDES.items():
                seen = (number, side) in self.seen.sides
                outcome = f"{word} {threshold.name}"
                yield self.item("threshold", threshold.expression, threshold.node, outcome, seen)

    def operands(self, number: int, chain: Chain) -> Iterator[Item]:
        """Shown to decide by itself is an operand by which alone the chain came out one way, all before it
        leaving it open; and the chain must have come out the other way, no operand deciding."""
        rows = [dict(row) for position, row in self.seen.rows if position == number]
        count = len(chain.operands)
        open_ = any(len(row) == count and chain.decisive not in row.values() for row in rows)
        word, other = str(chain.decisive).lower(), str(not chain.decisive).lower()
        for part, operand in enumerate(chain.operands):
            alone = any(
                row.get(part) is chain.decisive
                and all(row.get(before) is (not chain.decisive) for before in range(part))
                for row in rows
            )
            yield self.item("operand", chain.expression, operand, f"{word} by itself", alone)
        yield self.item("operand", chain.expression, chain.node, f"{other}, no part decides", open_)

    def item(self, kind: Kind, expression: Expression, node: ast.Node, outcome: str, seen: bool) -> Item:
        text = " ".join(expression.checked.source(node).split())
        name = f"{self.names[expression.path]}: {text} is {outcome}"
        return Item(kind, name, seen, expression, node)
