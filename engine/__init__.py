"""A policy engine that decides how a model is sharded over accelerators.

>>> import engine
>>> policy = engine.load_policy("sharding@1.0.0")
>>> request = engine.Request.from_dict({
...     "inventory": {"devices": [{"kind": "CudaGpu", "memory": "80GiB"}]},
...     "model": {"params": "8B"},
...     "quantization": "bf16",
... })
>>> policy.decide(request).match_id
'single-device'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from engine._version import __version__

if TYPE_CHECKING:
    from engine.decide import Policy, load_policy
    from engine.decision import Decision
    from engine.errors import (
        DocumentError,
        EngineError,
        EvaluationError,
        MissingInputError,
        Place,
        PolicyError,
        Problem,
        RenderError,
        RequestError,
        RuntimeUnavailableError,
    )
    from engine.inventory import Device, Interconnect, Inventory, read_inventory
    from engine.model import Model, read_model
    from engine.plan import Plan, Shard, ShardDevice, Strategy
    from engine.request import Request
    from engine.trace import Trace

__all__ = [
    "Decision",
    "Device",
    "DocumentError",
    "EngineError",
    "EvaluationError",
    "Interconnect",
    "Inventory",
    "MissingInputError",
    "Model",
    "Place",
    "Plan",
    "Policy",
    "PolicyError",
    "Problem",
    "RenderError",
    "Request",
    "RequestError",
    "RuntimeUnavailableError",
    "Shard",
    "ShardDevice",
    "Strategy",
    "Trace",
    "__version__",
    "load_policy",
    "read_inventory",
    "read_model",
]

_MODULES = {
    "Decision": "engine.decision",
    "Policy": "engine.decide",
    "load_policy": "engine.decide",
    "DocumentError": "engine.errors",
    "EngineError": "engine.errors",
    "EvaluationError": "engine.errors",
    "MissingInputError": "engine.errors",
    "Place": "engine.errors",
    "PolicyError": "engine.errors",
    "Problem": "engine.errors",
    "RenderError": "engine.errors",
    "RequestError": "engine.errors",
    "RuntimeUnavailableError": "engine.errors",
    "Device": "engine.inventory",
    "Interconnect": "engine.inventory",
    "Inventory": "engine.inventory",
    "read_inventory": "engine.inventory",
    "Model": "engine.model",
    "read_model": "engine.model",
    "Plan": "engine.plan",
    "Shard": "engine.plan",
    "ShardDevice": "engine.plan",
    "Strategy": "engine.plan",
    "Request": "engine.request",
    "Trace": "engine.trace",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `engine --help` needs no CEL."""
    if name not in _MODULES:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
