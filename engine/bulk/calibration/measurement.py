"""Measurements of running servers, and the readers that register themselves to read them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping

from engine.base.errors import DocumentError, Place, quote
from engine.base.records import record

DEGREES = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel")


@record
class Measurement:
    """One result of a benchmark, or what a log says about a server; None where the file does not say.

    Attributes:
        place: where it stands in its file.
        reader: the format that it was read in.
        model: name or path of the model.
        accelerator: name of the product.
        quantization: storage type of the weights.
        server: model server.
        version: the server's version.
        degrees: parallel degrees by name (`DEGREES`); empty if the file states none.
        input_tokens: mean prompt length, in tokens.
        output_tokens: mean output length, in tokens.
        concurrency: mean number of requests in flight.
        ttft_ms: mean time to first token, in ms.
        tpot_ms: mean time per output token after the first, in ms.
        tokens_per_sec: output tokens per second of all requests.
        kv_tokens: tokens that the KV cache of a replica holds.
        weights_gib: memory of the weights of a device, in GiB.
        graphs_gib: memory of captured graphs of a device, in GiB.
        notes: assumptions that the reader made.
    """

    place: Place
    reader: str
    model: str | None = None
    accelerator: str | None = None
    quantization: str | None = None
    server: str | None = None
    version: str | None = None
    degrees: Mapping[str, int] | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    concurrency: float | None = None
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    tokens_per_sec: float | None = None
    kv_tokens: int | None = None
    weights_gib: float | None = None
    graphs_gib: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def rated(self) -> bool:
        """Return True if it holds a time or a rate that constants can be fitted to."""
        return any(value is not None for value in (self.ttft_ms, self.tpot_ms, self.tokens_per_sec))


@record
class Text:
    """A file of measurements: its name and what is in it."""

    name: str
    text: str

    def place(self, line: int, column: int = 1) -> Place:
        """Return a place in the file."""
        lines = self.text.split("\n")
        return Place(self.name, line, column, lines[line - 1] if 0 < line <= len(lines) else None)


@record
class MeasurementReader:
    """A reader of one format: a module below `readers/` registers it as `READER`.

    Attributes:
        name: what people call the format.
        takes: tests whether a file is of this format, by a sign that no other format has.
        read: yields the measurements in such a file; raises DocumentError at what is damaged.
        hint: the command that writes such a file.
        example: a file of this format.
    """

    name: str
    takes: Callable[[Text], bool]
    read: Callable[[Text], Iterator[Measurement]]
    hint: str
    example: str


@record
class Fields:
    """The fields of one result, with the means to say where each of them stands.

    Attributes:
        values: fields by name.
        place: returns the place of a field; of the result itself for "".
        prefix: path of the result within its file, for messages: `time_to_first_token.`.
    """

    values: Mapping[str, object]
    place: Callable[[str], Place]
    prefix: str = ""

    def fault(self, name: str, message: str, hint: str | None = None) -> DocumentError:
        """Return an error at a field; at the result if it has no such field."""
        place = self.place(name if name in self.values else "")
        return DocumentError(f"{self.prefix}{name}: {message}", place=place, hint=hint)

    def number(self, name: str, *, zero: bool = False) -> float | None:
        """Return a positive number, written as a number or as text; None if it is absent, null or empty.

        Args:
            name: the field.
            zero: zero counts as absent, which is how some tools write what they did not measure.

        Raises:
            DocumentError: anything else.
        """
        value = self.values.get(name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, str):
            text = value.strip()
            value = float(text) if _NUMBER.fullmatch(text) else value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fault(name, f"expected a number, found {quote(value)}")
        if zero and value == 0:
            return None
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number) or number <= 0:
            raise self.fault(name, f"expected a number above 0, found {quote(value)}")
        return number

    def needed(self, name: str, hint: str | None = None) -> float:
        """Return a positive number that must be there.

        Raises:
            DocumentError: it is absent, or no positive number.
        """
        value = self.number(name)
        if value is None:
            raise self.fault(name, "is missing", hint)
        return value

    def whole(self, name: str) -> int | None:
        """Return a positive whole number; None if it is absent.

        Raises:
            DocumentError: anything else.
        """
        value = self.number(name)
        if value is not None and not value.is_integer():
            raise self.fault(name, f"expected a whole number, found {quote(self.values[name])}")
        return None if value is None else int(value)

    def words(self, name: str) -> str | None:
        """Return a text; None if it is absent or empty.

        Raises:
            DocumentError: anything else.
        """
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.fault(name, f"expected text, found {quote(value)}")
        return value.strip() or None

    def degrees(self, names: Mapping[str, str]) -> Mapping[str, int] | None:
        """Return parallel degrees by name, 1 for those that are absent; None if all are.

        Args:
            names: the field of each degree.
        """
        found = {degree: value for degree, name in names.items() if (value := self.whole(name)) is not None}
        return dict.fromkeys(DEGREES, 1) | found if found else None


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def mean_concurrency(requests_per_sec: float, ttft_ms: float, tpot_ms: float, output_tokens: float) -> float:
    """Return the mean number of requests in flight, by Little's law: rate × time of a request."""
    return max(1.0, requests_per_sec * (ttft_ms + (output_tokens - 1) * tpot_ms) / 1000)
