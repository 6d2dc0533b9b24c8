"""Detection of AWS Neuron devices: `neuron-ls`."""

from __future__ import annotations

from engine.inventory.printed import parse_printed
from engine.inventory.products import Hardware
from engine.inventory.reader import Detector, Tools
from engine.inventory.readers.aws import neuron_ls
from engine.inventory.seen import Seen


def find(tools: Tools, hardware: Hardware) -> Seen | None:
    """Return the devices; None if there is none."""
    return parse_printed(tools, hardware, neuron_ls.READER, "neuron-ls", "--json-output")


DETECTOR = Detector(
    maker="AWS",
    rank=50,
    tools=("neuron-ls",),
    asks=("neuron-ls",),
    find=find,
    kind="AwsNeuron",
    states_memory="neuron-ls --json-output",
)
