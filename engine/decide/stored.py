"""The quantization of a request whose model is a checkpoint: it says itself how its weights are stored."""

from __future__ import annotations

from typing import Any

from engine.base.errors import RequestError
from engine.base.records import replace
from engine.model import Model, Storage

_CHOSEN = "auto"


def requantized(model: Model, name: object) -> Model:
    """Return a model that is known by its name, without its storage if the request asks for another one.

    `kimi-k2` was published in FP8, and others have published it in INT4: the plan is for weights of the type
    that the request names.
    """
    storage = model.storage
    if not model.named or storage is None or not storage.quantized or not isinstance(name, str):
        return model
    asked = _row(name)
    if name == _CHOSEN or asked is None or asked in storage.names:
        return model
    note = f"{model.name} was published in {' and '.join(storage.names)}; planning {asked} as if published"
    return replace(
        model,
        storage=None,
        quantization=None,
        quantization_group=None,
        quantization_method=None,
        dense_bits=None,
        expert_bits=None,
        embedding_bits=None,
        head_bits=None,
        tower_bits=None,
        mtp_bits=None,
        notes=(*model.notes, note),
    )


def stored_quantization(model: Model | None, name: Any) -> Any:
    """Return the quantization of a request: the checkpoint's own, if the request leaves it out.

    Args:
        model: the request's model.
        name: the quantization that the request names; None if it names none.

    Raises:
        RequestError: the checkpoint contradicts it, or is quantized by a method whose bits are unknown.
    """
    storage = None if model is None else model.storage
    if model is None or storage is None or not (name is None or isinstance(name, str)):
        return name
    if name in (None, _CHOSEN) and not storage.known:
        raise RequestError(
            f"quantization: the bits of the checkpoint's weights are unknown: {storage.method}",
            path=("quantization",),
            hint="name the type that they are stored as, such as --quantization fp8",
        )
    if name is None:
        return storage.name if storage.quantized or model.dtype is not None else None
    if name != _CHOSEN and storage.quantized:
        _check(storage, name)
    return name


def _check(storage: Storage, name: str) -> None:
    """Check that some of the checkpoint's weights have a type."""
    asked = _row(name)
    if asked is None or asked in storage.names:
        return
    held = " and ".join(storage.names) or "another type"
    raise RequestError(
        f"quantization: the checkpoint is stored as {held} ({storage.method}), not {name}",
        path=("quantization",),
        hint=f"leave --quantization out, or name another checkpoint for {name}",
    )


def _row(name: str) -> str | None:
    """Return the row of catalog `quantization` that a name means."""
    from engine.model.architectures import shipped_catalog  # deferred: start-up time
    from engine.model.configuration import TYPES  # deferred: start-up time

    return shipped_catalog(TYPES).exact(name)


def check_context(model: Model | None, serving: object) -> None:
    """Check that requests are no longer than the model's context.

    Raises:
        RequestError: they are, and a server would reject them.
    """
    asked = serving.get("context") if isinstance(serving, dict) else None
    longest = None if model is None else model.context
    if longest is not None and isinstance(asked, int) and not isinstance(asked, bool) and asked > longest:
        raise RequestError(
            f"context: {asked:,} tokens are more than the model's context of {longest:,}",
            path=("serving", "context"),
            hint="lower it, or give a config.json whose rope_scaling (YaRN) allows more",
        )
