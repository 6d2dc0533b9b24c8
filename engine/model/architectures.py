"""Decoder architectures: rows of catalog `architectures`, as counting reads them.

A row holds what a configuration leaves out. Readers receive the catalog as a value, because the room `model`
is below `catalogs`; without one they read the shipped catalog.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from engine.base.aliases import Names, Row
from engine.base.records import field, record
from engine.documents import read_document
from engine.documents.files import read_text
from engine.documents.resources import shipped
from engine.documents.rows import Rows, plain_rows

Bias = str | bool
"""Bias of a projection: always, never, or the flag of the configuration that decides."""

Architectures = Callable[[], Names]
"""Loads the catalog `architectures`, when a configuration is read."""

Catalogs = Callable[[str], Names]
"""Loads a catalog by its name."""

_FIXED = {"always": True, "never": False}


@record
class Block:
    """A kind of mixer: one row of the catalog `blocks`."""

    matrices: Mapping[str, str]
    """Formulas of the parameters of each projection."""
    vectors: str | None
    """Formula of the parameters that are no projections."""
    lets: Mapping[str, str]
    """Formulas of names that the others use."""
    token_numbers: str | None
    """Formula of the cached numbers per token."""
    window: str | None
    state_bytes: str | None
    convolution_bytes: str | None
    index_bytes: str | None
    split: str
    split_heads: str | None
    also_numbers: str | None
    also_window: str | None
    kind: str

    @classmethod
    def of(cls, row: Row) -> Block:
        """Return the block in a row of the catalog."""
        return cls(**{name: row[name] for name in cls.__record__})  # type: ignore[attr-defined]


@record
class Architecture:
    """One row, with the columns that counting reads; the catalog describes them."""

    query_bias: Bias
    output_bias: Bias
    mlp_bias: Bias
    head_bias: Bias
    gated: bool
    norms: int
    norm_bias: bool
    query_norm: bool
    query_norm_all_heads: bool
    query_norm_flag: str | None
    latent: bool
    indexer: bool
    indexer_bytes: str | None
    shared_keys: bool
    causal: bool
    pooler: str | None
    classifier: str
    context: str | None
    scaled_context: bool
    kind_lists: Mapping[str, str]
    list_base: int
    flatten: Mapping[str, str]
    output_gate: bool
    sinks: bool
    experts: bool
    shared_experts: str | None
    shared_expert: bool
    gated_shared_expert: bool
    fp8_group: int
    expert_bias: bool
    dense_size: str
    dense_beside_experts: bool
    window_pattern: int | None
    wide_heads: bool
    number_defaults: Mapping[str, int]
    flag_defaults: Mapping[str, bool]
    names: Mapping[str, str]
    kinds_field: str | None
    kinds: Mapping[str, str]
    mixers: Mapping[str, str]
    other_kind: str | None
    full_period: str | None
    full_offset: str | None
    alone: bool
    chunked: bool
    window_flag: str | None
    window_prefix: str | None
    value_heads: bool
    multi_query: str | None
    head_gate: str | None
    word_projection: bool
    embedding_extra: str | None
    layer_extra: str | None
    final_extra: str | None
    final_norm: bool
    norm_scale: int
    head: bool
    dense_formula: str | None
    shared_formula: str | None
    expert_latent: str | None
    speculative: str | None
    speculative_copies: bool
    mtp: str | None
    experts_optional: bool
    least_experts: int
    word_flags: Mapping[str, str]
    gate_flag: str | None
    latent_flag: str | None
    masked: str | None
    hash_layers: str | None
    encoder: str | None
    defaults_of: str | None
    family: str
    note: str | None
    blocks: Mapping[str, Block] = field(default_factory=dict)
    """Blocks of the kinds of layers in `mixers`."""

    @property
    def defaults(self) -> dict[str, int | bool]:
        """Return the defaults of fields that a configuration leaves out."""
        return {**self.number_defaults, **self.flag_defaults}

    @classmethod
    def of(cls, row: Row, blocks: Mapping[str, Row] | None = None) -> Architecture:
        """Return the architecture in a row of the catalog.

        Args:
            row: the row.
            blocks: rows of the catalog `blocks`.
        """
        names: Mapping[str, object] = cls.__record__  # type: ignore[attr-defined]
        columns: dict[str, Any] = {name: row[name] for name in names if name != "blocks"}
        for name in ("query_bias", "output_bias", "mlp_bias", "head_bias"):
            columns[name] = _FIXED.get(row[name], row[name])
        rows = blocks or {}
        columns["blocks"] = {
            kind: Block.of(rows[name]) for kind, name in row["mixers"].items() if name in rows
        }
        return cls(**columns)


def find_entry(known: Names, *names: object) -> str | None:
    """Return the first entry that one of the names means: classes of a configuration, or its
    `model_type`s.
    """
    for name in names:
        if isinstance(name, str):
            entry = known.aliases.get(name, name)
            if entry in known.rows:
                return entry
    return None


def shipped_architectures() -> Names:
    """Return the newest shipped catalog `architectures`."""
    return shipped_catalog("architectures")


@cache
def shipped_catalog(name: str) -> Names:
    """Return the newest shipped catalog of a name, or of a name and a major version: `quantization@3`."""
    name, _, major = name.partition("@")
    folder = os.path.join(shipped("policies"), "catalog", name)
    versions = [
        file.removesuffix(".yaml")
        for file in os.listdir(folder)
        if file.endswith(".yaml") and file.startswith(major)
    ]
    newest = max(versions, key=lambda version: [int(part) for part in version.split(".")])
    path = os.path.join(folder, f"{newest}.yaml")
    return Names(*(plain_rows(read_text(path), name, newest) or _read_rows(path)))


def _read_rows(path: str) -> tuple[Rows, dict[str, str]]:
    """Return the rows and aliases of a catalog whose file needs the YAML parser."""
    value = read_document(path).value
    blank = {name: column.get("default") for name, column in value["columns"].items()}
    entries = value["entries"].items()
    aliases = {alias: name for name, row in entries for alias in row.get("aliases", ())}
    rows = {name: {column: row.get(column, blank[column]) for column in blank} for name, row in entries}
    return rows, aliases
