"""Plain data as YAML that is safe to print: characters that don't show as themselves are escaped."""

from __future__ import annotations

import re

import yaml

from engine.base.printable import HIDDEN

_UNSAFE = re.compile(rf"[{HIDDEN}]|::|##")
"""Characters that don't show; what may become a command to a build's log where a long text is folded."""


class _Dumper(yaml.SafeDumper):
    """Writes each value in full, without YAML's anchors; what has to be escaped in double quotes."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if _UNSAFE.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(value: object, *, width: int = 110) -> str:
    """One YAML document; as it is read again, the value is the same."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width)
    # All of these are inside of double quotes, since `_text` has put them there.
    return _UNSAFE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) == 2:
        return f"\\x{ord(found[0]):02x}{found[1]}"
    return f"\\u{ord(found):04x}" if found <= "\uffff" else f"\\U{ord(found):08x}"
