"""Start-up logs of vLLM: the plan that ran, and the memory of weights, KV cache and CUDA graphs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.base.errors import DocumentError
from engine.bulk.calibration.measurement import DEGREES, Measurement, MeasurementReader, Text

_ENGINE = re.compile(r"Initializing a V\d LLM engine \(v(?P<version>[^)]+)\) with config: (?P<config>.*)")
_WEIGHTS = re.compile(r"Model loading took (?P<gib>[\d.]+) Gi?B")
_CACHE = re.compile(r"GPU KV cache size: (?P<tokens>[\d,]+) tokens")
_GRAPHS = re.compile(r"Graph capturing finished in \d+ secs?, took (?P<gib>[\d.]+) Gi?B")
_SIZES = {degree: re.compile(rf"\b{degree}_size=(\d+)") for degree in DEGREES[:3]}
_MODEL = re.compile(r"\bmodel='([^']+)'")
_DTYPE = re.compile(r"\bdtype=torch\.(\w+)")
_QUANTIZATION = re.compile(r"\bquantization=([\w-]+)")
_TYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
"""Names in catalog `quantization` of torch's types."""
_DIRECT = ("fp8", "mxfp4")
"""Quantization methods that name the type of the weights; others (awq, compressed-tensors …) hold several."""


def takes(text: Text) -> bool:
    """Test for lines of a start."""
    return any(pattern.search(text.text) for pattern in (_ENGINE, _CACHE, _WEIGHTS))


def read(text: Text) -> Iterator[Measurement]:
    """Yield what the log says, one measurement.

    Raises:
        DocumentError: the log ends before the KV cache was allocated, or holds several starts that differ.
    """
    config = _ENGINE.search(text.text)
    cache, weights, graphs = (pattern.search(text.text) for pattern in (_CACHE, _WEIGHTS, _GRAPHS))
    if cache is None:
        line = text.text.count("\n") + 1
        raise DocumentError(
            "no line 'GPU KV cache size: N tokens'",
            place=text.place(line if text.text.split("\n")[-1] else line - 1),
            hint="the log may be cut off, or the start may have failed",
        )
    starts = {match["config"] for match in _ENGINE.finditer(text.text)}
    if len({tuple(_found(pattern, each) for pattern in _SIZES.values()) for each in starts}) > 1:
        raise DocumentError(
            f"{text.name}: starts with different degrees", hint="keep the one that was measured"
        )
    settings = "" if config is None else config["config"]
    sizes = {degree: int(size) for degree, pattern in _SIZES.items() if (size := _found(pattern, settings))}
    method, dtype = _found(_QUANTIZATION, settings), _found(_DTYPE, settings)
    yield Measurement(
        text.place(text.text.count("\n", 0, (config or cache).start()) + 1),
        READER.name,
        model=_found(_MODEL, settings),
        quantization=method
        if method in _DIRECT
        else _TYPES.get(dtype or "")
        if method in (None, "None")
        else None,
        server="vllm",
        version=None if config is None else config["version"],
        degrees=dict.fromkeys(DEGREES, 1) | sizes if sizes else None,
        kv_tokens=int(cache["tokens"].replace(",", "")),
        weights_gib=None if weights is None else float(weights["gib"]),
        graphs_gib=None if graphs is None else float(graphs["gib"]),
    )


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return None if match is None else match[1]


READER = MeasurementReader(
    name="vLLM log",
    takes=takes,
    read=read,
    hint="vllm serve … 2>&1 | tee server.log",
    example="""\
INFO 03-01 12:00:05 [core.py:77] Initializing a V1 LLM engine (v0.11.0) with config: \
model='meta-llama/Llama-3.1-8B-Instruct', speculative_config=None, dtype=torch.bfloat16, max_seq_len=131072, \
tensor_parallel_size=1, pipeline_parallel_size=1, data_parallel_size=1, quantization=None, kv_cache_dtype=auto
INFO 03-01 12:00:31 [gpu_model_runner.py:2653] Model loading took 14.9889 GiB and 5.12 seconds
INFO 03-01 12:00:52 [kv_cache_utils.py:1087] GPU KV cache size: 433,856 tokens
INFO 03-01 12:01:09 [gpu_model_runner.py:3480] Graph capturing finished in 12 secs, took 0.62 GiB
""",
)
