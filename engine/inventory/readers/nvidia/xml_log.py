"""What `nvidia-smi -q -x` prints: everything of every device, as XML."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from engine.inventory.capture import Lines, Seen
from engine.inventory.nvidia_smi import KIND, UNKNOWN, size

_OPEN, _CLOSE = "<nvidia_smi_log>", "</nvidia_smi_log>"
_SIZES = {"memory_bytes": "fb_memory_usage/total", "free_bytes": "fb_memory_usage/free"}


def logs(text: Lines) -> Iterator[Seen]:
    """The logs in a text. What stands before one, a document type for instance, is not read.

    Raises:
        DocumentError: a log that is cut off or damaged, at its line; or a size that can't be read.
    """
    for start, line in enumerate(text.lines):
        if line.strip() == _OPEN:
            yield _read(text, start)


def _read(text: Lines, start: int) -> Seen:
    ends = (number for number in range(start, len(text.lines)) if text.lines[number].strip() == _CLOSE)
    end = next(ends, None)
    if end is None:
        raise text.fault(f"the log has no {_CLOSE}", start, hint="it is cut off: paste all of it")
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
        for field, path in _SIZES.items():
            value = _text(element, path)
            if value is not None:
                setattr(device, field, size(text, _line(text, device.line - 1, f">{value}<"), value, ""))
        if _text(element, "mig_mode/current_mig") == "Enabled":
            seen.divided(number)
    if not seen.devices:
        raise text.fault("the log has no device", start)
    return seen


def _text(element: ElementTree.Element, path: str) -> str | None:
    """What stands in a child, None where the tool doesn't know."""
    value = (element.findtext(path) or "").strip()
    return None if value.casefold() in UNKNOWN else value


def _line(text: Lines, start: int, content: str) -> int:
    """The line from `start` on in which something stands; `start` if none."""
    return next((number for number in range(start, len(text.lines)) if content in text.lines[number]), start)
