"""Name of a well-known model, as catalog `models` lists it, or its name on Hugging Face's hub."""

from __future__ import annotations

from engine.model.model import Model
from engine.model.reader import Catalogs, ModelNameReader


def read(name: str, catalogs: Catalogs) -> Model | None:
    """Return the model; None if the catalog does not list it.

    Raises:
        RequestError: the name fits models of several sizes.
    """
    from engine.model.well_known import find_model  # deferred: start-up time

    return find_model(catalogs, name)


READER = ModelNameReader(
    name="well-known models",
    read=read,
    hint="use a config.json, or set the parameter count with --params 70B",
    example="meta-llama/Meta-Llama-3.1-70B",
)
