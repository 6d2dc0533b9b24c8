"""Exports of aiperf (`profile_export_aiperf.json`) and of genai-perf (`profile_export_genai_perf.json`)."""

from __future__ import annotations

from collections.abc import Iterator

from engine.bulk.calibration.measurement import Fields, Measurement, MeasurementReader, Text
from engine.bulk.calibration.readers.common import holds, inside, json_results

_TIMES = {"ms": 1.0, "s": 1000.0, "sec": 1000.0, "us": 0.001, "ns": 0.000001}
"""Milliseconds per unit."""
_MODELS = (("endpoint", "model_names"), ("model_names",), ("model",), ("models", "items"))
_CONCURRENCIES = (
    ("loadgen", "concurrency"),
    ("perf_analyzer", "stimulus", "concurrency"),
    ("stimulus", "concurrency"),
    ("concurrency",),
)
"""Where versions of the tools keep them, below `input_config`."""


def takes(text: Text) -> bool:
    """Test for metrics under this tool's names."""
    return holds(text, "output_sequence_length", "request_throughput", "avg")


def read(text: Text) -> Iterator[Measurement]:
    """Yield the run.

    Raises:
        DocumentError: a metric has an unknown unit, or lacks its average.
    """
    for result in json_results(text):
        fields = inside(result, "records") or result
        config = result.values.get("input_config")
        concurrency = _first(config, _CONCURRENCIES)
        model = _first(config, _MODELS)
        while isinstance(model, list):
            model = model[0] if model else None
        if isinstance(model, dict):
            model = model.get("name")
        yield Measurement(
            result.place(""),
            READER.name,
            model=model if isinstance(model, str) else None,
            input_tokens=_mean(fields, "input_sequence_length"),
            output_tokens=_mean(fields, "output_sequence_length"),
            concurrency=float(concurrency) if isinstance(concurrency, int) and concurrency > 0 else None,
            ttft_ms=_mean(fields, "time_to_first_token", timed=True),
            tpot_ms=_mean(fields, "inter_token_latency", timed=True),
            tokens_per_sec=_mean(fields, "output_token_throughput"),
        )


def _mean(fields: Fields, name: str, *, timed: bool = False) -> float | None:
    metric = inside(fields, name)
    if metric is None:
        return None
    value = metric.needed("avg", "the export is incomplete")
    if not timed:
        return value
    unit = metric.words("unit") or "ms"
    if unit not in _TIMES:
        raise metric.fault("unit", f"expected one of {', '.join(_TIMES)}, found '{unit}'")
    return value * _TIMES[unit]


def _first(config: object, paths: tuple[tuple[str, ...], ...]) -> object:
    """Return the first of several paths that leads to a value."""
    for path in paths:
        value = config
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


READER = MeasurementReader(
    name="aiperf, genai-perf",
    takes=takes,
    read=read,
    hint="aiperf profile --streaming --concurrency 16 …; read profile_export_aiperf.json",
    example="""\
{"request_throughput": {"unit": "requests/sec", "avg": 1.998},
 "request_latency": {"unit": "ms", "avg": 8009.7, "p50": 8001.2},
 "time_to_first_token": {"unit": "ms", "avg": 71.2, "p50": 70.0},
 "inter_token_latency": {"unit": "ms", "avg": 7.76, "p50": 7.75},
 "output_token_throughput": {"unit": "tokens/sec", "avg": 2045.4},
 "output_sequence_length": {"unit": "tokens", "avg": 1024.0},
 "input_sequence_length": {"unit": "tokens", "avg": 1024.0},
 "input_config": {"endpoint": {"model_names": ["meta-llama/Llama-3.1-8B-Instruct"]},
                  "loadgen": {"concurrency": 16}}}
""",
)
