"""What is asked: named inputs, and an id that comes back with the decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.documents import validate
from engine.errors import Path, RequestError
from engine.inventory import Inventory, read_inventory
from engine.model import Model, read_model
from engine.records import field, record, replace

_READERS: dict[str, Callable[[Any, Path], Inventory | Model]] = {
    "Inventory": read_inventory,
    "Model": read_model,
}
_REFERENCE_KEYS = frozenset({"id", "registry", "model_params", "quantization", "expected"})


@record
class Request:
    """Values by the names that a policy declares as inputs.

    `inputs` holds Inventory and Model objects, or plain values (numbers, text, lists, mappings), which are
    held against the declared types when a policy decides.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    id: str | int | None = None

    @classmethod
    def from_dict(cls, mapping: Any) -> Request:
        """The request in a decoded document (schemas/request.schema.json).

        A line of the reference tool's data (`registry`, `model_params`) is understood too.

        Raises:
            RequestError: what is wrong, with its path.
        """
        if isinstance(mapping, dict) and "registry" in mapping and mapping.keys() <= _REFERENCE_KEYS:
            return cls._from_reference(mapping)
        problems = validate(mapping, "request")
        if problems:
            raise RequestError(problems)
        inputs: dict[str, Any] = {}
        if "inventory" in mapping:
            inputs["inventory"] = read_inventory(mapping["inventory"], ("inventory",))
        if "model" in mapping:
            inputs["model"] = read_model(mapping["model"], ("model",))
        for name in ("quantization", "serving", "pin"):
            if name in mapping:
                inputs[name] = mapping[name]
        return cls(inputs, mapping.get("id"))

    @classmethod
    def from_inputs(cls, mapping: Any) -> Request:
        """A request for a policy on any subject: a mapping of input names to values.

        Raises:
            RequestError: not a mapping.
        """
        if not isinstance(mapping, dict):
            raise RequestError("expected a mapping of input names to values", path=())
        return cls(mapping)

    @classmethod
    def _from_reference(cls, mapping: dict[str, Any]) -> Request:
        inputs: dict[str, Any] = {"inventory": read_inventory(mapping["registry"], ("registry",))}
        if "model_params" in mapping:
            params = mapping["model_params"]
            if not isinstance(params, int) or isinstance(params, bool) or params < 0:
                raise RequestError("model_params: expected a whole number from 0", path=("model_params",))
            inputs["model"] = Model(params)
        if "quantization" in mapping:
            if not isinstance(mapping["quantization"], str):
                raise RequestError("quantization: expected text", path=("quantization",))
            inputs["quantization"] = mapping["quantization"]
        return cls(inputs, mapping.get("id"))

    def with_inputs(self, **inputs: Any) -> Request:
        """The same request with some inputs set or replaced."""
        return replace(self, inputs={**self.inputs, **inputs})

    def typed(self, types: Mapping[str, str]) -> Request:
        """The same request with plain mappings read as what a policy declares: inventories and models.

        Raises:
            RequestError: what is wrong with one of them, with its path.
        """
        read = {}
        for name, value in self.inputs.items():
            if types.get(name) in _READERS and not isinstance(value, (Inventory, Model)):
                read[name] = _READERS[types[name]](value, (name,))
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
        """The inventory, if there is one."""
        value = self.inputs.get("inventory")
        return value if isinstance(value, Inventory) else None

    @property
    def model(self) -> Model | None:
        """The model, if there is one."""
        value = self.inputs.get("model")
        return value if isinstance(value, Model) else None
