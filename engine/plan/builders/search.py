"""Search: the best candidate that the policy allows, among all layouts that servers can run."""

from __future__ import annotations

from engine.plan.building import Arguments, Builder
from engine.plan.errors import BuilderError
from engine.plan.plan import Plan
from engine.policy.signature import BuilderSignature, Parameter


def build(arguments: Arguments) -> Plan:
    """Refuse: candidates are scored by the policy, which `engine.plan.search.builder.search` calls."""
    raise BuilderError("internal: 'search' must be run through plan.search", "devices")


def _degrees(parallelism: str) -> Parameter:
    return Parameter(
        "list(int)", f"{parallelism} parallel degrees to try; all if empty or omitted.", required=False
    )


_PARAMETERS = {
    "devices": Parameter("list(Device)", "Devices that may be used."),
    "alike": Parameter("list(string)", "The device group of each device: equal for homogeneous devices."),
    "budgets": Parameter("list(int)", "Usable memory of one rank on each device, in bytes.", unit="byte"),
    "ranks": Parameter(
        "list(int)", "Ranks of each device: chips or cores that are planned one by one.", unit="rank"
    ),
    "domains": Parameter(
        "list(string)",
        "The NVLink domain (or its like) of each device: equal for devices that one fabric connects; used "
        "for devices without links between pairs in the inventory.",
    ),
    "fabrics": Parameter("list(string)", "The fabric of each device's domain; empty if it has none."),
    "peer_links": Parameter("list(string)", "Kinds of links between pairs that connect devices directly."),
    "peer_fabrics": Parameter("list(string)", "The fabric of each of these kinds of links."),
    "near_fabric": Parameter("string", "The fabric between the other devices of a node."),
    "far_fabric": Parameter("string", "The fabric between nodes."),
    "layers": Parameter("int", "Layers of the model: the most stages.", unit="layer"),
    "experts": Parameter("int", "Routed experts of a layer; 0 for a dense model.", unit="expert"),
    "most_candidates": Parameter(
        "int",
        "The most candidates to score; ENGINE_CANDIDATES if omitted. A candidate of many different stages "
        "counts once for every eight.",
        required=False,
        unit="candidate",
    ),
    "tensor_degrees": _degrees("Tensor"),
    "pipeline_degrees": _degrees("Pipeline"),
    "data_degrees": _degrees("Data"),
    "expert_degrees": _degrees("Expert"),
    "attention_data_degrees": _degrees("Attention data"),
    "shared_experts": Parameter(
        "bool",
        "Whether some of the data-parallel ranks may share one set of routed experts (DP attention) while "
        "others have their own. If false, all of them share one wherever expert parallel is used.",
        required=False,
    ),
}

_RESULTS = {
    "stage_layers": Parameter(
        "list(int)", "Layers of each run of equal stages, for all of its stages together.", unit="layer"
    ),
    "stage_memory_bytes": Parameter(
        "list(int)", "Memory per device of the fullest stage of each run, in bytes.", unit="byte"
    ),
    "time_per_output_token_ms": Parameter(
        "double",
        "Time per output token (TPOT) of a single request, in milliseconds.",
        required=False,
        unit="ms",
    ),
    "time_to_first_token_ms": Parameter(
        "double",
        "Time to first token (TTFT) of a single request, in milliseconds.",
        required=False,
        unit="ms",
    ),
    "tokens_per_sec": Parameter(
        "double", "Output tokens per second of a single request.", required=False, unit="token/s"
    ),
    "saturated_tokens_per_sec": Parameter(
        "double",
        "Output tokens per second of all replicas at the requested concurrency.",
        required=False,
        unit="token/s",
    ),
    "context": Parameter(
        "int", "The longest request that fits, prompt and output, in tokens.", required=False, unit="token"
    ),
    "concurrency": Parameter(
        "int",
        "Requests of that length that a replica serves at the same time.",
        required=False,
        unit="request",
    ),
    "kv_capacity_tokens": Parameter(
        "int",
        "KV cache capacity of a replica for requests of that length, in tokens.",
        required=False,
        unit="token",
    ),
    "kv_capacity_requests": Parameter(
        "int",
        "KV cache capacity of a replica, in whole requests of that length.",
        required=False,
        unit="request",
    ),
    "loaded_time_to_first_token_ms": Parameter(
        "double", "TTFT at the requested concurrency, in milliseconds.", required=False, unit="ms"
    ),
    "loaded_time_per_output_token_ms": Parameter(
        "double", "TPOT at the requested concurrency, in milliseconds.", required=False, unit="ms"
    ),
    "goal_time_to_first_token_ms": Parameter(
        "double",
        "TTFT that the request limits, in ms: at the requested percentile, else the mean under load.",
        required=False,
        unit="ms",
    ),
    "goal_time_per_output_token_ms": Parameter(
        "double",
        "TPOT that the request limits, in ms: at the requested percentile, else the mean under load.",
        required=False,
        unit="ms",
    ),
    "requests_per_sec": Parameter(
        "double",
        "Finished requests per second of all replicas at the requested concurrency.",
        required=False,
        unit="request/s",
    ),
    "bounds": Parameter(
        "map(string, list(double))",
        "Lower and upper bound of times and rates, by the name of the result.",
        required=False,
    ),
    "basis": Parameter("string", "Origin of the times: modelled, calibrated or measured.", required=False),
    "parts_ms": Parameter(
        "map(string, double)",
        "Breakdown of the time per output token, in milliseconds.",
        required=False,
        unit="ms",
    ),
    "binding": Parameter("string", "The largest part of that time.", required=False),
    "host_memory_bytes": Parameter(
        "int", "Weights of a replica that stay in host memory, in bytes.", required=False
    ),
    "host_memory_bytes_per_device": Parameter("int", "The same per device, in bytes.", required=False),
    "host_layers": Parameter(
        "int", "Whole layers, or experts of whole layers, that stay in host memory.", required=False
    ),
    "server": Parameter("string", "The model server that the plan is for.", required=False),
    "warnings": Parameter("list(string)", "Warnings about the plan.", required=False),
    "idle": Parameter(
        "list(map(string, string))",
        "Kinds of which devices may stay idle (`kind`), and why (`reason`); the builder says which devices.",
        required=False,
    ),
    "further_devices": Parameter(
        "list(int)",
        "Positions in `devices` of those that may serve requests by further plans, as far as the plan leaves "
        "them unused. Needs `requests_per_sec`, by which the plans share requests.",
        required=False,
    ),
    "further_concurrency": Parameter(
        "int", "Concurrent requests that further plans share with this one.", required=False, unit="request"
    ),
    "further_reason": Parameter(
        "string",
        "Why such devices stay idle where they would not help.",
        required=False,
    ),
}

BUILDER = Builder(
    BuilderSignature(
        "search",
        "The best layout that the policy allows: homogeneous devices by every tensor, pipeline, data and "
        "expert parallel degree, heterogeneous ones as one pipeline.",
        _PARAMETERS,
        _RESULTS,
    ),
    build,
    example="""
builder: search
arguments:
  devices: inventory.devices
  alike: inventory.devices.map(d, d.kind)
  budgets: inventory.devices.map(d, d.memory_bytes)
  ranks: inventory.devices.map(d, 1)
  domains: inventory.devices.map(d, d.kind)
  fabrics: inventory.devices.map(d, "nvlink")
  peer_links: '[]'
  peer_fabrics: '[]'
  near_fabric: '"pcie"'
  far_fabric: '"network"'
  layers: '32'
  experts: '0'
candidate:
  require:
    - {id: few, condition: candidate.devices <= 4, explanation: '"too many devices"'}
  prefer:
    - {id: largest, score: candidate.devices}
  result:
    stage_layers: candidate.stages.map(stage, stage.count * 32 / candidate.pipeline_parallel)
    stage_memory_bytes: candidate.stages.map(stage, 16000000000 / candidate.pipeline_parallel)
""",
)
