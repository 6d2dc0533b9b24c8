"""Decide many requests: batches of JSON Lines and Parquet, resumable output, Ray clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.base.lazy import face

if TYPE_CHECKING:
    from engine.bulk.batch import CHUNK, BatchJob, LoadedJob, Written, chunks
    from engine.bulk.output import open_output
    from engine.bulk.ray_cluster import decide_files
    from engine.bulk.resume import identify, identify_file

__all__ = [
    "CHUNK",
    "BatchJob",
    "LoadedJob",
    "Written",
    "chunks",
    "decide_files",
    "identify",
    "identify_file",
    "open_output",
]

if not TYPE_CHECKING:  # type checkers would take every name for exported
    __getattr__, __dir__ = face(
        __name__,
        {
            "batch": "BatchJob CHUNK LoadedJob Written chunks",
            "output": "open_output",
            "ray_cluster": "decide_files",
            "resume": "identify identify_file",
        },
        "calibration streams",
    )
