"""Changes to a request by the names that policies use for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from engine.base.records import replace
from engine.decide.request import Request
from engine.inventory.inventory import Device, Inventory, Link
from engine.inventory.order import device_ranks

if TYPE_CHECKING:
    from engine.base.jsontypes import Json

LIMITS = ("serving.max_ttft_ms", "serving.max_tpot_ms", "serving.request_rate")
"""Changes of goals that a plan meets to a degree; a policy tries to go without them."""


def changed(request: Request, change: str, value: Json) -> Request:
    """Return a request with a change.

    Args:
        request: the request.
        change: what changes, by the name that policies use.
        value: the new value, or for devices the number of further ones.
    """
    return _CHANGES[change](request, value)


def _quantized(request: Request, name: str) -> Request:
    return request.with_inputs(quantization=name)


def with_serving(request: Request, name: str, value: object) -> Request:
    """Return a request with another value of a serving goal."""
    serving = cast("Mapping[str, object]", request.inputs.get("serving") or {})
    return request.with_inputs(serving={**serving, name: value})


def _serving(field_: str) -> Callable[[Request, Json], Request]:
    return lambda request, value: with_serving(request, field_, value)


def _more_devices(request: Request, count: int) -> Request:
    """With that many more devices like those of which there are most, joined as they are.

    Of kinds of which there are as many, and of devices of that kind, it is the same one in whatever order the
    inventory lists them.
    """
    inventory = request.inventory
    if inventory is None or not inventory.devices:
        return request
    kinds = Counter(map(_kind, (each for each in inventory.devices if each.available)))
    if not kinds:
        return request
    kind = max(kinds, key=lambda kind: (kinds[kind], repr(kind)))
    ranks = device_ranks(inventory)
    alike = (n for n, each in enumerate(inventory.devices) if each.available and _kind(each) == kind)
    listed = inventory.devices
    like = min(alike, key=lambda n: (-(listed[n].free_bytes or 0), ranks[n], n))
    for _ in range(count):
        inventory = _with_another(inventory, like)
    return request.with_inputs(inventory=inventory)


def _kind(device: Device) -> tuple[object, ...]:
    return (device.kind, device.name, device.memory_bytes, tuple(sorted(device.attributes.items())))


def _with_another(inventory: Inventory, like: int) -> Inventory:
    device = inventory.devices[like]
    new = len(inventory.devices)
    number = None
    if device.device_id is not None:
        number = 1 + max(each.device_id or 0 for each in inventory.devices if each.kind == device.kind)
    own = [link for link in inventory.links if like in (link.a, link.b)]
    links = [replace(link, a=link.b if link.a == like else link.a, b=new) for link in own]
    if own:
        fastest = max(own, key=lambda link: link.bandwidth_gbs or 0.0)
        links.append(replace(fastest, a=like, b=new))
    return replace(
        inventory,
        devices=(*inventory.devices, replace(device, device_id=number)),
        links=(*inventory.links, *_once(links)),
    )


def _once(links: Sequence[Link]) -> list[Link]:
    return list({(link.a, link.b): link for link in links}.values())


def _server(request: Request, name: str) -> Request:
    """With another server, in the version that is usual for it."""
    return with_serving(with_serving(request, "server", name), "server_version", None)


def _without_speculation(request: Request, value: None) -> Request:
    """Without speculative decoding, and without the goals that are about the draft."""
    for name in _DRAFT:
        request = with_serving(request, name, value)
    return request


_DRAFT = (
    *("speculative", "speculative_tokens", "acceptance_length", "draft_model", "draft_params"),
    *("draft_layers", "draft_kv_numbers", "draft_kv_heads"),
)
"""The goals of a request with speculative decoding."""


def _pinned(degree: str) -> Callable[[Request, Json], Request]:
    def change(request: Request, value: Json) -> Request:
        pin = cast("Mapping[str, object]", request.inputs.get("pin") or {})
        return request.with_inputs(pin={**pin, degree: value})

    return change


_CHANGES: dict[str, Callable[[Request, Any], Request]] = {
    "devices": _more_devices,
    "quantization": _quantized,
    "serving.context": _serving("context"),
    "serving.concurrency": _serving("concurrency"),
    "serving.kv_dtype": _serving("kv_dtype"),
    "serving.utilization": _serving("utilization"),
    "serving.server": _server,
    "serving.host_memory_bytes": _serving("host_memory_bytes"),
    "serving.objective": _serving("objective"),
    "serving.speculative": _without_speculation,
    **{name: _serving(name.partition(".")[2]) for name in LIMITS},
    "pin.tensor_parallel": _pinned("tensor_parallel"),
    "pin.pipeline_parallel": _pinned("pipeline_parallel"),
    "pin.data_parallel": _pinned("data_parallel"),
    "pin.expert_parallel": _pinned("expert_parallel"),
}
"""Changes by the name that a policy uses (schemas/policy.schema.json)."""
