"""CSV or JSON Lines with the columns of `benchmarks/data/serving_measured.jsonl.gz`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator

from engine.base.errors import DocumentError, Place, near
from engine.bulk.calibration.measurement import DEGREES, Fields, Measurement, MeasurementReader, Text
from engine.bulk.calibration.readers.common import holds, json_results

COLUMNS = {
    "id": "anything; not read",
    "model": "model: a name that `--model` takes",
    "catalog_name": "the same, if `model` is another name of it",
    "accelerator": "product: a name of catalog products",
    "precision": "storage type of the weights: bf16, fp8 …",
    "server": "vllm, sglang, trtllm …",
    "server_version": "not read",
    "measured": "date; not read",
    "tensor_parallel": "TP degree",
    "pipeline_parallel": "PP degree",
    "data_parallel": "DP degree",
    "expert_parallel": "EP degree",
    "input_tokens": "mean prompt length, in tokens",
    "output_tokens": "mean output length, in tokens",
    "length_factor": "mean length over the nominal one, if the lengths above are nominal; default 1",
    "concurrency": "requests in flight",
    "time_to_first_token_ms": "mean TTFT, in ms",
    "time_per_output_token_ms": "mean TPOT, in ms",
    "output_tokens_per_sec": "output tokens per second of all requests",
}
"""Columns and their meaning; only lengths, concurrency and one of the last three are needed in every row."""
_RATES = ("time_to_first_token_ms", "time_per_output_token_ms", "output_tokens_per_sec")


def takes(text: Text) -> bool:
    """Test for a header, or keys, with this format's names."""
    header = text.text.lstrip("\ufeff \n").split("\n", 1)[0]
    names = {name.strip().strip('"') for name in header.split(",")}
    return "input_tokens" in names or bool(names & set(_RATES)) or holds(text, "input_tokens", "concurrency")


def read(text: Text) -> Iterator[Measurement]:
    """Yield the rows.

    Raises:
        DocumentError: an unknown column, a value of the wrong type, a row without a rate.
    """
    for fields in json_results(text) if holds(text, "concurrency") else _rows(text):
        factor = fields.number("length_factor") or 1.0
        rates = [fields.number(name) for name in _RATES]
        if not any(rates):
            hint = f"fill one of {', '.join(_RATES)}"
            raise DocumentError("the row has neither a time nor a rate", place=fields.place(""), hint=hint)
        yield Measurement(
            fields.place(""),
            READER.name,
            model=fields.words("catalog_name") or fields.words("model"),
            accelerator=fields.words("accelerator"),
            quantization=fields.words("precision"),
            server=fields.words("server"),
            version=fields.words("server_version"),
            degrees=fields.degrees(dict(zip(DEGREES, DEGREES, strict=True))),
            input_tokens=fields.needed("input_tokens") * factor,
            output_tokens=fields.needed("output_tokens") * factor,
            concurrency=fields.needed("concurrency"),
            ttft_ms=rates[0],
            tpot_ms=rates[1],
            tokens_per_sec=rates[2],
        )


def _rows(text: Text) -> Iterator[Fields]:
    reader = csv.reader(io.StringIO(text.text), strict=True)
    names: list[str] = []
    try:
        for cells in reader:
            number = reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if not names:
                names = [cell.strip() for cell in cells]
                _check_header(text, names, number)
                continue
            if len(cells) != len(names):
                message = f"expected {len(names)} cells, found {len(cells)}"
                raise DocumentError(message, place=text.place(number), hint="the line may be cut off")
            yield Fields(dict(zip(names, cells, strict=True)), _placing(text, names, cells, number))
    except csv.Error as error:
        raise DocumentError(f"not valid CSV: {error}", place=text.place(reader.line_num)) from None


def _placing(text: Text, names: list[str], cells: list[str], number: int) -> Callable[[str], Place]:
    def place(name: str) -> Place:
        before = cells[: names.index(name)] if name else []
        return text.place(number, sum(len(cell) + 1 for cell in before) + 1)

    return place


def _check_header(text: Text, names: list[str], number: int) -> None:
    for position, name in enumerate(names):
        place = text.place(number, sum(len(other) + 1 for other in names[:position]) + 1)
        if name not in COLUMNS:
            raise DocumentError(f"unknown column '{name}'", place=place, hint=near(name, COLUMNS))
        if name in names[:position]:
            raise DocumentError(f"column '{name}' is there twice", place=place)
    for name in ("input_tokens", "output_tokens", "concurrency"):
        if name not in names:
            raise DocumentError(f"no column '{name}'", place=text.place(number), hint=COLUMNS[name])
    if not set(names) & set(_RATES):
        hint = f"add one of {', '.join(_RATES)}"
        raise DocumentError("no column with a time or a rate", place=text.place(number), hint=hint)


READER = MeasurementReader(
    name="CSV",
    takes=takes,
    read=read,
    hint="write one row per result, with the columns of docs/calibration.md",
    example="""\
model,accelerator,precision,server,tensor_parallel,input_tokens,output_tokens,concurrency,time_to_first_token_ms,time_per_output_token_ms,output_tokens_per_sec
llama-3.1-8b,H100-SXM,bf16,vllm,1,1024,1024,16,72.4,7.91,2004.6
""",
)
