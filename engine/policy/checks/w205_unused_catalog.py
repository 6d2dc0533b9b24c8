"""A catalog is listed but never used.

The policy's digest depends on a file that decides nothing, and whoever edits the catalog expects an effect. A
catalog is used if an expression reads `catalogs.NAME` or a field or column that it adds to a type, or if an
input names one of its entries.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.errors import Problem
from engine.catalogs.catalog import Catalog
from engine.cel import syntax as ast
from engine.cel.celtypes import Kind
from engine.policy.checks.check import Check
from engine.policy.compiled import CompiledPolicy, uses


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Listed catalogs that no expression needs."""
    names, fields = _reads(policy)
    for position, name in enumerate(policy.catalogs):
        if not _is_used(policy, policy.catalogs[name], names, fields):
            path = ("catalogs", position)
            yield Problem(f"catalog '{name}' is not used", policy.document.place(path), path=path)


def _reads(policy: CompiledPolicy) -> tuple[set[str], set[tuple[str, str]]]:
    """Return the global names that expressions read, and the fields by type."""
    names: set[str] = set()
    fields: set[tuple[str, str]] = set()
    for use in uses(policy):
        checked = use.expression.checked
        names.update(checked.free_names())
        for node in checked.root.walk():
            if isinstance(node, ast.Select):
                type_ = checked.types.get(node.operand)
                if type_ is not None and type_.kind is Kind.OBJECT:
                    fields.add((type_.name, node.field))
    return names, fields


def _is_used(policy: CompiledPolicy, catalog: Catalog, names: set[str], fields: set[tuple[str, str]]) -> bool:
    if catalog.by is None and any(each.type_name == catalog.describes for each in policy.inputs.values()):
        return True
    added = {*catalog.fields, *catalog.columns}
    return f"catalogs.{catalog.name}" in names or any(
        type_name == catalog.describes and name in added for type_name, name in fields
    )


CHECK = Check("W205", "unused-catalog", "warning", find)
