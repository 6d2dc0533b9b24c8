"""From arguments to a request, and from a fault in a request back to its line of a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from engine.documents import Document, read_document
from engine.errors import EngineError, MissingInputError, Path, Problem, RequestError
from engine.inventory.source import read_source, with_memory
from engine.model import Model, read_model, read_params
from engine.quantities import parse_bytes
from engine.records import field, record, replace
from engine.request import Request

if TYPE_CHECKING:
    from engine.inventory.products import Hardware

_FLAGS = {
    "inventory": "give the devices with --inventory FILE",
    "model": "give the model with --model FILE, or its size with --params 70B",
    "quantization": "give it with --quantization bf16, or let it be chosen with --quantization auto",
}


@record
class Sources:
    """Where a request's parts come from."""

    inventory: str | None = None
    model: str | None = None
    params: str | None = None
    quantization: str | None = None
    request: str | None = None
    input: str | None = None
    memory: str | None = None
    serving: Mapping[str, Any] = field(default_factory=dict)
    pin: Mapping[str, int] = field(default_factory=dict)

    def contradiction(self) -> str | None:
        """What is wrong with arguments that contradict each other."""
        if self.request and self.input:
            return "--request and --input are two ways to say the same; give one of them"
        if self.model and self.params:
            return "--model and --params are two ways to say the same; give one of them"
        files = (self.inventory, self.model, self.request, self.input)
        return "standard input (-) can be read once only" if sum(f == "-" for f in files) > 1 else None


@record(frozen=False)
class Asked:
    """A request, and the documents that its inputs were read from."""

    request: Request = field(default_factory=Request)
    documents: dict[str, Document] = field(default_factory=dict)

    @contextmanager
    def located(self) -> Iterator[None]:
        """Give errors of this request their places in files, and hints on what to type."""
        try:
            yield
        except MissingInputError as error:
            hint = _FLAGS.get(error.input, f"give it with --input FILE, as {error.input}: …")
            raise RequestError(error.message, hint=hint) from None
        except EngineError as error:
            error.problems = tuple(self._located(problem) for problem in error.problems)
            raise

    def _located(self, problem: Problem) -> Problem:
        if problem.place is not None or not problem.path:
            return problem
        document = self.documents.get(str(problem.path[0]))
        if document is None:
            return problem
        return problem.at(document.place(self.request.document_path(problem.path), key=problem.at_key))


def read_request(sources: Sources, policies: Sequence[str] = ()) -> Asked:
    """The request that the arguments describe; flags win over what a file says.

    `policies` are folders with catalogs of one's own.

    Raises:
        click.UsageError: arguments that contradict each other.
        EngineError: a file that can't be read, or what is wrong with it.
    """

    def hardware() -> Hardware:
        from engine.policy.hardware import load_hardware

        return load_hardware(policies)

    contradiction = sources.contradiction()
    if contradiction is not None:
        import click

        raise click.UsageError(contradiction)
    asked = Asked()
    if sources.request:
        _take_document(asked, sources.request, whole_request=True)
    if sources.input:
        _take_document(asked, sources.input, whole_request=False)
    if sources.inventory:
        found = read_source(sources.inventory, hardware)
        for note in found.notes:
            print(f"note: {note}", file=sys.stderr)
        asked.request = asked.request.with_inputs(inventory=found.inventory)
        asked.documents.pop("inventory", None)
        if found.document is not None:
            asked.documents["inventory"] = found.document
    inventory = asked.request.inventory
    if inventory is not None:
        size = None if sources.memory is None else _memory(sources.memory)
        asked.request = asked.request.with_inputs(inventory=with_memory(inventory, size))
    if sources.model:
        model, document = find_model(sources.model, policies)
        asked.request = asked.request.with_inputs(model=model)
        asked.documents.pop("model", None)
        if document is not None:
            asked.documents["model"] = document
    if sources.params:
        asked.documents.pop("model", None)
        asked.request = asked.request.with_inputs(model=Model(_params(sources.params)))
    if sources.quantization:
        asked.documents.pop("quantization", None)
        asked.request = asked.request.with_inputs(quantization=sources.quantization)
    for name, given in (("serving", sources.serving), ("pin", sources.pin)):
        if given:
            said = asked.request.inputs.get(name)
            merged = {**(said if isinstance(said, dict) else {}), **given}
            asked.request = asked.request.with_inputs(**{name: merged})
    return asked


def _take_document(asked: Asked, source: str, *, whole_request: bool) -> None:
    document = read_document(source)
    with _in(document):
        read = Request.from_dict if whole_request else Request.from_inputs
        asked.request = read(document.value)
    asked.documents |= dict.fromkeys(asked.request.inputs, document)


@contextmanager
def _in(document: Document) -> Iterator[None]:
    try:
        yield
    except RequestError as error:
        raise error.located(document) from None


_FILES = (".json", ".yaml", ".yml", ".safetensors", ".gguf")


def find_model(source: str, policies: Sequence[str]) -> tuple[Model, Document | None]:
    """The model that an argument means: a file, a folder with a config.json, or a well-known model's name.

    Raises:
        EngineError: there is no such file or model, or what is wrong with it.
    """
    # Not needed by most requests, and an import costs a program's start.
    from engine.model.tensors import is_weights, read_weights, weights_in

    path = source
    if source != "-" and os.path.isdir(source):
        path = os.path.join(source, "config.json")
        if not os.path.exists(path):
            path = weights_in(source) or path
    elif source != "-" and not os.path.exists(source) and not source.endswith(_FILES):
        from engine.model.known import model_of
        from engine.policy.hardware import load_names

        return model_of(load_names("models", policies), source), None
    if is_weights(path):
        return read_weights(path), None
    document = read_document(path)
    with _in(document):
        model = read_model(document.value)
    if path != "-" and os.path.basename(path) == "config.json":
        model = replace(model, source=os.path.dirname(path) or ".")
    return model, document


def _memory(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise RequestError(f"--memory: {error}") from None


def _params(text: str) -> int:
    path: Path = ()
    try:
        return read_params(text, path)
    except RequestError as error:
        raise RequestError(f"--params: {error.message}", hint=error.hint) from None
