"""Build a request from words, files and objects, and trace errors in it back to a line of a file.

The command line and `engine.decide` both end here: `--inventory 8xH100-SXM` and `inventory="8xH100-SXM"`
are the same source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, cast

from engine.base.errors import (
    EngineError,
    MissingInputError,
    Path,
    Problem,
    RequestError,
)
from engine.base.quantities import parse_bytes
from engine.base.records import field, record, replace
from engine.decide.request import Request
from engine.decide.speculation import speculation_fields
from engine.decide.stored import check_context, requantized, stored_quantization
from engine.documents import Document, Limits, read_document
from engine.inventory import Inventory, read_inventory
from engine.inventory.source import read_source, with_memory
from engine.model import Model, read_model, read_params

if TYPE_CHECKING:
    from engine.base.jsontypes import Json
    from engine.catalogs.resolved import Catalogs

_DEGREES = {
    "tp": "tensor_parallel",
    "pp": "pipeline_parallel",
    "dp": "data_parallel",
    "ep": "expert_parallel",
}


@record
class Sources:
    """The parts of a request: a string is a path, "-" (standard input) or a name; anything else is the value.

    `serving` and `pin` are merged into what a file says; every other part replaces it.
    """

    inventory: str | Inventory | Mapping[str, object] | None = None
    model: str | Model | Mapping[str, object] | None = None
    params: str | int | None = None
    quantization: str | None = None
    request: str | Request | Mapping[str, object] | None = None
    input: str | Mapping[str, object] | None = None
    memory: str | int | None = None
    serving: Mapping[str, object] = field(default_factory=dict)
    pin: Mapping[str, int] = field(default_factory=dict)

    def conflict(self) -> tuple[str, str] | None:
        """Return the names of two parts that exclude each other."""
        if _is_set(self.request) and _is_set(self.input):
            return "request", "input"
        if _is_set(self.model) and _is_set(self.params):
            return "model", "params"
        return None

    def reads_standard_input_twice(self) -> bool:
        """Return True if more than one part is "-"."""
        return [self.inventory, self.model, self.request, self.input].count("-") > 1


@record(frozen=False)
class LocatedRequest:
    """A request, and the documents that its inputs were read from."""

    request: Request = field(default_factory=Request)
    documents: dict[str, Document] = field(default_factory=dict)
    hint: Callable[[str], str] | None = None
    """Returns how to supply a missing input."""

    @contextmanager
    def located(self) -> Iterator[None]:
        """Add file positions to errors about this request, and hints to missing inputs."""
        try:
            yield
        except MissingInputError as error:
            hint = error.hint if self.hint is None else self.hint(error.input)
            raise MissingInputError(error.message, error.input, hint=hint) from None
        except EngineError as error:
            error.problems = tuple(self._located(problem) for problem in error.problems)
            raise

    def set(self, name: str, value: object, document: Document | None = None) -> None:
        """Replace one input, and the document that it comes from."""
        self.request = self.request.with_inputs(**{name: value})
        self.documents.pop(name, None)
        if document is not None:
            self.documents[name] = document

    def merge(self, name: str, values: Mapping[str, object]) -> None:
        """Add fields to an input that is a mapping, or replace them."""
        if values:
            present = self.request.inputs.get(name)
            merged = {**(present if isinstance(present, dict) else {}), **values}
            self.request = self.request.with_inputs(**{name: merged})

    def _located(self, problem: Problem) -> Problem:
        if problem.place is not None or not problem.path:
            return problem
        document = self.documents.get(str(problem.path[0]))
        if document is None:
            return problem
        return problem.at(document.place(self.request.document_path(problem.path), key=problem.at_key))


def read_sources(
    sources: Sources,
    catalogs: Catalogs,
    *,
    note: Callable[[str], None] = lambda text: None,
    hint: Callable[[str], str] | None = None,
) -> LocatedRequest:
    """Read the request that `sources` describe.

    Args:
        sources: the parts, without conflicts.
        catalogs: the catalogs of the policy that decides (`Policy.catalogs`).
        note: called with each remark on how a source was understood.
        hint: returns how to supply a missing input.

    Raises:
        EngineError: a file can't be read, or its content is invalid; with its place.
    """
    sources = _without_empty(sources)
    result = LocatedRequest(hint=hint)
    if sources.request is not None:
        _add_request(result, sources.request)
    if sources.input is not None:
        _add_inputs(result, sources.input)
    if isinstance(sources.inventory, str):
        source = read_source(sources.inventory, catalogs.hardware)
        for text in source.notes:
            note(text)
        result.set("inventory", source.inventory, source.document)
    elif sources.inventory is not None:
        value = sources.inventory
        inventory = value if isinstance(value, Inventory) else read_inventory(_json(value), ("inventory",))
        result.set("inventory", inventory)
    inventory_read = result.request.inventory
    if inventory_read is not None:
        size = None if sources.memory is None else memory_bytes(sources.memory)
        result.request = result.request.with_inputs(inventory=with_memory(inventory_read, size))
    if isinstance(sources.model, str):
        result.set("model", *find_model(sources.model, catalogs))
    elif sources.model is not None:
        model = sources.model
        if not isinstance(model, Model):
            model = read_model(_json(model), ("model",), architectures=partial(catalogs, "architectures"))
        result.set("model", model)
    if sources.params is not None:
        result.set("model", Model(_params(sources.params)))
    if sources.quantization is not None:
        result.set("quantization", sources.quantization)
    result.merge("serving", sources.serving)
    _resolve_goals(result, catalogs)
    result.merge("pin", sources.pin)
    read = result.request.model
    if read is not None:
        read = requantized(read, result.request.inputs.get("quantization"))
        result.request = result.request.with_inputs(model=read)
    with result.located():
        stored = stored_quantization(read, result.request.inputs.get("quantization"))
        check_context(read, result.request.inputs.get("serving"))
    if stored is not None:
        result.request = result.request.with_inputs(quantization=stored)
    for text in () if read is None else read.notes:
        note(text)
    return result


def _resolve_goals(result: LocatedRequest, catalogs: Catalogs) -> None:
    """Replace the server `vllm@0.33` by its name and its version, and aliases by names; size a draft model.

    Raises:
        RequestError: the server, its version, a type, a method or a draft model is unknown.
    """
    serving = result.request.inputs.get("serving")
    goals = serving if isinstance(serving, dict) else {}
    server, kv_type = goals.get("server"), goals.get("kv_dtype")
    with result.located():
        result.merge("serving", speculation_fields(goals, catalogs))
    if not isinstance(server, str) and not isinstance(kv_type, str):
        return
    from engine.catalogs import find_kv_type, find_server  # deferred: start-up time

    with result.located():
        if isinstance(server, str):
            name, version = find_server(server, catalogs)
            named = {"server": name} if version is None else {"server": name, "server_version": version}
            result.merge("serving", named)
        if isinstance(kv_type, str):
            result.merge("serving", {"kv_dtype": find_kv_type(kv_type, catalogs)})


def find_model(source: str, catalogs: Catalogs) -> tuple[Model, Document | None]:
    """Find a model: a file, a folder with a config.json or weights, or the name of a well-known model.

    Args:
        source: the path, "-" or the name.
        catalogs: the catalogs in which a name is looked up.

    Returns:
        The model, and the document that it was read from.

    Raises:
        EngineError: there is no such file or model, or its content is invalid.
    """
    from engine.model.source import find_model as find  # deferred: start-up time

    return find(source, catalogs)


def parse_pin(text: str) -> dict[str, int]:
    """Parse parallel degrees: `tp=8,pp=2`, or with full names (`tensor_parallel=8`).

    Raises:
        ValueError: anything else.
    """
    from engine.base.quantities import whole  # deferred: start-up time

    pinned: dict[str, int] = {}
    for part in text.split(",") if text else ():
        name, _, value = part.strip().partition("=")
        degree = _DEGREES.get(name, name)
        if degree not in _DEGREES.values() or not whole(value):
            raise ValueError(f"expected degrees such as tp=8,pp=2, found '{part}'")
        pinned[degree] = int(value)
    return pinned


def _is_set(source: object) -> bool:
    """Return False for None and for an empty argument, which means the same."""
    return source is not None and source != ""


def _without_empty(sources: Sources) -> Sources:
    """Return the same sources with None for empty arguments."""
    names = ("inventory", "model", "params", "quantization", "request", "input", "memory")
    return replace(sources, **{name: None for name in names if not _is_set(getattr(sources, name))})


def _add_request(result: LocatedRequest, source: str | Request | Mapping[str, object]) -> None:
    if isinstance(source, Request):
        result.request = source
    elif isinstance(source, str):
        _add_document(result, source, Request.from_dict)
    else:
        result.request = Request.from_dict(source)


def _add_inputs(result: LocatedRequest, source: str | Mapping[str, object]) -> None:
    if isinstance(source, str):
        _add_document(result, source, Request.from_inputs)
    else:
        result.request = Request.from_inputs(source)


def _add_document(result: LocatedRequest, source: str, read: Callable[[object], Request]) -> None:
    document = read_document(source, Limits(keys=True))
    with _in(document):
        result.request = read(document.value)
    result.documents |= dict.fromkeys(result.request.inputs, document)


@contextmanager
def _in(document: Document) -> Iterator[None]:
    try:
        yield
    except RequestError as error:
        raise error.located(document) from None


def _json(value: Mapping[str, object]) -> Json:
    """Return a mapping as the readers take it; they validate what it holds."""
    return cast("Json", dict(value))


def memory_bytes(size: str | int, what: str = "memory") -> int:
    """Return the bytes of a size as people write it: `80GiB`.

    Raises:
        RequestError: it is no size.
    """
    try:
        return parse_bytes(str(size))
    except ValueError as error:
        raise RequestError(f"{what}: {error}") from None


def _params(count: str | int) -> int:
    path: Path = ()
    try:
        return read_params(count, path)
    except RequestError as error:
        raise RequestError(f"params: {error.message}", hint=error.hint) from None
