"""Inventories from pasted output: sections are recognised by content, wherever they are in a text.

Every reader looks through the text; what they find is merged in the order of their priorities. Readers of
other packages run only if no built-in reader finds a device.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from engine.base.errors import DocumentError, RequestError
from engine.base.jsontypes import Json
from engine.inventory import discovery, numa
from engine.inventory.assemble import assemble_all
from engine.inventory.inventory import Imported
from engine.inventory.machines import refuse_several
from engine.inventory.merging import Machine, merge
from engine.inventory.printed import parse_json
from engine.inventory.products import Hardware
from engine.inventory.reader import DocumentReader, Excuse, JsonReader, Priority, Reader, TextReader
from engine.inventory.seen import Lines, Seen, plain

_NOT_INSTALLED = Excuse(
    re.compile(r": (?:command )?not found$", re.MULTILINE), "the command was not found on that machine"
)


def is_capture(text: str) -> bool:
    """Test whether a text has the sign of a built-in reader, so that it is no document."""
    content = short_lines(plain(text))
    signs = [reader.sign for reader in discovery.text_readers()]
    return any(sign.search(content) for sign in [*signs, *(excuse.pattern for excuse in _excuses())])


_LONGEST = 1_000


def short_lines(text: str) -> str:
    """Return a text with the beginning of each line: signs are searched, in the square of a line's length."""
    if len(text) <= _LONGEST:
        return text
    return "\n".join(line[:_LONGEST] for line in text.split("\n"))


def read_plugins(name: str, text: str, hardware: Hardware) -> Imported | None:
    """Return the inventory in a text that no built-in reader takes, by the readers of other packages.

    Returns:
        None if no reader has a sign in the text, or none finds a device.

    Raises:
        EngineError: a reader cannot be loaded, or what is wrong in the text.
    """
    content = plain(text)
    readers = [
        reader
        for reader in discovery.plugin_readers()
        if isinstance(reader, TextReader) and reader.sign.search(content)
    ]
    if not readers:
        return None
    machine = _read_all([(name, text)], sorted(readers, key=lambda reader: reader.priority), hardware)
    if machine.whole is not None:
        return machine.whole
    return assemble_all(machine.parts, hardware) if machine.has_devices() else None


def read_captures(
    texts: Sequence[tuple[str, str]], hardware: Hardware, source: str = discovery.AUTO
) -> Imported:
    """Return the inventory that some texts of one machine describe together.

    Args:
        texts: names, for messages, and contents.
        hardware: the catalogs of products and links.
        source: a value of `--from`: the tool whose output to look for; "auto" looks for all.

    Raises:
        DocumentError: nothing is recognised, or a section is damaged; at its line.
        RequestError: the kind of a device is unknown.
    """
    readers = select(source)
    machine = _read_all(texts, readers, hardware)
    if machine.whole is not None:
        return machine.whole
    if not machine.has_devices() and machine.host.numa_cpus and not _mentions_accelerator(texts):
        numa.add_host(machine.host)
        machine.parts.append(machine.host)
    if not machine.has_devices():
        if source == discovery.AUTO and len(texts) == 1:
            imported = read_plugins(*texts[0], hardware)
            if imported is not None:
                return imported
        raise _no_device(texts, readers)
    return assemble_all(machine.parts, hardware)


def select(source: str) -> list[TextReader | JsonReader]:
    """Return the readers that a value of `--from` selects: all readers of the makers that have the source.

    Raises:
        RequestError: no built-in reader and no entry point has the name.
        EngineError: an entry point of the name cannot be loaded.
    """
    built_in: list[tuple[str, TextReader | JsonReader]] = [
        (module.removeprefix(f"{discovery.PACKAGE}.").partition(".")[0], reader)
        for module, reader in discovery.documentation().items()
        if isinstance(reader, TextReader | JsonReader)
    ]
    makers = {maker for maker, reader in built_in if source in (discovery.AUTO, *reader.sources)}
    if not makers:
        plugins = [
            found for found in discovery.plugin_readers(source) if not isinstance(found, DocumentReader)
        ]
        if not plugins:
            raise RequestError(f"unknown source '{source}'", hint=", ".join(discovery.sources()))
        return sorted(plugins, key=_rank)
    makers |= {maker for maker, reader in built_in if reader.priority is Priority.HOST}
    return sorted((reader for maker, reader in built_in if maker in makers), key=_rank)


def _rank(reader: TextReader | JsonReader) -> tuple[int, str]:
    return reader.priority, reader.name


def _read_all(
    texts: Sequence[tuple[str, str]], readers: Sequence[TextReader | JsonReader], hardware: Hardware
) -> Machine:
    machine = Machine()
    first_name = ""
    for name, content in texts:
        text = Lines.of(content, name)
        sections = []
        for found in _sections(text, readers, hardware):
            if isinstance(found, Imported):
                machine.whole = machine.whole or found
            else:
                sections.append(found)
        refuse_several(text, [section for section, _ in sections], hardware)
        part = merge(sections, hardware)
        machine.join(part, (first_name, name), hardware)
        first_name = first_name or name
    machine.place_devices()
    return machine


def _sections(
    text: Lines, readers: Sequence[TextReader | JsonReader], hardware: Hardware
) -> Iterator[tuple[Seen, Priority] | Imported]:
    json_readers = [reader for reader in readers if isinstance(reader, JsonReader)]
    content = "\n".join(text.lines).strip()
    if json_readers and _JSON.match(content):
        value: Json = None
        with suppress(DocumentError):  # what looks like JSON may be another language's, or text
            value = parse_json(content, text.name)
        for reader in json_readers:
            if value is not None and reader.takes(value):
                yield _signed(reader.read(value, hardware), reader), reader.priority
    for text_reader in readers:
        if isinstance(text_reader, TextReader):
            for section in text_reader.read(text, hardware):
                if isinstance(section, Imported):
                    yield section
                else:
                    yield _signed(section, text_reader), text_reader.priority


_JSON = re.compile(r"\[\s*[\[{\]]|\{\s*[\"}]")
"""Start of a JSON document that lists something."""


def _signed(seen: Seen, reader: Reader) -> Seen:
    seen.origin = seen.origin or reader.name
    return seen


def read_printed(value: Json, hardware: Hardware) -> Imported | None:
    """Return the inventory in decoded JSON; None if no built-in reader takes it or it lists no device.

    Raises:
        DocumentError: a device is damaged.
        RequestError: the kind of a device is unknown.
    """
    return _read_json(value, discovery.json_readers(), hardware)


def read_plugin_document(value: Json, hardware: Hardware) -> Imported | None:
    """Return the inventory in a decoded document that no built-in reader takes; None if no package's does.

    Raises:
        EngineError: a reader cannot be loaded, or what is wrong in the document.
    """
    return _read_json(value, discovery.plugin_readers(), hardware)


def _read_json(value: Json, readers: Iterable[Reader], hardware: Hardware) -> Imported | None:
    for reader in readers:
        if isinstance(reader, TextReader) or not reader.takes(value):
            continue
        found = reader.read(value, hardware)
        if isinstance(found, Imported):
            return found
        return assemble_all([found], hardware) if found.devices else None
    return None


_ACCELERATORS = re.compile(
    r"(?<![\w.])(?:nvidia|npu|rocm|amd|hl|xpu|mx|ppu|ix|hy)-smi\b(?!\w)|\bggml_"
    r"|\b[HNX]PU (?:devices?|models?)\b|\bIs (?:XPU|NPU|HPU) available *: True"
    r"|\b(?:CUDA|ROCm|HIP|Vulkan|SYCL|MUSA|CANN)\d+:|\bGPU ?\d+:|\bGPU\[\d"
    r"|\b(?:NVIDIA|Radeon|Instinct|GeForce|Tesla|Gaudi|Ascend) [A-Z\d]|mthreads-gmi|cnmon|neuron-ls"
)
"""Words of a text about a machine with accelerators."""
_NONE = re.compile(
    r"not found|could not collect|no cuda|\bn/?a\b|\bnone\b|\bfalse\b|vendor id|model name", re.IGNORECASE
)
"""Words of a line that denies them, or that names a CPU."""


def _mentions_accelerator(texts: Sequence[tuple[str, str]]) -> bool:
    """Test whether a line looks as if the machine had an accelerator, which no reader has read."""
    return any(
        _ACCELERATORS.search(line) and not _NONE.search(line)
        for name, content in texts
        for line in Lines.of(content, name).narrow().lines
    )


def unreadable(name: str, text: str) -> DocumentError | None:
    """Return the error for a text that no reader recognises; None for an empty one."""
    lines = Lines.of(text, name).narrow()
    words = "describe the machine in words: 8xH100-SXM"
    for number, line in enumerate(lines.lines):
        match = _ACCELERATORS.search(line) or _MAKERS.search(line)
        if match is not None and not _NONE.search(line):
            hint = _maker_hint([short_lines(plain(text))]) or _readable_hint()
            message = "this looks like the output of a tool that is not read"
            return lines.fault(message, number, match[0], hint=f"{hint}; or {words}")
    first = next((number for number, line in enumerate(lines.lines) if line.strip()), None)
    if first is None:
        return None
    message = "this is neither an inventory nor the output of a tool that is read"
    return lines.fault(message, first, hint=f"{_readable_hint()}; or {words}")


_MAKERS = re.compile(
    r"\b(?:NVIDIA|AMD/ATI|Radeon|Habana|Gaudi|Ascend|Cambricon|Moore Threads|MetaX)\b"
    r"|\b(?:Hygon|Iluvatar|Enflame|Biren)\b"
    r"|\b(?:Tenstorrent|Wormhole|Blackhole|Furiosa|Rebellions|Graphcore|Cerebras|SambaNova|Kunlun)\w*\b|\bDCU\b"
    r"|\b(?:Cuda|Rocm|Tpu)Device\b|\bHL-\d{3}\b"
)


def _no_device(texts: Sequence[tuple[str, str]], readers: Sequence[Reader]) -> DocumentError:
    """Return the error for texts without a device: the tool's own explanation, if there is one."""
    for name, content in texts:
        text = Lines.of(content, name).narrow()
        content = "\n".join(text.lines)
        matches = [(match, excuse) for excuse in _excuses() if (match := excuse.pattern.search(content))]
        if matches:
            match, excuse = min(matches, key=lambda pair: pair[0].start())
            line = content.count("\n", 0, match.end())
            return text.fault(excuse.message, line, hint=excuse.hint or _readable_hint())
    names = ", ".join(name for name, _ in texts)
    contents = [short_lines(plain(content)) for _, content in texts]
    signed = [
        reader
        for reader in readers
        if isinstance(reader, TextReader) and any(reader.sign.search(content) for content in contents)
    ]
    devices = [reader for reader in signed if reader.priority is not Priority.HOST]
    if devices:
        message = f"{names}: no accelerator found in the text, though it looks like {devices[0].name}"
        return DocumentError(message, hint=devices[0].hint)
    hint = _maker_hint(contents) or _readable_hint()
    if signed and not _mentions_accelerator(texts):
        hint = signed[0].hint
    return DocumentError(f"{names}: no accelerator found in the text", hint=hint)


def _maker_hint(contents: Sequence[str]) -> str | None:
    """Return the command that states everything, of the only maker that the texts mention."""
    words = " ".join(contents).casefold()
    commands = [
        detector.states_memory
        for detector in discovery.detectors()
        if detector.states_memory
        and any(
            re.search(rf"\b{re.escape(word.casefold())}\b", words)
            for word in (detector.maker, *detector.asks)
        )
    ]
    return f"paste the output of: {commands[0]}" if len(commands) == 1 else None


def _readable_hint() -> str:
    return f"paste the output of: {discovery.readable()}"


def _excuses() -> list[Excuse]:
    readers = discovery.documentation().values()
    excuses = [
        excuse for reader in readers if not isinstance(reader, JsonReader) for excuse in reader.excuses
    ]
    return [*excuses, _NOT_INSTALLED]
