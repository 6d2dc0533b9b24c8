"""Rules that aggregate: the outputs of all matches that hold, written out as one match with a list.

    aggregate:
      - {condition: a, output: "'A'"}
      - rule:
          match:
            - {condition: b, output: "'B'"}

becomes variables for `a`, `'A'`, `b` and `'B'`, and one match:

    output: '[variables.match_1_holds ? [variables.match_1_output] : [], …].flatten()'

so that coverage, mutants and proofs see every condition and output, and all runtimes evaluate them as others.
Variables of nested rules move to the rule that aggregates, under names that nothing else has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.base.errors import PolicyError, Problem
from engine.base.records import record, replace
from engine.cel import syntax as ast
from engine.cel.checker import CelCheckError, parse_checked
from engine.documents import Document
from engine.documents.composed import Node, close_document, open_document
from engine.policy.tables import Text

CODE = "E132"
_PARTS = ("condition", "output", "explanation")
_MOST_ELEMENTS = 100
"""Matches that one expression collects."""
_MOST_LEVELS = 20
"""Matches of a nested rule that one expression tries."""


def has_aggregate(rule: Mapping[str, Any]) -> bool:
    """Return True if a rule, or one nested in it, aggregates."""
    return "aggregate" in rule or any(
        "rule" in match and has_aggregate(match["rule"]) for match in rule.get("match", ())
    )


def expand_aggregates(document: Document) -> Document:
    """Return a policy with its aggregates written out as one match each; itself if it has none.

    Raises:
        PolicyError: an aggregate in an aggregate, a plan or a table in one; with places.
    """
    if not has_aggregate(document.value["rule"]):
        return document
    root = open_document(document)
    expander = _Expander(document)
    expander.rule(root["rule"])
    if expander.problems:
        raise PolicyError(expander.problems)
    return close_document(root, document.name, (document,))


@record
class _Scope:
    """Where a nested rule's expressions are written: the new names of variables."""

    renamed: Mapping[str, str]


class _Expander:
    def __init__(self, document: Document) -> None:
        self.problems: list[Problem] = []
        self.taken = set(re.findall(r"\w+", document.text))

    def rule(self, rule: Node) -> None:
        if "aggregate" in rule:
            others = [key for key in ("match", "table") if key in rule]
            if others:
                message = f"a rule has matches, a table or an aggregate, found {others[0]} and aggregate"
                self.fail(rule["aggregate"], message, key=True)
                return
            _Aggregate(self, rule).expand()
            return
        for match in rule.get("match") or ():
            if "rule" in match:
                self.rule(match["rule"])

    def fail(self, node: Node, message: str, hint: str | None = None, *, key: bool = False) -> None:
        self.problems.append(node.problem(message, hint, code=CODE, key=key))

    def fresh(self, *words: str) -> str:
        """Return a name that nothing in the document has."""
        base = name = re.sub(r"\W", "_", "_".join(words))
        number = 1
        while name in self.taken:
            number += 1
            name = f"{base}_{number}"
        self.taken.add(name)
        return name


class _Aggregate:
    """One rule that aggregates, while it is written out."""

    def __init__(self, expander: _Expander, rule: Node) -> None:
        self.expander = expander
        self.node = rule
        self.variables: list[Node] = rule.section("variables", list).value

    def expand(self) -> None:
        listed = self.node.value.pop("aggregate")
        explained = any("explanation" in match for match in _matches(listed))
        entries = [
            _Entry(self, match, _label(match, f"match_{number}"), _Scope({}))
            for number, match in enumerate(listed, start=1)
        ]
        fields = {"output": self.collected(listed, entries, "output", "")}
        if explained:
            fields["explanation"] = self.collected(listed, entries, "explanation", ".join('; ')")
        self.node.value["match"] = Node([listed.derived(fields)], listed.document, listed.path)
        self.node.value["collects"] = listed.derived([entry.structure for entry in entries])

    def collected(self, listed: Node, entries: list[_Entry], part: str, suffix: str) -> Node:
        """Return the list of the values of a part of all matches that hold."""
        elements = [(entry.chain(part, "[]", "[]"), entry.match) for entry in entries]
        while len(elements) > _MOST_ELEMENTS:  # an expression has a longest length
            groups = [elements[at : at + _MOST_ELEMENTS] for at in range(0, len(elements), _MOST_ELEMENTS)]
            elements = [
                (self.hoist(_flat(group, group[0][1]), self.expander.fresh("matches", part)), group[0][1])
                for group in groups
            ]
        return _flat(elements, listed, suffix)

    def hoist(self, node: Node, name: str, type_: str | None = None) -> str:
        """Add a variable for an expression; return the text that reads it."""
        fields: dict[str, object] = {"name": name, "expression": node}
        if type_ is not None:
            fields["type"] = type_
        self.variables.append(node.derived(fields))
        return f"variables.{name}"


class _Entry:
    """A match of an aggregate, or of a rule nested in one, with its expressions as variables."""

    def __init__(self, aggregate: _Aggregate, match: Node, label: str, scope: _Scope) -> None:
        self.aggregate = aggregate
        self.expander = aggregate.expander
        self.match = match
        self.label = label
        self.scope = scope
        self.reads: dict[str, str] = {}
        self.inner: list[_Entry] | None = None
        self.structure: dict[str, object] = {"id": match["id"].value if "id" in match else label}
        self.check()
        for part in _PARTS:
            if part in match:
                self.add(part)
        if "rule" in match:
            self.nested(match["rule"])

    def check(self) -> None:
        kinds = [kind for kind in ("plan", "output", "rule", "explanation") if kind in self.match]
        if "plan" in kinds:
            self.expander.fail(self.match["plan"], "an aggregate collects outputs, found a plan", key=True)
        elif not {"output", "rule"} & set(kinds) or {"output", "rule"} <= set(kinds):
            found = " and ".join(kind for kind in kinds if kind != "explanation") or "none"
            self.expander.fail(self.match, f"a match needs just one of output and rule, found {found}")
        elif {"rule", "explanation"} <= set(kinds):
            message = "a nested rule's matches explain themselves"
            self.expander.fail(self.match["explanation"], message, key=True)

    def add(self, part: str) -> None:
        word, type_ = {
            "condition": ("holds", "bool"),
            "output": ("output", None),
            "explanation": ("explanation", "string"),
        }[part]
        name = self.expander.fresh(self.label, word)
        node = _renamed(self.match[part], self.scope.renamed)
        self.reads[part] = self.aggregate.hoist(node, name, type_)
        self.structure[part] = name

    def nested(self, rule: Node) -> None:
        for key, message in (
            ("aggregate", "nested aggregate rules are not allowed"),
            ("table", "a table cannot be nested in an aggregate"),
        ):
            if key in rule:
                hint = (
                    "use a table with hit: collect"
                    if key == "table"
                    else "write its matches in the outer one"
                )
                self.expander.fail(rule[key], message, hint, key=True)
        scope = self.scoped(rule)
        self.inner = [
            _Entry(self.aggregate, match, _label(match, f"{self.label}_{number}"), scope)
            for number, match in enumerate(rule.get("match") or (), start=1)
        ]
        if not self.inner and "match" not in rule and not {"aggregate", "table"} & rule.value.keys():
            self.expander.fail(rule, "rule has no field 'match'")
        self.structure["rule"] = [entry.structure for entry in self.inner]

    def scoped(self, rule: Node) -> _Scope:
        """Move the variables of a nested rule to the aggregate; return the scope of its expressions."""
        declared = list(rule.get("variables") or ())
        names = {each["name"].value: self.expander.fresh(self.label, each["name"].value) for each in declared}
        scope = replace(self.scope, renamed={**self.scope.renamed, **names})
        for variable in declared:
            own = variable["name"].value
            # A variable that reads its own name reads the outer one.
            inside = {**scope.renamed, own: self.scope.renamed.get(own, own)}
            fields = dict(_renamed_fields(variable, inside, scope.renamed))
            fields["name"] = variable["name"].derived(names[own])
            self.aggregate.variables.append(Node(fields, variable.document, variable.path))
        return scope

    def chain(self, part: str, following: str, rest: str) -> str:
        """Return the list of the value of a part: of this match if it holds.

        Args:
            part: `output` or `explanation`.
            following: the list where this match does not hold.
            rest: the list where no match of the rule around this one holds.
        """
        holds = self.reads.get("condition")
        if self.inner is None:
            value = f"[{self.reads[part]}]" if part in self.reads else "[]"
        elif holds is None:
            return self.rule_chain(part, self.shared(part, following))
        else:
            value = self.rule_chain(part, rest)
        return value if holds is None else f"{holds} ? {value} : {following}"

    def rule_chain(self, part: str, rest: str) -> str:
        """Return the list of the nested rule's first match that holds, else the rest."""
        text = rest
        for position, entry in enumerate(reversed(self.inner or ()), start=1):
            text = entry.chain(part, f"({text})" if " ? " in text else text, rest)
            if position % _MOST_LEVELS == 0:  # an expression has a greatest depth
                text = self.shared(part, text)
        return f"({text})" if " ? " in text else text

    def shared(self, part: str, text: str) -> str:
        """Return a text that may be written more than once: that of a variable, if it is long."""
        if " ? " not in text:
            return text
        return self.aggregate.hoist(self.match.derived(text), self.expander.fresh(self.label, "else", part))


def _label(match: Node, default: str) -> str:
    return str(match["id"].value) if "id" in match else default


def _matches(listed: Node) -> Iterator[Node]:
    """Yield the matches of an aggregate, and of rules nested in it."""
    for match in listed:
        yield match
        if "rule" in match and "match" in match["rule"]:
            yield from _matches(match["rule"]["match"])


def _flat(elements: list[tuple[str, Node]], node: Node, suffix: str = "") -> Node:
    """Return the list of all elements of some lists, which are given as texts with their matches."""
    text = Text()
    text.add("[", node)
    for position, (element, match) in enumerate(elements):
        text.add(f"{', ' if position else ''}{element}", match)
    text.add(f"].flatten(){suffix}", node)
    return text.node(node)


def _renamed_fields(
    variable: Node, inside: Mapping[str, str], columns: Mapping[str, str]
) -> Iterator[tuple[str, Node]]:
    """Yield a variable's fields with other names of variables in its expressions."""
    for key, node in variable.items():
        if key in ("expression", "records"):
            yield key, _renamed(node, inside)
        elif key == "columns":
            written = [
                Node(dict(_renamed_columns(column, columns)), column.document, column.path) for column in node
            ]
            yield key, Node(written, node.document, node.path)
        else:
            yield key, node


def _renamed_columns(column: Node, names: Mapping[str, str]) -> Iterator[tuple[str, Node]]:
    for key, node in column.items():
        yield key, _renamed(node, names) if key in ("expression", "values") else node


def _renamed(node: Node, names: Mapping[str, str]) -> Node:
    """Return an expression that reads variables by other names; one that does not parse is left as it is."""
    text = str(node.value)
    try:
        root = parse_checked(text)
    except CelCheckError:
        return node
    spans = sorted(_reads(root, text, names))
    if not spans:
        return node
    written, end = Text(), 0
    for start, stop, name in spans:
        written.add(text[end:start], node, end)
        written.add(f"variables.{names[name]}", node, start)
        end = stop
    written.add(text[end:], node, end)
    return written.node(node)


def _reads(root: ast.Node, text: str, names: Mapping[str, str]) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and name of the variables that an expression reads and that get other names."""
    for each in root.walk():
        if not (isinstance(each, ast.Select) and names.get(each.field, each.field) != each.field):
            continue
        if isinstance(each.operand, ast.Identifier) and each.operand.name == "variables":
            start = each.operand.start
            found = re.compile(rf"variables\s*\.\s*{each.field}\b").match(text, start)
            if found is not None:
                yield start, found.end(), each.field
