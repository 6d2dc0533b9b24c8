"""AMD's line in PyTorch's and vLLM's collect_env, which names the first device only.

The name is taken for all devices that other sections list without one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.amd.common import KIND
from engine.inventory.seen import Lines, Seen

_NAME = re.compile(
    r"GPU models and configuration\s*:\s*(?P<name>AMD [^(]*[^\s(])\s*(?:\(gfx[^)]*\)?)?\s*(?:Nvidia .*)?\Z"
)


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the name of a machine's first device, without a device."""
    for line in text.narrow().lines:
        match = _NAME.search(line)
        if match is not None:
            yield Seen(common_name=(KIND, match["name"]))
            return


READER = TextReader(
    name="python -m torch.utils.collect_env",
    sources=("collect-env",),
    sign=re.compile(r"GPU models and configuration"),
    read=read,
    priority=Priority.LIST,
    hint="collect_env names the first device only; add rocm-smi --showtopo",
    use=Use.SELDOM,
    example="""\
PyTorch version: 2.4.0+rocm6.1
GPU models and configuration: AMD Instinct MI300X (gfx942:sramecc+:xnack-)
Nvidia driver version: Could not collect
""",
)
