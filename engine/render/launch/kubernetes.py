"""A Kubernetes object that runs the vLLM command: a Deployment, or a LeaderWorkerSet across nodes.

A LeaderWorkerSet (leaderworkerset.x-k8s.io/v1) is a group of pods, one per node: the first starts the
server, the others join it. On devices for which vLLM needs a Ray cluster, they do so with the script in its
image. Replicas that vLLM runs as servers of their own are replicas of the object. Kubernetes chooses a node's
devices. If the devices' product is known, an affinity selects nodes with it.
"""

from __future__ import annotations

import re

from engine.base.errors import RenderError
from engine.base.records import replace
from engine.decide.decision import Decision
from engine.documents.yaml_writer import dump
from engine.render import Screen, Target
from engine.render.launch import Group, Launch, Variable, argument_list, prepare, shell_line, vllm
from engine.render.launch.groups import by_group
from engine.render.launch.objects import PLACEHOLDER, object_name, provenance

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
"""A valid value of a Kubernetes label."""
_SCRIPT = "bash /vllm-workspace/examples/online_serving/multi-node-serving.sh"
_NO_IMAGE = "image-of-vllm"
"""Placeholder on devices for which catalog commands has no image."""
_READY = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 10}


@by_group("documents")
def render(decision: Decision, screen: Screen) -> str:
    """Return the object as YAML.

    Raises:
        RenderError: vLLM cannot run the plan, or nodes of different sizes would need different pods.
    """
    launch = prepare(decision, "vLLM")
    name = object_name(decision, "vllm")
    if all(len(group.shares) == 1 for group in vllm.servers(launch)):
        version, kind, spec = "apps/v1", "Deployment", _deployment(launch, name)
    else:
        version, kind, spec = "leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", _group(launch, name)
    metadata = {"name": name, "annotations": provenance(decision)}
    return dump({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})


def _deployment(launch: Launch, name: str) -> dict[str, object]:
    servers = vllm.servers(launch)
    arguments = argument_list(vllm.command(launch), _expanded_by_kubernetes)
    pod = _pod(launch, arguments, max(len(servers[0].shares[0].numbers), 1), serves=True)
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    return {"replicas": len(servers), "selector": {"matchLabels": {"app": name}}, "template": template}


def _expanded_by_kubernetes(word: str | Variable) -> str:
    """Return an argument of a container's command; Kubernetes replaces `$(NAME)` there, and `$$` by `$`."""
    if isinstance(word, Variable):
        return re.sub(r"\$(\w+)", r"$(\1)", word.text)
    return word.replace("$", "$$")


def _group(launch: Launch, name: str) -> dict[str, object]:
    launch.require_whole_nodes()
    servers = vllm.servers(launch)
    size = len(servers[0].shares)
    if not all(server.is_even and len(server.shares) == size for server in servers):
        raise RenderError(
            f"{len(launch.plan.shards)} devices on {launch.nodes} nodes: "
            "all pods of a group have the same size"
        )
    devices = servers[0].shards // size
    lead, join = _commands(launch, servers[0])
    leader, worker = (
        {
            "metadata": {"labels": {"app": name}},
            "spec": _pod(launch, command, devices, serves=command is lead),
        }
        for command in (lead, join)
    )
    template = {
        "size": size,
        "restartPolicy": "RecreateGroupOnPodRestart",
        "leaderTemplate": leader,
        "workerTemplate": worker,
    }
    return {"replicas": len(servers), "leaderWorkerTemplate": template}


def _commands(launch: Launch, server: Group) -> tuple[list[str], list[str]]:
    """Return the commands of the first pod and of the others; LeaderWorkerSet sets their variables."""
    shared = vllm.command(launch)
    if vllm.ray_port(launch, server) is not None:
        line = shell_line(replace(shared, flags={**shared.flags, **launch.spelled({"executor": "ray"})}))
        if launch.model_source is not None:
            line = line.replace("$", "$$")
        return (
            ["sh", "-c", f"{_SCRIPT} leader --ray_cluster_size=$(LWS_GROUP_SIZE); {line}"],
            ["sh", "-c", f"{_SCRIPT} worker --ray_address=$(LWS_LEADER_ADDRESS)"],
        )
    head = Variable("$LWS_LEADER_ADDRESS")
    first = vllm.node_values(launch, server, 0, 0, head)
    other = vllm.node_values(launch, server, 1, 0, head)
    if server.ranks == 1:
        other["node"] = Variable("$LWS_WORKER_INDEX")
    lead, join = (
        replace(shared, flags={**shared.flags, **launch.spelled(values)}) for values in (first, other)
    )
    if server.ranks == 1:
        return argument_list(lead, _expanded_by_kubernetes), argument_list(join, _expanded_by_kubernetes)
    assert server.local_ranks is not None
    other["data_start"] = Variable(f"$((LWS_WORKER_INDEX * {server.local_ranks[0]}))")
    join = replace(shared, flags={**shared.flags, **launch.spelled(other)})
    # Kubernetes would replace $(NAME), and takes $$ for $; the pod's shell replaces the variables.
    return argument_list(lead, _expanded_by_kubernetes), ["sh", "-c", shell_line(join).replace("$", "$$")]


def _pod(launch: Launch, command: list[str], devices: int, *, serves: bool) -> dict[str, object]:
    """Return a pod of one container that uses so many devices, on a node that has them."""
    assert launch.row is not None
    image = launch.row["images"].get(launch.device_kind, _NO_IMAGE)
    container: dict[str, object] = {"name": "vllm", "image": image, "command": command}
    variables = vllm.stage_variables(launch) | ({"MODEL": PLACEHOLDER} if launch.model_source is None else {})
    if variables:
        container["env"] = [{"name": name, "value": value} for name, value in variables.items()]
    if serves:
        container |= {
            "ports": [{"containerPort": launch.row["port"], "name": "http"}],
            "readinessProbe": dict(_READY),
        }
    if launch.facts["resource"] is not None:
        container["resources"] = {"limits": {launch.facts["resource"]: devices}}
    # vLLM's processes communicate through /dev/shm, which is 64 MiB in a container by default.
    container["volumeMounts"] = [{"name": "shm", "mountPath": "/dev/shm"}]
    pod: dict[str, object] = {
        "containers": [container],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
    }
    product = _product(launch)
    if product is not None:
        key = {"key": launch.facts["product_label"], "operator": "In", "values": [product]}
        terms = {"nodeSelectorTerms": [{"matchExpressions": [key]}]}
        pod["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    return pod


def _product(launch: Launch) -> str | None:
    """Return the product in the nodes' label; None if it does not follow from the devices' names."""
    names = {shard.device.name for shard in launch.plan.shards}
    label, prefix = launch.facts["product_label"], launch.facts["product_prefix"]
    if label is None or len(names) != 1:
        return None
    (name,) = names
    if name is None or not name.startswith(prefix or ""):
        return None
    value = re.sub(r"\s+", "-", name)
    return value if _LABEL.fullmatch(value) else None


TARGET = Target("kubernetes", render, "yaml", launches=True, servers=("vllm",))
