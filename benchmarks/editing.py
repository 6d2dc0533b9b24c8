"""Time from an edit to its diagnostics, in an editor: a policy in parts, through the protocol.

    python benchmarks/editing.py [EDITS]

Starts `engine lsp`, opens a part of `sharding` 3.0.0, and edits it: a constant, an expression, a fault and
its correction, in turn. The time includes the pause that the server waits for after a change. Next to it is
the processor time that the server takes, which does not depend on what else the machine does.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path

import psutil
from lsprotocol import types
from pygls.lsp.client import LanguageClient

from engine.lsp.server import PAUSE

TOP = Path(__file__).resolve().parent.parent
PART = TOP / "policies" / "sharding" / "3.0.0" / "memory-fit.yaml"
EDITS = (
    ("context_part: {value: 0.9,", "context_part: {value: 0.8,"),
    ("constants.context_step", "(constants.context_step)"),
    ("constants.context_step", "constants.context_stp"),
    ("", ""),
)
"""What is replaced in the text, in turn."""


class Session:
    """A client with a server, and the last diagnostics of each file."""

    def __init__(self) -> None:
        self.client = LanguageClient("benchmark", "1")
        self.arrived: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()

        @self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def publish(found: types.PublishDiagnosticsParams) -> None:
            self.arrived.put_nowait(found)

    async def start(self) -> psutil.Process:
        await self.client.start_io(sys.executable, "-m", "engine.cli.main", "lsp")
        folder = types.WorkspaceFolder(TOP.as_uri(), "policies")
        started = types.InitializeParams(types.ClientCapabilities(), workspace_folders=[folder])
        await self.client.initialize_async(started)
        self.client.initialized(types.InitializedParams())
        assert self.client._server is not None
        return psutil.Process(self.client._server.pid)

    async def diagnostics(self, version: int) -> types.PublishDiagnosticsParams:
        while True:
            found = await asyncio.wait_for(self.arrived.get(), 60)
            if found.uri == PART.as_uri() and found.version == version:
                return found

    def change(self, version: int, text: str) -> None:
        document = types.VersionedTextDocumentIdentifier(version=version, uri=PART.as_uri())
        whole = types.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [whole]))


async def measure(edits: int) -> None:
    session, text = Session(), PART.read_text()
    begin = time.perf_counter()
    server = await session.start()
    print(f"start                      {1000 * (time.perf_counter() - begin):7,.0f} ms")
    begin = time.perf_counter()
    item = types.TextDocumentItem(PART.as_uri(), "yaml", 0, text)
    session.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
    await session.diagnostics(0)
    print(f"first diagnostics          {1000 * (time.perf_counter() - begin):7,.0f} ms")
    taken: list[float] = []
    worked: list[float] = []
    for version in range(1, edits + 1):
        old, new = EDITS[version % len(EDITS)]
        before = sum(server.cpu_times()[:2])
        begin = time.perf_counter()
        session.change(version, text.replace(old, new, 1) + f"# {version}\n")
        await session.diagnostics(version)
        taken.append(1000 * (time.perf_counter() - begin))
        worked.append(1000 * (sum(server.cpu_times()[:2]) - before))
    show("edit to diagnostics", taken)
    show("  of that, processor time", worked)
    print(f"  of that, pause           {1000 * PAUSE:7,.0f} ms")
    place = types.Position(
        *next(
            (number, line.index("constants.") + 12)
            for number, line in enumerate(text.splitlines())
            if "constants." in line
        )
    )
    document = types.TextDocumentIdentifier(PART.as_uri())
    for name, ask in (
        ("hover", lambda: session.client.text_document_hover_async(types.HoverParams(document, place))),
        (
            "completion",
            lambda: session.client.text_document_completion_async(types.CompletionParams(document, place)),
        ),
    ):
        asked = []
        for _ in range(20):
            begin = time.perf_counter()
            await ask()
            asked.append(1000 * (time.perf_counter() - begin))
        show(name, asked)
    await session.client.shutdown_async(None)
    session.client.exit(None)
    await session.client.stop()


def show(name: str, times: list[float]) -> None:
    print(f"{name:<27}{statistics.median(times):7,.0f} ms median, {max(times):,.0f} ms at most")


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
