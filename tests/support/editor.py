"""An editor for tests: pygls' client over the pipes of a server process."""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types
from pygls.lsp.client import LanguageClient

Answer = TypeVar("Answer")
PATIENCE = 30.0


class Editor:
    """A client with a server of its own, used from the tests' thread."""

    def __init__(self, root: Path, **environment: str) -> None:
        self.root = root
        self.published: queue.Queue[types.PublishDiagnosticsParams] = queue.Queue()
        self.published_about: list[str] = []
        self.refreshed = threading.Event()
        self.versions: dict[str, int] = {}
        self.texts: dict[str, str] = {}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.client = self.run(self._start(environment))

    def run(self, work: Awaitable[Answer]) -> Answer:
        async def bounded() -> Answer:
            return await asyncio.wait_for(work, PATIENCE)

        return asyncio.run_coroutine_threadsafe(bounded(), self.loop).result()

    async def _start(self, environment: dict[str, str]) -> LanguageClient:
        client = LanguageClient("tests", "1")

        @client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def publish(parameters: types.PublishDiagnosticsParams) -> None:
            self.published.put(parameters)

        @client.feature(types.WORKSPACE_CODE_LENS_REFRESH)
        def refresh(*parameters: object) -> None:
            self.refreshed.set()

        command = (sys.executable, "-m", "engine.cli.main", "lsp", "--stdio")
        await client.start_io(*command, env={**os.environ, **environment})
        capabilities = types.ClientCapabilities(
            # As Helix does: it can count bytes and would like to.
            general=types.GeneralClientCapabilities(
                position_encodings=[types.PositionEncodingKind.Utf8, types.PositionEncodingKind.Utf16]
            ),
            workspace=types.WorkspaceClientCapabilities(
                code_lens=types.CodeLensWorkspaceClientCapabilities(refresh_support=True)
            ),
        )
        folder = types.WorkspaceFolder(self.root.as_uri(), "tests")
        started = types.InitializeParams(capabilities, workspace_folders=[folder])
        self.capabilities = (await client.initialize_async(started)).capabilities
        client.initialized(types.InitializedParams())
        return client

    def close(self) -> int:
        """End the server and return its exit code."""
        server = self.client._server
        assert server is not None

        async def end() -> int:
            await self.client.shutdown_async(None)
            self.client.exit(None)
            code = await server.wait()
            await self.client.stop()
            return code

        code = self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        return code

    # --- files --------------------------------------------------------------------------------------------

    def open(self, path: Path, text: str | None = None) -> list[types.Diagnostic]:
        """Open a file, saved first if it has a text, and return what is published about it."""
        self.show(path, text)
        return self.diagnostics(path)

    def show(self, path: Path, text: str | None = None) -> None:
        """Open a file, saved first if it has a text."""
        if text is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, newline="")
        uri = path.as_uri()
        self.texts[uri], self.versions[uri] = path.read_bytes().decode(), 1
        item = types.TextDocumentItem(uri, "yaml", 1, self.texts[uri])
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def change(self, path: Path, text: str) -> list[types.Diagnostic]:
        """Change an open file without saving it, and return what is published about it."""
        self.send(path, text)
        return self.diagnostics(path)

    def send(self, path: Path, text: str) -> None:
        uri = path.as_uri()
        place = types.Position(0, 0)
        self.run(
            self.client.text_document_hover_async(types.HoverParams(types.TextDocumentIdentifier(uri), place))
        )  # what the last check published has arrived before the answer
        while not self.published.empty():
            self.published.get()
        self.versions[uri] += 1
        self.texts[uri] = text
        changes = [types.TextDocumentContentChangeWholeDocument(text)]
        document = types.VersionedTextDocumentIdentifier(version=self.versions[uri], uri=uri)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, changes))

    def diagnostics(self, path: Path) -> list[types.Diagnostic]:
        """Wait for what is published about a file after the last change."""
        while True:
            published = self.published.get(timeout=PATIENCE)
            self.published_about.append(published.uri)
            if published.uri == path.as_uri():
                return list(published.diagnostics)

    def close_all(self) -> None:
        """Close all files, so that later edits do not check them again."""
        for uri in list(self.versions):
            self.close_file(Path(uri.removeprefix("file://")))

    def close_file(self, path: Path) -> None:
        """Close a file in the editor."""
        self.versions.pop(path.as_uri(), None)
        document = types.TextDocumentIdentifier(path.as_uri())
        self.client.text_document_did_close(types.DidCloseTextDocumentParams(document))

    # --- requests -----------------------------------------------------------------------------------------

    def position(self, path: Path, mark: str, text: str | None = None) -> types.Position:
        """Return the position of `|` in a piece of the file's text: `constants.|limit`."""
        before, after = mark.split("|")
        text = self.texts[path.as_uri()] if text is None else text
        offset = text.index(before + after) + len(before)
        line = text.count("\n", 0, offset)
        start = text.rfind("\n", 0, offset) + 1
        return types.Position(line, len(text[start:offset].encode("utf-16-le")) // 2)

    def ask(
        self, method: Callable[..., Awaitable[Any]], kind: Callable[..., Any], path: Path, mark: str
    ) -> Any:
        document = types.TextDocumentIdentifier(path.as_uri())
        return self.run(method(kind(text_document=document, position=self.position(path, mark))))

    def hover(self, path: Path, mark: str) -> str:
        """Return the text that is shown at a mark; empty if none is."""
        found = self.ask(self.client.text_document_hover_async, types.HoverParams, path, mark)
        return "" if found is None else str(found.contents.value)

    def complete(self, path: Path, mark: str) -> dict[str, types.CompletionItem]:
        """Return what is proposed at a mark, by label."""
        found = self.ask(self.client.text_document_completion_async, types.CompletionParams, path, mark)
        return {} if found is None else {each.label: each for each in found.items}

    def definition(self, path: Path, mark: str) -> str:
        """Return where the name at a mark is declared, as `file:line: text`; empty if nowhere."""
        found = self.ask(self.client.text_document_definition_async, types.DefinitionParams, path, mark)
        return "" if found is None else self.show_place(found)

    def references(self, path: Path, mark: str) -> list[str]:
        """Return where the name at a mark is used, as `file:line: text`."""
        place = self.position(path, mark)
        parameters = types.ReferenceParams(
            types.ReferenceContext(True), types.TextDocumentIdentifier(path.as_uri()), place
        )
        found = self.run(self.client.text_document_references_async(parameters))
        return sorted(self.show_place(each) for each in found or ())

    def lenses(self, path: Path) -> dict[int, str]:
        """Return the titles above the lines of a file, counted from 1."""
        parameters = types.CodeLensParams(types.TextDocumentIdentifier(path.as_uri()))
        found = self.run(self.client.text_document_code_lens_async(parameters))
        return {each.range.start.line + 1: each.command.title for each in found or () if each.command}

    def save(self, path: Path) -> None:
        """Save an open file."""
        path.write_text(self.texts[path.as_uri()], newline="")
        document = types.TextDocumentIdentifier(path.as_uri())
        self.client.text_document_did_save(types.DidSaveTextDocumentParams(document))

    def rename(self, path: Path, mark: str, name: str) -> dict[str, str]:
        """Rename the name at a mark, and return the texts that the editor would have, by file name."""
        place = self.position(path, mark)
        parameters = types.RenameParams(types.TextDocumentIdentifier(path.as_uri()), place, name)
        found = self.run(self.client.text_document_rename_async(parameters))
        assert found is not None
        return {
            f"{Path(uri).parent.name}/{Path(uri).name}": self.edited(uri, edits)
            for uri, edits in (found.changes or {}).items()
        }

    def edited(self, uri: str, edits: Sequence[types.TextEdit]) -> str:
        text = self.texts.get(uri) or Path(uri.removeprefix("file://")).read_text()
        for edit in sorted(edits, key=lambda each: (-each.range.start.line, -each.range.start.character)):
            start, end = (offset(text, place) for place in (edit.range.start, edit.range.end))
            text = text[:start] + edit.new_text + text[end:]
        return text

    def actions(self, path: Path, diagnostic: types.Diagnostic) -> dict[str, str]:
        """Return the texts that code actions for a finding would make, by title."""
        parameters = types.CodeActionParams(
            types.TextDocumentIdentifier(path.as_uri()),
            diagnostic.range,
            types.CodeActionContext([diagnostic]),
        )
        found = self.run(self.client.text_document_code_action_async(parameters))
        uri = path.as_uri()
        return {
            each.title: self.edited(uri, each.edit.changes[uri])
            for each in found or ()
            if isinstance(each, types.CodeAction) and each.edit is not None and each.edit.changes is not None
        }

    def show_place(self, location: types.Location) -> str:
        """Return a place as `folder/file:line: text`, the text as it is in the editor."""
        path = Path(location.uri.removeprefix("file://"))
        text = self.texts.get(location.uri) or path.read_text()
        name = f"{path.parent.name}/{path.name}"
        return f"{name}:{location.range.start.line + 1}: {part(text, location.range)}"


def part(text: str, place: types.Range) -> str:
    """Return the characters of a range on one line."""
    units = text.split("\n")[place.start.line].encode("utf-16-le")
    return units[2 * place.start.character : 2 * place.end.character].decode("utf-16-le")


def offset(text: str, position: types.Position) -> int:
    """Return the offset of a position of the protocol."""
    lines = text.split("\n")
    before = sum(len(line) + 1 for line in lines[: position.line])
    line = lines[position.line].encode("utf-16-le")[: 2 * position.character]
    return before + len(line.decode("utf-16-le"))
