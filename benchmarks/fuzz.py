"""Coverage-guided fuzzing of the readers: any bytes give an answer or an error of the engine.

    pip install atheris
    python benchmarks/fuzz.py inventories -max_total_time=600
    python benchmarks/fuzz.py models -max_total_time=600
    python benchmarks/fuzz.py weights -max_total_time=600

Arguments after the target go to libFuzzer. The corpus starts with `tests/data`; an input that raises anything
but an `EngineError` is written to a file, and the exit code is not 0.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris
import yaml

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))

with atheris.instrument_imports(include=["engine"]):
    from engine.base.errors import EngineError
    from engine.catalogs.hardware import load_hardware, load_names
    from engine.documents import parse_document
    from engine.inventory.source import import_texts
    from engine.model import read_model
    from engine.model.source import find_model

DATA = TOP / "tests" / "data"
HARDWARE = load_hardware()


def inventories(data: bytes) -> None:
    """What tools print, in one text."""
    import_texts([("x", data.decode("utf-8", "replace"))], HARDWARE)


def models(data: bytes) -> None:
    """Configurations, and the engine's own form."""
    read_model(parse_document(data.decode("utf-8", "replace"), "x").value)


def weights(data: bytes) -> None:
    """Headers of weights: the first byte says which format."""
    suffix = ".gguf" if data[:1] > b"\x7f" else ".safetensors"
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(data[1:])
        file.flush()
        find_model(file.name, load_names)


def seeds(target: str) -> Iterator[bytes]:
    """Inputs to begin with."""
    if target == "inventories":
        for path in sorted((DATA / "topologies").glob("*.txt")):
            yield path.read_bytes()
        for variant in yaml.safe_load((DATA / "topologies" / "variants.yaml").read_text()):
            yield variant["text"].encode()
    elif target == "models":
        for path in sorted((DATA / "models").glob("*.json")):
            yield path.read_bytes()
    else:
        header = json.dumps({"a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
        yield b"\x00" + len(header).to_bytes(8, "little") + header + bytes(8)
        yield b"\xffGGUF" + (3).to_bytes(4, "little") + bytes(16)


def main() -> None:
    targets: dict[str, Callable[[bytes], None]] = {
        "inventories": inventories,
        "models": models,
        "weights": weights,
    }
    if len(sys.argv) < 2 or sys.argv[1] not in targets:
        sys.exit(f"expected one of {', '.join(targets)}")
    target = targets[sys.argv[1]]

    def test(data: bytes) -> None:
        try:
            target(data)
        except EngineError as error:
            # A message that can't be written is no message.
            str(error)

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds(sys.argv[1])):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], corpus, *sys.argv[2:]], test)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
