"""Binding: requests become typed values, joined with the catalogs that describe them."""

from __future__ import annotations

from typing import Any

import pytest

import engine
from engine.base.errors import MissingInputError, RequestError
from engine.cel.runtimes.compiled import CompiledRuntime
from engine.decide.binding import FactBinder

POLICY = engine.load_policy("sharding@1.0.0").compiled
BINDER = FactBinder(POLICY, CompiledRuntime(POLICY.objects))
REQUEST = {
    "inventory": {"devices": [{"kind": "CudaGpu", "memory": "80GiB"}]},
    "model": {"params": "8B"},
    "quantization": "bf16",
}


def bind(**changes: Any) -> dict[str, Any]:
    return BINDER.bind(engine.Request.from_dict({**REQUEST, **changes}))


def test_bind_request_gives_every_declared_input() -> None:
    assert set(bind()) == set(POLICY.inputs)


def test_bind_device_joins_catalog_columns() -> None:
    (device,) = bind()["inventory"]["devices"]
    row = POLICY.catalogs["accelerators"].table()["CudaGpu"]
    assert device["memory_bytes"] == 80 * 2**30
    assert device["family"] == row["family"]


def test_bind_name_of_an_entry_is_checked_against_its_catalog() -> None:
    with pytest.raises(RequestError, match="int9") as raised:
        bind(quantization="int9")
    assert raised.value.problems[0].path == ("quantization",)


def test_bind_unknown_kind_reports_its_path() -> None:
    with pytest.raises(RequestError) as raised:
        bind(inventory={"devices": [{"kind": "CudaGpuu", "memory": "80GiB"}]})
    assert raised.value.problems[0].path == ("inventory", "devices", 0, "kind")
    assert "CudaGpu" in str(raised.value.problems[0].hint)


def test_bind_missing_input_is_named() -> None:
    request = engine.Request.from_dict({name: REQUEST[name] for name in ("inventory", "model")})
    with pytest.raises(MissingInputError, match="quantization"):
        BINDER.bind(request)


@pytest.mark.parametrize("column", ["family"])
def test_bind_column_of_the_catalog_is_refused_in_a_request(column: str) -> None:
    with pytest.raises(RequestError, match=column):
        bind(inventory={"devices": [{"kind": "CudaGpu", "memory": "80GiB", column: "gpu"}]})
