"""A model's `config.json`, as Hugging Face's hub has it: shapes, and the exact count of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import Path, RequestError, quote
from engine.model.types import Model, Parameters
from engine.records import record

_LARGEST = 2**40
"""Of any number in a configuration; more is a slip of the pen."""


@record
class _Architecture:
    """What tells one family of decoders from another, beyond what its configuration says."""

    qkv_bias: bool = False
    """Queries, keys and values have biases, whatever `attention_bias` says."""
    head_norms: bool = False
    """A norm of a head's size for queries and one for keys."""
    norms: int = 2
    """Norms of a layer."""
    experts: bool = False
    latent: bool = False
    """Attention over a compressed key and value (MLA)."""
    sinks: bool = False
    """A number for each head that attention may go to, and biases wherever there are weights."""
    window_every: int = 1
    """Of so many layers one looks back over the window only, where the configuration lists no layers."""


_LLAMA = _Architecture()
_ARCHITECTURES: dict[str, _Architecture] = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": _LLAMA,
    "MixtralForCausalLM": _Architecture(experts=True),
    "Qwen2ForCausalLM": _Architecture(qkv_bias=True),
    "Qwen3ForCausalLM": _Architecture(head_norms=True),
    "Qwen3MoeForCausalLM": _Architecture(head_norms=True, experts=True),
    "Qwen3VLForConditionalGeneration": _Architecture(head_norms=True),
    "Gemma2ForCausalLM": _Architecture(norms=4, window_every=2),
    "GptOssForCausalLM": _Architecture(experts=True, sinks=True, window_every=2),
    "DeepseekV3ForCausalLM": _Architecture(experts=True, latent=True),
}


def read_config(value: Mapping[str, Any], name: str | None = None, path: Path = ()) -> Model:
    """The model of a configuration; of one that sees or hears as well, the part that reads and writes text.

    Raises:
        RequestError: an architecture that isn't known, a field that is missing or absurd; with its path.
    """
    architectures = value.get("architectures")
    if not isinstance(architectures, list) or not architectures or not isinstance(architectures[0], str):
        raise RequestError("architectures: expected a list of names", path=(*path, "architectures"))
    architecture = architectures[0]
    if architecture not in _ARCHITECTURES:
        raise RequestError(
            f"unknown architecture '{architecture}': its parameters can't be counted from its shapes",
            path=(*path, "architectures", 0),
            hint="give its weights' headers (.safetensors, .gguf), or the count with --params",
        )
    inner = value.get("text_config")
    text = {**value, **inner} if isinstance(inner, dict) else value
    inside = (*path, "text_config") if isinstance(inner, dict) else path
    return _Config(text, _ARCHITECTURES[architecture], inside).model(architecture, name)


class _Config:
    """One configuration's numbers, asked for by name."""

    def __init__(self, value: Mapping[str, Any], architecture: _Architecture, path: Path) -> None:
        self.value = value
        self.architecture = architecture
        self.path = path
        self.hidden = self.number("hidden_size")
        self.layers = self.number("num_hidden_layers")
        self.heads = self.number("num_attention_heads")
        self.kv_heads = self.number("num_key_value_heads", default=self.heads)
        self.head_dim = self.number("head_dim", default=self.hidden // self.heads)
        self.vocabulary = self.number("vocab_size")
        if self.heads % self.kv_heads:
            message = f"{self.heads} attention heads are no multiple of {self.kv_heads} key-value heads"
            raise RequestError(message, path=(*path, "num_key_value_heads"))

    def number(self, name: str, *, default: int | None = None, least: int = 1) -> int:
        """A whole number of the configuration.

        Raises:
            RequestError: it is missing, and there is no default; or it can't be.
        """
        value = self.value.get(name)
        if value is None:
            if default is None:
                message = f"the configuration has no {name}"
                raise RequestError(message, path=self.path, hint="without it there is no counting parameters")
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _LARGEST:
            message = f"{name}: expected a whole number from {least}, found {quote(value)}"
            raise RequestError(message, path=(*self.path, name))
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.value.get(name, default)
        return bool(value) if isinstance(value, bool) else default

    def model(self, architecture: str, name: str | None) -> Model:
        parameters = self.parameters()
        quantization = self.value.get("quantization_config")
        method = quantization.get("quant_method") if isinstance(quantization, dict) else None
        dtype = self.value.get("torch_dtype") or self.value.get("dtype")
        return Model(
            params=parameters.total,
            name=name,
            architecture=architecture,
            parameters=parameters,
            layers=self.layers,
            hidden_size=self.hidden,
            attention_heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=self.number("qk_nope_head_dim") + self.number("qk_rope_head_dim")
            if self.architecture.latent
            else self.head_dim,
            vocabulary=self.vocabulary,
            context=self.number("max_position_embeddings", default=0, least=0) or None,
            dtype=dtype if isinstance(dtype, str) else None,
            quantization=method if isinstance(method, str) else None,
            intermediate_size=self.number("intermediate_size", default=0, least=0) or None,
            **self.shape_of_experts(),
            latent_size=self.number("kv_lora_rank") + self.number("qk_rope_head_dim")
            if self.architecture.latent
            else None,
            **self.windows(),
            quantization_group=_group(quantization),
            tied_embeddings=self.flag("tie_word_embeddings"),
        )

    def shape_of_experts(self) -> dict[str, Any]:
        if not self.architecture.experts:
            return {}
        used = self.number("num_experts_per_tok", default=self.number("experts_per_token", default=1))
        return {
            "experts": self.expert_count(),
            "experts_per_token": used,
            "expert_intermediate_size": self.expert_size(),
        }

    def windows(self) -> dict[str, Any]:
        """The window that some layers look back over, and how many do."""
        if self.value.get("sliding_window") is None or self.value.get("use_sliding_window") is False:
            return {}
        listed = self.value.get("layer_types")
        if isinstance(listed, list) and len(listed) == self.layers:
            layers = sum(each == "sliding_attention" for each in listed)
        else:
            layers = self.layers // self.architecture.window_every
        return {"sliding_window": self.number("sliding_window"), "sliding_layers": layers}

    # --- counting -------------------------------------------------------------------------------------------

    def parameters(self) -> Parameters:
        tied = self.flag("tie_word_embeddings")
        embedding = self.vocabulary * self.hidden * (1 if tied else 2)
        attention = self.layers * self.attention()
        expert, routed_layers, used = self.experts()
        dense_layers = self.layers - routed_layers
        dense = dense_layers * self.mlp(self.number("intermediate_size")) if dense_layers else 0
        shared = self.number("n_shared_experts", default=0, least=0)
        dense += routed_layers * shared * (self.mlp(self.expert_size()) if shared else 0)
        count = self.expert_count() if routed_layers else 0
        routed = routed_layers * count * expert
        other = self.others(routed_layers, count)
        total = embedding + attention + dense + routed + other
        return Parameters(
            total=total,
            active=total - routed_layers * (count - used) * expert,
            embedding=embedding,
            attention=attention,
            dense=dense,
            routed_expert=routed,
            other=other,
        )

    def attention(self) -> int:
        """Of one layer."""
        if self.architecture.latent:
            return self.latent_attention()
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        weights = self.hidden * (2 * queries + 2 * keys)
        bias = queries + 2 * keys
        if self.flag("attention_bias"):
            return weights + bias + self.hidden + (self.heads if self.architecture.sinks else 0)
        return weights + (bias if self.architecture.qkv_bias else 0)

    def latent_attention(self) -> int:
        """Of one layer whose keys and values are made of one small vector; its norms are counted in."""
        latent, rope = self.number("kv_lora_rank"), self.number("qk_rope_head_dim")
        nope, value = self.number("qk_nope_head_dim"), self.number("v_head_dim")
        rank = self.number("q_lora_rank", default=0, least=0)
        queries = self.heads * (nope + rope)
        made = self.hidden * rank + rank + rank * queries if rank else self.hidden * queries
        keys = self.hidden * (latent + rope) + latent + latent * self.heads * (nope + value)
        return made + keys + self.heads * value * self.hidden

    def mlp(self, size: int) -> int:
        """Of one layer: gate, up and down."""
        return 3 * self.hidden * size + (2 * size + self.hidden if self.flag("mlp_bias") else 0)

    def expert_size(self) -> int:
        return self.number("moe_intermediate_size", default=self.number("intermediate_size"))

    def expert_count(self) -> int:
        for name in ("num_local_experts", "num_experts", "n_routed_experts"):
            if self.value.get(name) is not None:
                return self.number(name)
        return self.number("num_local_experts")

    def experts(self) -> tuple[int, int, int]:
        """Parameters of one expert, layers that have experts, and experts that a token goes through."""
        if not self.architecture.experts:
            return 0, 0, 0
        size = self.expert_size()
        expert = 3 * self.hidden * size
        if self.architecture.sinks:
            expert += 2 * size + self.hidden
        first = self.number("first_k_dense_replace", default=0, least=0)
        alone = self.value.get("mlp_only_layers")
        dense = len(alone) if isinstance(alone, list) else 0
        used = self.number("num_experts_per_tok", default=self.number("experts_per_token", default=1))
        return expert, max(self.layers - first - dense, 0), min(used, self.expert_count())

    def others(self, routed_layers: int, experts: int) -> int:
        """Norms, and what chooses among experts."""
        norms = (self.architecture.norms * self.layers + 1) * self.hidden
        if self.architecture.head_norms:
            norms += 2 * self.head_dim * self.layers
        router = self.hidden * experts
        if self.architecture.sinks or self.architecture.latent:
            router += experts
        return norms + routed_layers * router


def _group(quantization: Any) -> int | None:
    """The largest number of weights in a row that share a scale, as a `quantization_config` says it."""
    if not isinstance(quantization, dict):
        return None
    block = quantization.get("weight_block_size")
    found = block if isinstance(block, list) else [quantization.get("group_size")]
    sizes = [each for each in found if isinstance(each, int) and not isinstance(each, bool) and each > 0]
    return max(sizes, default=None)
