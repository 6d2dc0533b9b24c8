"""How a checkpoint stores its weights: bits of each component, from the quantization section of its
configuration.

The catalog `quantization_methods` says where the section of each method holds what; this module only
follows it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.base.aliases import Names, Row
from engine.base.errors import Path, RequestError, near, quote
from engine.base.jsontypes import Json, JsonObject
from engine.base.records import record, replace
from engine.model.counting import Piece
from engine.model.model import Parameters, Storage
from engine.model.names import Modules

_MOST_BITS, _LARGEST_GROUP = 64, 2**40
_UNNAMED = "unnamed"
"""Method of a section that does not tell it."""
_ITSELF = "."
"""Path of the section itself."""
_BLOCK = re.compile(r"\d{1,6}x\d{1,6}")
SPARSE = "sparse weights are counted as dense ones; the checkpoint is smaller"
_PLAIN_BITS = 16
"""Bits of weights that are not quantized."""
SECTIONS = ("quantization_config", "compression_config", "quantization")
"""Fields of a configuration that hold the section; the last is MLX's."""


@record
class Format:
    """How the weights of a module are stored."""

    name: str | None
    """Row of catalog quantization, if one has its bits and kind."""
    bits: float
    """Of one weight, scales included."""
    group: int | None
    """Weights that share a scale and must stay on one device."""


class Reader:
    """Reads one section by the row of its method.

    Raises:
        RequestError: a number is absurd, or the section contradicts itself; with its path.
    """

    def __init__(
        self, section: JsonObject, row: Row, types: Mapping[str, Row], path: Path, outer: JsonObject
    ) -> None:
        self.section = section
        self.row = row
        self.types = types
        self.path = path
        self.ignored = self._modules(self._ignored())
        self.default = self._default()
        """Format of modules without one of their own; None if the section does not say."""
        word = row["expert_word"] and outer.get(row["expert_word"])
        self.experts = self.named(word) if isinstance(word, str) else None
        """Format of routed experts, if the configuration names another."""
        self.groups = self._groups()
        self.dynamic = [*self._dynamic()]
        self.layers = self._layers()
        self.only = self._only()
        """Modules that alone are quantized; None for all."""
        self.parts = {
            *row["parts"],
            *(["head"] if any(section.get(flag) is True for flag in row["head_flags"]) else []),
        }

    # --- reading --------------------------------------------------------------------------------------------

    def at(self, path: str | None, section: Json = None) -> Json:
        """Return the value at a path of names with dots, or at the first of several that has one."""
        for option in (path or "").split("|"):
            value: Json = self.section if section is None else section
            for name in option.split("."):
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None:
                return value
        return None

    def number(self, path: str | None, most: int) -> int | None:
        """Return a whole number at a path; None if it is missing or null."""
        value = self.at(path) if path else None
        if value is None:
            return None
        return self._whole(value, most, (*self.path, *(path or "").split(".")))

    def _whole(self, value: Json, most: int, path: Path) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            message = f"{path[-1]}: expected a whole number up to {most}, found {quote(value)}"
            raise RequestError(message, path=path)
        return value

    def _modules(self, patterns: Iterable[str]) -> Modules:
        try:
            return Modules(patterns)
        except ValueError as error:
            raise RequestError(f"modules: {error}", path=self.path) from None

    def _ignored(self) -> Iterable[str]:
        for path in self.row["ignore"]:
            listed = self.at(path)
            if listed is None:
                continue
            if isinstance(listed, str):
                listed = [listed]
            if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
                message = f"{path}: expected a list of modules, found {quote(listed)}"
                raise RequestError(message, path=(*self.path, path))
            yield from (str(name) for name in listed)

    # --- formats --------------------------------------------------------------------------------------------

    def format(self, kind: str, bits: int, group: int | None, scale: int, zero: int) -> Format:
        """Return the format of weights with some bits, and groups that share a scale."""
        if not bits:
            raise RequestError("bits: expected at least 1, found 0", path=self.path)
        extra = (scale + (bits if zero < 0 else zero)) / group if group else 0.0
        name = self.type_of(kind, bits, group)
        return Format(name, bits + extra, group)

    def type_of(self, kind: str, bits: int, group: int | None) -> str | None:
        """Return the row of catalog quantization with a kind and bits, the nearest in its group."""
        rows = [
            (name, row)
            for name, row in self.types.items()
            if row["kind"] == kind and row["weight_bits"] == bits and row["server"] == "any" and name != "nf4"
        ]
        rows.sort(key=lambda item: abs(item[1]["group"] - (group or 128)))
        return rows[0][0] if rows else None

    def typed(self, name: str) -> Format:
        """Return the format of a row of catalog quantization, with the section's own group or block."""
        row = self.types[name]
        group = self.number(self.row["group"], _LARGEST_GROUP) if self.row["group"] else None
        block = self.at(self.row["block"]) if self.row["block"] else None
        if isinstance(block, list) and block and not row["scale_bits"]:
            sides = [
                self._whole(side, _LARGEST_GROUP, (*self.path, str(self.row["block"]))) or 1 for side in block
            ]
            size = 1
            for side in sides:
                size *= side
            return Format(name, row["weight_bits"] + self.row["scale_bits"] / size, max(sides))
        if row["scale_bits"] or row["zero_bits"]:
            whole = self.row["scale_flag"] and self.section.get(self.row["scale_flag"]) is False
            extra = (self.row["scale_bits"] if whole else row["scale_bits"]) + row["zero_bits"]
            return Format(name, row["weight_bits"] + extra / (group or row["group"]), group or row["group"])
        return Format(name, float(row["bits_per_param"]), group)

    def named(self, word: Json) -> Format | None:
        """Return the format that a word of the method names; None for a word that means no or no known
        type.
        """
        if not isinstance(word, str):
            return None
        plain = _plain(word)
        words = [start for start in self.row["words"] if plain.startswith(start)]
        return self.typed(self.row["words"][max(words, key=len)]) if words else None

    def _default(self) -> Format | None:
        row = self.row
        for flag, name in row["flags"].items():
            if self.section.get(flag) is True:
                return self.typed(name)
        word = self.at(row["word"]) if row["word"] else None
        if isinstance(word, dict):
            word = self._first_word(word)
        found = self.named(word) if word is not None else None
        if found is not None:
            return found
        if row["type"] is not None:
            return self.typed(row["type"])
        bits = self.number(row["bits"], _MOST_BITS)
        bits = row["bits_default"] if bits is None else bits
        if bits is None:
            return None
        group = self.group()
        if row["codebooks"] is not None:
            codes = self.number(row["codebooks"], _MOST_BITS) or 1
            return Format(
                self.type_of("int", max(bits * codes // (group or 8), 1), None),
                bits * codes / (group or 8),
                None,
            )
        return self.format(row["kind"], bits, group, row["scale_bits"], row["zero_bits"])

    def group(self) -> int | None:
        """Return the weights per scale; None for one scale per channel (-1)."""
        row = self.row
        value = self.at(row["group"]) if row["group"] else None
        if value is None:
            return row["group_default"] or None if row["group"] else None
        return self._group_of(value, (*self.path, *str(row["group"]).split(".")))

    def _group_of(self, value: Json, path: Path) -> int | None:
        return None if value in (-1, 0) else self._whole(value, _LARGEST_GROUP, path)

    def _first_word(self, value: JsonObject) -> Json:
        """Return the word in torchao's `{default: {_type: …}}`."""
        inner = value.get("default", value)
        if isinstance(inner, dict):
            return inner.get("_type")
        return inner

    def _groups(self) -> list[tuple[Modules | None, Format]]:
        """Return the formats of `config_groups` with the modules of each; None stands for all linear
        layers.
        """
        value = self.section.get("config_groups") if self.row["groups"] else None
        if value is None:
            return []
        if not isinstance(value, dict):
            message = f"config_groups: expected a mapping, found {quote(value)}"
            raise RequestError(message, path=(*self.path, "config_groups"))
        found: list[tuple[Modules | None, Format]] = []
        for name, group in value.items():
            place = (*self.path, "config_groups", name)
            weights = group.get("weights") if isinstance(group, dict) else None
            targets = group.get("targets") if isinstance(group, dict) else None
            if weights is None:
                continue
            if not isinstance(weights, dict):
                raise RequestError(
                    f"weights: expected a mapping, found {quote(weights)}", path=(*place, "weights")
                )
            modules = None
            if (
                isinstance(targets, list)
                and targets
                and not {"Linear", "FusedMoE"} & {str(target) for target in targets}
            ):
                modules = self._modules(str(target) for target in targets)
            found.append((modules, self._weights(weights, (*place, "weights"))))
        return found

    def _weights(self, weights: JsonObject, place: Path) -> Format:
        bits = self._whole(weights.get("num_bits"), _MOST_BITS, (*place, "num_bits"))
        kind = str(weights.get("type") or "int").lower()
        if kind not in ("int", "float"):
            raise RequestError(f"type: expected int or float, found {quote(kind)}", path=(*place, "type"))
        size, block = weights.get("group_size"), weights.get("block_structure")
        group = None if size in (None, -1, 0) else self._whole(size, _LARGEST_GROUP, (*place, "group_size"))
        if isinstance(block, str) and _BLOCK.fullmatch(block):
            block = [int(side) for side in block.split("x")]
        if isinstance(block, list) and block:
            sides = [self._whole(side, _LARGEST_GROUP, (*place, "block_structure")) or 1 for side in block]
            return Format(self.type_of(kind, bits, None), bits + 32 / max(sides) / max(sides), max(sides))
        name = self.type_of(kind, bits, group)
        scale = (
            self.types[name]["scale_bits"]
            if name is not None and kind == "float" and self.types[name]["scale_bits"]
            else self.row["scale_bits"]
        )
        zero = 0 if weights.get("symmetric", True) else bits
        return self.format(kind, bits, group, scale, zero)

    def _layers(self) -> list[tuple[Modules, Format | None]]:
        """Return the formats of modules that the section lists one by one."""
        path = self.row["layers"]
        value = self.section if path == _ITSELF else self.at(path) if path else None
        if not isinstance(value, dict):
            return []
        by_format: dict[Format | None, list[str]] = defaultdict(list)
        for module, entry in value.items():
            if isinstance(entry, dict):
                by_format[self._entry(entry, (*self.path, module))].append(module)
            elif entry is False and path == _ITSELF and "." in module:
                by_format[None].append(module)
        return [(self._modules(modules), format_) for format_, modules in by_format.items()]

    def _entry(self, entry: JsonObject, path: Path) -> Format | None:
        """Return the format that the entry of some modules states; None if they are not quantized."""
        format_ = self.named(self.at(self.row["layer_word"], entry))
        if format_ is not None:
            return format_
        bits = entry.get("bits")
        if not isinstance(bits, int) or isinstance(bits, bool) or not 0 < bits < _PLAIN_BITS:
            return None
        stated = entry.get("group_size")
        group = self.group() if stated is None else self._group_of(stated, (*path, "group_size"))
        return self.format("int", bits, group, self.row["scale_bits"], self.row["zero_bits"])

    def _dynamic(self) -> Iterator[tuple[Modules, Format | None]]:
        """Yield the formats of modules by regular expressions: `-:…` for modules that are not quantized, else
        fields that replace the section's.
        """
        value = self.at(self.row["dynamic"]) if self.row["dynamic"] else None
        for key, entry in value.items() if isinstance(value, dict) else ():
            modules = self._modules(["re:" + key.removeprefix("+:").removeprefix("-:")])
            if key.startswith("-:"):
                yield modules, None
            elif isinstance(entry, dict):
                bits = {"bits": entry.get("bits", self.at(self.row["bits"]))}
                yield modules, self._entry({**entry, **bits}, (*self.path, self.row["dynamic"], key))

    def _only(self) -> Modules | None:
        """Return the modules that alone are quantized; None for all."""
        value = self.at(self.row["only"]) if self.row["only"] else None
        if not isinstance(value, list) or not value:
            return None
        names = [name for part in value for name in (part if isinstance(part, list) else [part])]
        return self._modules(str(name) for name in names)

    @property
    def says(self) -> bool:
        """Whether the section says what weights are stored as."""
        return self.default is not None or bool(self.groups) or bool(self.layers)

    @property
    def by_layer(self) -> bool:
        """Whether formats differ between layers."""
        lists = [
            self.ignored,
            *([self.only] if self.only else []),
            *(modules for modules, _ in self.groups if modules),
            *(modules for modules, _ in (*self.dynamic, *self.layers)),
        ]
        return any(modules.by_layer for modules in lists)

    def of(self, part: str, module: str) -> Format | None:
        """Return the format of a module; None if it is not quantized."""
        if self.ignored and (
            self.ignored.match(module) or (part == "vision" and module in self.ignored.mentioned)
        ):
            return None
        for modules, format_ in self.dynamic:
            if modules.match(module):
                return format_ if part in self.parts else None
        for modules, format_ in self.layers:
            if modules.match(module):
                return format_
        for targets, grouped in self.groups:
            if targets is not None and targets.match(module):
                return grouped
        if self.only is not None and part != "head" and not self.only.match(module):
            return None
        if part not in self.parts or (self.layers and self.row["word"] and self.default is None):
            return None
        for targets, grouped in self.groups:
            if targets is None:
                return grouped
        if self.groups:
            return None
        if part == "routed_expert" and self.experts is not None:
            return self.experts
        return self.default


def _plain(word: str) -> str:
    return "".join(character for character in word.casefold() if character.isalnum())


def read_storage(
    value: JsonObject,
    pieces: Sequence[Piece],
    dtype: str | None,
    methods: Names,
    types: Names,
    path: Path = (),
    *,
    speculative: Sequence[Piece] = (),
) -> tuple[Storage, tuple[str, ...]]:
    """Return how a configuration's checkpoint stores pieces, and what could not be read.

    Args:
        value: the configuration, with its quantization section if it has one.
        pieces: all pieces of the model.
        dtype: type of weights that are not quantized.
        methods: catalog `quantization_methods`.
        types: catalog `quantization`.
        path: of the configuration in its document.
        speculative: pieces of layers for speculative decoding, which checkpoints hold besides.

    Raises:
        RequestError: the section is contradictory or absurd; with its path.
    """
    plain = types.exact(dtype or "bf16") or types.exact("bf16") or ""
    full = Format(plain, float(types.rows[plain]["bits_per_param"]), None)
    name, section = _section_of(value, methods.rows, path)
    if name is None:
        return _with_speculative(
            _storage(pieces, full, None, None), _storage(speculative, full, None, None)
        ), ()
    place = (*path, name)
    method = _method(section, name, methods.rows)
    known = methods.exact(method) or methods.exact(method.lower())
    if known is None:
        hint = near(method, [*methods.rows, *methods.aliases])
        note = f"unknown quantization method '{method}': bits per weight are unknown" + (
            f" ({hint})" if hint else ""
        )
        return _storage(pieces, full, method, None, unknown=True), (note,)
    known_row = methods.rows[known]
    reader = Reader(section, known_row, types.rows, place, value)
    kv_bits, kv_dtype = _kv(section, place)
    notes = () if not reader.at(known_row["sparse"]) else (SPARSE,)
    if not reader.says and _is_plain(section, known_row):
        storage = _storage(pieces, full, method, None, kv_dtype=kv_dtype, kv_bits=kv_bits)
        return _with_speculative(storage, _storage(speculative, full, method, None)), notes
    if not reader.says:
        note = f"quantization_config of {method} does not say the bits of its weights"
        return _storage(pieces, full, method, None, unknown=True, kv_dtype=kv_dtype, kv_bits=kv_bits), (note,)
    storage = _storage(
        pieces,
        full,
        method,
        reader,
        kv_dtype=kv_dtype,
        kv_bits=kv_bits,
        activation_bits=_activations(section),
    )
    return _with_speculative(storage, _storage(speculative, full, method, reader)), notes


def _section_of(value: JsonObject, rows: Mapping[str, Row], path: Path) -> tuple[str | None, JsonObject]:
    """Return the section about quantization and its name; of several, the first whose method can be told.

    Raises:
        RequestError: the section is no mapping.
    """
    found: dict[str, JsonObject] = {}
    for name in SECTIONS:
        section = value.get(name)
        if section == {}:
            continue
        if isinstance(section, dict):
            inner = section.get("quantization")  # the content of hf_quant_config.json
            found[name] = {**section, **inner} if isinstance(inner, dict) else section
        elif section is not None and name != SECTIONS[-1]:
            raise RequestError(f"{name}: expected a mapping, found {quote(section)}", path=(*path, name))
    if not found:
        return None, {}
    named = (name for name in found if _method(found[name], name, rows) != _UNNAMED)
    name = next(named, next(iter(found)))
    return name, found[name]


def _is_plain(section: JsonObject, row: Row) -> bool:
    """Return whether a section says that no weights are quantized, only the KV cache or nothing."""
    if row["groups"] and section.get("config_groups") == {}:
        return True
    flags = [section[flag] for flag in row["flags"] if flag in section]
    if flags and not any(flags):
        return True
    word = row["word"]
    return (
        isinstance(word, str)
        and word in section
        and section[word] is None
        and not section.get("config_groups")
    )


def _with_speculative(storage: Storage, speculative: Storage) -> Storage:
    return replace(storage, speculative_bytes=sum(speculative.bytes.values()))


def _method(section: JsonObject, name: str, rows: Mapping[str, Row]) -> str:
    """Return the method that a section names, or else the one whose signs it has."""
    method = section.get("quant_method")
    if isinstance(method, str) and method:
        return method
    found = (known for known, row in rows.items() if _has_signs(section, name, row))
    return next(found, _UNNAMED if method is None else str(method))


def _has_signs(section: JsonObject, name: str, row: Row) -> bool:
    """Return whether a section without a method's name has the fields of a row's method."""
    if not row["signs"] or row["signs_section"] not in (None, name):
        return False
    return section.keys() >= {*row["signs"]} and section.keys().isdisjoint(row["signs_besides"])


def _kv(section: JsonObject, path: Path) -> tuple[int | None, str | None]:
    """Return the bits of the KV cache that a section asks for, and their name."""
    scheme = section.get("kv_cache_scheme") or section.get("kv_cache_quant_algo")
    if isinstance(scheme, dict):
        bits = scheme.get("num_bits")
        if not isinstance(bits, int) or isinstance(bits, bool) or not 1 <= bits <= 16:
            message = f"num_bits: expected a whole number from 1 to 16, found {quote(bits)}"
            raise RequestError(message, path=(*path, "kv_cache_scheme"))
        return bits, f"{'fp' if scheme.get('type') == 'float' else 'int'}{bits}"
    if isinstance(scheme, str) and scheme.upper() not in ("NONE", ""):
        digits = "".join(character for character in scheme if character.isdigit())[:2]
        if digits in ("4", "8", "16"):
            return int(digits), scheme.lower()
    return None, None


def _activations(section: JsonObject) -> int | None:
    groups = section.get("config_groups")
    for group in groups.values() if isinstance(groups, dict) else ():
        activations = group.get("input_activations") if isinstance(group, dict) else None
        if isinstance(activations, dict) and isinstance(activations.get("num_bits"), int):
            bits = activations["num_bits"]
            return bits if isinstance(bits, int) and 0 < bits <= 32 else None
    if section.get("activation_scheme") in ("dynamic", "static"):
        return 8
    return None


def _storage(
    pieces: Sequence[Piece],
    full: Format,
    method: str | None,
    reader: Reader | None,
    *,
    unknown: bool = False,
    kv_dtype: str | None = None,
    kv_bits: int | None = None,
    activation_bits: int | None = None,
) -> Storage:
    counts: dict[str, int] = defaultdict(int)
    sizes: dict[str, float] = defaultdict(float)
    formats: dict[Format, int] = defaultdict(int)
    for piece in pieces:
        counts[piece.part] += piece.total
        for format_, count in _formats(piece, reader):
            chosen = full if format_ is None else format_
            sizes[piece.part] += count * chosen.bits
            if format_ is not None:
                formats[format_] += count
    main = max(formats, key=lambda format_: formats[format_], default=full)
    if method is not None and not formats and not unknown:
        main = full
    groups = [format_.group for format_ in formats if format_.group]
    return Storage(
        name=None if unknown else main.name,
        names=tuple(dict.fromkeys(format_.name for format_ in (main, *formats) if format_.name)),
        method=method,
        bits={part: sizes[part] / counts[part] for part in counts if counts[part]},
        bytes={part: -int(-sizes[part] // 8) for part in counts},
        group=max(groups, default=None),
        activation_bits=activation_bits,
        kv_dtype=kv_dtype,
        kv_bits=kv_bits,
        known=not unknown,
        quantized=bool(formats),
    )


def _formats(piece: Piece, reader: Reader | None) -> Iterable[tuple[Format | None, int]]:
    """Yield the formats of a piece in its layers, with the number of parameters of each."""
    if reader is None or not (piece.matrix or (piece.part in reader.parts and piece.part == "embedding")):
        yield None, piece.total
    elif piece.layers is None:
        yield reader.of(piece.part, piece.module), piece.total
    elif not reader.by_layer:
        yield reader.of(piece.part, f"layers.{piece.layers[0]}.{piece.module}"), piece.total
    else:
        for layer in piece.layers:
            yield reader.of(piece.part, f"layers.{layer}.{piece.module}"), piece.count


def bits_of(storage: Storage, parameters: Parameters, *, tied: bool) -> dict[str, Any]:
    """Return the bits per parameter of a quantized checkpoint, by the components that policies know."""
    if not storage.quantized:
        return {}
    apart = ("routed_expert", "embedding", "head")
    size = sum(size for part, size in storage.bytes.items() if part not in apart)
    count = parameters.total - parameters.routed_expert - (parameters.embedding or 0)
    bits: dict[str, Any] = {"dense_bits": 8 * size / count} if count else {}
    if "routed_expert" in storage.bits:
        bits["expert_bits"] = storage.bits["routed_expert"]
    if "embedding" in storage.bits:
        bits["embedding_bits"] = storage.bits["embedding"]
        bits["head_bits"] = (
            storage.bits["embedding" if tied else "head"] if tied or "head" in storage.bits else 0.0
        )
    if "vision" in storage.bits:
        bits["tower_bits"] = storage.bits["vision"]
    return {name: value for name, value in bits.items() if value}
