"""Small files that expand to large ones: refused, or read in bounded memory."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from engine.bulk.streams.parquet_rows import MEMORY
from tests.conftest import TOP

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc"),
    pytest.mark.slow,
]

GOOD = {
    "id": "a",
    "inventory": {"devices": [{"kind": "CudaGpu", "memory": "80GiB"}]},
    "model": {"params": "8B"},
    "quantization": "bf16",
}

_RUN = """
import resource, sys
from engine.cli.main import main
code = main(sys.argv[1:])
# What getrusage says of this process counts that which started it, too.
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def batch(*arguments: str | Path, stdin: Any = None) -> tuple[int, str, list[str], list[int]]:
    """The exit code, standard output, errors, and MiB of this process and of the largest of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", _RUN, "batch", *map(str, arguments)],
        stdin=stdin,
        capture_output=True,
        text=True,
        cwd=TOP,
        timeout=120,
    )
    *errors, used = ran.stderr.splitlines()
    return ran.returncode, ran.stdout, errors, [int(each) // 1024 for each in used.split()]


def zstd_zeros(size: int, letter: bytes = b" ") -> bytes:
    """A frame that unpacks to so many times a letter, in four bytes for each 128 KiB."""
    block = 128 * 1024
    count = size // block
    blocks = [struct.pack("<I", (block << 3) | (1 << 1) | last)[:3] + letter for last in (0, 1)]
    return b"\x28\xb5\x2f\xfd\x00\x58" + blocks[0] * (count - 1) + blocks[1]


def test_the_bomb_is_one() -> None:
    assert zstandard.ZstdDecompressor().decompressobj().decompress(zstd_zeros(2**20)) == b" " * 2**20


@pytest.mark.parametrize("letter", [b"x", b" ", b"\n"])
def test_zstd(letter: bytes, tmp_path: Path) -> None:
    file = tmp_path / "bomb.jsonl.zst"
    file.write_bytes(zstd_zeros(4 * 2**30, letter))
    assert file.stat().st_size < 140_000
    code, out, errors, (used, _) = batch(file)
    assert (code, out) == (2, "")
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {file}: ")
    assert used < 400


def test_zstd_of_short_lines_ends(tmp_path: Path) -> None:
    """Nothing is wrong with a line of it but their number."""
    line = b"{" + b" " * 2**20 + b"}\n"
    packed = zstandard.ZstdCompressor(level=3).compress(line * 64)
    file = tmp_path / "bomb.jsonl.zst"
    file.write_bytes(packed * 24)
    code, _, errors, (used, _) = batch(file, "-o", tmp_path / "out.jsonl")
    assert code == 2
    assert "expands to more than 1,032 times its size" in errors[0]
    assert used < 600


def test_a_window_that_is_too_large(tmp_path: Path) -> None:
    packer = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    )
    file = tmp_path / "bomb.jsonl.zst"
    with file.open("wb") as raw, packer.stream_writer(raw) as writer:
        writer.write(json.dumps(GOOD).encode() + b"\n")
        writer.flush(zstandard.FLUSH_BLOCK)
        writer.write(json.dumps(GOOD).encode() + b"\n")
    code, _, errors, (used, _) = batch(file)
    assert code == 2
    assert "memory" in errors[0]
    assert used < 400


def test_gzip(tmp_path: Path) -> None:
    file = tmp_path / "bomb.jsonl.gz"
    with gzip.open(file, "wb", compresslevel=9) as target:
        for _ in range(300):
            target.write(b"x" * 2**20)
    code, _, errors, (used, _) = batch(file)
    assert code == 2
    assert errors == [f"error: {file}: line 1 is longer than 256 MiB"]
    assert used < 400


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_line_without_an_end_on_standard_input(jobs: str) -> None:
    with open("/dev/zero", "rb") as zeros:
        code, out, errors, (used, _) = batch("-", "--jobs", jobs, stdin=zeros)
    assert (code, out) == (2, "")
    assert errors == ["error: -: line 1 is longer than 256 MiB"]
    assert used < 400


DICTIONARY = """
text = "x" * (64 * 2**20)
column = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 100_000, pyarrow.int32()), [text])
"""
"""One long text, which a hundred thousand rows refer to."""
LISTS = """
values = pyarrow.nulls(100_000_000, pyarrow.int64()).fill_null(1)
column = pyarrow.ListArray.from_arrays(pyarrow.array([0, 100_000_000], pyarrow.int32()), values)
"""
"""One row with a list of so many numbers, all the same."""


@pytest.mark.parametrize("column", [DICTIONARY, LISTS], ids=["dictionary", "lists"])
def test_parquet_that_unpacks_to_more_than_memory_is_one_error(tmp_path: Path, column: str) -> None:
    file = tmp_path / "bomb.parquet"
    # In a process of its own: Arrow keeps the memory that building the bomb takes.
    script = (
        f"import sys, pyarrow, pyarrow.parquet\n{column}"
        "pyarrow.parquet.write_table(pyarrow.table({'id': column}), sys.argv[1], compression='zstd')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(file)], check=True)
    assert file.stat().st_size < 500_000
    check_parquet(file)


def check_parquet(file: Path) -> None:
    code, out, errors, used = batch(file)
    assert (code, out) == (2, "")
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {file}: invalid or damaged Parquet file: ")
    assert "memory" in errors[0]
    assert used[0] < 400
    assert used[1] < MEMORY // 2**20 + 400


def test_parquet_rows_without_values(tmp_path: Path) -> None:
    file = tmp_path / "bomb.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": pyarrow.nulls(30_000, pyarrow.string())}), file)
    code, out, _, (used, _) = batch(file)
    assert code == 1
    assert out.count("\n") == 30_000
    assert used < 400


def test_parquet_that_makes_no_sense(tmp_path: Path) -> None:
    """Bytes of the table of contents changed: an answer or an error of one line, always."""
    file = tmp_path / "odd.parquet"
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist([{**GOOD, "inventory": json.dumps(GOOD["inventory"])}]), file
    )
    content = file.read_bytes()
    footer = int.from_bytes(content[-8:-4], "little")
    for position in range(len(content) - 8 - footer, len(content) - 4, max(1, footer // 8)):
        odd = bytearray(content)
        odd[position] ^= 0xFF
        file.write_bytes(odd)
        code, _, errors, _ = batch(file)
        assert code in (0, 1, 2), errors
        assert len(errors) <= 1, errors
