"""Result files of `python -m sglang.bench_serving`: one JSON object per line and run."""

from __future__ import annotations

from collections.abc import Iterator

from engine.bulk.calibration.measurement import Fields, Measurement, MeasurementReader, Text
from engine.bulk.calibration.readers.common import holds, inside, json_results

_DEGREES = {
    "tensor_parallel": "tp_size",
    "pipeline_parallel": "pp_size",
    "data_parallel": "dp_size",
    "expert_parallel": "ep_size",
}
_SERVERS = {"sglang": "sglang", "vllm": "vllm", "trt": "tensorrt-llm"}


def takes(text: Text) -> bool:
    """Test for keys that only this benchmark writes."""
    return holds(text, "mean_e2e_latency_ms", "total_output_tokens_retokenized")


def read(text: Text) -> Iterator[Measurement]:
    """Yield the runs.

    Raises:
        DocumentError: a line is cut off, or no request of a run was completed.
    """
    for fields in json_results(text):
        completed = fields.needed("completed", "a run without completed requests measures nothing")
        accepted = fields.number("accept_length")
        if accepted is not None and accepted > 1.0:
            raise fields.fault(
                "accept_length",
                f"the run used speculative decoding ({accepted:g} tokens per step)",
                "calibrate with runs without it: the constants would absorb its gain",
            )
        server = inside(fields, "server_info") or Fields({}, fields.place)
        backend = (fields.words("backend") or "").partition("-")[0]
        yield Measurement(
            fields.place(""),
            READER.name,
            model=server.words("model_path") or fields.words("model_id"),
            quantization=server.words("quantization"),
            server=_SERVERS.get(backend),
            version=server.words("version"),
            degrees=_degrees(server),
            input_tokens=fields.needed("total_input_tokens") / completed,
            output_tokens=fields.needed("total_output_tokens") / completed,
            concurrency=fields.number("concurrency") or fields.number("max_concurrency"),
            ttft_ms=fields.number("mean_ttft_ms", zero=True),
            tpot_ms=fields.number("mean_tpot_ms", zero=True),
            tokens_per_sec=fields.needed("output_throughput"),
        )


def _degrees(server: Fields) -> dict[str, int] | None:
    """Return the degrees of a server; with DP attention, `tp_size` counts the ranks of all replicas."""
    found = server.degrees(_DEGREES)
    if found is None:
        return None
    degrees = dict(found)
    if server.values.get("enable_dp_attention") is True:
        degrees["tensor_parallel"] = max(1, degrees["tensor_parallel"] // degrees["data_parallel"])
    return degrees


READER = MeasurementReader(
    name="sglang.bench_serving",
    takes=takes,
    read=read,
    hint="python -m sglang.bench_serving --backend sglang --max-concurrency 16 --output-file results.jsonl",
    example="""\
{"backend": "sglang", "dataset_name": "random", "request_rate": Infinity, "max_concurrency": 16, \
"random_input_len": 1024, "random_output_len": 1024, "duration": 80.1, "completed": 160, \
"total_input_tokens": 163840, "total_output_tokens": 163840, "total_output_tokens_retokenized": 163712, \
"request_throughput": 1.998, "output_throughput": 2045.4, "mean_e2e_latency_ms": 8009.7, \
"mean_ttft_ms": 71.2, "mean_tpot_ms": 7.76, "mean_itl_ms": 7.76, "concurrency": 15.97, "accept_length": null}
""",
)
