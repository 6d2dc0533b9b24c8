"""Documents that people paste with the prompt and the command that printed them."""

from __future__ import annotations

import re

_COMMAND = re.compile(r"(?:\[?[\w.-]+@[^\n$#]{0,200})?[$#%>] +\S[^\n]{0,2000}\Z")
_START = re.compile(r"[{\[]\s*(?:[\"{\[\]}]|\Z)|(?:apiVersion|kind|devices|profiles|items):")


def document_after_prompt(text: str) -> str | None:
    """Return the document below a prompt, at its line numbers; None if there is none."""
    lines = text.split("\n")
    at = next((number for number, line in enumerate(lines) if line.strip()), None)
    if at is None or _COMMAND.match(lines[at].rstrip()) is None:
        return None
    below = next((number for number in range(at + 1, len(lines)) if lines[number].strip()), None)
    if below is None or _START.match(lines[below]) is None:
        return None
    end = next((n for n in range(below + 1, len(lines)) if _COMMAND.match(lines[n].rstrip())), len(lines))
    document = "\n".join(lines[below:end])
    return None if "\n" in document.strip() and document.startswith("#") else "\n" * below + document
