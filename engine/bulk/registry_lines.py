"""Lines that hold registries, read straight to requests: what most of a fleet's history is made of.

The types here say what schemas/registry.schema.json says, for msgspec, which reads and checks in one go. This
is the quick way and only ever says yes: a line that is not plainly such a request is for others to read. What
is `expected` of the reference planner is passed over as it stands.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from engine.inventory.types import Attribute, Device, Interconnect, Inventory
from engine.model import Model
from engine.request import Request

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
_encode = msgspec.json.Encoder().encode


def read_request(text: bytes) -> Request | None:
    """The request in a line, or None where a closer look is needed."""
    try:
        line = _decode(text)
        if not names_are_unique(text, line):
            return None
        return _request(line)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def names_are_unique(text: bytes, value: object) -> bool:
    """Whether no key stands twice in any mapping of a JSON text; False may also mean: look closer.

    A key that stands twice is dropped when it is read, and its colon with it: written out anew, the value has
    fewer colons than the text. An escape may stand for a colon.
    """
    # Looking for one byte takes a thirtieth of looking for two.
    return (b"\\" not in text or b"\\u" not in text) and text.count(b":") == _encode(value).count(b":")


def _request(line: _Line) -> Request:
    registry = line.registry
    profiles = registry.profiles
    system_io = registry.system_io
    inputs: dict[str, object] = {
        "inventory": Inventory(
            tuple([_device(each, number) for number, each in enumerate(profiles)]),
            tuple([_link(each, number) for number, each in enumerate(system_io.interconnects)])
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
    device_id: Any = None
    attributes: dict[str, Attribute] = {}
    if type(accelerator) is str:
        kind = accelerator
    else:
        ((kind, attributes),) = accelerator.items()  # type: ignore[union-attr]
        device_id = attributes.pop("device_id", None)
        if device_id is not None and type(device_id) is not int:
            raise ValueError(f"device_id {device_id}")
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
