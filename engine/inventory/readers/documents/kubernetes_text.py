"""Nodes as `kubectl describe node` prints them, and labels that people grep out of it.

Labels, allocatable resources, conditions and cordons mean what they mean in `kubectl get nodes -o json`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.base.jsontypes import JsonObject
from engine.inventory.inventory import Imported
from engine.inventory.products import Hardware
from engine.inventory.reader import Excuse, Priority, TextReader
from engine.inventory.readers.documents import kubernetes
from engine.inventory.seen import Lines

_DOMAINS = (
    r"(?:nvidia\.com|(?:beta\.)?amd\.com|gpu\.intel\.com|habana\.ai|huawei\.com|cloud\.google\.com"
    r"|(?:beta|node)\.kubernetes\.io|aws\.amazon\.com|hami\.io|metax-tech\.com)"
)
_LABEL = re.compile(rf"(?:Labels:|Annotations:)?\s*(?P<name>{_DOMAINS}/[\w.+-]+)=(?P<value>\S*)\s*\Z")
_WRITTEN = re.compile(
    rf"\s*\"?(?P<name>{_DOMAINS}/(?:(?:gpu|mig|cuda)\.(?!shared\b)[\w.-]+|mig-\d+g\.\d+gb[\w+]*\.[a-z][\w.-]*"
    r"|gke-[\w-]+|instance-type))\"?: +"
    r"\"?(?P<value>[^\s\",]+)\"?,?\s*\Z"
)
"""A label as YAML or JSON writes it, in part of a document."""
_RESOURCE = re.compile(rf"\s*\"?(?P<name>{_DOMAINS}/[\w.-]+)\"?: +\"?(?P<count>\d{{1,9}})\"?,?\s*\Z")
_WORKLOAD = re.compile(
    r"^[ \t]*\"?(?:nodeSelector|limits|requests|containers|matchExpressions)\"?:", re.MULTILINE
)
"""Fields of what asks for devices, which its text does not describe."""
_NAME = re.compile(r"Name: +(?P<name>\S+)\s*\Z")
_SECTION = re.compile(r"(?P<name>[A-Z][\w ]*):(?P<rest>.*)\Z")
_READY = re.compile(r"\s*Ready +(?P<status>True|False|Unknown)\b")


def read(text: Lines, hardware: Hardware) -> Iterator[Imported]:
    """Yield the accelerators of all nodes together.

    Raises:
        RequestError: no node has any, or a count is absurd.
    """
    nodes: list[_Node] = []
    section = ""
    if _WORKLOAD.search("\n".join(text.lines)):
        return
    for content in _dedented(text.narrow().lines):
        name, label, resource = (pattern.match(content) for pattern in (_NAME, _LABEL, _RESOURCE))
        label = label or _WRITTEN.match(content)
        if name is not None:
            nodes.append(_Node(name["name"]))
        elif label is not None:
            if not nodes or label["name"] in nodes[-1].labels:
                nodes.append(_Node(None))
            nodes[-1].labels[label["name"]] = label["value"]
        elif resource is not None:
            nodes = nodes or [_Node(None)]
            of_section = nodes[-1].capacity if section == "Capacity" else nodes[-1].allocatable
            of_section.setdefault(resource["name"], resource["count"])
        heading = _SECTION.match(content)
        if heading is not None:
            section = heading["name"]
        if nodes:
            nodes[-1].read_state(content, section)
    named = {node.name: node for node in nodes}
    if nodes and None not in named:
        nodes = list(named.values())  # the last of several snapshots
    if nodes:
        document: JsonObject = {"kind": "List", "items": [node.to_document() for node in nodes]}
        yield kubernetes.read(document, hardware)


def _dedented(lines: Sequence[str]) -> list[str]:
    """Return lines without the indentation that all of them have."""
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[indent:] for line in lines]


class _Node:
    def __init__(self, name: str | None) -> None:
        self.name = name
        self.labels: JsonObject = {}
        self.allocatable: JsonObject = {}
        self.capacity: JsonObject = {}
        self.cordoned = False
        self.ready = True

    def read_state(self, content: str, section: str) -> None:
        ready = _READY.match(content) if section == "Conditions" else None
        if ready is not None:
            self.ready = ready["status"] == "True"
        self.cordoned = self.cordoned or content.split() == ["Unschedulable:", "true"]

    def to_document(self) -> JsonObject:
        return {
            "kind": "Node",
            "metadata": {"name": self.name, "labels": self.labels},
            "spec": {"unschedulable": self.cordoned},
            "status": {
                "allocatable": self.allocatable,
                "capacity": self.capacity,
                "conditions": [{"type": "Ready", "status": str(self.ready)}],
            },
        }


READER = TextReader(
    name="kubectl describe node",
    sources=("kubectl-describe",),
    sign=re.compile(
        r"^Name: .*\nRoles: |^[ \t]*(?:Labels:[ \t]*)?"
        r"(?:nvidia\.com/gpu\.(?:product|count|memory)|amd\.com/gpu[\w.-]*|gpu\.intel\.com/product)="
        r"|^[ \t]*\"?nvidia\.com/gpu\.(?:product|count|memory)\"?: ",
        re.MULTILINE,
    ),
    read=read,
    priority=Priority.TABLE,
    hint="kubectl get nodes -o json",
    excuses=(
        Excuse(_WORKLOAD, "this describes what asks for devices, not a machine", "kubectl get nodes -o json"),
    ),
    example="""\
Name:               gpu-node-03
Roles:              worker
Labels:             beta.kubernetes.io/arch=amd64
                    nvidia.com/gpu.memory=81559
                    nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3
Capacity:
  cpu:                192
  nvidia.com/gpu:     8
Allocatable:
  cpu:                192
  nvidia.com/gpu:     8
""",
)
