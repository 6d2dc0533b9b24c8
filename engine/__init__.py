"""A policy engine that chooses how a model is sharded over accelerators.

>>> import engine
>>> decision = engine.decide(inventory="8xH100-SXM", model="llama-3.1-70b", quantization="bf16")
>>> decision.plan.strategy.tensor_parallel
8

One policy for many requests:


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

from typing import TYPE_CHECKING

from engine._version import __version__
from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.base.errors import (
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
    from engine.decide.api import decide
    from engine.decide.decision import Decision
    from engine.decide.policy import Policy, load_policy
    from engine.decide.request import Request
    from engine.decide.tracing import Trace
    from engine.inventory import Device, Interconnect, Inventory, read_inventory
    from engine.model import Model, read_model
    from engine.plan import Plan, Shard, ShardDevice, Strategy

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
    "decide",
    "load_policy",
    "read_inventory",
    "read_model",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "base.errors": (
                "DocumentError EngineError EvaluationError MissingInputError Place PolicyError Problem "
                "RenderError RequestError RuntimeUnavailableError"
            ),
            "decide.decision": "Decision",
            "decide.policy": "Policy load_policy",
            "decide.request": "Request",
            "decide.tracing": "Trace",
            "inventory": "Device Interconnect Inventory read_inventory",
            "model": "Model read_model",
            "plan": "Plan Shard ShardDevice Strategy",
        },
        "decide",  # the room is the function: engine/decide/__init__.py
    )
