"""Fast path for lines that hold registries, which most of a fleet's history consists of.

The types mirror schemas/registry.schema.json for msgspec, which parses and validates in one pass. The fast
path never reports errors: `read_request` returns None for any other line, and the general reader produces the
diagnostics. `expected`, the reference planner's answer, is skipped without parsing.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from engine.decide.request import Request
from engine.documents.lines import names_are_unique
from engine.inventory.inventory import Attribute, Device, Interconnect, Inventory
from engine.model import Model

_Count = Annotated[int, Meta(ge=0)]
_Text = str | None | UnsetType


class _Profile(Struct, forbid_unknown_fields=True):
    accelerator: str | dict[str, dict[str, Attribute]]
    available: bool
    memory_bytes: _Count
    compute_capability: _Text = UNSET
    driver_version: _Text = UNSET
    numa_node: _Count | UnsetType | None = UNSET


class _Link(Struct, forbid_unknown_fields=True):
    kind: str
    bandwidth_gbps: Annotated[float, Meta(ge=0)]
    name: _Text = UNSET
    state: _Text = UNSET


class _SystemIo(Struct, forbid_unknown_fields=True):
    interconnects: list[_Link]


class _Registry(Struct, forbid_unknown_fields=True):
    profiles: list[_Profile]
    system_io: _SystemIo | UnsetType | None = UNSET
    schema_version: int | UnsetType = UNSET


class _Line(Struct, forbid_unknown_fields=True):
    registry: _Registry
    id: str | int | UnsetType | None = UNSET
    model_params: _Count | UnsetType = UNSET
    quantization: str | UnsetType = UNSET
    expected: Raw | UnsetType = UNSET


_decode = msgspec.json.Decoder(_Line).decode


def read_request(text: bytes) -> Request | None:
    """Return the request in a line, or None if the general reader must decide."""
    try:
        line = _decode(text)
        if not names_are_unique(text, line):
            return None
        return _request(line)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def _request(line: _Line) -> Request:
    registry = line.registry
    profiles = registry.profiles
    system_io = registry.system_io
    inputs: dict[str, object] = {
        "inventory": Inventory(
            tuple([_device(profile, number) for number, profile in enumerate(profiles)]),
            tuple([_link(link, number) for number, link in enumerate(system_io.interconnects)])
            if system_io
            else (),
        )
    }
    if line.model_params is not UNSET:
        inputs["model"] = Model(line.model_params)
    if line.quantization is not UNSET:
        inputs["quantization"] = line.quantization
    return Request(inputs, None if line.id is UNSET else line.id)


def _device(profile: _Profile, number: int) -> Device:
    accelerator = profile.accelerator
    device_id: int | None = None
    attributes: dict[str, Attribute] = {}
    if type(accelerator) is str:
        kind = accelerator
    else:
        ((kind, attributes),) = accelerator.items()  # type: ignore[union-attr]
        number_of_kind = attributes.pop("device_id", None)
        if number_of_kind is not None and type(number_of_kind) is not int:
            raise ValueError(f"device_id {number_of_kind}")
        device_id = number_of_kind
    numa_node, capability, driver = profile.numa_node, profile.compute_capability, profile.driver_version
    return Device(
        kind,
        profile.memory_bytes,
        profile.available,
        device_id,
        None,
        None if numa_node is UNSET else numa_node,
        None,
        None if capability is UNSET else capability,
        None if driver is UNSET else driver,
        attributes,
        ("registry", "profiles", number),
    )


def _link(link: _Link, number: int) -> Interconnect:
    return Interconnect(
        link.kind,
        link.bandwidth_gbps,
        None if link.name is UNSET else link.name,
        None if link.state is UNSET else link.state,
        ("registry", "system_io", "interconnects", number),
    )
