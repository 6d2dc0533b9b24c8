"""What a model caches per token and per request, by kinds of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from engine.base.records import replace
from engine.model.architectures import Architecture, Block
from engine.model.counting import ATTENTION, CHUNKED, FEED_FORWARD, NONE, SLIDING, Shapes
from engine.model.fields import Fields
from engine.model.model import CacheLayers

KIB_NUMBER_BYTES = 2
"""Bytes of a cached number in bf16."""


def cache_layers(fields: Fields, architecture: Architecture, shapes: Shapes) -> tuple[CacheLayers, ...]:
    """Return the layers of a model, grouped by what they cache; a layer with two mixers is in two groups."""
    if not architecture.causal:
        return ()
    counts: Counter[CacheLayers] = Counter()
    for layer in range(shapes.layers):
        counts.update(_of_layer(fields, architecture, shapes, layer))
    return tuple(replace(layers, count=count) for layers, count in counts.items())


def _of_layer(
    fields: Fields, architecture: Architecture, shapes: Shapes, layer: int
) -> Iterator[CacheLayers]:
    for part in shapes.kinds[layer].split("+"):
        block = architecture.blocks.get(part)
        if block is not None:
            yield from _of_block(shapes, block)
        elif part in (NONE, *FEED_FORWARD):
            yield CacheLayers(NONE, 1)
        elif part in ATTENTION:
            yield _of_attention(fields, architecture, shapes, layer, part)


def _of_attention(
    fields: Fields, architecture: Architecture, shapes: Shapes, layer: int, part: str
) -> CacheLayers:
    if architecture.latent:
        numbers = fields.number("kv_lora_rank") + fields.number("qk_rope_head_dim")
        index = 0
        kinds = fields.listed("indexer_types", shapes.layers) if architecture.indexer else None
        if architecture.indexer and architecture.indexer_bytes and (kinds is None or kinds[layer] == "full"):
            index = shapes.formula(architecture.indexer_bytes)
        return CacheLayers("latent", 1, numbers, index_bytes=index)
    _, kv_heads, key, value = shapes.heads_of(layer)
    positions = fields.number("max_position_embeddings", default=0, least=0)
    if architecture.shared_keys and shapes.shares_keys(layer):
        return CacheLayers("shared", 1)
    if not kv_heads:
        return CacheLayers(NONE, 1)
    kind, window = "full", None
    if part == SLIDING:
        kind, window = "window", fields.number("sliding_window")
        if 0 < positions <= window:
            kind, window = "full", None
    elif part == CHUNKED:
        kind, window = "chunked", fields.number("attention_chunk_size")
    return CacheLayers(kind, 1, kv_heads * (key + value), window, split="kv_heads", heads=kv_heads)


def _of_block(shapes: Shapes, block: Block) -> Iterator[CacheLayers]:
    def value(text: str | None) -> int:
        return shapes.formula(text, block) if text else 0

    heads = shapes.kv_heads if block.split == "kv_heads" else 1
    layers = CacheLayers(
        kind=block.kind,
        count=1,
        numbers=value(block.token_numbers),
        window=value(block.window) or None,
        state_bytes=value(block.state_bytes),
        convolution_bytes=value(block.convolution_bytes),
        index_bytes=value(block.index_bytes),
        split=block.split,
        heads=value(block.split_heads) if block.split_heads else heads,
    )
    if block.also_window:
        yield CacheLayers("window", 1, value(block.also_numbers), value(block.also_window) or None)
    yield layers


def bytes_per_token(cache: tuple[CacheLayers, ...], number_bytes: float = KIB_NUMBER_BYTES) -> int:
    """Return the bytes that one more token takes in the layers that keep all tokens."""
    total = sum(
        layers.count * (layers.numbers * number_bytes + layers.index_bytes)
        for layers in cache
        if layers.window is None and layers.kind != "cross"
    )
    return round(total)


def windows(cache: tuple[CacheLayers, ...]) -> dict[int, int]:
    """Return the bytes per token in bf16 of the layers with a window, by its tokens."""
    sizes: Counter[int] = Counter()
    for layers in cache:
        if layers.window is not None:
            sizes[layers.window] += layers.count * (layers.numbers * KIB_NUMBER_BYTES + layers.index_bytes)
    return dict(sorted(sizes.items()))


def state_bytes(cache: tuple[CacheLayers, ...]) -> int:
    """Return the bytes of recurrent state that a request takes."""
    return sum(layers.count * layers.state_bytes for layers in cache)


def convolution_bytes(cache: tuple[CacheLayers, ...]) -> int:
    """Return the bytes of convolution state that a request takes."""
    return sum(layers.count * layers.convolution_bytes for layers in cache)


def request_bytes(
    cache: tuple[CacheLayers, ...], context: int, number_bytes: float = KIB_NUMBER_BYTES
) -> int:
    """Return the bytes of cache that a request of a context takes."""
    total = 0.0
    for layers in cache:
        tokens = (
            context
            if layers.window is None
            else layers.window
            if layers.kind == "cross"
            else min(context, layers.window)
        )
        per_token = layers.numbers * number_bytes + layers.index_bytes
        total += layers.count * (tokens * per_token + layers.state_bytes + layers.convolution_bytes)
    return round(total)
