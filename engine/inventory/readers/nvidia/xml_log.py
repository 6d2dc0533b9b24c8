"""Log of `nvidia-smi -q -x`: everything about every device, as XML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.inventory.products import Hardware
from engine.inventory.reader import Priority, TextReader, Use
from engine.inventory.readers.nvidia.common import CUT_OFF, KIND, SOURCES, UNKNOWN, size
from engine.inventory.seen import Lines, Seen, SeenDevice

if TYPE_CHECKING:
    from xml.etree import ElementTree

_OPEN, _CLOSE = "<nvidia_smi_log>", "</nvidia_smi_log>"
_SIZES = {"memory_bytes": "fb_memory_usage/total", "free_bytes": "fb_memory_usage/free"}


def read(text: Lines, hardware: Hardware) -> Iterator[Seen]:
    """Yield the devices of each log; lines before it (an XML declaration, a document type) are skipped.

    Raises:
        DocumentError: a log is cut off or damaged, or a size cannot be read; at its line.
    """
    for start, line in enumerate(text.lines):
        if line.strip() == _OPEN:
            yield _read(text, start)


def _read(text: Lines, start: int) -> Seen:
    from xml.etree import ElementTree  # deferred: start-up time

    ends = (number for number in range(start, len(text.lines)) if text.lines[number].strip() == _CLOSE)
    end = next(ends, None)
    if end is None:
        raise text.fault(f"the log has no {_CLOSE}", start, hint=CUT_OFF)
    try:
        root = ElementTree.fromstring("\n".join(text.lines[start : end + 1]))
    except ElementTree.ParseError as error:
        line, _ = error.position
        raise text.fault(f"damaged XML: {str(error).split(':')[0]}", start + line - 1) from None
    seen = Seen(KIND)
    driver = _text(root, "driver_version")
    for number, element in enumerate(root.iter("gpu")):
        device = seen.device(number, _line(text, start, f'"{element.get("id", "")}"') + 1)
        device.name, device.driver_version = _text(element, "product_name"), driver
        device.uuid, device.address = _text(element, "uuid"), element.get("id") or None
        for field, path in _SIZES.items():
            value = _text(element, path)
            if value is not None:
                setattr(device, field, size(text, _line(text, device.line - 1, f">{value}<"), value, ""))
        if _text(element, "mig_mode/current_mig") == "Enabled":
            seen.divide(number)
            seen.partitions += _partitions(element, device, text)
    if not seen.devices:
        raise text.fault("the log has no device", start)
    return seen


def _partitions(element: ElementTree.Element, device: SeenDevice, text: Lines) -> Iterator[SeenDevice]:
    """Yield the partitions of a device, which the log knows by their instances."""
    for entry in element.iterfind("mig_devices/mig_device"):
        part = SeenDevice(device.number, line=device.line)
        part.partition = f"GI {_text(entry, 'gpu_instance_id')} CI {_text(entry, 'compute_instance_id')}"
        for field, path in _SIZES.items():
            value = _text(entry, path)
            if value is not None:
                setattr(part, field, size(text, device.line - 1, value, ""))
        yield part


def _text(element: ElementTree.Element, path: str) -> str | None:
    """Return the text of a child; None if it is missing or the driver does not report it."""
    value = (element.findtext(path) or "").strip()
    return None if value.casefold() in UNKNOWN else value


def _line(text: Lines, start: int, content: str) -> int:
    """Return the first line from `start` on that contains a text; `start` if none does."""
    return next((number for number in range(start, len(text.lines)) if content in text.lines[number]), start)


READER = TextReader(
    name="nvidia-smi -q -x",
    sources=SOURCES,
    sign=re.compile(r"^[ \t]*<nvidia_smi_log>[ \t]*$", re.MULTILINE),
    read=read,
    priority=Priority.TABLE,
    hint=CUT_OFF,
    use=Use.SELDOM,
    example="""\
<nvidia_smi_log>
  <driver_version>550.54.15</driver_version>
  <gpu id="00000000:19:00.0">
    <product_name>NVIDIA H100 80GB HBM3</product_name>
    <fb_memory_usage>
      <total>81559 MiB</total>
      <free>81008 MiB</free>
    </fb_memory_usage>
  </gpu>
</nvidia_smi_log>
""",
)
