"""A catalog that the policy lists and doesn't use.

It makes the policy's digest depend on a file that decides nothing, and whoever edits the catalog will
expect an effect. A catalog is used if `catalogs.NAME` is read, a field or column that it adds to a type
is, or an input's value is the name of one of its entries.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.cel import ast
from engine.cel.types import Kind
from engine.errors import Problem
from engine.policy.catalog import Catalog
from engine.policy.checks.check import Check
from engine.policy.compiled import CompiledPolicy, uses


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Listed catalogs that no expression needs."""
    for position, name in enumerate(policy.catalogs):
        if not _is_used(policy, policy.catalogs[name]):
            path = ("catalogs", position)
            yield Problem(f"catalog '{name}' is not used", policy.document.place(path), path=path)


def _is_used(policy: CompiledPolicy, catalog: Catalog) -> bool:
    if catalog.by is None and any(each.type_name == catalog.describes for each in policy.inputs.values()):
        return True
    added = {*catalog.fields, *catalog.columns}
    for use in uses(policy):
        checked = use.expression.checked
        if f"catalogs.{catalog.name}" in checked.free_names():
            return True
        for node in checked.root.walk():
            if isinstance(node, ast.Select) and node.field in added:
                type_ = checked.types.get(node.operand)
                if type_ is not None and type_.kind is Kind.OBJECT and type_.name == catalog.describes:
                    return True
    return False


CHECK = Check("W205", "unused-catalog", "warning", find)
