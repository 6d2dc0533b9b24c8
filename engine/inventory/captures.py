"""Pasted output of tools, recognised by its content: sections are found wherever they stand in a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from engine.errors import DocumentError, RequestError
from engine.inventory import (
    amd_smi,
    collect_env,
    numa,
    nvidia_smi,
    nvidia_text,
    nvidia_topo,
    nvidia_xml,
    rocm_smi,
    smi_json,
)
from engine.inventory.assemble import assemble
from engine.inventory.capture import Lines, Seen, plain
from engine.inventory.products import Hardware
from engine.inventory.types import Imported

_SIGNS = re.compile(
    r"^[ \t]*GPU\d+[ \t]+(?:GPU\d|X|CPU|NIC0|mlx)"
    r"|^(?:[a-z_.]+(?: \[\w+\])?, )*(?:gpu_)?name(?:, |[ \t]*$)"
    r"|\| NVIDIA-SMI \d"
    r"|GPU \d+:.*(?:UUID|NVIDIA|AMD|MiB)"
    r"|^[ \t]*(?:\d+, )?(?:NVIDIA|Tesla|GeForce|Quadro|GRID) [^,\n]+, \d+"
    r"|GPU models and configuration"
    r"|_XpuDeviceProperties\("
    r"|=NVSMI LOG="
    r"|\| AMD-SMI \d"
    r"|^[A-Z -]+ TABLE:[ \t]*$"
    r"|^GPU: \d+[ \t]*$"
    r"|^GPU\[\d+\]"
    r"|between two GPUs"
    r"|^[ \t]*<nvidia_smi_log>[ \t]*$"
    r"|^[ \t]*NUMA node\(s\):"
    r"|^[ \t]*node \d+ cpus:"
    r"|^NVIDIA-SMI has failed|^No devices were found|^Failed to initialize NVML|: (?:command )?not found$"
    r"|^Name: .*\nRoles: ",
    re.MULTILINE,
)

_READABLE = (
    "paste nvidia-smi topo -m, --query-gpu=… --format=csv, -L, -q -x; rocm-smi --showtopo; "
    "amd-smi static, topology"
)
_EXCUSES = (
    (
        re.compile(r"NVIDIA-SMI has failed|No devices were found|Failed to initialize NVML"),
        "nvidia-smi found no device",
        "it needs the driver, and in a container the devices: docker run --gpus all",
    ),
    (re.compile(r": (?:command )?not found\Z"), "the tool wasn't found", _READABLE),
    (
        re.compile(r"Roles: "),
        "kubectl describe prints for people",
        "what can be read is: kubectl get nodes -o json",
    ),
)
"""Lines that tell why no device is described, what they mean, and a hint."""

SOURCES = ("auto", "nvidia-smi", "rocm-smi", "amd-smi", "collect-env", "kubernetes", "registry")
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
    finders = _finders(source, link_codes(hardware), hop_weight(hardware))
    before = ""
    for name, content in texts:
        text = Lines.of(content, name)
        own = Seen()
        for find in finders:
            for found in find(text):
                own.add(found)
        _refuse_another_machine(seen, own, before, name, hardware)
        seen.add(own)
        _name_all(seen, collect_env.amd_name(text.narrow()))
        before = before or name
    numa.place(seen)
    if not seen.devices and seen.numa_cpus:
        numa.host(seen)
    if not seen.devices:
        raise _no_device(texts)
    return assemble(seen, hardware)


def _no_device(texts: Sequence[tuple[str, str]]) -> DocumentError:
    """What to say of texts that describe none: what the tool said itself, where it did."""
    for name, content in texts:
        text = Lines.of(content, name).narrow()
        for number, line in enumerate(text.lines):
            for excuse, message, hint in _EXCUSES:
                if excuse.search(line):
                    return text.fault(message, number, hint=hint)
    names = ", ".join(name for name, _ in texts)
    return DocumentError(f"{names}: no accelerator is described there", hint=_READABLE)


def _refuse_another_machine(seen: Seen, own: Seen, before: str, name: str, hardware: Hardware) -> None:
    """Files are of one machine: where two tell of one device, they tell the same.

    Raises:
        RequestError: they don't.
    """
    hint = "import each machine by itself, then: engine inventory join"
    if seen.links and own.links and seen.links != own.links:
        raise RequestError(f"{before} and {name} are of two machines: their links differ", hint=hint)
    for number in sorted(seen.devices.keys() & own.devices.keys()):
        names = [each.devices[number].name for each in (seen, own)]
        products = {hardware.products.loose(each) for each in names if each is not None}
        if len(products) > 1 and None not in products:
            raise RequestError(
                f"{before} and {name} are of two machines: device {number} is '{names[0]}' in one, "
                f"and '{names[1]}' in the other",
                hint=hint,
            )


def read_printed(value: object, hardware: Hardware) -> Imported | None:
    """The inventory in a decoded JSON document; None where no tool printed it.

    Raises:
        DocumentError: a device is damaged.
        RequestError: nothing says what kind of devices they are.
    """
    seen = smi_json.read(value, hop_weight(hardware))
    return None if seen is None or not seen.devices else assemble(seen, hardware)


def _name_all(seen: Seen, name: str | None) -> None:
    """Name the devices that nothing else names as the first of them is named."""
    unnamed = [device for device in seen.devices.values() if device.name is None]
    if name is None or seen.kind not in (None, rocm_smi.KIND):
        return
    seen.kind = rocm_smi.KIND
    for device in unnamed or ([] if seen.devices else [seen.device(0, 1)]):
        device.name = name
    if len(unnamed) != 1:
        seen.notes.append(f"'{name}' is said of the first device only, and taken for all")


def link_codes(hardware: Hardware) -> frozenset[str]:
    """What may stand in nvidia-smi's matrix."""
    return frozenset([*hardware.links.rows, *hardware.links.aliases]) - {"NVLink", "XGMI", "PCIE"}


def hop_weight(hardware: Hardware) -> int:
    """What rocm-smi weighs one xGMI hop with."""
    return int(hardware.links.rows["XGMI"]["hop_weight"])


def _finders(source: str, codes: frozenset[str], weight: int) -> list[Callable[[Lines], Sequence[Seen]]]:
    nvidia: list[Callable[[Lines], Sequence[Seen]]] = [
        _nvidia_tables,
        lambda text: list(nvidia_xml.logs(text)),
        lambda text: list(nvidia_text.logs(text.narrow())),
        lambda text: list(nvidia_text.overviews(text.narrow())),
        lambda text: _one(nvidia_smi.listed(text)),
        lambda text: list(nvidia_topo.matrices(text, codes)),
    ]
    amd: list[Callable[[Lines], Sequence[Seen]]] = [
        lambda text: _one(_json(text, weight)),
        lambda text: _one(amd_smi.described(text.narrow())),
        lambda text: _one(amd_smi.overview(text.narrow())),
        lambda text: _one(rocm_smi.described(text.narrow())),
        lambda text: _one(amd_smi.topology(text, weight)),
        lambda text: _one(rocm_smi.topology(text, weight)),
    ]
    of_makers = {"nvidia-smi": nvidia, "rocm-smi": amd, "amd-smi": amd}
    intel: list[Callable[[Lines], Sequence[Seen]]] = [lambda text: _one(collect_env.intel(text.narrow()))]
    return [*of_makers.get(source, [*nvidia, *amd, *intel]), lambda text: _one(numa.nodes(text))]


def _nvidia_tables(text: Lines) -> Sequence[Seen]:
    """Tables of `--query-gpu`; rows without a head are looked for where no table has one."""
    return list(nvidia_smi.tables(text)) or _one(nvidia_smi.headless(text.narrow()))


def _one(found: Seen | None) -> Sequence[Seen]:
    return [] if found is None else [found]


def _json(text: Lines, weight: int) -> Seen | None:
    """What stands in a text that is all JSON."""
    content = "\n".join(text.lines).strip()
    if not content.startswith(("[", "{")):
        return None
    return smi_json.printed(content, text.name, weight)
