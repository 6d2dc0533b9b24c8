"""Requests: named inputs, and an id that the decision repeats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import cast

from engine.base.errors import Path, RequestError, quote
from engine.base.jsontypes import Json, JsonObject
from engine.base.records import field, record, replace
from engine.decide.stored import stored_quantization
from engine.documents import validate
from engine.inventory import Inventory, read_inventory
from engine.model import Model, read_model

_READERS: Mapping[str, Callable[[Json, Path], Inventory | Model]] = {
    "Inventory": read_inventory,
    "Model": read_model,
}
REQUEST_INPUTS = ("inventory", "model", "quantization", "serving", "pin")
"""Inputs that a request document holds (schemas/request.schema.json)."""
_MOST_NAMES = 5
_REFERENCE_KEYS = frozenset({"id", "registry", "model_params", "quantization", "expected"})


@record
class Request:
    """Values by the names that a policy declares as inputs.

    `inputs` holds Inventory and Model objects, or plain values (numbers, text, lists, mappings), which are
    held against the declared types when a policy decides.
    """

    inputs: Mapping[str, object] = field(default_factory=dict)
    id: str | int | None = None

    @classmethod
    def from_dict(cls, mapping: object) -> Request:
        """The request in a decoded document (schemas/request.schema.json).

        A line of the reference tool's data (`registry`, `model_params`) is understood too.

        Raises:
            RequestError: what is wrong, with its path.
        """
        if isinstance(mapping, dict) and "registry" in mapping and mapping.keys() <= _REFERENCE_KEYS:
            return cls._from_reference(mapping)
        if isinstance(mapping, dict) and mapping and not mapping.keys() & {*REQUEST_INPUTS, "id"}:
            found = ", ".join(quote(str(name)) for name in islice(mapping, _MOST_NAMES))
            raise RequestError(
                f"not a request: expected inventory, model and quantization, found {found}",
                path=(),
                hint="inputs of a policy on another subject: name it with --policy and use --inputs",
            )
        problems = validate(mapping, "request")
        if problems or not isinstance(mapping, dict):
            raise RequestError(problems)
        inputs: dict[str, object] = {}
        if "inventory" in mapping:
            inputs["inventory"] = read_inventory(mapping["inventory"], ("inventory",))
        if "model" in mapping:
            inputs["model"] = read_model(mapping["model"], ("model",))
        for name in REQUEST_INPUTS[2:]:
            if name in mapping:
                inputs[name] = mapping[name]
        read = inputs.get("model")
        stored = stored_quantization(read if isinstance(read, Model) else None, inputs.get("quantization"))
        if stored is not None:
            inputs["quantization"] = stored
        return cls(inputs, mapping.get("id"))

    @classmethod
    def from_inputs(cls, mapping: object) -> Request:
        """A request for a policy on any subject: a mapping of input names to values.

        Values are checked against the declared types when a policy decides. Timestamps and durations are text
        (`2026-01-31T12:00:00Z`, `1h30m`), `datetime` or `timedelta`; bytes are base64 or `bytes`.

            >>> import engine
            >>> engine.Request.from_inputs({"team": "search", "devices": 4}).inputs["devices"]
            4

        Args:
            mapping: values by input name.

        Raises:
            RequestError: not a mapping.
        """
        if not isinstance(mapping, dict):
            raise RequestError("expected a mapping of input names to values", path=())
        return cls(mapping)

    @classmethod
    def _from_reference(cls, mapping: JsonObject) -> Request:
        inputs: dict[str, object] = {"inventory": read_inventory(mapping["registry"], ("registry",))}
        if "model_params" in mapping:
            params = mapping["model_params"]
            if not isinstance(params, int) or isinstance(params, bool) or params < 0:
                raise RequestError("model_params: expected a whole number from 0", path=("model_params",))
            inputs["model"] = Model(params)
        if "quantization" in mapping:
            if not isinstance(mapping["quantization"], str):
                raise RequestError("quantization: expected text", path=("quantization",))
            inputs["quantization"] = mapping["quantization"]
        return cls(inputs, cast("str | int | None", mapping.get("id")))

    def with_inputs(self, /, **inputs: object) -> Request:
        """Return the request with some inputs added or replaced."""
        return replace(self, inputs={**self.inputs, **inputs})

    def typed(self, types: Mapping[str, str]) -> Request:
        """The same request with plain mappings read as what a policy declares: inventories and models.

        Raises:
            RequestError: what is wrong with one of them, with its path.
        """
        read = {}
        for name, value in self.inputs.items():
            if types.get(name) in _READERS and not isinstance(value, (Inventory, Model)):
                read[name] = _READERS[types[name]](cast(Json, value), (name,))
        return self.with_inputs(**read) if read else self

    def document_path(self, path: Path) -> Path:
        """Where in its document an input's value stands; `path` begins with the input's name."""
        inventory = self.inventory
        if inventory is not None and path[:1] == ("inventory",) and len(path) > 2:
            sources = {
                "devices": [device.source for device in inventory.devices],
                "interconnects": [link.source for link in inventory.interconnects],
            }
            found = sources.get(str(path[1]), [])
            if isinstance(path[2], int) and path[2] < len(found):
                return (*found[path[2]], *path[3:])
        return path

    @property
    def inventory(self) -> Inventory | None:
        """The inventory, if the request has one."""
        value = self.inputs.get("inventory")
        return value if isinstance(value, Inventory) else None

    @property
    def model(self) -> Model | None:
        """The model, if the request has one."""
        value = self.inputs.get("model")
        return value if isinstance(value, Model) else None
