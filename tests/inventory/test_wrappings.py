"""Texts in what carried them: each is read as the text alone."""

from __future__ import annotations

import html
import json
from collections.abc import Callable

import pytest

from engine.base.errors import EngineError
from engine.catalogs.hardware import load_hardware
from engine.inventory.margins import plain
from engine.inventory.source import import_texts

pytestmark = pytest.mark.usefixtures("first_version")

HARDWARE = load_hardware()
TEXTS = {
    "overview": (
        "| NVIDIA-SMI 550.90.07              Driver Version: 550.90.07      CUDA Version: 12.4     |\n"
        "|   0  NVIDIA L40S                    On  |   00000000:01:00.0 Off |                    0 |\n"
        "| N/A   31C    P8             33W /  350W |   40000MiB /  46068MiB |      0%      Default |\n"
        "|   1  NVIDIA L40S                    On  |   00000000:02:00.0 Off |                    0 |\n"
        "| N/A   31C    P8             33W /  350W |       1MiB /  46068MiB |      0%      Default |\n"
    ),
    "list": "GPU 0: NVIDIA L4 (UUID: GPU-1)\nGPU 1: NVIDIA L4 (UUID: GPU-2)\n",
    "csv": "index, name, memory.total [MiB]\n0, NVIDIA L4, 23034 MiB\n1, NVIDIA L4, 23034 MiB\n",
    "topology": "\tGPU0\tGPU1\tNUMA Affinity\nGPU0\t X \tNV4\t0-7\t0\nGPU1\tNV4\t X \t0-7\t0\n",
    "rocm": "GPU[0]\t\t: Card Series: \t\tMI300X\nGPU[1]\t\t: Card Series: \t\tMI300X\n",
    "log": (
        "==============NVSMI LOG==============\n"
        "GPU 00000000:19:00.0\n"
        "    Product Name                          : NVIDIA L4\n"
        "    FB Memory Usage\n"
        "        Total                             : 23034 MiB\n"
        "        Free                              : 21000 MiB\n"
    ),
    "node": (
        "Name:               gpu-7\n"
        "Labels:             nvidia.com/gpu.memory=46068\n"
        "                    nvidia.com/gpu.product=NVIDIA-L40S\n"
        "Allocatable:\n"
        "  nvidia.com/gpu:     4\n"
    ),
    "llama": (
        "ggml_cuda_init: found 2 CUDA devices:\n"
        "  Device 0: NVIDIA GeForce RTX 3090, compute capability 8.6, VMM: yes\n"
        "  Device 1: Tesla P40, compute capability 6.1, VMM: yes\n"
    ),
}


def before(margin: str) -> Callable[[str], str]:
    return lambda text: "".join(f"{margin}{line}\n" for line in text.splitlines())


def numbered(text: str) -> str:
    return "".join(f"{number:4}:{line}\n" for number, line in enumerate(text.splitlines(), 1))


def notebook(text: str) -> str:
    output = {"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}
    return json.dumps({"cells": [{"cell_type": "code", "source": [], "outputs": [output]}], "nbformat": 4})


WRAPPED: dict[str, Callable[[str], str]] = {
    "old Mac": lambda text: text.replace("\n", "\r"),
    "escaped": lambda text: text.rstrip("\n").replace("\n", "\\n").replace("\t", "\\t"),
    "JSON": json.dumps,
    "JSON Lines": lambda text: "".join(json.dumps({"log": line}) + "\n" for line in text.splitlines(True)),
    "notebook": notebook,
    "quoted lines": lambda text: "".join(f"    {json.dumps(line)},\n" for line in text.splitlines(True)),
    "breaks": lambda text: text.replace("\n", "<br>\n"),
    "paragraph": lambda text: f"<p>{html.escape(text)}</p>",
    "box": lambda text: "".join(f"│ {line} │\n" for line in text.splitlines()),
    "empty lines": lambda text: text.replace("\n", "\n\n"),
    "wrapped": lambda text: "".join(
        f"{line[:80]}\n{line[80:]}\n" if line[80:] else f"{line}\n" for line in text.splitlines()
    ),
    "numbered": numbered,
    "level": before("2025-01-01 10:00:00,123 - INFO - "),
    "date": before("2025-01-01 10:00:00 "),
    "vLLM": before("(EngineCore pid=12) INFO 01-01 10:00:00 [env.py:33] "),
    "Ray": before("(Worker pid=12, ip=10.0.0.3) "),
    "container": before("2025-01-01T10:00:00.123456789Z stdout F "),
    "pod": before("[pod/server-0/server] "),
    "time": before("[10:00:00] "),
    "list": before("- "),
    "comment": before("// "),
    "colours without escape": lambda text: "".join(f"[32m{line}[0m\n" for line in text.splitlines()),
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("text", TEXTS)
def test_wrapped_text_is_read_as_the_text_alone(text: str, wrapped: str) -> None:
    alone = import_texts([("-", TEXTS[text])], HARDWARE)
    assert import_texts([("-", WRAPPED[wrapped](TEXTS[text]))], HARDWARE) == alone


@pytest.mark.parametrize("margin", ["[pod/server-{}/server] ", "(Worker pid=12, ip=10.0.0.{}) "])
def test_margins_of_two_machines_are_told_apart(margin: str) -> None:
    machines = (before(margin.format(machine))(TEXTS["overview"]) for machine in (1, 2))
    with pytest.raises(EngineError, match="several machines"):
        import_texts([("-", "".join(machines))], HARDWARE)


@pytest.mark.parametrize(
    "text",
    [
        "2025/01/01 10:00:00.123, NVIDIA L4, 23034 MiB\n",
        '{"message": 3}',
        "{not JSON\\n}",
        "0 a\n2 b\n4 c\n6 d\n",
        "│ a │ b │\n│ c │ d │\n".replace("│", "|"),
    ],
)
def test_other_text_is_left_as_it_is(text: str) -> None:
    assert plain(text) == text
