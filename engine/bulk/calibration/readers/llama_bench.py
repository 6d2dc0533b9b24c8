"""Output of `llama-bench`: `-o json`, `-o jsonl`, or its Markdown table.

It measures the model, not a server: `tg128` is one request's decoding (TPOT), `pp512` one prompt (TTFT
without HTTP and tokenizer). Tests that mix both (`pp512+tg128`) are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from engine.base.errors import DocumentError, Place
from engine.base.records import replace
from engine.bulk.calibration.measurement import DEGREES, Fields, Measurement, MeasurementReader, Text
from engine.bulk.calibration.readers.common import holds, json_results

_TEST = re.compile(r"(?P<kind>pp|tg)\s?(?P<tokens>\d+)(?:\s*@\s*d(?P<depth>\d+))?\Z")
_RATE = re.compile(r"(?P<mean>\d+(?:\.\d+)?)\s*(?:±\s*\d+(?:\.\d+)?)?\Z")
_HEADER = re.compile(r"^\|\s*model\s*\|.*\|\s*test\s*\|\s*t/s\s*\|\s*$", re.MULTILINE)


def takes(text: Text) -> bool:
    """Test for the table's header, or for keys that only this benchmark writes."""
    return _HEADER.search(text.text) is not None or holds(text, "n_prompt", "n_gen", "avg_ts")


def read(text: Text) -> Iterator[Measurement]:
    """Yield the tests.

    Raises:
        DocumentError: a row is cut off, or its rate is no number.
    """
    if _HEADER.search(text.text) is None:
        for fields in json_results(text):
            prompt, output = fields.number("n_prompt", zero=True), fields.number("n_gen", zero=True)
            if prompt is None or output is None:
                depth = fields.number("n_depth", zero=True)
                model = fields.words("model_filename")
                test = _test(fields.place(""), model, prompt, output, depth, fields.needed("avg_ts"))
                yield replace(test, **_machine(fields))
        return
    yield from _table(text)


def _machine(fields: Fields) -> dict[str, Any]:
    """Return the product and the degrees: a split by layer is a pipeline, one by row is tensor parallel."""
    devices = [name.strip() for name in (fields.words("gpu_info") or "").split(",") if name.strip()]
    if not devices:
        return {}
    mode = fields.words("split_mode")
    degree = {"layer": "pipeline_parallel", "row": "tensor_parallel", "tensor": "tensor_parallel"}.get(
        mode or ""
    )
    degrees = dict.fromkeys(DEGREES, 1) | ({} if degree is None else {degree: len(devices)})
    return {"accelerator": devices[0], "degrees": degrees}


def _table(text: Text) -> Iterator[Measurement]:
    names: Sequence[str] = ()
    for number, line in enumerate(text.text.split("\n"), 1):
        if not line.lstrip().startswith("|"):
            names = ()
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if _HEADER.match(line.strip()):
            names = cells
        elif names and not set(line) <= set("|-: "):
            if len(cells) != len(names):
                message = f"expected {len(names)} cells, found {len(cells)}"
                raise DocumentError(message, place=text.place(number), hint="the table may be cut off")
            row = dict(zip(names, cells, strict=True))
            rate = _RATE.match(row["t/s"])
            if rate is None:
                raise DocumentError(f"t/s: expected a rate, found '{row['t/s']}'", place=text.place(number))
            test = _TEST.match(row["test"])
            if test is not None:
                tokens, depth = float(test["tokens"]), float(test["depth"] or 0) or None
                prompt, output = (tokens, None) if test["kind"] == "pp" else (None, tokens)
                fields = Fields({"t/s": rate["mean"]}, lambda _, at=number: text.place(at))  # type: ignore[misc]
                yield _test(text.place(number), None, prompt, output, depth, fields.needed("t/s"))


def _test(
    place: Place,
    model: str | None,
    prompt: float | None,
    output: float | None,
    depth: float | None,
    rate: float,
) -> Measurement:
    """Return a test of one prompt, or of one request's output after `depth` tokens of context."""
    decodes = output is not None
    return Measurement(
        place,
        READER.name,
        model=model,
        server="llama.cpp",
        input_tokens=(depth or 1.0) if decodes else prompt,
        output_tokens=output if decodes else 1.0,
        concurrency=1.0,
        ttft_ms=None if decodes or prompt is None or depth is not None else prompt / rate * 1000,
        tpot_ms=1000 / rate if decodes else None,
    )


READER = MeasurementReader(
    name="llama-bench",
    takes=takes,
    read=read,
    hint="llama-bench -m model.gguf -p 512,4096 -n 128 -o json",
    example="""\
| model         |     size | params | backend | ngl |  test |              t/s |
| ------------- | -------: | -----: | ------- | --: | ----: | ---------------: |
| llama 8B Q4_0 | 4.33 GiB | 8.03 B | CUDA    |  99 | pp512 | 11800.50 ± 45.10 |
| llama 8B Q4_0 | 4.33 GiB | 8.03 B | CUDA    |  99 | tg128 |    185.20 ± 0.40 |
""",
)
