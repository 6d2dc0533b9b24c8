"""The wheel alone: everything inside, working from any folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import TOP

pytestmark = [pytest.mark.usefixtures("first_version"), pytest.mark.slow]

EVAL = ("eval", "--inventory", "-", "--params", "8B", "--quantization", "auto", "--format", "json")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's contents, unpacked where nothing else of this project is."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            folder,
            TOP,
        ],
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_policies_and_schemas_are_inside(unpacked: Path) -> None:
    for part in ("policies", "schemas"):
        inside = unpacked / "engine" / "_data" / part
        expected = {path.relative_to(TOP / part) for path in (TOP / part).rglob("*") if path.is_file()}
        assert {path.relative_to(inside) for path in inside.rglob("*") if path.is_file()} == expected
    assert (unpacked / "engine" / "py.typed").is_file()
    assert not list(unpacked.glob("tests")) + list(unpacked.glob("benchmarks"))


def test_it_works_from_any_folder(unpacked: Path, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "engine.cli.main", *EVAL],
        input="devices: [{kind: CudaGpu, memory: 80GiB}]",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked), "PYTHONSAFEPATH": "1"},
        check=True,
    )
    assert json.loads(ran.stdout)["match"] == "single-device"
    assert ran.stderr == ""


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    line = {"inventory": {"devices": []}, "model": {"params": 1}, "quantization": "int8"}
    file.write_text((json.dumps(line) + "\n") * 3000)
    with subprocess.Popen(
        [sys.executable, "-m", "engine.cli.main", "batch", file],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=TOP,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141
