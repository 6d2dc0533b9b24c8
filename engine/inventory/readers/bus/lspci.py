"""List of `lspci`, with or without `-nn`: accelerators on the PCI bus, by their names or PCI ids.

The bus knows neither memory nor links; the catalog `products` has the memory. Displays of servers' management
controllers and CPUs, and bridges such as NVSwitch, are no accelerators.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.inventory.products import Hardware
from engine.inventory.reader import Excuse, Priority, TextReader, Use
from engine.inventory.seen import Lines, Seen, SeenDevice

_CLASSES = r"(?:3D controller|VGA compatible controller|Display controller|Processing accelerators)"
_DEVICE = re.compile(
    r"\s*(?P<address>(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\s+"
    rf"\"?{_CLASSES}(?: \[[0-9a-f]{{4}}\])?\"?:?\s+(?P<text>\S.*)\Z"
)
_IDS = re.compile(r"\[(?P<vendor>[0-9a-f]{4}):(?P<device>[0-9a-f]{4})\]")
_BRACKETS = re.compile(
    r"\[(?P<name>[^\[\]]*[A-Za-z][^\[\]]*)\](?: \[[0-9a-f]{4}:[0-9a-f]{4}\])?"
    r"(?: \(rev [0-9a-f]+\))?(?: \(prog-if [^()]*\))?\s*\Z"
)
_MOBILE = re.compile(r"(?: Max-Q)?(?: / )?(?<![\w-])Mobile(?: / Max-Q)?\Z")
"""What the list of PCI ids calls a laptop's GPU, which its driver calls `Laptop GPU`."""
_PASSED = re.compile(r"\s+Kernel driver in use: (?:vfio-pci|pci-stub|xen-pciback)\b")
_DISCRETE = re.compile(r"Radeon (?:RX|PRO|AI)|Instinct|\bMI\d")
_KINDS = {"NVIDIA": "CudaGpu", "Advanced Micro Devices": "RocmGpu", "Habana": "Gaudi"}


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the accelerators of each kind, numbered in the order of the bus."""
    parts: dict[str, Seen] = {}
    seen, device = Seen(None), SeenDevice(0)
    described = False
    for line, content in enumerate(text.narrow().lines):
        match = _DEVICE.match(content)
        if match is None:
            if described and _PASSED.match(content):
                device.available = False
                seen.notes.append(
                    f"device {device.number} is passed to a virtual machine; it is not available"
                )
            described = described and not content[:1].strip()
            continue
        described = False
        kind, name = _identify(match["text"], hardware)
        if kind is None:
            continue
        seen = parts.setdefault(kind, Seen(kind))
        device = seen.device(len(seen.devices), line + 1)
        device.name = name
        described = True
    yield from parts.values()


def _identify(text: str, hardware: Hardware) -> tuple[str | None, str | None]:
    """Return kind and name of a device; no kind if it is no accelerator that is known."""
    ids, brackets = _IDS.search(text), _BRACKETS.search(text)
    row = None if ids is None else hardware.pci.rows.get(f"{ids['vendor']}:{ids['device']}")
    if row is not None:
        return row["kind"], row["product"] or row["words"]
    maker = next((kind for word, kind in _KINDS.items() if word in text), None)
    name = None if brackets is None else _MOBILE.sub(" Laptop GPU", brackets["name"])
    product = hardware.product(name)
    if product is not None:
        return product["kind"], name
    if name is not None and (maker == "CudaGpu" or (maker == "RocmGpu" and _DISCRETE.search(name))):
        return maker, name  # one of several products, or an unknown one
    return None, None


READER = TextReader(
    name="lspci",
    sources=("lspci",),
    sign=re.compile(
        rf"^[ \t]*(?:[0-9a-f]{{4}}:)?[0-9a-f]{{2}}:[0-9a-f]{{2}}\.[0-7] \"?{_CLASSES}", re.MULTILINE
    ),
    read=read,
    priority=Priority.FALLBACK,
    hint="lspci lists no accelerator that catalog products or pci knows; use the tool of the device's maker",
    use=Use.SELDOM,
    example="""\
05:00.0 Bridge: NVIDIA Corporation GH100 [H100 NVSwitch] (rev a1)
18:00.0 3D controller: NVIDIA Corporation GH100 [H100 SXM5 80GB] (rev a1)
2a:00.0 3D controller: NVIDIA Corporation GH100 [H100 SXM5 80GB] [10de:2330] (rev a1)
""",
    excuses=(
        Excuse(
            re.compile(
                r"^[ \t]*[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] \"?VGA compatible.*(?:ASPEED|Matrox|Cirrus)",
                re.MULTILINE,
            ),
            "lspci lists a display of the server's management controller, and no accelerator",
            "use the tool of the device's maker, such as nvidia-smi, rocm-smi or xpu-smi",
        ),
    ),
)
