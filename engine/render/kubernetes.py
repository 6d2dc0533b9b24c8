"""What runs a plan's vLLM command on Kubernetes: a Deployment, or over several nodes a LeaderWorkerSet.

A LeaderWorkerSet (leaderworkerset.x-k8s.io/v1) is a group of pods, one a node: the first one starts the
server, the others join its Ray cluster, by the script that vLLM's image brings for that.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import yaml

from engine.decision import Decision
from engine.errors import RenderError
from engine.render import Screen, vllm
from engine.render.launch import MODEL, Launch, command_line, launch, load_rows

_PORT = 8000
_SCRIPT = "bash /vllm-workspace/examples/online_serving/multi-node-serving.sh"
_READY = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 10}


def render(decision: Decision, screen: Screen) -> str:
    """The object as YAML; a node's own devices are chosen by Kubernetes, not by their numbers.

    Raises:
        RenderError: vLLM can't run the plan, or nodes of different sizes would need different pods.
    """
    plan = launch(decision, "vllm", load_rows())
    words = vllm.words(plan)
    name = _name(decision)
    made = _deployment(plan, name, words) if plan.nodes == 1 else _group(plan, name, words)
    annotations = {
        "engine/policy": f"{decision.policy_name}@{decision.policy_version}",
        "engine/match": decision.match_id,
    }
    head = {"metadata": {"name": name, "annotations": annotations}}
    document = {key: made[key] for key in ("apiVersion", "kind")} | head | {"spec": made["spec"]}
    text: str = yaml.safe_dump(document, sort_keys=False, width=110)
    return text


def _deployment(plan: Launch, name: str, words: list[str]) -> dict[str, Any]:
    line = command_line({}, words).replace("\\\n", " ")
    command = [word.replace(MODEL, "$(MODEL)") for word in shlex.split(line)]
    pod = _pod(plan, command, max(len(plan.numbers), 1), serves=True)
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}


def _group(plan: Launch, name: str, words: list[str]) -> dict[str, Any]:
    devices = len(plan.plan.shards)
    if devices % plan.nodes:
        raise RenderError(f"{devices} devices on {plan.nodes} nodes: the pods of a group are of one size")
    server = " ".join(words)
    leads = f"{_SCRIPT} leader --ray_cluster_size=$(LWS_GROUP_SIZE); {server}"
    joins = f"{_SCRIPT} worker --ray_address=$(LWS_LEADER_ADDRESS)"
    leader, worker = (
        {
            "metadata": {"labels": {"app": name}},
            "spec": _pod(plan, ["sh", "-c", each], devices // plan.nodes, serves=each is leads),
        }
        for each in (leads, joins)
    )
    template = {
        "size": plan.nodes,
        "restartPolicy": "RecreateGroupOnPodRestart",
        "leaderTemplate": leader,
        "workerTemplate": worker,
    }
    spec = {"replicas": 1, "leaderWorkerTemplate": template}
    return {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "spec": spec}


def _pod(plan: Launch, command: list[str], devices: int, *, serves: bool) -> dict[str, Any]:
    """One container with so many devices, on a node that has them."""
    container: dict[str, Any] = {"name": "vllm", "image": "vllm/vllm-openai:latest", "command": command}
    if any(MODEL in word.replace("$(MODEL)", MODEL) for word in command):
        container["env"] = [{"name": "MODEL", "value": "name-of-the-model"}]
    if serves:
        container |= {"ports": [{"containerPort": _PORT, "name": "http"}], "readinessProbe": dict(_READY)}
    if plan.row["resource"] is not None:
        container["resources"] = {"limits": {plan.row["resource"]: devices}}
    # vLLM's processes share memory, and a container has 64 MiB of it unless told otherwise.
    container["volumeMounts"] = [{"name": "shm", "mountPath": "/dev/shm"}]
    pod: dict[str, Any] = {
        "containers": [container],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
    }
    product = _product(plan)
    if product is not None:
        key = {"key": plan.row["product_label"], "operator": "In", "values": [product]}
        terms = {"nodeSelectorTerms": [{"matchExpressions": [key]}]}
        pod["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    return pod


def _product(plan: Launch) -> str | None:
    """The devices' product as the node's label has it; None where it doesn't follow from their names."""
    names = {shard.device.name for shard in plan.plan.shards}
    label, prefix = plan.row["product_label"], plan.row["product_prefix"]
    if label is None or len(names) != 1:
        return None
    (name,) = names
    return None if name is None or not name.startswith(prefix or "") else re.sub(r"\s+", "-", name)


def _name(decision: Decision) -> str:
    """A name that Kubernetes takes."""
    model = None if decision.request is None else decision.request.model
    plain = re.sub(r"[^a-z0-9]+", "-", (model.name if model and model.name else "model").lower()).strip("-")
    return f"vllm-{plain}"[:63].rstrip("-")
