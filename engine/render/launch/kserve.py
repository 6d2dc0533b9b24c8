"""A KServe `LLMInferenceService` (serving.kserve.io/v1alpha2), which runs vLLM with llm-d's router.

KServe's templates set the options of TP, DP and expert parallel; all others are in `VLLM_ADDITIONAL_ARGS`.
Replicas that vLLM runs as servers of their own are replicas of the object. Over several nodes, the templates
run data parallel only.
"""

from __future__ import annotations

import shlex

from engine.base.errors import RenderError
from engine.decide.decision import Decision
from engine.documents.yaml_writer import dump
from engine.render import Screen, Target
from engine.render.launch import Command, Launch, prepare, shell_line, vllm
from engine.render.launch.groups import by_group
from engine.render.launch.objects import hub_name, object_name, provenance


@by_group("documents")
def render(decision: Decision, screen: Screen) -> str:
    """Return the object as YAML.

    Raises:
        RenderError: vLLM or KServe's templates cannot run the plan.
    """
    launch = prepare(decision, "vLLM")
    name = hub_name(launch)
    document = {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": object_name(decision, "llm"), "annotations": provenance(decision)},
        "spec": {"model": {"uri": f"hf://{name}", "name": name}, **_spec(launch)},
    }
    return dump(document)


def _spec(launch: Launch) -> dict[str, object]:
    servers = vllm.servers(launch)
    server = servers[0]
    nodes = len(server.shares)
    local = server.local_ranks
    if nodes > 1 and (server.ranks == 1 or local is None or len(set(local)) > 1):
        raise RenderError(
            "over several nodes, KServe's templates run the same number of data-parallel ranks on each"
        )
    strategy = launch.plan.strategy
    parallelism: dict[str, object] = {}
    if strategy.tensor_parallel > 1:
        parallelism["tensor"] = strategy.tensor_parallel
    if server.ranks > 1:
        assert local is not None
        parallelism |= {"data": server.ranks, "dataLocal": local[0]}
        if launch.expert_parallel > 1:
            parallelism["expert"] = True
    pod = {"containers": [_container(launch, max(len(server.shares[0].numbers), 1))]}
    spec: dict[str, object] = {"replicas": len(servers)}
    if parallelism:
        spec["parallelism"] = parallelism
    spec |= {"router": {"scheduler": {}, "route": {}, "gateway": {}}, "template": pod}
    return spec | ({"worker": pod} if server.ranks > 1 else {})


def _container(launch: Launch, devices: int) -> dict[str, object]:
    """Return the part of a container that differs from KServe's template."""
    assert launch.row is not None
    options = launch.row["options"]
    # The template of a single node without data parallel knows TP only.
    purposes = ("tensor", "data", "experts") if vllm.servers(launch)[0].ranks > 1 else ("tensor",)
    set_by_template = {options[purpose] for purpose in purposes}
    flags = {name: value for name, value in vllm.flags(launch).items() if name not in set_by_template}
    container: dict[str, object] = {"name": "main"}
    environment = vllm.stage_variables(launch)
    if flags:
        words = shlex.split(shell_line(Command((), flags)))
        environment["VLLM_ADDITIONAL_ARGS"] = " ".join(words)
    if environment:
        container["env"] = [{"name": name, "value": value} for name, value in environment.items()]
    if launch.facts["resource"] is not None:
        container["resources"] = {"limits": {launch.facts["resource"]: str(devices)}}
    return container


TARGET = Target("kserve", render, "yaml", launches=True, servers=("vllm",))
