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

from engine._version import __version__
from engine.decide import Decision, Policy, load_policy
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
