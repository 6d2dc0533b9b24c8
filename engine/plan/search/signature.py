"""What a policy gives the builder `search`, and what it says of the candidate that is chosen."""

from __future__ import annotations

from engine.policy.signature import BuilderSignature, Parameter

_PARAMETERS = {
    "devices": Parameter("list(Device)", "Devices that may be used."),
    "alike": Parameter("list(string)", "Of each device a name, the same for devices that are alike."),
    "budgets": Parameter("list(int)", "Of each device the bytes that one of its ranks may be filled with."),
    "ranks": Parameter("list(int)", "Of each device its ranks: chips or cores that are planned one by one."),
    "domains": Parameter(
        "list(string)",
        "Of each device a name, the same for those that one fabric joins; used of devices of "
        "which no links between pairs are known.",
    ),
    "fabrics": Parameter(
        "list(string)", "Of each device that fabric, empty where none joins it with others."
    ),
    "peer_links": Parameter("list(string)", "Kinds of links between pairs that join devices directly."),
    "peer_fabrics": Parameter("list(string)", "Of each of these the fabric that it is part of."),
    "near_fabric": Parameter("string", "What joins the other devices of a node."),
    "far_fabric": Parameter("string", "What joins nodes."),
    "layers": Parameter("int", "The most stages: layers of the model."),
    "experts": Parameter("int", "Routed experts of a layer, 0 where there are none."),
    "tensor_degrees": Parameter(
        "list(int)", "Degrees to try; all, where it is empty or left out.", required=False
    ),
    "pipeline_degrees": Parameter(
        "list(int)", "Degrees to try; all, where it is empty or left out.", required=False
    ),
    "data_degrees": Parameter(
        "list(int)", "Degrees to try; all, where it is empty or left out.", required=False
    ),
    "expert_degrees": Parameter(
        "list(int)", "Degrees to try; all, where it is empty or left out.", required=False
    ),
}

_RESULTS = {
    "stage_layers": Parameter("list(int)", "Layers of each run of stages, all stages of a run together."),
    "stage_memory_bytes": Parameter("list(int)", "Bytes on a device of the fullest stage of each run."),
    "time_per_output_token_ms": Parameter("double", "Of one request alone, in milliseconds.", required=False),
    "time_to_first_token_ms": Parameter("double", "Of one request alone, in milliseconds.", required=False),
    "tokens_per_sec": Parameter("double", "Output tokens of one request alone.", required=False),
    "saturated_tokens_per_sec": Parameter(
        "double", "Output tokens of all replicas at the asked concurrency.", required=False
    ),
    "context": Parameter(
        "int", "Tokens of the longest request that there is memory for, its answer included.", required=False
    ),
    "concurrency": Parameter(
        "int", "Requests of that length at the same time, of a replica.", required=False
    ),
    "parts_ms": Parameter(
        "map(string, double)", "What the time of an output token is made of, in milliseconds.", required=False
    ),
    "binding": Parameter("string", "The part that takes the most of that time.", required=False),
    "warnings": Parameter("list(string)", "What else is worth knowing of the plan.", required=False),
}

SEARCH = BuilderSignature(
    "search",
    "The best of all ways to split the model that the policy allows: equal devices by every degree of "
    "tensor, pipeline, data and expert parallel, unequal ones as one pipeline.",
    _PARAMETERS,
    _RESULTS,
)
