"""Encoders for images, video and audio, by rows of the catalog `towers`."""

from __future__ import annotations

from engine.base.aliases import Row
from engine.base.errors import Path
from engine.base.jsontypes import Json, JsonObject
from engine.model.architectures import Catalogs
from engine.model.counting import Piece, Shapes, evaluate_formula, field_value
from engine.model.fields import Fields


def tower_pieces(
    row: Row, section: tuple[JsonObject, JsonObject, Path] | None, catalogs: Catalogs, shapes: Shapes
) -> list[Piece]:
    """Return the pieces of an encoder.

    Args:
        row: of the catalog `towers`.
        section: the encoder's section, the configuration around it, and its path; None if there is none.
        catalogs: loads a catalog by its name.
        shapes: of the text model.

    Raises:
        RequestError: a field is missing or absurd; with its path.
    """
    if section is None and not row["required"]:
        return []
    value, outer, path = section or ({}, {}, ())
    known = catalogs("architecture_defaults").rows.get(row["defaults_of"] or "")
    defaults: dict[str, Json] = {}
    names: dict[str, str] = {}
    if known is not None:
        defaults = {**dict.fromkeys(known["nulls"]), **known["numbers"], **known["flags"]}
        names = dict(known["names"])
    defaults |= {**row["number_defaults"], **row["flag_defaults"]}
    names |= row["names"]
    merged: dict[str, Json] = dict(value)
    for name in row["outer"]:
        if name in outer:
            merged[name] = outer[name]
    for flag, condition in row["word_flags"].items():
        name, _, start = condition.partition("=")
        if isinstance(word := value.get(name), str):
            merged[flag] = word.startswith(start)
    for name, field in [*merged.items()]:
        if isinstance(field, list):  # the sides of a square, else a list whose length formulas need
            merged[name] = field[0] if name.endswith("_size") and field else len(field)
            merged[f"{name}_count"] = len(field)
    fields = Fields(merged, defaults, path, names)

    def find(name: str) -> int:
        return shapes.hidden if name == "text" else field_value(fields, name)

    def number(text: str) -> int:
        return evaluate_formula(text, find, row["lets"], fields)

    module = row["modules"][0]
    total = number(row["count"]) * number(row["layer"]) + number(row["once"])
    return [Piece(row["part"], module, total)]
