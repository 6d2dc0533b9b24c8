"""Parameters of a decoder from its shapes, as pieces: one per projection, with the layers that have it."""

from __future__ import annotations

from collections.abc import Iterator

from engine.base.errors import RequestError, quote
from engine.base.jsontypes import Json
from engine.base.records import record, replace
from engine.model.architectures import Architecture, Block
from engine.model.fields import MOST_LAYERS, Fields
from engine.model.formula import FormulaError, evaluate
from engine.model.model import Parameters

FULL, SLIDING, CHUNKED, NONE = "full_attention", "sliding_attention", "chunked_attention", "none"
ATTENTION = (FULL, SLIDING, CHUNKED)
"""Kinds of layers with keys and values per token that the architecture's attention describes."""
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
"""Fields with the number of routed experts per layer."""
_MOST_SPECULATIVE = 64
"""Layers for speculative decoding."""
_DENSE_WORDS, _SPARSE_ENDINGS = ("dense", "mlp"), ("sparse", "moe")
"""Words of `mlp_layer_types` for an MLP that every token uses, and ends of words for routed experts."""
FEED_FORWARD = ("mlp", "moe")
"""Kinds of layers without a mixer, where a layer has either a mixer or an MLP."""


@record
class Piece:
    """Parameters of one projection or of some vectors.

    Attributes:
        part: component of the model: attention, dense, shared_expert, routed_expert, embedding, head,
            vision, other.
        module: name in the checkpoint, below the layer for those of layers.
        count: parameters in one layer.
        layers: numbers of the layers that have it; None outside layers.
        matrix: a weight of a linear layer, which methods quantize.
    """

    part: str
    module: str
    count: int
    layers: tuple[int, ...] | None = None
    matrix: bool = True

    @property
    def total(self) -> int:
        """Parameters in all layers."""
        return self.count * (1 if self.layers is None else len(self.layers))


class Shapes:
    """Shapes that every decoder has, and the kind of each layer.

    Raises:
        RequestError: a number is missing or absurd, or fields contradict each other.
    """

    def __init__(self, fields: Fields, architecture: Architecture) -> None:
        self.fields = fields
        self.architecture = architecture
        self.hidden = fields.number("hidden_size")
        self.layers = self._layers()
        self.heads = fields.number("num_attention_heads")
        self.kv_by_layer = self._numbers("num_key_value_heads")
        """KV heads of each layer, where they differ."""
        kv_heads = max(self.kv_by_layer) if self.kv_by_layer else None
        self.kv_heads = kv_heads or self._kv_heads()
        self.head_dim = fields.number("head_dim", default=max(self.hidden // self.heads, 1))
        self.vocabulary = fields.number("vocab_size")
        self.tied = fields.flag("tie_word_embeddings")
        if not architecture.latent and self.heads % self.kv_heads:
            message = f"{self.heads} attention heads are not a multiple of {self.kv_heads} key-value heads"
            raise RequestError(message, path=fields.place("num_key_value_heads"))
        self.blocks = _block_configs(fields, self.layers)
        self.kinds = self._kinds()
        """Kind of each layer: that of its mixer, `mlp` or `moe`; `a+b` for two mixers side by side."""
        self.routed = self._routed()
        """Layers with routed experts."""
        self.experts = self.used = self.expert_size = 0
        if any(self.routed):
            self.experts = fields.number(*_EXPERTS)
            names = (
                "num_experts_per_tok",
                "experts_per_token",
                "num_experts_per_token",
                "top_k_experts",
                "moe_k",
                "moe_top_k",
            )
            self.used = min(self._used(names), self.experts)
            self.expert_size = self.size_at(
                "moe_intermediate_size", "intermediate_size", layer=self.routed.index(True)
            )

    @property
    def shared_size(self) -> int:
        """The MLP width of all shared experts of a layer together; 0 without any."""
        architecture, fields = self.architecture, self.fields
        if architecture.shared_formula:
            return self.formula(architecture.shared_formula)
        if architecture.shared_expert:
            return self.expert_size
        if architecture.gated_shared_expert:
            return fields.number("shared_expert_intermediate_size", default=0, least=0)
        if architecture.shared_experts is not None:
            return fields.number(architecture.shared_experts, default=0, least=0) * self.expert_size
        return 0

    def _layers(self) -> int:
        """Return the number of layers, or the length of the list of their kinds."""
        fields = self.fields
        for name in (self.architecture.kinds_field, "layers_block_type", "layer_types"):
            value = None if name is None or fields.has("num_hidden_layers") else fields.get(name)
            if isinstance(value, (str, list)) and 0 < len(value) <= MOST_LAYERS:
                return len(value)
        return fields.number("num_hidden_layers", most=MOST_LAYERS)

    def _used(self, names: tuple[str, ...]) -> int:
        for name in names:
            value = self.fields.get(name)
            if isinstance(value, list) and value and isinstance(value[0], int):
                return value[0]
        return self.fields.number(*names, default=1)

    def _kv_heads(self) -> int:
        """Return the KV heads; one with Falcon's and GPT-BigCode's `multi_query`."""
        fields = self.fields
        flag = self.architecture.multi_query
        if flag is not None and fields.flag(flag) and not fields.flag("new_decoder_architecture"):
            return 1
        return fields.number("num_key_value_heads", default=self.heads)

    def _numbers(self, name: str) -> list[int] | None:
        """Return a field with one number per layer; None if it is a single one."""
        value = self.fields.get(name)
        if not isinstance(value, list):
            return None
        numbers = self.fields.listed(name, self.layers) or []
        for number in numbers:
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                message = f"{name}: expected whole numbers, found {quote(number)}"
                raise RequestError(message, path=self.fields.place(name))
        return [int(number) for number in numbers if isinstance(number, int)]

    def size_at(self, *names: str, layer: int, default: int | None = None) -> int:
        """Return a width, the layer's if the configuration lists one per layer."""
        for name in names:
            numbers = self._numbers(name)
            if numbers:
                return numbers[layer]
            if self.fields.get(name) is not None:
                return self.fields.number(name, least=0)
        return self.fields.number(*names, default=default, least=0)

    # --- kinds of layers ------------------------------------------------------------------------------------

    def _kinds(self) -> list[str]:
        """Return the kind of each layer: as the configuration lists it, else by the architecture's
        pattern.
        """
        if self.blocks:
            return [NONE if block.kv_heads == 0 else FULL for block in self.blocks]
        listed = self._listed()
        if listed is not None:
            return listed
        architecture, fields, layers = self.architecture, self.fields, self.layers
        chosen = self._chosen()
        if chosen is not None:
            return chosen
        if architecture.full_period is not None:
            period, offset = (
                fields.number(architecture.full_period),
                fields.number(architecture.full_offset or "", default=0, least=0),
            )
            other = architecture.other_kind or FULL
            return [FULL if number % period == offset else other for number in range(layers)]
        names = ("sliding_window_pattern", "_sliding_window_pattern", "full_attention_interval")
        pattern = self._pattern(names)
        if architecture.other_kind is not None:
            other = architecture.other_kind
        elif fields.get("attention_chunk_size") is not None and architecture.chunked:
            other = CHUNKED
        elif fields.get("sliding_window") is None or not self._windowed():
            return [FULL] * layers
        else:
            other = SLIDING
        first = (
            fields.number("max_window_layers", default=0, least=0) if fields.get("use_sliding_window") else 0
        )
        last = layers - 1 if architecture.wide_heads else None
        return [
            FULL if number < first or number == last or (pattern and (number + 1) % pattern == 0) else other
            for number in range(layers)
        ]

    def _chosen(self) -> list[str] | None:
        """Return the kinds by fields that list the numbers of some layers; None without any."""
        architecture, fields = self.architecture, self.fields
        other = architecture.other_kind or FULL
        kinds: list[str] | None = None
        for name, kind in architecture.kind_lists.items():
            listed = fields.get(name)
            if isinstance(listed, list):
                kinds = kinds or [other] * self.layers
                for place, number in enumerate(listed):
                    layer = (
                        number - architecture.list_base
                        if isinstance(number, int) and not isinstance(number, bool)
                        else -1
                    )
                    if not 0 <= layer < self.layers:
                        message = (
                            f"{name}: expected numbers of the {self.layers} layers, found {quote(number)}"
                        )
                        raise RequestError(message, path=(*fields.place(name), place))
                    kinds[layer] = kind
        return kinds

    def _pattern(self, names: tuple[str, ...]) -> int:
        """Return after how many layers one with full attention comes; 0 for none. `LLLG` is a pattern of
        4.
        """
        for name in names:
            value = self.fields.get(name)
            if isinstance(value, str) and "G" in value:
                return value.index("G") + 1
        return self.fields.number(*names, default=self.architecture.window_pattern or 0, least=0)

    def _windowed(self) -> bool:
        flag = self.architecture.window_flag
        return self.fields.get("use_sliding_window") is not False if flag is None else self.fields.flag(flag)

    def _listed(self) -> list[str] | None:
        fields, architecture = self.fields, self.architecture
        for name in (architecture.kinds_field, "layer_types", "layers_block_type"):
            value = None if name is None else fields.get(name)
            if name is None or value is None:
                continue
            words: list[str]
            if isinstance(value, str) and name == architecture.kinds_field:
                words = list(value)
                if len(words) != self.layers:
                    message = f"{name}: expected {self.layers} letters, one per layer, found {len(words)}"
                    raise RequestError(message, path=fields.place(name))
            elif isinstance(value, list):
                if len(value) == self.layers + fields.number("num_nextn_predict_layers", default=0, least=0):
                    value = value[: self.layers]
                if value and len(value) != self.layers:
                    fields.listed(name, self.layers)
                words = [str(word) for word in value]
            else:
                words = []
            if not words:
                continue
            return [self._kind(word, name, number) for number, word in enumerate(words)]
        return None

    def _kind(self, word: str, name: str, number: int) -> str:
        architecture = self.architecture
        kind = architecture.kinds.get(word, word)
        allowed = {FULL, SLIDING, CHUNKED, NONE, *architecture.blocks, *architecture.kinds.values()}
        if architecture.alone:
            allowed |= {*FEED_FORWARD}
        if kind not in allowed:
            known = ", ".join(sorted({*architecture.kinds, *ATTENTION, *architecture.blocks} - {NONE}))
            message = f"{name}: {quote(word)} is not a kind of layer of this architecture"
            raise RequestError(message, path=(*self.fields.place(name), number), hint=f"it has: {known}")
        return kind

    # --- experts --------------------------------------------------------------------------------------------

    def _routed(self) -> list[bool]:
        """Return for each layer whether it has routed experts, by any of the fields that configurations
        use.
        """
        fields, architecture, layers = self.fields, self.architecture, self.layers
        none = [False] * layers
        if architecture.alone:
            return [kind == "moe" for kind in self.kinds]
        if not architecture.experts or fields.get("enable_moe_block") is False:
            return none
        if architecture.dense_beside_experts and fields.get("enable_moe_block") is None:
            return none
        if architecture.experts_optional and not any(fields.get(name) for name in _EXPERTS):
            return none
        if (
            architecture.least_experts
            and fields.number(*_EXPERTS, default=0, least=0) < architecture.least_experts
        ):
            return none
        kinds = fields.listed("mlp_layer_types", layers)
        if kinds is not None:
            return [self._is_sparse(kind, layer) for layer, kind in enumerate(kinds)]
        chosen = fields.get("moe_layers")
        if isinstance(chosen, list):
            return [number in chosen for number in range(layers)]
        if isinstance(fields.get("moe_layers_enum"), str):
            numbers = {
                int(part)
                for part in str(fields.get("moe_layers_enum")).split(",")
                if part.strip().isdecimal()
            }
            return [number in numbers for number in range(layers)]
        flags = fields.listed("moe_layer_freq", layers)
        if flags is not None:
            return [flag == 1 for flag in flags]
        first = fields.number(
            "first_k_dense_replace", "moe_layer_start_index", "num_dense_layers", default=0, least=0
        )
        last = fields.get("moe_layer_end_index")
        names = (
            "decoder_sparse_step",
            "interleave_moe_layer_step",
            "moe_layer_interval",
            "moe_layer_freq",
            "moe_layer_frequency",
            "expert_layer_period",
        )
        step = fields.number(*names, default=1)
        offset = fields.number("expert_layer_offset", default=step - 1, least=0)
        listed = fields.get("mlp_only_layers")
        dense = (
            {number for number in listed if isinstance(number, int)} if isinstance(listed, list) else set()
        )
        end = last if isinstance(last, int) and last >= 0 else layers - 1
        return [
            first <= number <= end and number % step == offset and number not in dense
            for number in range(layers)
        ]

    def _is_sparse(self, kind: Json, layer: int) -> bool:
        """Return whether a word of `mlp_layer_types` means routed experts."""
        word = str(kind)
        if word in _DENSE_WORDS:
            return False
        if not word.endswith(_SPARSE_ENDINGS):
            message = f"mlp_layer_types: {quote(kind)} is not a kind of MLP"
            raise RequestError(message, path=(*self.fields.place("mlp_layer_types"), layer))
        return True

    # --- heads ----------------------------------------------------------------------------------------------

    def heads_of(self, layer: int) -> tuple[int, int, int, int]:
        """Return query heads, KV heads, and the dimensions of a key and of a value head of a layer."""
        fields, architecture = self.fields, self.architecture
        heads, kv_heads, dim = self.heads, self.kv_heads, self.head_dim
        if self.kv_by_layer:
            kv_heads = self.kv_by_layer[layer]
        if self.blocks:
            return heads, self.blocks[layer].kv_heads, dim, dim
        kind = self.kinds[layer]
        if architecture.wide_heads and kind == FULL:
            dim = fields.number("global_head_dim", default=dim)
            if fields.flag("attention_k_eq_v"):
                kv_heads = fields.number("num_global_key_value_heads", default=kv_heads)
        value = fields.number("v_head_dim", default=dim) if architecture.value_heads else dim
        if architecture.window_prefix is not None and kind == SLIDING:
            prefix = architecture.window_prefix
            heads = fields.number(f"{prefix}num_attention_heads", default=heads)
            kv_heads = fields.number(f"{prefix}num_key_value_heads", default=kv_heads)
            dim = fields.number(f"{prefix}head_dim", default=dim)
            value = fields.number(f"{prefix}v_head_dim", default=value)
        return heads, kv_heads, dim, value

    def shares_keys(self, layer: int) -> bool:
        """Whether a layer uses the keys and values of one before it."""
        return layer >= self.layers - self.fields.number("num_kv_shared_layers", default=0, least=0)

    # --- formulas -------------------------------------------------------------------------------------------

    def value(self, name: str) -> int:
        """Return a name of a formula: a shape, or a field of the configuration (0 if it is null or false)."""
        shape = {
            "hidden": self.hidden,
            "layers": self.layers,
            "heads": self.heads,
            "kv_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "vocabulary": self.vocabulary,
            "experts": getattr(self, "experts", 0),
        }.get(name)
        return field_value(self.fields, name) if shape is None else shape

    def formula(self, text: str, block: Block | None = None) -> int:
        """Return the value of a formula, with a block's own names.

        Raises:
            RequestError: it needs a field that is missing, or its result is absurd.
        """
        return evaluate_formula(text, self.value, {} if block is None else block.lets, self.fields)


def field_value(fields: Fields, name: str) -> int:
    """Return a field as a number: 1 or 0 for a flag, 0 if it is null.

    Raises:
        RequestError: it is missing, or no number.
    """
    value = fields.get(name)
    if isinstance(value, bool):
        return int(value)
    if value is None and any(name in known for known in (fields.value, fields.defaults)):
        return 0
    return fields.number(name, least=0)


def evaluate_formula(text: str, find: object, lets: object, fields: Fields) -> int:
    """Return the value of a formula whose names are in `lets` or are found.

    Raises:
        RequestError: it divides by zero or is negative.
    """
    assert callable(find)
    assert isinstance(lets, dict)

    def names(name: str) -> int:
        return evaluate(lets[name], names) if name in lets else find(name)

    try:
        value = evaluate(text, names)
    except FormulaError as error:
        raise RequestError(f"the configuration contradicts itself: {error}", path=fields.path) from None
    if value < 0:
        raise RequestError(f"the configuration contradicts itself: {text} is {value}", path=fields.path)
    return value


@record
class NasBlock:
    """One layer of an architecture that a search has pruned (DeciLM, Nemotron-NAS)."""

    kv_heads: int
    size: int
    linear: tuple[tuple[str, str], ...] = ()
    """Parts that one square projection replaces, with the projection's name."""

    @property
    def norms(self) -> int:
        """The norms of the layer: one before each part that is there."""
        return (self.kv_heads > 0) + (self.size > 0) + len(self.linear)


def _block_configs(fields: Fields, layers: int) -> list[NasBlock]:
    """Return the layers that `block_configs` describes.

    Raises:
        RequestError: a layer is described in another way.
    """
    blocks = fields.get("block_configs")
    if not isinstance(blocks, list):
        return []
    fields.listed("block_configs", layers)
    hidden, heads = fields.number("hidden_size"), fields.number("num_attention_heads")
    found = []
    for number, block in enumerate(blocks):
        place = (*fields.place("block_configs"), number)
        attention = block.get("attention") if isinstance(block, dict) else None
        feed = block.get("ffn") if isinstance(block, dict) else None
        if not isinstance(attention, dict) or not isinstance(feed, dict):
            raise RequestError("block_configs: expected attention and ffn", path=place)
        linear = [
            (part, f"{module}.linear")
            for part, module, section in (("attention", "self_attn", attention), ("dense", "mlp", feed))
            if section.get("replace_with_linear")
        ]
        group, factor, size = (
            attention.get("n_heads_in_group"),
            feed.get("ffn_mult"),
            feed.get("intermediate_size"),
        )
        kv_heads = 0
        if not attention.get("no_op") and not attention.get("replace_with_linear"):
            if not isinstance(group, int) or isinstance(group, bool) or not 0 < group <= heads:
                message = f"n_heads_in_group: expected a whole number up to {heads}, found {quote(group)}"
                raise RequestError(message, path=(*place, "attention"))
            kv_heads = heads // group
        width = 0
        if not feed.get("no_op") and not feed.get("replace_with_linear"):
            if isinstance(size, int) and not isinstance(size, bool) and size > 0:
                width = size
            elif isinstance(factor, (int, float)) and not isinstance(factor, bool) and 0 < factor < 100:
                width = int(2 * factor * hidden / 3)
                width += -width % 256
            else:
                raise RequestError(
                    f"ffn_mult: expected a number, found {quote(factor)}", path=(*place, "ffn")
                )
        found.append(NasBlock(kv_heads, width, tuple(linear)))
    return found


class Counts:
    """Parameters by piece.

    Buffers that checkpoints contain are counted as well: corrections of the router, scales of layers.
    """

    def __init__(self, fields: Fields, architecture: Architecture, shapes: Shapes) -> None:
        self.fields = fields
        self.architecture = architecture
        self.shapes = shapes

    def pieces(self) -> list[Piece]:
        """Return all pieces of the text model; those of equal layers are one."""
        alike: dict[tuple[object, ...], list[int]] = {}
        for number in range(self.shapes.layers):
            alike.setdefault(self._signature(number), []).append(number)
        pieces = [*self.embedding(), *self.final()]
        for numbers in alike.values():
            layers = tuple(numbers)
            pieces += [replace(piece, layers=layers) for piece in self.layer(numbers[0]) if piece.count]
        return [piece for piece in pieces if piece.count]

    def _signature(self, layer: int) -> tuple[object, ...]:
        shapes = self.shapes
        sizes = tuple(
            sizes[layer]
            for name in ("intermediate_size", "num_key_value_heads")
            if (sizes := shapes._numbers(name))
        )
        return (
            shapes.kinds[layer],
            shapes.routed[layer],
            shapes.shares_keys(layer),
            sizes,
            self._has_indexer(layer),
            layer < self.fields.number("num_hash_layers", default=0, least=0),
            shapes.blocks[layer] if shapes.blocks else None,
            layer < self.fields.number("first_k_dense_replace", default=0, least=0),
        )

    def layer(self, layer: int) -> Iterator[Piece]:
        """Yield the pieces of a layer."""
        kind = self.shapes.kinds[layer]
        for part in kind.split("+"):
            if part in ATTENTION and part not in self.architecture.blocks:
                yield from self.attention(layer)
            elif part not in (NONE, *FEED_FORWARD):
                yield from self.block(part)
        if not self.architecture.alone or kind in FEED_FORWARD:
            yield from self.feed_forward(layer)
        if self.shapes.blocks:
            square = self.shapes.hidden * self.shapes.hidden
            yield from (Piece(part, name, square) for part, name in self.shapes.blocks[layer].linear)
        yield Piece("other", "norms", self.norms(layer), matrix=False)

    def speculative(self) -> list[Piece]:
        """Return the pieces of layers for speculative decoding (MTP): a layer like the last, and what joins
        it.

        Checkpoints number these layers after all others. Source: DeepSeek-V3's report, section 2.2, and its
        files.
        """
        architecture, shapes = self.architecture, self.shapes
        if architecture.speculative is None:
            return []
        count = self.fields.number(architecture.speculative, default=0, least=0, most=_MOST_SPECULATIVE)
        layers = tuple(range(shapes.layers, shapes.layers + count))
        pieces = [
            *self.layer(shapes.layers - 1),
            Piece("other", "eh_proj", 2 * shapes.hidden * shapes.hidden, matrix=False),
        ]
        pieces.append(Piece("other", "norms", 3 * shapes.hidden, matrix=False))
        if architecture.speculative_copies:
            copies = 2 * shapes.vocabulary * shapes.hidden
            pieces.append(Piece("embedding", "embed_tokens", copies, matrix=False))
        return [replace(piece, layers=layers) for piece in pieces if count and piece.count]

    def speculative_layers(self) -> int:
        """Return the number of layers for speculative decoding (MTP), whether pieces are known or not."""
        field = self.architecture.speculative or self.architecture.mtp
        if field is None:
            return 0
        if field.isdigit():
            return int(field)
        return self.fields.number(field, default=0, least=0, most=_MOST_SPECULATIVE)

    def block(self, kind: str) -> Iterator[Piece]:
        """Yield the pieces of a mixer that the catalog `blocks` describes."""
        row = self.architecture.blocks[kind]
        for name, text in row.matrices.items():
            yield Piece("attention", name, self.shapes.formula(text, row))
        if row.vectors:
            yield Piece("attention", "vectors", self.shapes.formula(row.vectors, row), matrix=False)

    # --- embeddings -----------------------------------------------------------------------------------------

    def embedding(self) -> Iterator[Piece]:
        """Yield the embedding, an untied output layer, positions, and Gemma's embeddings per layer."""
        shapes, architecture = self.shapes, self.architecture
        size = shapes.vocabulary * (
            self.fields.number("word_embed_proj_dim", default=shapes.hidden)
            if architecture.word_projection
            else shapes.hidden
        )
        yield Piece("embedding", "embed_tokens", size, matrix=False)
        if architecture.embedding_extra:
            yield Piece(
                "embedding", "embed_positions", shapes.formula(architecture.embedding_extra), matrix=False
            )
        if architecture.head:
            if not shapes.tied:
                yield Piece("head", "lm_head", size)
            if self.fields.flag(architecture.head_bias):
                yield Piece("head", "lm_head.bias", shapes.vocabulary, matrix=False)
        per_layer = self.per_layer_input()
        if per_layer:
            words = self.fields.number("vocab_size_per_layer_input", default=0, least=0)
            yield Piece(
                "embedding", "embed_tokens_per_layer", words * shapes.layers * per_layer, matrix=False
            )

    def per_layer_input(self) -> int:
        """Return the width of the embeddings per layer (Gemma 3n and 4)."""
        return self.fields.number("hidden_size_per_layer_input", default=0, least=0)

    # --- attention ------------------------------------------------------------------------------------------

    def attention(self, layer: int) -> Iterator[Piece]:
        """Yield the projections of attention."""
        architecture, shapes, fields = self.architecture, self.shapes, self.fields
        if architecture.latent:
            yield from self.latent_attention()
            yield from self.indexer(layer)
            return
        queries, keys, values, outputs = self.widths(layer)
        gate = queries if architecture.output_gate else 0
        hidden = shapes.hidden
        yield Piece("attention", "self_attn.q_proj", hidden * (queries + gate))
        yield Piece("attention", "self_attn.k_proj", hidden * keys)
        yield Piece("attention", "self_attn.v_proj", hidden * values)
        yield Piece("attention", "self_attn.o_proj", outputs * hidden)
        heads = shapes.heads_of(layer)[0]
        if architecture.head_gate is not None and fields.flag(architecture.head_gate):
            yield Piece("attention", "self_attn.g_proj", hidden * heads)
        vectors = 0
        if fields.flag(architecture.query_bias):
            vectors += queries + gate + keys + values
        if fields.flag(architecture.output_bias):
            vectors += hidden
        if self._has_sinks(layer):
            vectors += heads
        yield Piece("attention", "self_attn.bias", vectors, matrix=False)

    def _has_sinks(self, layer: int) -> bool:
        if self.architecture.window_prefix is not None:
            sliding = self.shapes.kinds[layer] == SLIDING
            return self.fields.flag(
                "add_swa_attention_sink_bias" if sliding else "add_full_attention_sink_bias"
            )
        return self.architecture.sinks

    def widths(self, layer: int) -> tuple[int, int, int, int]:
        """Return the widths of all queries, keys, values and outputs of one token; shared keys take none."""
        heads, kv_heads, key, value = self.shapes.heads_of(layer)
        keys, values = kv_heads * key, kv_heads * value
        if self.shapes.shares_keys(layer):
            keys = values = 0
        elif (
            self.architecture.wide_heads
            and self.shapes.kinds[layer] == FULL
            and self.fields.flag("attention_k_eq_v")
        ):
            values = 0
        return heads * key, keys, values, heads * value

    def latent_attention(self) -> Iterator[Piece]:
        """Yield latent attention (MLA): keys and values come from one small vector; with its norms."""
        hidden, heads, number = self.shapes.hidden, self.shapes.heads, self.fields.number
        latent, rope = number("kv_lora_rank"), number("qk_rope_head_dim")
        nope, value = number("qk_nope_head_dim"), number("v_head_dim")
        rank = number("q_lora_rank", default=0, least=0)
        queries = heads * (nope + rope)
        if rank:
            yield Piece("attention", "self_attn.q_a_proj", hidden * rank)
            yield Piece("attention", "self_attn.q_b_proj", rank * queries)
        else:
            yield Piece("attention", "self_attn.q_proj", hidden * queries)
        yield Piece("attention", "self_attn.kv_a_proj_with_mqa", hidden * (latent + rope))
        yield Piece("attention", "self_attn.kv_b_proj", latent * heads * (nope + value))
        yield Piece("attention", "self_attn.o_proj", heads * value * hidden)
        yield Piece("attention", "self_attn.norms", rank + latent, matrix=False)
        if self.fields.flag(self.architecture.output_bias):
            yield Piece("attention", "self_attn.bias", rank + latent + rope + hidden, matrix=False)

    def _has_indexer(self, layer: int) -> bool:
        kinds = self.fields.listed("indexer_types", self.shapes.layers) if self.architecture.indexer else None
        return self.architecture.indexer and (kinds is None or kinds[layer] == "full")

    def indexer(self, layer: int) -> Iterator[Piece]:
        """Yield the indexer of sparse attention: queries, one key with its norm, weights of heads."""
        if not self._has_indexer(layer):
            return
        heads, dim = self.fields.number("index_n_heads"), self.fields.number("index_head_dim")
        hidden = self.shapes.hidden
        yield Piece("attention", "self_attn.indexer.wq_b", self.fields.number("q_lora_rank") * heads * dim)
        yield Piece("attention", "self_attn.indexer.wk", hidden * dim)
        yield Piece("attention", "self_attn.indexer.weights_proj", hidden * heads, matrix=False)
        yield Piece("attention", "self_attn.indexer.k_norm", 2 * dim, matrix=False)

    # --- multilayer perceptrons -----------------------------------------------------------------------------

    def feed_forward(self, layer: int) -> Iterator[Piece]:
        """Yield the MLP of a layer, or its experts."""
        routed = self.shapes.routed[layer]
        if not routed or self.architecture.dense_beside_experts:
            yield from self.mlp("dense", "mlp", self.dense_size(layer))
        if routed:
            yield from self.shared()
            yield from self.routed(layer)

    def dense_size(self, layer: int) -> int:
        """Return the width of the MLP that every token of a layer uses."""
        shapes, architecture = self.shapes, self.architecture
        if shapes.blocks:
            return shapes.blocks[layer].size
        if architecture.dense_formula:
            return shapes.formula(architecture.dense_formula)
        wide = self.fields.flag("use_double_wide_mlp") and shapes.shares_keys(layer)
        return shapes.size_at(architecture.dense_size, "intermediate_size", layer=layer) * (1 + wide)

    def mlp(self, part: str, module: str, size: int) -> Iterator[Piece]:
        """Yield up and down projections, and a gate if the architecture has one."""
        if not size:
            return
        hidden, gated = self.shapes.hidden, self.architecture.gated
        if gated:
            yield Piece(part, f"{module}.gate_proj", hidden * size)
        yield Piece(part, f"{module}.up_proj", hidden * size)
        yield Piece(part, f"{module}.down_proj", hidden * size)
        if self.fields.flag(self.architecture.mlp_bias):
            yield Piece(part, f"{module}.bias", (2 if gated else 1) * size + hidden, matrix=False)

    def shared(self) -> Iterator[Piece]:
        """Yield the shared experts of a layer, with their gate."""
        size = self.shapes.shared_size
        many = self.architecture.shared_formula or self.architecture.shared_experts is not None
        module = "mlp.shared_experts" if many else "mlp.shared_expert"
        yield from self.mlp("shared_expert", module, size)
        if self.architecture.gated_shared_expert and not many:
            gate = self.shapes.hidden if size else 0
            yield Piece("shared_expert", "mlp.shared_expert_gate", gate, matrix=False)

    def routed(self, layer: int) -> Iterator[Piece]:
        """Yield all routed experts of a layer."""
        shapes, fields = self.shapes, self.fields
        size = shapes.size_at("moe_intermediate_size", "intermediate_size", layer=layer)
        latent = (
            fields.number(self.architecture.expert_latent, default=0, least=0)
            if self.architecture.expert_latent
            else 0
        )
        width = latent or shapes.hidden
        part, count = "routed_expert", shapes.experts
        if self.architecture.gated:
            yield Piece(part, "mlp.experts.0.gate_proj", count * width * size)
        yield Piece(part, "mlp.experts.0.up_proj", count * width * size)
        yield Piece(part, "mlp.experts.0.down_proj", count * width * size)
        if self.architecture.sinks and self.architecture.window_prefix is None:
            yield Piece(part, "mlp.experts.0.bias", count * (2 * size + shapes.hidden), matrix=False)
        if latent:
            yield Piece("dense", "mlp.fc1_latent_proj", shapes.hidden * latent)
            yield Piece("dense", "mlp.fc2_latent_proj", shapes.hidden * latent)

    # --- the rest -------------------------------------------------------------------------------------------

    def norms(self, layer: int) -> int:
        """Count norms, the router, and the projections of embeddings per layer."""
        shapes, architecture = self.shapes, self.architecture
        norms = architecture.norms
        if shapes.blocks:
            norms = shapes.blocks[layer].norms
        count = norms * self.norm() + self.query_norms(layer)
        if architecture.layer_extra:
            count += shapes.formula(architecture.layer_extra)
        if shapes.routed[layer]:
            count += self.router(layer)
        per_layer = self.per_layer_input()
        if per_layer:
            count += 2 * shapes.hidden * per_layer + shapes.hidden
        return count + (1 if architecture.wide_heads else 0)

    def query_norms(self, layer: int) -> int:
        """Count the norms of queries and keys."""
        flag, architecture = self.architecture.query_norm_flag, self.architecture
        normalized = architecture.query_norm and (flag is None or self.fields.flag(flag))
        kinds = self.shapes.kinds[layer].split("+")
        if not normalized or not {*kinds} & {*ATTENTION} or {*kinds} & {*architecture.blocks} & {*ATTENTION}:
            return 0
        heads, kv_heads, key, _ = self.shapes.heads_of(layer)
        shared = self.shapes.shares_keys(layer)
        if architecture.query_norm_all_heads:
            return heads * key + kv_heads * key
        return key + (0 if shared else key)

    def router(self, layer: int) -> int:
        """Count the router with its correction; beside a dense MLP, also scales and norms of both paths."""
        experts, hidden, architecture = self.shapes.experts, self.shapes.hidden, self.architecture
        bias = (
            experts
            if (architecture.sinks and architecture.window_prefix is None) or architecture.expert_bias
            else 0
        )
        if architecture.hash_layers and layer < self.fields.number(
            architecture.hash_layers, default=0, least=0
        ):
            bias = 0  # these layers look experts up by token
        beside = hidden + experts + 3 * hidden if architecture.dense_beside_experts else 0
        return hidden * experts + bias + beside

    def norm(self) -> int:
        """Count one norm."""
        return self.shapes.hidden * self.architecture.norm_scale * (2 if self.architecture.norm_bias else 1)

    def final(self) -> Iterator[Piece]:
        """Yield the final norm, and the projection of embeddings per layer."""
        per_layer = self.per_layer_input()
        projection = self.shapes.hidden * self.shapes.layers * per_layer + per_layer if per_layer else 0
        extra = self.shapes.formula(self.architecture.final_extra) if self.architecture.final_extra else 0
        norm = self.norm() if self.architecture.final_norm else 0
        yield Piece("other", "norm", norm + projection + extra, matrix=False)


def parameters_of(pieces: list[Piece], shapes: Shapes | None = None) -> Parameters:
    """Return the parameter counts of pieces."""
    counts = dict.fromkeys(
        ("embedding", "head", "attention", "dense", "shared_expert", "routed_expert", "vision", "other"), 0
    )
    for piece in pieces:
        counts[piece.part] += piece.total
    total = sum(counts.values())
    idle = 0
    if shapes is not None and shapes.experts:
        routed = counts["routed_expert"]
        idle = routed - routed * shapes.used // shapes.experts
    return Parameters(
        total=total,
        active=total - idle - counts["vision"],
        embedding=counts["embedding"] + counts["head"],
        attention=counts["attention"],
        dense=counts["dense"] + counts["shared_expert"],
        routed_expert=counts["routed_expert"],
        vision=counts["vision"],
        other=counts["other"],
    )
