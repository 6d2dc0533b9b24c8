"""Well-known models by name: rows of the catalog `models`, read as configurations.

A name is taken apart from its end: words about storage (`-AWQ`, `:q4_K_M`) and tuning (`-Instruct`), as the
catalog
`quantization_suffixes` lists them; what is left must be a name or an alias of the catalog.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from engine.base.aliases import Names, Row
from engine.base.errors import RequestError, near, quote
from engine.base.jsontypes import Json, JsonObject
from engine.base.records import replace
from engine.model.architectures import Catalogs
from engine.model.configuration import TYPES, read_config
from engine.model.model import Model, Storage
from engine.model.storage import bits_of

_SEPARATORS = re.compile(r"[^a-z0-9.]+")
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")
_LAST_SIZE = re.compile(r"[-:_ ]?\d+(?:\.\d+)?b$|:.*$", re.IGNORECASE)
"""The size at the end of a short name, or the tag of Ollama."""
_SIZE = re.compile(r"-?\d+(?:\.\d+)?[bm](?![a-z])|-?\d+x\d+b|-?[ea]\d+b")
_MOST_LAYERS = 10_000
_MOST_LISTED = 8
_ALIKE = 0.7
"""Likeness of a name to one that it may be a typo of."""


def find_model(catalogs: Catalogs, name: str) -> Model | None:
    """Return the model of a name: `llama-3.1-70b`, `Qwen/Qwen3-32B-AWQ`, `llama3.1:70b-instruct-q4_K_M`.

    Args:
        catalogs: loads a catalog by its name.
        name: its name, that of its repository on Hugging Face's hub, or a tag of Ollama.

    Returns:
        The model; None if the name is unknown.

    Raises:
        RequestError: the name fits models of several sizes.
    """
    if name.removeprefix("hf.co/").count("/") > 1:
        return None
    known = catalogs("models")
    plain = {
        _plain(alias): entry for alias, entry in (*known.aliases.items(), *((key, key) for key in known.rows))
    }
    for stem, suffix in _stems(name, catalogs):
        entry = known.exact(stem) or _entry(plain, stem) or _with_owner(known, stem)
        if entry is not None:
            return _model(catalogs, entry, name, stem, suffix)
    _ask(plain, name, catalogs)
    return None


def nearest_model(catalogs: Catalogs, name: str) -> str | None:
    """Return a hint with the models that differ from a name in letters only; numbers mean another model."""
    name = name.rpartition("/")[2].casefold()
    numbers = sorted(_NUMBERS.findall(name))
    alike = [entry for entry in catalogs("models").rows if sorted(_NUMBERS.findall(entry)) == numbers]
    return near(name, alike, cutoff=_ALIKE, listing=False) if numbers and alike else None


def _plain(name: str) -> str:
    """Return a name without owner, case and separators; dots between digits stay."""
    words = _SEPARATORS.sub("-", name.rpartition("/")[2].casefold()).strip("-.")
    return re.sub(r"(?<!\d)\.|\.(?!\d)", "", words).replace("-", "")


def _entry(plain: Mapping[str, str], stem: str) -> str | None:
    return plain.get(_plain(stem))


def _with_owner(known: Names, stem: str) -> str | None:
    """Return the entry of a name that repositories of GGUF files write as `owner_name`."""
    owner, found, rest = stem.rpartition("/")[2].partition("_")
    wanted = f"{owner}/{rest}".casefold()
    return next((of for alias, of in known.aliases.items() if found and alias.casefold() == wanted), None)


def _stems(name: str, catalogs: Catalogs) -> list[tuple[str, str | None]]:
    """Return what a name may be without words at its end, with the word about its storage."""
    suffixes = _suffixes(catalogs)
    rows = catalogs("quantization_suffixes").rows
    found: list[tuple[str, str | None]] = [(name, None)]
    stem, stored = name, None
    for _ in range(4):
        words = _SEPARATORS.sub("-", stem.casefold())
        endings = [word for word in suffixes if words.endswith((f"-{word}", f".{word}"))]
        if not endings:
            break
        word = max(endings, key=len)
        # Separators are one character in a name and in its plain form, unless several follow each other.
        match = re.search(rf"[^A-Za-z0-9]+{_pattern(word)}$", stem, re.IGNORECASE)
        if match is None:
            break
        stem = stem[: match.start()]
        if not suffixes[word] and (stored is None or rows.get(stored, {}).get("container")):
            stored = word
        found.append((stem, stored))
    return found


def _pattern(word: str) -> str:
    return "[^A-Za-z0-9]+".join(map(re.escape, re.split(r"[-_.]", word)))


def _suffixes(catalogs: Catalogs) -> dict[str, bool]:
    """Return words at the end of names, with whether they are about tuning."""
    rows = catalogs("quantization_suffixes").rows
    types = {
        name.replace("_", "-"): False for name, row in catalogs(TYPES).rows.items() if row["server"] != "any"
    }
    return {**types, **{word: bool(row["tune"]) for word, row in rows.items()}}


def _ask(plain: Mapping[str, str], name: str, catalogs: Catalogs) -> None:
    """Raise an error if a name is that of a family with several sizes."""
    for stem, _ in _stems(name, catalogs):
        start = _plain(stem)
        if len(start) < 3 or _SIZE.search(stem.casefold()):
            continue
        sizes = [entry for entry in dict.fromkeys(plain.values()) if _is_sized(_plain(entry), start)]
        if len(sizes) > 1:
            listed = ", ".join(sizes[:_MOST_LISTED]) + (", …" if len(sizes) > _MOST_LISTED else "")
            raise RequestError(f"{quote(name)} is a family of several models", hint=f"name one: {listed}")


def _is_sized(entry: str, start: str) -> bool:
    rest = entry.removeprefix(start)
    return entry.startswith(start) and re.match(r"\d+(?:\.\d+)?[bm]|\d+x|[ea]\d", rest) is not None


# --- rows ---------------------------------------------------------------------------------------------------


def _model(catalogs: Catalogs, entry: str, name: str, stem: str, suffix: str | None) -> Model:
    """Return the model of a row, stored as a suffix says."""
    row = catalogs("models").rows[entry]
    value = configuration(row)
    gguf = _gguf_type(catalogs, suffix)
    if suffix is not None:
        value.pop("quantization_config", None)
        if gguf is None:
            stored = catalogs("quantization_suffixes").rows[suffix]
            with_experts = any(name.endswith("experts") for name in row["numbers"])
            section = _section(stored, stored["ignore_with_experts"] if with_experts else ())
            if section is not None:
                value["quantization_config"] = section
    model = replace(
        read_config(value, catalogs, entry), source=_source(catalogs, row, entry, name, stem, suffix)
    )
    note = catalogs("quantization_suffixes").rows[suffix]["note"] if suffix and gguf is None else None
    if note is not None:
        model = replace(model, notes=(*model.notes, note))
    if gguf is not None:
        model = _as_gguf(model, gguf, catalogs(TYPES).rows[gguf])
    return replace(model, named=suffix is None)


def configuration(row: Row) -> JsonObject:
    """Return the `config.json` that a row of the catalog stands for."""
    layers = row["numbers"].get("num_hidden_layers", 0)
    text: JsonObject = {**row["numbers"], **row["flags"], **row["texts"], **dict.fromkeys(row["nulls"])}
    text |= {name: _listed(words, layers) for name, words in row["lists"].items()}
    value: JsonObject = {"architectures": [row["class"]], "torch_dtype": row["dtype"]}
    if row["model_type"] is not None:
        value["model_type"] = row["model_type"]
    if row["vision"] or row["audio"]:
        value["text_config"] = text
        value |= {name: flag for name, flag in row["flags"].items() if name.startswith("tie")}
        if row["vision"]:
            value["vision_config"] = {**row["vision"], **row["vision_flags"], **row["vision_texts"]}
        if row["audio"]:
            value["audio_config"] = dict(row["audio"])
    else:
        value |= text
    section = _section(row)
    if section is not None:
        value["quantization_config"] = section
    return value


def _listed(words: str, layers: int) -> list[Json]:
    """Return the list that words stand for: `full_attention sliding_attention*5`."""
    values: list[Json] = []
    for word in words.split():
        value, _, count = word.partition("*")
        times = int(count) if count.isdecimal() else 1
        if len(values) + times > _MOST_LAYERS:
            break
        values += [int(value) if value.lstrip("-").isdecimal() else value] * times
    return values


def _section(row: Row, besides: Iterable[str] = ()) -> JsonObject | None:
    """Return the `quantization_config` that columns of a row stand for."""
    method, bits, group, block = row["method"], row["bits"], row["group"], row["block"]
    if method is None:
        return None
    section: JsonObject = {"quant_method": method}
    ignore: list[Json] = [*row["ignore"], *besides]
    kind = row.get("kind", "int")
    if method == "compressed-tensors":
        weights: JsonObject = {"num_bits": bits, "type": kind, "group_size": group, "symmetric": True}
        if block is not None:
            weights["block_structure"] = [block, block]
        section["config_groups"] = {"group_0": {"targets": ["Linear"], "weights": weights}}
        section["ignore"] = ignore or ["lm_head", "re:.*vis.*", "re:.*mlp.gate$"]
    elif method == "modelopt":
        section |= {"quant_algo": "NVFP4", "group_size": group, "ignore": ignore or ["lm_head"]}
    elif method == "bitsandbytes":
        section[f"load_in_{bits}bit"] = True
    else:
        section |= {name: part for name, part in (("bits", bits), ("group_size", group)) if part is not None}
        if block is not None:
            section["weight_block_size"] = [block, block]
        if ignore:
            section["modules_to_not_convert"] = ignore
    return section


def _gguf_type(catalogs: Catalogs, suffix: str | None) -> str | None:
    """Return the row of catalog `quantization` of a type of GGUF."""
    rows = catalogs(TYPES).rows
    return next(
        (
            name
            for name in rows
            if suffix is not None and name.replace("_", "-") == suffix and rows[name]["server"] != "any"
        ),
        None,
    )


def _as_gguf(model: Model, name: str, row: Row) -> Model:
    """Return a model whose weights all have the average bits of a type of GGUF."""
    assert model.storage is not None
    assert model.parameters is not None
    bits = float(row["bits_per_param"])
    counts = {
        part: 8 * size / model.storage.bits[part]
        for part, size in model.storage.bytes.items()
        if model.storage.bits.get(part)
    }
    storage = Storage(
        name=name,
        method="gguf",
        bits=dict.fromkeys(counts, bits),
        bytes={part: round(count * bits / 8) for part, count in counts.items()},
        names=(name,),
        quantized=True,
    )
    tied = bool(model.tied_embeddings)
    return replace(
        model,
        storage=storage,
        quantization=name,
        quantization_group=None,
        **bits_of(storage, model.parameters, tied=tied),
    )


def _source(catalogs: Catalogs, row: Row, entry: str, name: str, stem: str, suffix: str | None) -> str | None:
    """Return the name on the hub: the one that was asked for, if it has an owner; else the alias that it
    means; None for other storage than that of these repositories.
    """
    if suffix is not None:
        return name if "/" in name and ":" not in name else None
    known: Names = catalogs("models")
    hub = str(row["hub"])
    plain = _plain(stem)
    if plain == _plain(entry):
        return hub
    repositories = [alias for alias, of in known.aliases.items() if of == entry and "/" in alias]
    exact = [alias for alias in repositories if _plain(alias) == plain]
    if exact and ":" not in name:
        return exact[0]
    # A row holds siblings, such as qwen2.5-7b and qwen2.5-coder-7b: the short name of one is not the other's.
    start = _plain(_LAST_SIZE.sub("", stem))
    siblings = [alias for alias in (hub, *repositories) if _plain(alias).startswith(start)]
    tuned = [alias for alias in siblings if "instruct" in alias.casefold()]
    return next(iter((siblings[:1] if hub in siblings else tuned) or siblings), hub)
