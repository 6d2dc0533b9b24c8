"""A `DynamoGraphDeployment` of NVIDIA Dynamo (nvidia.com/v1alpha1): workers of vLLM, SGLang or TensorRT-LLM.

A frontend routes requests to the workers, one per server of the plan. They run vLLM, or the server that
`--target` names. Over several nodes, Dynamo's operator adds the options of each node. The secret
`hf-token-secret` holds the token of Hugging Face's hub.
"""

from __future__ import annotations

import json

from engine.base.errors import RenderError
from engine.base.records import replace
from engine.decide.decision import Decision
from engine.documents.yaml_writer import dump
from engine.render import Screen, Target
from engine.render.launch import (
    Command,
    Flags,
    Group,
    Launch,
    Variable,
    argument_list,
    prepare,
    sglang,
    trtllm_serve,
    vllm,
)
from engine.render.launch.groups import by_group
from engine.render.launch.objects import hub_name, object_name, provenance

_SECRET = "hf-token-secret"
_SERVERS = {"sglang": "SGLang", "tensorrt-llm": "TensorRT-LLM"}
"""Titles of servers other than vLLM."""


@by_group("documents")
def render(decision: Decision, screen: Screen) -> str:
    """Return the object as YAML.

    Raises:
        RenderError: the server cannot run the plan.
    """
    serving = None if decision.request is None else decision.request.inputs.get("serving")
    named = serving.get("server") if isinstance(serving, dict) else None
    launch = prepare(decision, _SERVERS.get(named or "", "vLLM"))
    launch.require_whole_nodes()
    assert launch.row is not None
    image = launch.row["dynamo_image"]
    if image is None:
        raise RenderError(f"Dynamo has no worker of {launch.server} {launch.serving.get('server_version')}")
    frontend = {
        "componentType": "frontend",
        "replicas": 1,
        "envFromSecret": _SECRET,
        "extraPodSpec": {"mainContainer": {"image": image}},
    }
    document = {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": object_name(decision, "dynamo"), "annotations": provenance(decision)},
        "spec": {"services": {"Frontend": frontend, "Worker": _worker(launch, image)}},
    }
    return dump(document)


def _worker(launch: Launch, image: str) -> dict[str, object]:
    assert launch.row is not None
    groups, command = _command(launch)
    server = groups[0]
    nodes = len(server.shares)
    if not all(group.is_even and len(group.shares) == nodes for group in groups):
        raise RenderError("all workers of Dynamo have the same number of nodes, and of devices on each")
    container: dict[str, object] = {
        "image": image,
        "command": ["python3", "-m", launch.row["module"]],
        "args": argument_list(replace(command, program=()), _plain),
    }
    if command.environment:
        container["env"] = [{"name": name, "value": value} for name, value in command.environment.items()]
    worker: dict[str, object] = {
        "componentType": "worker",
        "replicas": len(groups),
        "envFromSecret": _SECRET,
        "resources": {"limits": {"gpu": str(server.shards // nodes)}},
        "extraPodSpec": {"mainContainer": container},
    }
    return worker if nodes == 1 else {**worker, "multinode": {"nodeCount": nodes}}


def _command(launch: Launch) -> tuple[tuple[Group, ...], Command]:
    """Return the plan's servers, and the command of one of them."""
    name = hub_name(launch)
    if launch.server == "SGLang":
        groups = sglang.servers(launch)
        shared = sglang.command(launch, groups[0])
        return groups, replace(shared, flags={**shared.flags, "model-path": name})
    if launch.server == "TensorRT-LLM":
        groups = trtllm_serve.servers(launch)
        return groups, Command((), _trtllm_flags(launch, groups[0], name))
    shared = vllm.command(launch)
    return vllm.servers(launch), replace(shared, flags={"model": name, **shared.flags})


def _trtllm_flags(launch: Launch, group: Group, name: str) -> Flags:
    """Return the flags of Dynamo's TensorRT-LLM worker, which has names of its own for options."""
    assert launch.row is not None
    worker = replace(launch, row={**launch.row, "options": launch.row["dynamo_options"]})
    overridden = trtllm_serve.speculation(launch)
    if launch.kv_dtype is not None:
        overridden = {"kv_cache_config": {"dtype": launch.kv_dtype}, **overridden}
    return worker.spelled(
        {
            "model": name,
            **trtllm_serve.values(launch, group),
            "attention": True if launch.attention_parallel > 1 else None,
            "utilization": launch.utilization,
            "override": json.dumps(overridden) if overridden else None,
        }
    )


def _plain(word: str | Variable) -> str:
    return word.text if isinstance(word, Variable) else word


TARGET = Target("dynamo", render, "yaml", launches=True, servers=("vllm", "sglang", "tensorrt-llm"))
