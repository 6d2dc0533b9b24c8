"""Families of decoders: what their configurations don't say, and the values that these leave out.

Shapes are those of the modules that Hugging Face's transformers makes of a configuration; the tests hold the
counts against those modules.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.records import field, record

Bias = str | bool
"""Whether a projection has a bias: always, never, or as a flag of the configuration says."""


@record
class Architecture:
    """What tells one family of decoders from another, beyond what its configuration says."""

    query_bias: Bias = "attention_bias"
    """Of queries, keys and values."""
    output_bias: Bias = "attention_bias"
    mlp_bias: Bias = "mlp_bias"
    gated: bool = True
    """Multilayer perceptrons have a gate beside up and down."""
    norms: int = 2
    """Norms of a layer."""
    norm_bias: bool = False
    head_bias: Bias = False
    """Of the output layer."""
    query_norm: str | None = None
    """Norms of queries and keys: "head", one of a head's size each, or "all", one over all heads each."""
    query_norm_flag: str | None = None
    """The flag of the configuration that asks for them."""
    latent: bool = False
    """Attention over a compressed key and value (MLA)."""
    indexer: bool = False
    """It chooses the tokens that a token looks at (DeepSeek's sparse attention)."""
    output_gate: bool = False
    """Queries bring a gate of what attention gives."""
    sinks: bool = False
    """A number for each head that attention may go to, and biases wherever experts have weights."""
    experts: bool = False
    shared: str | None = None
    """Experts that every token goes through: the field with their number; "one"; or the field with their size
    ("gated", with a gate)."""
    expert_bias: bool = False
    """A number for each expert that corrects how it is chosen."""
    dense_size: str = "intermediate_size"
    """The field with the size of a layer without experts."""
    expert_beside: bool = False
    """Layers with experts have a multilayer perceptron as well, and norms for both (Gemma 4)."""
    window_pattern: int | None = None
    """Every so manieth layer looks back over everything, where the configuration lists no layers."""
    wide_heads: bool = False
    """Layers that look back over everything, the last one always, have heads of their own shape (Gemma 4)."""
    defaults: Mapping[str, int | bool] = field(default_factory=dict)
    """What configurations leave out."""


_TIED = {"tie_word_embeddings": True}
_LLAMA = Architecture()
_QWEN2 = Architecture(query_bias=True, output_bias=False)
_QWEN3 = Architecture(query_norm="head")
_QWEN3_MOE = Architecture(query_norm="head", experts=True)
_QWEN3_NEXT = Architecture(
    query_norm="head",
    experts=True,
    shared="gated",
    output_gate=True,
    window_pattern=4,
    defaults={
        "head_dim": 256,
        "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 32,
    },
)
_GEMMA3 = Architecture(
    norms=4,
    query_norm="head",
    window_pattern=6,
    defaults={
        **_TIED,
        "vocab_size": 262208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "sliding_window": 4096,
        "max_position_embeddings": 131072,
    },
)
_DEEPSEEK = Architecture(experts=True, latent=True, expert_bias=True, shared="n_shared_experts")
_GLM = Architecture(output_bias=False, defaults={"attention_bias": True})

TYPES: dict[str, Architecture] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "ministral": _LLAMA,
    "ministral3": _LLAMA,
    "mixtral": Architecture(experts=True),
    "phi3": _LLAMA,
    "phimoe": Architecture(experts=True, norm_bias=True, head_bias="lm_head_bias"),
    "phi": Architecture(
        query_bias=True, output_bias=True, mlp_bias=True, gated=False, norms=1, norm_bias=True, head_bias=True
    ),
    "smollm3": Architecture(defaults=_TIED),
    "granite": _LLAMA,
    "granitemoe": Architecture(experts=True),
    "seed_oss": Architecture(output_bias="attention_out_bias", defaults={"attention_bias": True}),
    "starcoder2": Architecture(
        query_bias="use_bias",
        output_bias="use_bias",
        mlp_bias="use_bias",
        gated=False,
        norm_bias=True,
        defaults={"use_bias": True, **_TIED},
    ),
    "nemotron": Architecture(gated=False, norm_bias=True),
    "olmo2": Architecture(query_norm="all"),
    "olmo3": Architecture(query_norm="all", window_pattern=4),
    "olmoe": Architecture(query_norm="all", experts=True),
    "exaone4": Architecture(query_norm="head", window_pattern=4),
    "hunyuan_v1_dense": Architecture(query_norm="head"),
    "ernie4_5": Architecture(
        query_bias="use_bias", output_bias="use_bias", mlp_bias="use_bias", defaults=_TIED
    ),
    "ernie4_5_moe": Architecture(
        query_bias="use_bias",
        output_bias="use_bias",
        mlp_bias="use_bias",
        experts=True,
        expert_bias=True,
        shared="moe_num_shared_experts",
        head_bias="use_bias",
        defaults=_TIED,
    ),
    "cohere": Architecture(norms=1, query_norm="all", query_norm_flag="use_qk_norm", defaults=_TIED),
    "cohere2": Architecture(norms=1, window_pattern=4, defaults=_TIED),
    "gemma": Architecture(defaults={**_TIED, "head_dim": 256}),
    "gemma2": Architecture(
        norms=4, window_pattern=2, defaults={**_TIED, "head_dim": 256, "sliding_window": 4096}
    ),
    "gemma3_text": _GEMMA3,
    "gemma4_text": Architecture(
        norms=4,
        query_norm="head",
        experts=True,
        expert_beside=True,
        wide_heads=True,
        window_pattern=6,
        defaults={
            **_TIED,
            "vocab_size": 262144,
            "vocab_size_per_layer_input": 262144,
            "head_dim": 256,
            "global_head_dim": 512,
            "hidden_size_per_layer_input": 256,
            "sliding_window": 512,
        },
    ),
    "qwen2": _QWEN2,
    "qwen2_moe": Architecture(
        query_bias="qkv_bias", output_bias=False, experts=True, shared="gated", defaults={"qkv_bias": True}
    ),
    "qwen3": _QWEN3,
    "qwen3_moe": _QWEN3_MOE,
    "qwen3_next": _QWEN3_NEXT,
    "qwen3_5_text": Architecture(
        query_norm="head", output_gate=True, window_pattern=4, defaults=_QWEN3_NEXT.defaults
    ),
    "qwen3_5_moe_text": _QWEN3_NEXT,
    "glm": _GLM,
    "glm4": Architecture(output_bias=False, norms=4, defaults={"attention_bias": True}),
    "glm4_moe": Architecture(
        output_bias=False,
        query_norm="head",
        query_norm_flag="use_qk_norm",
        experts=True,
        expert_bias=True,
        shared="n_shared_experts",
    ),
    "deepseek_v2": Architecture(experts=True, latent=True, shared="n_shared_experts"),
    "deepseek_v3": _DEEPSEEK,
    "kimi_k2": _DEEPSEEK,
    "glm4_moe_lite": _DEEPSEEK,
    "deepseek_v32": Architecture(
        experts=True, latent=True, indexer=True, expert_bias=True, shared="n_shared_experts"
    ),
    "glm_moe_dsa": Architecture(
        experts=True, latent=True, indexer=True, expert_bias=True, shared="n_shared_experts"
    ),
    "minimax_m2": Architecture(query_norm="all", experts=True, expert_bias=True),
    "gpt_oss": Architecture(
        experts=True, sinks=True, window_pattern=2, defaults={"attention_bias": True, "sliding_window": 128}
    ),
    "llama4_text": Architecture(
        experts=True, shared="one", dense_size="intermediate_size_mlp", window_pattern=4
    ),
}
"""By the `model_type` that configurations name."""

CLASSES: dict[str, str] = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "MinistralForCausalLM": "ministral",
    "Ministral3ForCausalLM": "ministral3",
    "MixtralForCausalLM": "mixtral",
    "Phi3ForCausalLM": "phi3",
    "PhiMoEForCausalLM": "phimoe",
    "PhimoeForCausalLM": "phimoe",
    "PhiForCausalLM": "phi",
    "SmolLM3ForCausalLM": "smollm3",
    "GraniteForCausalLM": "granite",
    "GraniteMoeForCausalLM": "granitemoe",
    "SeedOssForCausalLM": "seed_oss",
    "Starcoder2ForCausalLM": "starcoder2",
    "NemotronForCausalLM": "nemotron",
    "Olmo2ForCausalLM": "olmo2",
    "Olmo3ForCausalLM": "olmo3",
    "OlmoeForCausalLM": "olmoe",
    "Exaone4ForCausalLM": "exaone4",
    "HunYuanDenseV1ForCausalLM": "hunyuan_v1_dense",
    "Ernie4_5ForCausalLM": "ernie4_5",
    "Ernie4_5_MoeForCausalLM": "ernie4_5_moe",
    "CohereForCausalLM": "cohere",
    "Cohere2ForCausalLM": "cohere2",
    "GemmaForCausalLM": "gemma",
    "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3_text",
    "Gemma3ForConditionalGeneration": "gemma3_text",
    "Gemma4ForCausalLM": "gemma4_text",
    "Gemma4ForConditionalGeneration": "gemma4_text",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen2VLForConditionalGeneration": "qwen2",
    "Qwen2_5_VLForConditionalGeneration": "qwen2",
    "Qwen2MoeForCausalLM": "qwen2_moe",
    "Qwen3ForCausalLM": "qwen3",
    "Qwen3VLForConditionalGeneration": "qwen3",
    "Qwen3MoeForCausalLM": "qwen3_moe",
    "Qwen3VLMoeForConditionalGeneration": "qwen3_moe",
    "Qwen3NextForCausalLM": "qwen3_next",
    "Qwen3_5ForCausalLM": "qwen3_5_text",
    "Qwen3_5ForConditionalGeneration": "qwen3_5_text",
    "Qwen3_5MoeForCausalLM": "qwen3_5_moe_text",
    "Qwen3_5MoeForConditionalGeneration": "qwen3_5_moe_text",
    "GlmForCausalLM": "glm",
    "Glm4ForCausalLM": "glm4",
    "Glm4MoeForCausalLM": "glm4_moe",
    "Glm4MoeLiteForCausalLM": "glm4_moe_lite",
    "GlmMoeDsaForCausalLM": "glm_moe_dsa",
    "DeepseekV2ForCausalLM": "deepseek_v2",
    "DeepseekV3ForCausalLM": "deepseek_v3",
    "DeepseekV32ForCausalLM": "deepseek_v32",
    "MiniMaxM2ForCausalLM": "minimax_m2",
    "GptOssForCausalLM": "gpt_oss",
    "Llama4ForCausalLM": "llama4_text",
    "Llama4ForConditionalGeneration": "llama4_text",
}
"""Families by the classes that configurations name. Of a model that sees or hears as well, and whose class
isn't here, the `model_type` of its part for text tells."""
