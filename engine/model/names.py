"""Names of modules against the lists of modules in `quantization_config`.

Lists name modules below a prefix that differs between checkpoints of one architecture (`model.layers`,
`model.language_model.layers`,
`backbone.layers`), so names are compared from `layers.` on.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from fnmatch import translate

_SYNONYMS = (
    ("block_sparse_moe.", "mlp."),
    ("feed_forward.", "mlp."),
    ("mixer.experts", "mlp.experts"),
    ("mixer.shared_experts", "mlp.shared_experts"),
)
_LONGEST = 1_000
_MOST_PATTERNS, _MOST_REGULAR = 200_000, 500
"""Names in a list, and patterns with wildcards among them."""
_NESTED = re.compile(r"[*+}]\)[*+{?]|[*+}][^()]*\)[*+{]")
_REPEATS = re.compile(r"[*+]|\{\d*,\d*\}")
_MOST_REPEATS = 8
"""Repetitions in a regular expression; with more of them, matching may take too long."""
_ENDS = frozenset({"lm_head", "embed_tokens"})
"""Modules outside layers, which models for several media have below a prefix."""
_LAYER = re.compile(r"layers\.\d")


class Modules:
    """Modules that a list names: exactly, by `*`, by `re:`, or by one component of their name."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.exact: set[str] = set()
        self.prefixes: set[str] = set()
        self.words: set[str] = set()
        self.paths: set[str] = set()
        """Names of several components below a layer, such as `self_attn.q_proj`, between dots."""
        self.regular: list[re.Pattern[str]] = []
        self.by_layer = False
        """Some pattern is about certain layers only."""
        self.mentioned: set[str] = set()
        """Components of all names."""
        for number, pattern in enumerate(patterns):
            if number >= _MOST_PATTERNS or len(self.regular) >= _MOST_REGULAR:
                raise ValueError("a list of too many patterns")
            self._add(pattern)

    def __bool__(self) -> bool:
        return bool(self.exact or self.prefixes or self.words or self.regular)

    def _add(self, pattern: str) -> None:
        if len(pattern) > _LONGEST:
            return
        self.mentioned.update(re.split(r"[^A-Za-z0-9_]+", pattern))
        if pattern.startswith("re:"):
            self.by_layer |= any(character.isdigit() for character in pattern)
            self.regular.append(_regular(pattern[3:]))
            return
        name = _below(pattern.removesuffix(".weight"))
        self.by_layer |= _LAYER.search(name) is not None
        if "*" not in name and "?" not in name:
            last = name.rpartition(".")[2]
            if name.startswith("layers."):
                self.exact.add(name)
            else:
                self.words.add(last if last in _ENDS else name)
                if "." in name and last not in _ENDS:
                    self.paths.add(f".{name}.")
        elif name.endswith("*") and "*" not in name[:-1] and "?" not in name and name.startswith("layers."):
            self.prefixes.add(name[:-1])
        else:
            self.regular.append(re.compile(rf"(?:.*\.)?{translate(name)[:-2]}(?:\..*)?\Z"))

    def match(self, name: str) -> bool:
        """Return whether the list names a module, or one that it is part of.

        Args:
            name: the module's, from `layers.` on.
        """
        parts = name.split(".")
        if self.words and any(part in self.words for part in parts):
            return True
        if self.paths and any(path in f".{name}." for path in self.paths):
            return True
        if self.exact:
            for end in range(len(parts), 0, -1):
                start = ".".join(parts[:end])
                if start in self.exact:
                    return True
        if self.prefixes and any(name[:end] in self.prefixes for end in range(7, len(name) + 1)):
            return True
        if not self.regular:
            return False
        full = (name, f"model.{name}", f"model.language_model.{name}", f"language_model.model.{name}")
        return any(pattern.match(option) for pattern in self.regular for option in full)


def _regular(text: str) -> re.Pattern[str]:
    """Return a compiled regular expression.

    Raises:
        ValueError: it is none, or may take exponential time.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise ValueError(f"'{text[:80]}' is no regular expression: {str(error)[:80]}") from None
    if _NESTED.search(text) or len(_REPEATS.findall(text)) > _MOST_REPEATS:
        raise ValueError(f"'{text[:80]}' has repetitions within repetitions, or too many")
    return pattern


def _below(name: str) -> str:
    """Return the part of a module's name from `layers.` on, in the words of counting."""
    _, found, rest = name.rpartition("layers.") if name.count("layers.") == 1 else name.partition("layers.")
    if found:
        name = f"layers.{rest}"
    for word, usual in _SYNONYMS:
        name = name.replace(word, usual)
    return name
