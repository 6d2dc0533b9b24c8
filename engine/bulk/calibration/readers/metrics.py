"""Scrapes of `/metrics` of vLLM and SGLang, in Prometheus' text format.

A scrape has means since the start of the server, and the load at its moment: take it under steady load.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from engine.base.errors import DocumentError
from engine.bulk.calibration.measurement import Measurement, MeasurementReader, Text

_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+-?\d+)?\s*$")
_MODEL = re.compile(r'\bmodel_name="([^"]+)"')
_SERVERS = ("vllm", "sglang")
_FIRST = "time_to_first_token_seconds"
_BETWEEN = (
    "inter_token_latency_seconds",
    "time_per_output_token_seconds",
    "request_time_per_output_token_seconds",
)
"""Histograms of TPOT; names changed between versions."""
_RUNNING = ("num_requests_running", "num_running_reqs")
_WAITING = ("num_requests_waiting", "num_queue_reqs")


def takes(text: Text) -> bool:
    """Test for samples of a known server."""
    return re.search(r"^(vllm|sglang):\w+[{ ]", text.text, re.MULTILINE) is not None


def read(text: Text) -> Iterator[Measurement]:
    """Yield the means of the scrape.

    Raises:
        DocumentError: a line is no sample, or the server has answered nothing yet.
    """
    values: dict[str, float] = {}
    lines: dict[str, int] = {}
    models: set[str] = set()
    for number, line in enumerate(text.text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        sample = _SAMPLE.match(line)
        try:
            value = math.nan if sample is None else float(sample["value"])
        except ValueError:
            sample = None
        if sample is None:
            raise DocumentError(
                "expected a sample: name{labels} value",
                place=text.place(number),
                hint="the scrape may be cut off",
            )
        server, colon, name = sample["name"].partition(":")
        if colon and server in _SERVERS and not name.endswith("_bucket"):
            values[name] = values.get(name, 0.0) + value
            lines.setdefault(name, number)
            models |= set(_MODEL.findall(sample["labels"] or ""))
    if len(models) > 1:
        raise DocumentError(
            f"{text.name}: several models: {', '.join(sorted(models))}", hint="keep one model's lines"
        )
    requests = values.get(f"{_FIRST}_count", 0.0)
    if requests == 0:
        place = text.place(lines.get(f"{_FIRST}_count", 1))
        raise DocumentError(f"{_FIRST}: no request was answered", place=place, hint="scrape under load")
    server = "vllm" if re.search(r"^vllm:", text.text, re.MULTILINE) else "sglang"
    load = sum(values.get(name, 0.0) for name in (*_RUNNING, *_WAITING))
    notes = [f"{text.name}: concurrency {load:g} is that at the moment of the scrape"] if load else []
    yield Measurement(
        text.place(lines[f"{_FIRST}_count"]),
        READER.name,
        model=models.pop() if models else None,
        server=server,
        input_tokens=_ratio(values, "request_prompt_tokens_sum", "request_prompt_tokens_count")
        or _ratio(values, "prompt_tokens_total", f"{_FIRST}_count"),
        output_tokens=_ratio(values, "request_generation_tokens_sum", "request_generation_tokens_count")
        or _ratio(values, "generation_tokens_total", f"{_FIRST}_count"),
        concurrency=load or None,
        ttft_ms=_milliseconds(values, _FIRST),
        tpot_ms=next((mean for name in _BETWEEN if (mean := _milliseconds(values, name)) is not None), None),
        notes=tuple(notes),
    )


def _ratio(values: dict[str, float], above: str, below: str) -> float | None:
    """Return a mean; None if it is unknown, or nothing was counted."""
    count, total = values.get(below, 0.0), values.get(above, 0.0)
    return total / count if count > 0 and 0 < total < math.inf else None


def _milliseconds(values: dict[str, float], name: str) -> float | None:
    mean = _ratio(values, f"{name}_sum", f"{name}_count")
    return None if mean is None else mean * 1000


READER = MeasurementReader(
    name="/metrics",
    takes=takes,
    read=read,
    hint="curl -s http://localhost:8000/metrics > metrics.txt, under load",
    example="""\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 16.0
vllm:num_requests_waiting{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 0.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_sum{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 11.392
vllm:time_to_first_token_seconds_count{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 160.0
vllm:inter_token_latency_seconds_sum{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 1270.2
vllm:inter_token_latency_seconds_count{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 163680.0
vllm:request_prompt_tokens_sum{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 163840.0
vllm:request_prompt_tokens_count{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 160.0
vllm:request_generation_tokens_sum{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 163840.0
vllm:request_generation_tokens_count{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 160.0
""",
)
