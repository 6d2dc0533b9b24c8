"""Parameters of a decoder, counted from its shapes."""

from __future__ import annotations

from engine.errors import RequestError
from engine.model.architectures import Architecture
from engine.model.fields import MOST_LAYERS, Fields
from engine.model.types import Parameters

FULL, SLIDING, LINEAR = "full_attention", "sliding_attention", "linear_attention"
CHUNKED = "chunked_attention"


class Shapes:
    """The numbers that every decoder has, and the kinds of its layers.

    Raises:
        RequestError: a number is missing or absurd.
    """

    def __init__(self, fields: Fields, architecture: Architecture) -> None:
        self.hidden = fields.number("hidden_size")
        self.layers = fields.number("num_hidden_layers", most=MOST_LAYERS)
        self.heads = fields.number("num_attention_heads")
        self.kv_heads = fields.number("num_key_value_heads", default=self.heads)
        self.head_dim = fields.number("head_dim", default=self.hidden // self.heads)
        self.vocabulary = fields.number("vocab_size")
        self.tied = fields.flag("tie_word_embeddings")
        if self.heads % self.kv_heads:
            message = f"{self.heads} attention heads are no multiple of {self.kv_heads} key-value heads"
            raise RequestError(message, path=(*fields.path, "num_key_value_heads"))
        self.attention = _attention(fields, architecture, self.layers)
        """What each layer looks back over."""
        self.routed = _routed(fields, architecture, self.layers)
        """Whether each layer has experts to choose among."""
        self.experts = self.used = self.expert_size = 0
        if any(self.routed):
            names = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
            self.experts = fields.number(*names)
            names = ("num_experts_per_tok", "experts_per_token", "top_k_experts", "moe_k")
            self.used = min(fields.number(*names, default=1), self.experts)
            self.expert_size = fields.number("moe_intermediate_size", "intermediate_size")


def _attention(fields: Fields, architecture: Architecture, layers: int) -> list[str]:
    """Of each layer what its list says, else by the family's pattern."""
    listed = fields.listed("layer_types", layers)
    if listed is not None:
        return [str(each) for each in listed]
    names = ("sliding_window_pattern", "_sliding_window_pattern", "full_attention_interval")
    pattern = fields.number(*names, default=architecture.window_pattern or 0, least=0)
    if fields.get("linear_num_value_heads") is not None:
        other = LINEAR
    elif fields.get("attention_chunk_size") is not None:
        other = CHUNKED
    elif fields.get("sliding_window") is None or fields.get("use_sliding_window") is False:
        return [FULL] * layers
    else:
        other = SLIDING
    first = fields.number("max_window_layers", default=0, least=0) if fields.get("use_sliding_window") else 0
    last = layers - 1 if architecture.wide_heads else None
    return [
        FULL if number < first or number == last or (pattern and (number + 1) % pattern == 0) else other
        for number in range(layers)
    ]


def _routed(fields: Fields, architecture: Architecture, layers: int) -> list[bool]:
    """Of each layer whether it has experts, by whichever way its family says it."""
    if not architecture.experts or fields.get("enable_moe_block") is False:
        return [False] * layers
    if architecture.expert_beside and fields.get("enable_moe_block") is None:
        return [False] * layers
    kinds = fields.listed("mlp_layer_types", layers)
    if kinds is not None:
        return [kind == "sparse" for kind in kinds]
    chosen = fields.get("moe_layers")
    if isinstance(chosen, list):
        return [number in chosen for number in range(layers)]
    first = fields.number("first_k_dense_replace", "moe_layer_start_index", default=0, least=0)
    last = fields.get("moe_layer_end_index")
    step = fields.number(
        "decoder_sparse_step",
        "interleave_moe_layer_step",
        "moe_layer_interval",
        "moe_layer_freq",
        default=1,
    )
    alone = fields.get("mlp_only_layers")
    dense = set(alone) if isinstance(alone, list) and all(isinstance(each, int) for each in alone) else set()
    end = last if isinstance(last, int) and last >= 0 else layers - 1
    return [
        first <= number <= end and (number + 1) % step == 0 and number not in dense
        for number in range(layers)
    ]


class Counts:
    """Parameters of each part. What a class of transformers keeps beside its parameters counts as well where
    checkpoints have it: the numbers that correct how experts are chosen, and those that scale layers."""

    def __init__(self, fields: Fields, architecture: Architecture, shapes: Shapes) -> None:
        self.fields = fields
        self.architecture = architecture
        self.shapes = shapes

    def parameters(self) -> Parameters:
        shapes = self.shapes
        layers = range(shapes.layers)
        attention = sum(self.attention(number) for number in layers)
        routed_layers = sum(shapes.routed)
        expert = self.expert()
        dense = sum(self.dense(number) for number in layers)
        routed = routed_layers * shapes.experts * expert
        embedding, other = self.embedding(), sum(self.other(number) for number in layers) + self.last()
        total = embedding + attention + dense + routed + other
        return Parameters(
            total=total,
            active=total - routed_layers * (shapes.experts - shapes.used) * expert,
            embedding=embedding,
            attention=attention,
            dense=dense,
            routed_expert=routed,
            other=other,
        )

    # --- embeddings -----------------------------------------------------------------------------------------

    def embedding(self) -> int:
        """With the output layer, and what Gemma 4 looks up for each layer."""
        shapes = self.shapes
        both = shapes.vocabulary * shapes.hidden * (1 if shapes.tied else 2)
        bias = shapes.vocabulary if self.fields.flag(self.architecture.head_bias) else 0
        per_layer = self.per_layer_input()
        return (
            both
            + bias
            + self.fields.number("vocab_size_per_layer_input", default=0) * shapes.layers * per_layer
        )

    def per_layer_input(self) -> int:
        """Numbers that each layer gets of its own lookup."""
        return self.fields.number("hidden_size_per_layer_input", default=0, least=0)

    # --- attention ------------------------------------------------------------------------------------------

    def attention(self, layer: int) -> int:
        kind = self.shapes.attention[layer]
        if kind == LINEAR:
            return self.linear_attention()
        if self.architecture.latent:
            return self.latent_attention() + self.indexer(layer)
        queries, keys, values = self.widths(layer)
        gate = queries if self.architecture.output_gate else 0
        weights = self.shapes.hidden * (queries + gate + keys + values + queries)
        if self.fields.flag(self.architecture.query_bias):
            weights += queries + gate + keys + values
        if self.fields.flag(self.architecture.output_bias):
            weights += self.shapes.hidden
        return weights + (self.shapes.heads if self.architecture.sinks else 0)

    def widths(self, layer: int) -> tuple[int, int, int]:
        """Numbers of all queries, keys and values of one token."""
        heads, dim, kv_heads = self.shapes.heads, self.shapes.head_dim, self.shapes.kv_heads
        if not self.architecture.wide_heads:
            return heads * dim, kv_heads * dim, kv_heads * dim
        shared = self.fields.flag("attention_k_eq_v")
        if self.shapes.attention[layer] == FULL:
            dim = self.fields.number("global_head_dim", default=dim)
            if shared:
                kv_heads = self.fields.number("num_global_key_value_heads", default=kv_heads)
        keys = 0 if self.shares_keys(layer) else kv_heads * dim
        return heads * dim, keys, 0 if shared and self.shapes.attention[layer] == FULL else keys

    def shares_keys(self, layer: int) -> bool:
        """Whether a layer uses the keys and values of one before it."""
        return layer >= self.shapes.layers - self.fields.number("num_kv_shared_layers", default=0, least=0)

    def latent_attention(self) -> int:
        """Whose keys and values are made of one small vector; its norms are counted in."""
        hidden, heads, number = self.shapes.hidden, self.shapes.heads, self.fields.number
        latent, rope = number("kv_lora_rank"), number("qk_rope_head_dim")
        nope, value = number("qk_nope_head_dim"), number("v_head_dim")
        rank = number("q_lora_rank", default=0, least=0)
        queries = heads * (nope + rope)
        made = hidden * rank + rank + rank * queries if rank else hidden * queries
        keys = hidden * (latent + rope) + latent + latent * heads * (nope + value)
        return made + keys + heads * value * hidden

    def indexer(self, layer: int) -> int:
        """What chooses tokens: queries of the compressed query, one key with its norm, weights of heads."""
        kinds = self.fields.listed("indexer_types", self.shapes.layers)
        if not self.architecture.indexer or (kinds is not None and kinds[layer] != "full"):
            return 0
        heads, dim = self.fields.number("index_n_heads"), self.fields.number("index_head_dim")
        return self.fields.number("q_lora_rank") * heads * dim + self.shapes.hidden * (dim + heads) + 2 * dim

    def linear_attention(self) -> int:
        """A gated delta net: a state of fixed size, with a convolution over the last tokens."""
        number = self.fields.number
        key_heads, value_heads = number("linear_num_key_heads"), number("linear_num_value_heads")
        keys = key_heads * number("linear_key_head_dim")
        values = value_heads * number("linear_value_head_dim")
        mixed = 2 * keys + values
        hidden = self.shapes.hidden
        made = hidden * (mixed + values + 2 * value_heads) + mixed * number("linear_conv_kernel_dim")
        return made + 2 * value_heads + number("linear_value_head_dim") + values * hidden

    # --- multilayer perceptrons -----------------------------------------------------------------------------

    def mlp(self, size: int) -> int:
        """Up and down, and a gate where the family has one."""
        up = 2 if self.architecture.gated else 1
        bias = up * size + self.shapes.hidden if self.fields.flag(self.architecture.mlp_bias) else 0
        return (up + 1) * self.shapes.hidden * size + bias

    def dense(self, layer: int) -> int:
        """What every token goes through in a layer."""
        if not self.shapes.routed[layer] or self.architecture.expert_beside:
            wide = self.fields.flag("use_double_wide_mlp") and self.shares_keys(layer)
            return self.mlp(
                self.fields.number(self.architecture.dense_size, "intermediate_size") * (1 + wide)
            )
        return self.shared()

    def shared(self) -> int:
        """The experts of a layer that every token goes through, with their gate."""
        way = self.architecture.shared
        if way is None:
            return 0
        if way == "one":
            return self.mlp(self.shapes.expert_size)
        if way == "gated":
            size = self.fields.number("shared_expert_intermediate_size", default=0, least=0)
            return self.mlp(size) + self.shapes.hidden if size else 0
        count = self.fields.number(way, default=0, least=0)
        return self.mlp(count * self.shapes.expert_size) if count else 0

    def expert(self) -> int:
        """One of those to choose among."""
        size = self.shapes.expert_size
        bias = 2 * size + self.shapes.hidden if self.architecture.sinks else 0
        return 3 * self.shapes.hidden * size + bias

    # --- the rest -------------------------------------------------------------------------------------------

    def other(self, layer: int) -> int:
        """Norms of a layer, what chooses among experts, and what mixes a lookup of its own in."""
        norms = self.architecture.norms * self.norm()
        count = norms + self.query_norms(layer)
        if self.shapes.routed[layer]:
            count += self.router()
        per_layer = self.per_layer_input()
        if per_layer:
            count += 2 * self.shapes.hidden * per_layer + self.shapes.hidden
        return count + (1 if self.architecture.wide_heads else 0)

    def query_norms(self, layer: int) -> int:
        way, flag = self.architecture.query_norm, self.architecture.query_norm_flag
        if way is None or self.shapes.attention[layer] == LINEAR or (flag and not self.fields.flag(flag)):
            return 0
        queries, keys, _ = self.widths(layer)
        if way == "all":
            return queries + keys
        dim = queries // self.shapes.heads
        return dim + (dim if keys else 0)

    def router(self) -> int:
        """With what corrects it; in a layer with both ways, also with its scales and the norms of both."""
        experts, hidden = self.shapes.experts, self.shapes.hidden
        bias = experts if self.architecture.sinks or self.architecture.expert_bias else 0
        beside = hidden + experts + 3 * hidden if self.architecture.expert_beside else 0
        return hidden * experts + bias + beside

    def norm(self) -> int:
        return self.shapes.hidden * (2 if self.architecture.norm_bias else 1)

    def last(self) -> int:
        """The norm behind all layers, and what makes each layer's part of the lookup."""
        per_layer = self.per_layer_input()
        made = self.shapes.hidden * self.shapes.layers * per_layer + per_layer if per_layer else 0
        return self.norm() + made
