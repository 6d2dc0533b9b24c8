"""Coverage of a policy by a test run.

Expressions are compiled with a probe around each coverage point, so macro bodies and lazy operands are
counted exactly when they are evaluated.
"""

from __future__ import annotations

import ast as py
from collections.abc import Iterator, Mapping

from engine.base.errors import Path, Place
from engine.base.records import field, record, replace
from engine.cel import syntax as ast
from engine.cel.checker import Checked
from engine.cel.runtimes.codegen import Emitter, Read, Scope, Writer, constant, name, placed
from engine.cel.runtimes.compiled import CompiledRuntime
from engine.cel.runtimes.identifiers import OBSERVE
from engine.cel.runtimes.protocol import Native
from engine.decide.decision import Decision
from engine.decide.interpreter import Evaluator
from engine.decide.policy import Policy
from engine.decide.request import Request
from engine.policy.compiled import CompiledPolicy, Expression, rules, uses
from engine.regress.points import Chain, Kind, points

Row = tuple[tuple[int, bool], ...]
"""One evaluation of a chain: values of the evaluated operands by position."""


@record(frozen=False)
class Seen:
    """Observations as plain data that can be merged, by index of the coverage point."""

    matches: set[str] = field(default_factory=set)
    choices: set[tuple[int, bool]] = field(default_factory=set)
    rows: set[tuple[int, Row]] = field(default_factory=set)
    sides: set[tuple[int, int]] = field(default_factory=set)
    """Indices of thresholds with -1, 0 or 1 for below, at and above."""

    def add(self, other: Seen) -> None:
        """Merge the observations of another process."""
        self.matches |= other.matches
        self.choices |= other.choices
        self.rows |= other.rows
        self.sides |= other.sides


class Watcher:
    """Decide as the policy does, and record the coverage of its points."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.points = points(policy.compiled)
        self.seen = Seen()
        self.evaluator = Evaluator(policy.compiled, _WatchedRuntime(policy.compiled, self))
        self.open_rows: dict[int, dict[int, bool]] = {}
        self.values: dict[int, Native] = {}

    def decide(self, request: Request, remedies: bool = True) -> Decision:
        """Decide a request as `Policy.decide` does.

        Args:
            request: the request.
            remedies: if it is refused, search for changes that make a plan feasible.

        Raises:
            EngineError: as `Policy.decide`.
        """
        self.open_rows, self.values = {}, {}
        request, _ = self.policy.prepared(request)
        decision, tries = self.evaluator.decide(request)
        decision = self.policy.with_further(decision)
        decision = self.policy.with_remedies(decision, tries) if remedies else decision
        if decision.match_id is not None:
            self.seen.matches.add(decision.match_id)
        return decision

    def observe(self, role: str, position: int, part: int, value: Native) -> Native:
        """Record the value of a coverage point and return it."""
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
        """Record on which side of the constant a value is, once both sides are known."""
        if position in self.values and ~position in self.values:
            value, bound = self.values.pop(position), self.values.pop(~position)
            self.seen.sides.add((position, (value > bound) - (value < bound)))


class _WatchedRuntime(CompiledRuntime):
    """Compile expressions with calls of `observe` around the coverage points."""

    def __init__(self, policy: CompiledPolicy, watcher: Watcher) -> None:
        super().__init__(policy.objects)
        self.watcher = watcher
        self.roles: dict[ast.Node, list[tuple[str, int, int]]] = {}
        points = watcher.points
        for number, threshold in enumerate(points.thresholds):
            self.watch(threshold.value, "side", number, 0)
            self.watch(threshold.constant, "side", number, 1)
        for number, chain in enumerate(points.chains):
            for part, operand in enumerate(chain.operands):
                self.watch(operand, "operand", number, part)
            self.watch(chain.node, "chain", number, 0)
        for number, choice in enumerate(points.choices):
            self.watch(choice.node, "choice", number, 0)

    def watch(self, node: ast.Node, role: str, number: int, part: int) -> None:
        self.roles.setdefault(node, []).append((role, number, part))

    def emitter(self, writer: Writer, checked: Checked, read: Read) -> Emitter:
        return _WatchedEmitter(writer, checked, read, self.roles)

    def further_names(self) -> Mapping[str, object]:
        return {OBSERVE: self.watcher.observe}


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
        code = super().expression(node, scope)
        for role in self.roles.get(node, ()):
            code = placed(py.Call(name(OBSERVE), [*map(constant, role), code], []), node)
        return code


@record(eq=False)
class Item:
    """One outcome to cover: a match chosen, a condition false, an operand that decides …

    `name` is unique in the policy. An outcome that is listed as unreachable has a `reason`.
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
        """True if the outcome is reachable and was not covered."""
        return not self.seen and self.reason is None

    def place(self, policy: CompiledPolicy) -> Place:
        """Return its place in the policy file."""
        if self.expression is not None and self.node is not None:
            return self.expression.place(self.node.start)
        return policy.document.place(self.path)


@record(eq=False)
class Coverage:
    """Coverage of one policy."""

    policy: CompiledPolicy
    items: tuple[Item, ...]
    stale: tuple[str, ...] = ()
    """Outcomes listed as unreachable that do not exist or were covered."""

    def of(self, kind: Kind | None = None) -> tuple[int, int]:
        """Return the numbers of covered and of reachable outcomes, of one kind or of all."""
        items = [item for item in self.items if kind in (None, item.kind) and (item.seen or item.missing)]
        return sum(item.seen for item in items), len(items)

    def percent(self, kind: Kind | None = None) -> float:
        """Return the percentage of covered outcomes; 100 if there are none."""
        seen, wanted = self.of(kind)
        return 100.0 * seen / wanted if wanted else 100.0

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
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
    """Return the coverage of a policy.

    Args:
        policy: the policy.
        seen: observations of a run.
        unreachable: reasons for outcomes that no request can reach, by name.
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
        self.names = {(use.expression.document.name, use.expression.path): use.name for use in uses(policy)}

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
        """Yield the outcomes of a chain.

        An operand is covered if it alone decided the chain, after all operands before it had the other value.
        The chain itself is covered if no operand decided.
        """
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
        name = f"{self.names[expression.document.name, expression.path]}: {text} is {outcome}"
        return Item(kind, name, seen, expression, node)
