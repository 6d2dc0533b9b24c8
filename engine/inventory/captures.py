"""Pasted output of tools, recognised by its content: sections are found wherever they stand in a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from engine.errors import DocumentError
from engine.inventory import nvidia_smi, nvidia_xml, rocm_smi
from engine.inventory.assemble import assemble
from engine.inventory.capture import Lines, Seen, plain
from engine.inventory.products import Hardware
from engine.inventory.types import Imported

_SIGNS = re.compile(
    r"^[ \t]*GPU0[ \t]+(?:GPU1|X|CPU|NIC0|mlx)"
    r"|^(?:[a-z_.]+(?: \[\w+\])?, )*(?:gpu_)?name(?:, |\s*$)"
    r"|\| NVIDIA-SMI \d"
    r"|GPU \d+:.*(?:UUID|NVIDIA|AMD|MiB)"
    r"|between two GPUs"
    r"|^\s*<nvidia_smi_log>\s*$"
    r"|^\s*NUMA node\(s\):",
    re.MULTILINE,
)

SOURCES = ("auto", "nvidia-smi", "rocm-smi")
"""What `--from` may say."""


def is_capture(text: str) -> bool:
    """Whether a text looks like what a tool printed, rather than a document."""
    return _SIGNS.search(plain(text)) is not None


def read_captures(texts: Sequence[tuple[str, str]], hardware: Hardware, source: str = "auto") -> Imported:
    """The inventory that some texts together describe.

    Args:
        texts: names, for messages, and contents.
        hardware: what is known of products and links.
        source: which tool's output to look for; "auto" looks for all.

    Raises:
        DocumentError: nothing is recognised, or a section is damaged; at its line.
        RequestError: nothing says what kind of devices they are.
    """
    seen = Seen()
    codes = link_codes(hardware)
    for name, content in texts:
        text = Lines.of(content, name)
        for find in _finders(source, codes, hop_weight(hardware)):
            for found in find(text):
                seen.add(found)
    if not seen.devices:
        for name, content in texts:
            nvidia_smi.refuse_table_for_eyes(Lines.of(content, name))
        names = ", ".join(name for name, _ in texts)
        raise DocumentError(
            f"{names}: no accelerator is described there",
            hint="paste nvidia-smi topo -m, --query-gpu=… --format=csv, -L, -q -x, or rocm-smi --showtopo",
        )
    return assemble(seen, hardware)


def link_codes(hardware: Hardware) -> frozenset[str]:
    """What may stand in nvidia-smi's matrix."""
    return frozenset([*hardware.links.rows, *hardware.links.aliases]) - {"NVLink", "XGMI", "PCIE"}


def hop_weight(hardware: Hardware) -> int:
    """What rocm-smi weighs one xGMI hop with."""
    return int(hardware.links.rows["XGMI"]["hop_weight"])


def _finders(source: str, codes: frozenset[str], weight: int) -> list[Callable[[Lines], Sequence[Seen]]]:
    nvidia: list[Callable[[Lines], Sequence[Seen]]] = [
        lambda text: list(nvidia_smi.tables(text)),
        lambda text: list(nvidia_xml.logs(text)),
        lambda text: [found] if (found := nvidia_smi.listed(text)) is not None else [],
        lambda text: list(nvidia_smi.matrices(text, codes)),
    ]
    rocm: list[Callable[[Lines], Sequence[Seen]]] = [
        lambda text: [found] if (found := rocm_smi.topology(text, weight)) is not None else [],
    ]
    return {"nvidia-smi": nvidia, "rocm-smi": rocm}.get(source, [*nvidia, *rocm])
