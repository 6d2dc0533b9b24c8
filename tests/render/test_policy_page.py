"""`engine policies page`: a policy as Markdown."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.catalogs.store import PolicyStore
from tests.conftest import TOP, Run

POLICY = """\
apiVersion: engine/v1
kind: Policy
name: orders
version: 1.0.0
description: "Orders | with *stars*."
types:
  Order:
    open: true
    fields:
      amount: {type: double, minimum: 1, maximum: 50.5, unit: EUR, description: Without tax.}
      tier: {type: string, enum: [free, "a|b"], default: free}
      note: {type: string, optional: true}
      lines: {items: {fields: {count: {type: int, minimum: 1}}}}
      delay: Delay
  Delay: {type: int, minimum: 0, unit: ms}
inputs:
  - {name: order, type: Order}
  - {name: wait, type: duration, maximum: 1h, default: 5m}
  - {name: n, type: Delay, optional: true}
constants:
  dear: {value: 30.0, unit: EUR, description: From here an order is dear.}
rule:
  match:
    - {id: dear, condition: order.amount > constants.dear || order.tier == "a", output: '"`x`"'}
    - {id: rest, output: '"y"', description: All others.}
"""
PAGE = r"""# orders 1.0.0

Orders \| with \*stars\*.

## Inputs

| input | type | unit | allowed | if it is left out |
|---|---|---|---|---|
| `order` | `Order` |  |  |  |
| `wait` | `duration` |  | at most 3600s | `5m` |
| `n` | `int` | ms | at least 0 | null |

## Types

### Order

| field | type | unit | allowed | if it is absent | meaning |
|---|---|---|---|---|---|
| `amount` | `double` | EUR | 1 to 50.5 |  | Without tax. |
| `tier` | `string` |  | `free`, `a\|b` | `free` |  |
| `note` | `string` |  |  | null |  |
| `lines` | `list(OrderLines)` |  |  |  |  |
| `delay` | `int` | ms | at least 0 |  |  |

Other fields are accepted and ignored.

### OrderLines

| field | type | allowed |
|---|---|---|
| `count` | `int` | at least 1 |

## Constants

| constant | value | unit | meaning |
|---|---|---|---|
| `dear` | `30` | EUR | From here an order is dear. |

## Decisions

The first match whose condition holds decides.

| match | if | result | reason |
|---|---|---|---|
| `dear` | `order.amount > constants.dear \|\| order.tier == "a"` | `` "`x`" `` |  |
| `rest` | otherwise | `"y"` | All others. |
"""


def test_a_page_says_what_a_policy_reads_and_decides(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "orders" / "1.0.0.yaml"
    file.parent.mkdir()
    file.write_text(POLICY)
    result = run("policies", "page", "orders", "--policies", tmp_path)
    assert (result.code, result.out) == (0, PAGE)


@pytest.mark.parametrize("name", ["shipping-fee", "basket-discount", "support-response"])
def test_every_match_of_an_example_is_on_its_page(name: str, run: Run) -> None:
    folder = TOP / "examples" / "policies"
    result = run("policies", "page", name, "--policies", folder).ok()
    value = PolicyStore([str(folder)]).read(PolicyStore([str(folder)]).find("policy", name)).value
    for match in value["rule"].get("match", []):
        assert f"| `{match['id']}` |" in result.out
    for declared in value["inputs"]:
        assert f"| `{declared['name']}` |" in result.out
