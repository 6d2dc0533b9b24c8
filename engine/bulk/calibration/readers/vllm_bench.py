"""Results of `vllm bench serve`: `--save-result` writes one JSON object, `--append-result` one per line."""

from __future__ import annotations

from collections.abc import Iterator

from engine.bulk.calibration.measurement import Measurement, MeasurementReader, Text, mean_concurrency
from engine.bulk.calibration.readers.common import holds, json_results

_DEGREES = {
    "tensor_parallel": "tensor_parallel_size",
    "pipeline_parallel": "pipeline_parallel_size",
    "data_parallel": "data_parallel_size",
}
"""Metadata that people add: `--metadata tensor_parallel_size=8`."""
_SERVERS = {"tensorrt-llm": "tensorrt-llm", "sglang": "sglang", "vllm": "vllm"}


def takes(text: Text) -> bool:
    """Test for keys that only this benchmark writes."""
    return holds(text, "tokenizer_id", "num_prompts", "mean_ttft_ms")


def read(text: Text) -> Iterator[Measurement]:
    """Yield the runs.

    Raises:
        DocumentError: a result is cut off, or no request of it was completed.
    """
    for fields in json_results(text):
        completed = fields.needed("completed", "a run without completed requests measures nothing")
        output = fields.needed("total_output_tokens") / completed
        ttft, tpot = fields.number("mean_ttft_ms", zero=True), fields.number("mean_tpot_ms", zero=True)
        throughput = fields.needed("output_throughput")
        rate = fields.number("request_throughput") or throughput / output
        concurrency = fields.number("max_concurrency")
        notes: list[str] = []
        if concurrency is None and ttft is not None and tpot is not None:
            concurrency = mean_concurrency(rate, ttft, tpot, output)
            notes.append(
                f"{text.name}: no max_concurrency; by Little's law, {concurrency:.1f} requests were in flight"
            )
        backend = fields.words("backend") or fields.words("endpoint_type") or ""
        yield Measurement(
            fields.place(""),
            READER.name,
            model=fields.words("model_id"),
            quantization=fields.words("quantization"),
            accelerator=fields.words("accelerator"),
            server=_SERVERS.get(backend),
            degrees=fields.degrees(_DEGREES),
            input_tokens=fields.needed("total_input_tokens") / completed,
            output_tokens=output,
            concurrency=concurrency,
            ttft_ms=ttft,
            tpot_ms=tpot,
            tokens_per_sec=throughput,
            notes=tuple(notes),
        )


READER = MeasurementReader(
    name="vllm bench serve",
    takes=takes,
    read=read,
    hint="vllm bench serve … --max-concurrency 16 --save-result",
    example="""\
{"date": "20260301-120000", "backend": "vllm", "label": null, "model_id": "meta-llama/Llama-3.1-8B-Instruct",
 "tokenizer_id": "meta-llama/Llama-3.1-8B-Instruct", "num_prompts": 160, "request_rate": "inf",
 "burstiness": 1.0, "max_concurrency": 16,
 "duration": 80.1, "completed": 160, "failed": 0, "total_input_tokens": 163840,
 "total_output_tokens": 163840, "request_throughput": 1.998, "output_throughput": 2045.4,
 "total_token_throughput": 4090.8, "mean_ttft_ms": 71.2, "median_ttft_ms": 70.0, "mean_tpot_ms": 7.76,
 "mean_itl_ms": 7.76}
""",
)
