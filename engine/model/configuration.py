"""Models from a `config.json` of Hugging Face Transformers: shapes, exact counts, storage and cache."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from engine.base.aliases import Row
from engine.base.errors import Path, RequestError, quote
from engine.base.jsontypes import Json, JsonObject
from engine.base.records import replace
from engine.model.architectures import Architecture, Catalogs, find_entry
from engine.model.cache import cache_layers
from engine.model.counting import Counts, Piece, Shapes, parameters_of
from engine.model.fields import Fields
from engine.model.legacy import average_window
from engine.model.model import Model, Storage
from engine.model.storage import bits_of, read_storage
from engine.model.towers import tower_pieces
from engine.model.usual import counted_as, interval, unusual, usual_decoder

TYPES = "quantization@3"
"""Catalog of storage types; versions before 3 do not say what bits consist of."""
TEXT_SECTIONS = ("text_config", "llm_config", "language_config", "thinker_config")
"""Sections that hold a multimodal model's text part, or the section with it."""
TOWER_SECTIONS = ("vision_config", "audio_config", "vision_tower_config", "img_processor", "speech_config")
"""Sections of encoders for other media."""
_OTHER_SECTIONS = ("quantization_config", "compression_config", "generation_config")
"""Sections of a multimodal configuration that describe no part of the model."""
_TASK = re.compile(r"(For[A-Z]\w*|LMHeadModel|Model)$")
"""Ending of a class that says what the model does."""
_ALIKE = 0.8
"""Likeness of two names of which one may be a typo of the other."""
_MULTIPLYING = ("linear", "dynamic")
"""Kinds of scaled positions whose factor multiplies the context length."""
_MOST_SCALED = 10_000
_TIED = "tie_word_embeddings"
_DEPTH = 3
"""Sections within sections."""


def read_config(value: JsonObject, catalogs: Catalogs, name: str | None = None, path: Path = ()) -> Model:
    """Return the model of a configuration.

    Args:
        value: the decoded `config.json`.
        catalogs: loads a catalog by its name.
        name: of the model.
        path: of the configuration in its document.

    Raises:
        RequestError: the architecture is unknown, or a field is missing, absurd or contradictory; with its
            path.
    """
    return _Reader(value, catalogs, path).model(name)


class _Reader:
    """Reads one configuration."""

    def __init__(self, value: JsonObject, catalogs: Catalogs, path: Path) -> None:
        self.value = value
        self.catalogs = catalogs
        self.path = path
        self.outer_class = _class_of(value, path)
        self.text, self.inside, self.inner = self._text()
        """Fields of the text part around and in its section; its path; the section itself."""
        self.defaults: dict[str, Json] = {}
        """Defaults of a family that the catalog does not have."""
        self.model_types = [
            kind for kind in (self.inner.get("model_type"), value.get("model_type")) if isinstance(kind, str)
        ]

    def model(self, name: str | None) -> Model:
        """Return the model."""
        notes: tuple[str, ...] = ()
        entry = self._entry()
        unknown = entry is None
        if entry is None:
            entry, notes = self._usual()
        elif self._is_foreign():
            unknown = True
            notes = (
                f"unknown class '{self.outer_class}': counted as its model_type "
                f"{' or '.join(self.model_types)}",
            )
        row = self.catalogs("architectures").rows[entry]
        architecture = Architecture.of(row, self.catalogs("blocks").rows)
        if architecture.note:
            notes += (architecture.note,)
        fields = self._fields(entry, row, architecture)
        architecture = _by_flags(architecture, fields)
        architecture, extra = self._head(architecture, fields)
        shapes = Shapes(fields, architecture)
        counts = Counts(fields, architecture, shapes)
        pieces = counts.pieces()
        if extra:
            pieces.append(Piece("head", "score", shapes.formula(extra), matrix=False))
        pieces += self._towers(shapes, architecture)
        notes += self._uncounted()
        speculative = counts.speculative()
        model = self._assembled(name, fields, architecture, shapes, pieces, speculative, notes)
        mtp = _mtp(counts.speculative_layers(), speculative, model.storage)
        return replace(model, guessed=unknown, **mtp)

    # --- sections -------------------------------------------------------------------------------------------

    def _text(self) -> tuple[JsonObject, Path, JsonObject]:
        text, inside, inner = self.value, self.path, self.value
        for _ in range(_DEPTH):
            section = next((name for name in TEXT_SECTIONS if name in inner), None)
            if section is None:
                break
            found = inner[section]
            if found is None and section in text and "hidden_size" in inner and len(inner) <= len(self.value):
                raise RequestError(f"{section}: expected a mapping, found null", path=(*inside, section))
            if not isinstance(found, dict):
                raise RequestError(
                    f"{section}: expected a mapping, found {quote(found)}", path=(*inside, section)
                )
            if not found:
                break
            # Classes of several media tie the embeddings of their text model by their own flag.
            tied = {_TIED: inner[_TIED]} if isinstance(inner.get(_TIED), bool) else {}
            text, inside, inner = {**text, **found, **tied}, (*inside, section), found
        return text, inside, inner

    def _entry(self) -> str | None:
        known = self.catalogs("architectures")
        within = self.inner is not self.value
        inner_class = _class_of(self.inner, self.inside) if within else None
        classes = [self.outer_class, inner_class]
        exact = [f"{kind}:{name}" for kind in self.model_types for name in classes if name]
        stems = [f"{stem}ForCausalLM" for name in classes if name and (stem := self._stem(name))]
        # A multimodal class may hold text models of several families, so their section decides first.
        families = {kind: name for name, row in known.rows.items() for kind in row["model_types"]}
        further = [families.get(kind) for kind in self.model_types]
        inner_type = self.inner.get("model_type")
        section = [inner_class, inner_type, families.get(str(inner_type))] if within else []
        entry = find_entry(known, *exact, *section, *classes, *self.model_types, *further, *stems)
        if entry is None and not any(classes) and not self.model_types:
            raise RequestError("architectures: expected a list of names", path=(*self.path, "architectures"))
        return entry

    def _is_foreign(self) -> bool:
        """Return whether the catalog has neither the class nor its family, so that only `model_type` is
        known.
        """
        name, known = self.outer_class, self.catalogs("architectures").aliases
        if (
            name is None
            or name in known
            or f"{self._stem(name)}ForCausalLM" in known
            or self.inner is not self.value
        ):
            return False
        return not any(f"{kind}:{name}" in known for kind in self.model_types)

    def _uncounted(self) -> tuple[str, ...]:
        """Return a note for each section of a tower that the catalog does not have."""
        counted = {
            row["section"]
            for row in self.catalogs("towers").rows.values()
            if self.outer_class in row["classes"]
        }
        holder = self.value.get("thinker_config")
        around = {**self.value, **(holder if isinstance(holder, dict) else {})}
        return tuple(
            f"{name}: encoders of {self.outer_class or self.model_types[0]} are not counted"
            for name in around
            if self._is_tower(name, joined=bool(counted))
            and isinstance(around[name], dict)
            and around[name]
            and name not in counted
        )

    def _is_tower(self, name: str, *, joined: bool) -> bool:
        """Return whether a section describes an encoder or decoder besides the text model.

        Args:
            name: of the section.
            joined: rows of towers count the class's projectors with its encoders.
        """
        if name in TOWER_SECTIONS:
            return True
        if self.inner is self.value or name in (*TEXT_SECTIONS, *_OTHER_SECTIONS):
            return False
        return name.endswith("_config") and not (joined and "projector" in name)

    def _stem(self, class_name: str) -> str | None:
        ending = self._ending(class_name)
        return class_name.removesuffix(ending) if ending else None

    def _ending(self, class_name: str | None) -> str | None:
        """Return the ending of a class without the family's own output layer."""
        if class_name is None:
            return None
        endings = [ending for ending in self.catalogs("heads").rows if class_name.endswith(ending)]
        return max(endings, key=len, default=None)

    def _usual(self) -> tuple[str, tuple[str, ...]]:
        """Return the row of a usual decoder, for an architecture that the catalog does not have."""
        known = self.catalogs("architectures")
        label = self.outer_class or self.model_types[0]
        place = (*self.path, "architectures", 0) if self.outer_class else (*self.path, "model_type")
        hint = "use the weights (.safetensors, .gguf), or set the parameter count with --params"
        row = usual_decoder(self.text, self.catalogs)
        if row is None:
            odd = unusual(self.text, self.catalogs)
            hint = f"no usual decoder has {odd}; {hint}" if odd is not None else hint
            raise RequestError(
                f"unknown architecture '{label}': its parameters cannot be counted",
                path=place,
                hint=_alike(label, [*known.rows, *known.aliases]) or hint,
            )
        self.defaults[_TIED] = row["tied"]
        note = f"unknown architecture '{label}': counted as a usual decoder; {interval(row)}"
        return counted_as(row, self.catalogs), (note,)

    # --- fields ---------------------------------------------------------------------------------------------

    def _fields(self, entry: str, row: Row, architecture: Architecture) -> Fields:
        defaults: dict[str, Json] = {}
        names: dict[str, str] = {}
        source, own = self._defaults_row(entry, row)
        if source is not None:
            defaults = {**dict.fromkeys(source["nulls"]), **source["numbers"], **source["flags"]}
            names = dict(source["names"])
        if not own:
            defaults = {name: value for name, value in defaults.items() if name not in self._sizes()}
        defaults |= {**architecture.defaults, **self.defaults}
        names |= architecture.names
        text = dict(self.text)
        for flag, condition in architecture.word_flags.items():
            name, _, start = condition.partition("=")
            if flag not in text and isinstance(word := text.get(name), (str, float)):
                text[flag] = self.text[flag] = str(word).startswith(start)
        paths: dict[str, Path] = {}
        if self.inner is not self.value:
            paths = {field: self.path for field in self.value if field not in self.inner}
        for section, prefix in architecture.flatten.items():
            nested = text.get(section)
            if isinstance(nested, dict):
                for field, part in nested.items():
                    text.setdefault(f"{prefix}{field}", part)
                    paths[f"{prefix}{field}"] = (*self.inside, section)
        ending = self._ending(self.outer_class)
        if ending is not None and "num_labels" not in text:
            labels = text.get("id2label")
            usual = self.catalogs("heads").rows[ending]["labels"]
            defaults["num_labels"] = len(labels) if isinstance(labels, dict) and labels else usual
        return Fields(text, defaults, self.inside, names, paths)

    def _sizes(self) -> set[str]:
        """Return the fields without which nothing can be counted, of which another family's defaults say
        nothing.
        """
        return {
            name for row in self.catalogs("unknown_architectures").rows.values() for name in row["numbers"]
        }

    def _defaults_row(self, entry: str, row: Row) -> tuple[Row | None, bool]:
        """Return the defaults of the class that the configuration's `model_type` names, else of the
        architecture's, and whether these are the family's own.
        """
        rows = self.catalogs("architecture_defaults").rows
        candidates = [name for kind in self.model_types for name in (kind, f"{kind}_text")]
        for name in candidates:
            found = rows.get(name)
            if found is not None and ("num_hidden_layers" in found["numbers"] or found["names"]):
                return found, True
        own = not self.model_types or entry in self.model_types
        other = row["defaults_of"]
        return rows.get(entry if other is None else other), own and other is None

    def _head(self, architecture: Architecture, fields: Fields) -> tuple[Architecture, str | None]:
        """Return the architecture without an output layer if the class has none, and the formula of what
        it has instead.
        """
        name = self.outer_class
        ending = self._ending(name)
        known = self.catalogs("architectures").aliases
        if ending is None or (name in known and architecture.pooler is None and architecture.masked is None):
            return architecture, None
        row = self.catalogs("heads").rows[ending]
        if row["masked"] and architecture.masked is None:
            return architecture, None
        extra = next(
            (getattr(architecture, head) for head in ("classifier", "masked", "pooler") if row[head]), None
        )
        return replace(architecture, head=False), extra

    # --- towers ---------------------------------------------------------------------------------------------

    def _towers(self, shapes: Shapes, architecture: Architecture) -> list[Piece]:
        """Return the pieces of encoders for other media, and of an encoder-decoder's encoder."""
        rows = self.catalogs("towers").rows
        chosen = self._chosen_towers()
        if architecture.encoder:
            chosen.append(rows[architecture.encoder])
        pieces: list[Piece] = []
        for row in chosen:
            section = self._section(row["section"])
            if section is not None:
                value, holder, place = section
                section = value, {**self.text, **holder}, place
            pieces += tower_pieces(row, section, self.catalogs, shapes)
        return pieces

    def _chosen_towers(self) -> list[Row]:
        """Return the rows of the class; of several for one section, that of the section's model_type."""
        rows = [row for row in self.catalogs("towers").rows.values() if self.outer_class in row["classes"]]
        typed: set[str] = set()
        chosen = []
        for row in sorted(rows, key=lambda row: not row["types"]):
            found = self._section(row["section"]) if row["types"] else None
            if row["section"] in typed or (
                row["types"] and (found is None or found[0].get("model_type") not in row["types"])
            ):
                continue
            typed |= {row["section"]} if row["types"] else set()
            chosen.append(row)
        return chosen

    def _section(self, name: str) -> tuple[JsonObject, JsonObject, Path] | None:
        """Return the section of a tower, the configuration around it, and its path; None without one."""
        if not name:
            return self.text, self.value, self.inside
        holder, place = self.value, self.path
        if name not in holder and isinstance(holder.get("thinker_config"), dict):
            inner = holder["thinker_config"]
            assert isinstance(inner, dict)
            holder, place = inner, (*self.path, "thinker_config")
        section = holder.get(name)
        if section is None:
            return None
        if not isinstance(section, dict):
            raise RequestError(f"{name}: expected a mapping, found {quote(section)}", path=(*place, name))
        return section, holder, (*place, name)

    # --- the model ------------------------------------------------------------------------------------------

    def _assembled(
        self,
        name: str | None,
        fields: Fields,
        architecture: Architecture,
        shapes: Shapes,
        pieces: list[Piece],
        speculative: list[Piece],
        notes: tuple[str, ...],
    ) -> Model:
        parameters = parameters_of(pieces, shapes)
        dtype = next(
            (kind for field in ("torch_dtype", "dtype") if isinstance(kind := fields.get(field), str)), None
        )
        methods = self.catalogs("quantization_methods")
        storage, unread = read_storage(
            {**self.text, **self.value},
            pieces,
            dtype,
            methods,
            self.catalogs(TYPES),
            self.path,
            speculative=speculative,
        )
        notes += unread
        cache = cache_layers(fields, architecture, shapes)
        window, layers = average_window(cache, shapes)
        head_dim, latent = shapes.head_dim, None
        if architecture.latent:
            rope = fields.number("qk_rope_head_dim")
            head_dim, latent = fields.number("qk_nope_head_dim") + rope, fields.number("kv_lora_rank") + rope
        quantized = storage.method is not None
        attends = not cache or any(layers.numbers for layers in cache)
        return Model(
            params=parameters.total,
            name=name,
            architecture=self.outer_class or architecture.family or None,
            parameters=parameters,
            layers=shapes.layers,
            hidden_size=shapes.hidden,
            attention_heads=shapes.heads if attends else None,
            kv_heads=shapes.kv_heads if attends else None,
            head_dim=head_dim if attends else None,
            vocabulary=shapes.vocabulary,
            context=_context(fields, architecture, shapes),
            dtype=dtype,
            quantization=(storage.name or storage.method) if quantized else None,
            intermediate_size=_single(fields, "intermediate_size"),
            experts=shapes.experts or None,
            experts_per_token=shapes.used or None,
            expert_intermediate_size=shapes.expert_size or None,
            shared_expert_size=(shapes.shared_size or None) if any(shapes.routed) else None,
            latent_size=latent,
            sliding_window=window,
            sliding_layers=layers,
            quantization_group=storage.group if quantized else None,
            quantization_method=None if storage.method is None else methods.exact(storage.method.lower()),
            fp8_group=architecture.fp8_group,
            tied_embeddings=shapes.tied,
            storage=storage,
            **bits_of(storage, parameters, tied=shapes.tied),
            kv_bits=storage.kv_bits,
            cache=cache,
            notes=notes,
        )


def _by_flags(architecture: Architecture, fields: Fields) -> Architecture:
    """Return an architecture without what flags of a configuration turn off, and with what they turn on."""
    gate, latent = architecture.gate_flag, architecture.latent_flag
    if gate is not None and fields.flag(gate):
        architecture = replace(architecture, gated=True)
    if latent is not None and fields.get(latent) is False:
        architecture = replace(architecture, latent=False)
    return architecture


def _alike(label: str, known: Sequence[str]) -> str | None:
    """Return a hint with names of nearly the same family, apart from the ends that all classes share."""
    stems = {_TASK.sub("", name): name for name in known if name[:1] == label[:1]}
    close = get_close_matches(_TASK.sub("", label), stems, n=2, cutoff=_ALIKE)
    return "did you mean " + " or ".join(f"'{stems[stem]}'" for stem in close) + "?" if close else None


def _mtp(layers: int, pieces: list[Piece], storage: Storage | None) -> dict[str, Any]:
    """Return the fields of layers for multi-token prediction; without parameters if these are not counted."""
    count = sum(piece.total for piece in pieces)
    if not layers or not count:
        return {"mtp_layers": layers}
    experts = sum(piece.total for piece in pieces if piece.part == "routed_expert")
    quantized = storage is not None and storage.quantized
    bits = 8 * storage.speculative_bytes / count if storage is not None and quantized else None
    return {"mtp_layers": layers, "mtp_params": count, "mtp_expert_params": experts, "mtp_bits": bits}


def _class_of(value: JsonObject, path: Path) -> str | None:
    """Return the class that a configuration names; None if it names none.

    Raises:
        RequestError: it is no name or list of names.
    """
    classes = value.get("architectures")
    if classes is None:
        return None
    if isinstance(classes, str) and classes:
        return classes
    if not isinstance(classes, list) or not classes or not isinstance(classes[0], str):
        raise RequestError("architectures: expected a list of names", path=(*path, "architectures"))
    return classes[0]


def _single(fields: Fields, name: str) -> int | None:
    """Return a width; the largest if the configuration lists one per layer."""
    value = fields.get(name)
    if isinstance(value, list):
        return max(
            (size for size in value if isinstance(size, int) and not isinstance(size, bool)), default=None
        )
    return fields.number(name, default=0, least=0) or None


def _context(fields: Fields, architecture: Architecture, shapes: Shapes) -> int | None:
    """Return the context length as servers derive it: positions, scaled by YaRN or a factor."""
    if architecture.context:
        return shapes.formula(architecture.context) or None
    names = (
        "max_position_embeddings",
        "n_positions",
        "max_seq_len",
        "seq_length",
        "max_sequence_length",
        "max_seq_length",
        "model_max_length",
    )
    positions = fields.number(*names, default=0, least=0)
    scaling = fields.get("rope_scaling")
    scaling = scaling if isinstance(scaling, dict) else fields.get("rope_parameters")
    if isinstance(scaling, dict) and positions:
        kind = scaling.get("rope_type", scaling.get("type"))
        factor, original = scaling.get("factor"), scaling.get("original_max_position_embeddings")
        if (
            kind == "yarn"
            and isinstance(factor, (int, float))
            and not isinstance(factor, bool)
            and isinstance(original, int)
            and not isinstance(original, bool)
        ):
            if not 0 < factor < _MOST_SCALED or not 0 < original < 2**40:
                message = f"factor: expected a positive number, found {quote(factor)}"
                raise RequestError(message, path=(*fields.place("rope_scaling"), "factor"))
            positions = max(positions, int(factor * original))
        elif kind in _MULTIPLYING and architecture.scaled_context and isinstance(factor, (int, float)):
            positions *= max(int(factor), 1) if 0 < factor < _MOST_SCALED else 1
    return positions or None
