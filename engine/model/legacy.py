"""A single window that stands for all kinds of layers, for policies that know one window only."""

from __future__ import annotations

from engine.model.cache import KIB_NUMBER_BYTES
from engine.model.counting import Shapes
from engine.model.model import CacheLayers


def average_window(cache: tuple[CacheLayers, ...], shapes: Shapes) -> tuple[int | None, int | None]:
    """Return a window in tokens and the number of layers with it.

    These policies take every layer to cache a key and a value per KV head. A layer with a state of fixed
    size counts as one
    whose window takes as much memory; layers with several windows as layers with their average.

    Args:
        cache: the layers by kind.
        shapes: of the model.
    """
    latent = next((layers.numbers for layers in cache if layers.kind == "latent"), 0)
    full = latent or 2 * shapes.kv_heads * shapes.head_dim
    limited = [layers for layers in cache if layers.window is not None or not layers.numbers]
    count = sum(layers.count for layers in limited)
    if not count:
        return None, None
    size = sum(
        layers.count
        * (
            (layers.window or 0) * layers.numbers * KIB_NUMBER_BYTES
            + layers.state_bytes
            + layers.convolution_bytes
        )
        for layers in limited
    )
    return max(-(-size // (count * full * KIB_NUMBER_BYTES)), 1), min(count, shapes.layers)
