"""No row of a decision table covers some inputs.

Their outcome is `no_match`. Add a row, such as one of `-` in all tested columns at the end of a table with
`hit: first`; or list a column's `values` if it has no others. The hint has a request that no row covers.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.errors import Path, Problem
from engine.policy.checks.check import Check
from engine.policy.compiled import CompiledPolicy, CompiledTable, rules
from engine.policy.table_domains import Domains, witness_text


def find(policy: CompiledPolicy) -> Iterator[Problem]:
    """Tables with gaps."""
    constants = {name: constant.value for name, constant in policy.constants.items()}
    for rule in rules(policy.rule):
        if rule.table is None or rule.table.hit == "collect":
            continue
        gap = _domains(rule.table, constants).gap()
        if gap is None:
            continue
        path: Path = (*rule.table.path, "rows")
        witness = witness_text(gap.witness, rule.table.columns, list(policy.inputs))
        message = "no row covers some inputs" if gap.sure else "perhaps no row covers some inputs"
        place = policy.document.place(path, key=True)
        yield Problem(message, place, f"for example {witness}", path, at_key=True)


def _domains(table: CompiledTable, constants: dict[str, object]) -> Domains:
    return Domains(table.columns, table.tests, constants)


CHECK = Check("W220", "uncovered-inputs", "warning", find)
