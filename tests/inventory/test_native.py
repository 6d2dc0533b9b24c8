"""Inventories of the engine's own form."""

from __future__ import annotations

import pytest

from engine.base.errors import RequestError
from engine.inventory import read_inventory


@pytest.mark.parametrize(
    "rates",
    [{"bandwidth_gbs": 600}, {"bandwidth_gbps": 600}, {"bandwidth_gbs": 600, "bandwidth_gbps": 600.0}],
)
def test_interconnect_rate_by_either_name_is_in_gb_per_second(rates: dict[str, float]) -> None:
    inventory = read_inventory({"devices": [], "interconnects": [{"kind": "NVSwitch", **rates}]})
    assert inventory.interconnects[0].bandwidth_gbps == 600.0


@pytest.mark.parametrize(
    ("rates", "message"),
    [({}, "has no field 'bandwidth_gbs'"), ({"bandwidth_gbs": 1, "bandwidth_gbps": 8}, "differ")],
)
def test_interconnect_rate_missing_or_contradictory_is_an_error(
    rates: dict[str, float], message: str
) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        read_inventory({"devices": [], "interconnects": [{"kind": "NVSwitch", **rates}]}, ("inventory",))
    assert (caught.value.problems[0].path or ())[:3] == ("inventory", "interconnects", 0)
