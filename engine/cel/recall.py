"""Parse and check expressions, or recall the result of an equal expression in an equal environment."""

from __future__ import annotations

from engine.base.memory import Memory, memory, recall
from engine.base.records import replace
from engine.cel import syntax as ast
from engine.cel.checker import Checked, Environment, check_parsed, parse_checked
from engine.cel.records import rewrite


def parse_recalled(text: str) -> ast.Node:
    """Parse `text`.

    Raises:
        CelCheckError: it is not CEL.
    """
    return recall("parsed", text, lambda: parse_checked(text))


def check_recalled(text: str, root: ast.Node, environment: Environment) -> Checked:
    """Type-check an expression that is parsed already.

    Raises:
        CelCheckError: with every fault found.
    """
    used = memory()
    if used is None:
        return check_parsed(text, root, environment)
    key = (root, *_read_of(used, root, environment))
    checked = used.recall("checked", key, lambda: check_parsed(text, root, environment))
    return replace(checked, environment=environment)


def _read_of(used: Memory, root: ast.Node, environment: Environment) -> tuple[object, ...]:
    """Return all that the checker may read of an environment for an expression, as a key."""
    written: ast.Node = root
    records: object = ()
    if environment.records:
        records = frozenset(environment.records.items())
        key = (root, records, environment.column_of)
        written = used.recall(
            "rewritten", key, lambda: rewrite(root, environment.records, environment.column_of)
        )
    names, namespaces = used.recall("names", written, lambda: _names(written))
    variables, aliases = environment.variables, environment.aliases
    read = tuple((variables.get(name), aliases.get(name)) for name in names)
    there = tuple(
        name in variables or any(known.startswith(f"{name}.") for known in variables) for name in namespaces
    )
    return records, environment.column_of, read, there, _objects(used, environment)


def _objects(used: Memory, environment: Environment) -> int:
    """Return a number for an environment's object types: equal for equal types."""
    objects = environment.objects
    # The mapping may grow while a policy is compiled; it is kept, so that its id stays its own.
    _, number = used.recall(
        "objects of a run",
        (used.run, id(objects), len(objects)),
        lambda: (objects, _number(used, tuple(objects.values()))),
    )
    return number


def _number(used: Memory, types: tuple[object, ...]) -> int:
    known: list[tuple[object, ...]] = used.recall("object types", None, list)
    for number, other in enumerate(known):
        if other == types:
            return number
    known.append(types)
    return len(known) - 1


def _names(root: ast.Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names that an expression may read, and what methods are called on the first parts of."""
    names: dict[str, None] = {}
    namespaces: dict[str, None] = {}
    for node in root.walk():
        name = ast.dotted_name(node)
        if name is not None:
            names[name.lstrip(".")] = None
        if isinstance(node, ast.Call) and node.target is not None:
            target = ast.dotted_name(node.target)
            if target is not None:
                namespaces[target.lstrip(".").partition(".")[0]] = None
    return tuple(names), tuple(namespaces)
