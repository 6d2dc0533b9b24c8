"""The server: requests of the protocol, answered by the modules beside this one.

Everything runs in one thread, a check included: it takes less time than it takes to type the next word. A
check starts when typing pauses, or a request needs it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.protocol.language_server import LanguageServerProtocol, lsp_method
from pygls.uris import from_fs_path, to_fs_path

from engine._version import __version__
from engine.base import collect_rarely
from engine.base.errors import EngineError, internal_fault
from engine.lsp import counting, diagnostics
from engine.lsp.actions import actions
from engine.lsp.completion import complete
from engine.lsp.convert import (
    code_action,
    code_lens,
    completion_of,
    diagnostic,
    hover_of,
    location,
    range_of,
    workspace_edit,
)
from engine.lsp.hover import hover
from engine.lsp.lens import lenses
from engine.lsp.navigation import definition, references
from engine.lsp.rename import rename, renameable
from engine.lsp.workspace import Workspace

Answer = TypeVar("Answer")


class _Placed(Protocol):
    """Parameters of a request about a position."""

    @property
    def text_document(self) -> types.TextDocumentIdentifier: ...

    @property
    def position(self) -> types.Position: ...


PAUSE = 0.03
"""Seconds without a change after which files are checked."""
LONGEST_WAIT = 0.4
"""Seconds after a change at which files are checked if changes go on."""


class Utf16Protocol(LanguageServerProtocol):
    """The protocol, with positions in UTF-16 units: what every editor can count."""

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(self, params: types.InitializeParams) -> Generator[Any, Any, types.InitializeResult]:
        """Start a session in UTF-16, whatever the editor would like better."""
        if params.capabilities.general is not None:
            params.capabilities.general.position_encodings = None
        return (yield from super().lsp_initialize(params))


class Server(LanguageServer):
    """A language server with the files of one editor."""

    def __init__(self, folders: Sequence[str]) -> None:
        super().__init__(
            "engine",
            __version__,
            text_document_sync_kind=types.TextDocumentSyncKind.Full,
            protocol_cls=Utf16Protocol,
            max_workers=2,
        )
        self.files = Workspace(folders)
        self.uris: dict[str, str] = {}
        """Addresses of open files by path, as the editor writes them."""
        self.versions: dict[str, int | None] = {}
        self.units: dict[str, dict[str, list[diagnostics.Marked]]] = {}
        self.waiting: dict[str, float] = {}
        """Files to check, and when each was changed first."""
        self.changed: set[str] = set()
        """Files whose findings the editor has not got since their last change."""
        self.counts: dict[str, counting.Counts] = {}
        self.counting: dict[str, asyncio.Task[None]] = {}
        self.timer: asyncio.TimerHandle | None = None

    # --- files --------------------------------------------------------------------------------------------

    def uri(self, path: str) -> str:
        """Return the address of a file."""
        return self.uris.get(path) or from_fs_path(path) or ""

    def put(self, uri: str, version: int | None, text: str) -> None:
        """Take the text of an open file, and have it checked soon."""
        path = path_of(uri)
        if path is None:
            return
        self.uris[path], self.versions[path] = uri, version
        self.files.put(path, text)
        self.check_soon(path)

    def close(self, uri: str) -> None:
        """Forget an open file."""
        path = path_of(uri)
        if path is None:
            return
        self.files.drop(path)
        self.uris.pop(path, None)
        self.versions.pop(path, None)
        unit = self.files.unit(path)
        if not any(self.files.unit(other) == unit for other in self.uris):
            for file in self.units.pop(unit, {}):
                self.publish(file)

    # --- checks -------------------------------------------------------------------------------------------

    def check_soon(self, path: str) -> None:
        """Check a file when typing pauses."""
        loop = asyncio.get_running_loop()
        first = self.waiting.setdefault(path, loop.time())
        if self.timer is not None:
            self.timer.cancel()
        pause = max(0.0, min(PAUSE, first + LONGEST_WAIT - loop.time()))
        self.timer = loop.call_later(pause, self.check_waiting)

    def check_waiting(self) -> None:
        """Check the changed files, then the other open ones, one at a time so that requests come between."""
        self.timer = None
        changed, self.waiting = list(self.waiting), {}
        self.changed.update(changed)
        others = [path for path in self.uris if path not in changed]
        units: dict[str, str] = {}
        for path in (*changed, *others):
            units.setdefault(self.files.unit(path), path)
        asyncio.get_running_loop().call_soon(self.check_next, list(units.values()), self.files.edit)

    def check_next(self, paths: list[str], edit: int) -> None:
        """Check the first of some files; drop the rest if something has changed meanwhile."""
        if not paths or (edit != self.files.edit and self.waiting):
            return
        guarded(lambda: self.check(paths[0]))
        asyncio.get_running_loop().call_soon(self.check_next, paths[1:], edit)

    def check(self, path: str) -> None:
        """Check a file's unit and publish what is found."""
        unit = self.files.unit(path)
        before = self.units.get(unit, {})
        if before and path not in self.changed and self.files.is_checked(path):
            return
        self.changed.discard(path)
        self.units[unit] = diagnostics.diagnose(self.files, path) if self.files.is_ours(path) else {}
        for file in {**before, **self.units[unit]}:
            self.publish(file)

    # --- lenses -------------------------------------------------------------------------------------------

    def count_soon(self, path: str) -> None:
        """Count the requests that the matches of a file's unit decide, unless that is going on."""
        unit = self.files.unit(path)
        if unit not in self.counting and self.files.good(path) is not None:
            self.counting[unit] = asyncio.get_running_loop().create_task(self.count(unit))

    async def count(self, unit: str) -> None:
        """Have a process count, then have the editor ask for the lenses again."""
        task = counting.Task(
            parent=os.getpid(), unit=unit, folders=list(self.files.folders), buffers=self.files.texts
        )
        try:
            found = await _counted(task)
        finally:
            self.counting.pop(unit, None)
        if found is None or self.counts.get(unit) == found:
            return
        self.counts[unit] = found
        workspace = self.client_capabilities.workspace
        if workspace is not None and workspace.code_lens is not None and workspace.code_lens.refresh_support:
            self.workspace_code_lens_refresh(None)

    def publish(self, file: str) -> None:
        """Send the editor all findings of a file."""
        found = diagnostics.merged(self.units.values(), file)
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(
                self.uri(file), [diagnostic(each) for each in found], self.versions.get(file)
            )
        )


async def _counted(task: counting.Task) -> counting.Counts | None:
    """Return what a process counts; None if it fails or takes too long."""
    command, environment = counting.command()
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, env=environment
    )
    try:
        given = json.dumps(task).encode("utf-8", errors="replace")
        answer, _ = await asyncio.wait_for(process.communicate(given), counting.MOST_SECONDS)
        return counting.counts_of(json.loads(answer)) if process.returncode == 0 else None
    except (TimeoutError, ValueError, OSError):
        return None
    finally:
        if process.returncode is None:
            process.kill()


def path_of(uri: str) -> str | None:
    """Return the real path of a file's address; None for what is no file, such as an unsaved new one."""
    path = to_fs_path(uri) if uri.startswith("file:") else None
    return os.path.realpath(path) if path else None


def guarded(answer: Callable[[], Answer]) -> Answer | None:
    """Return an answer; None, and the fault on standard error, if it fails: a bug must not end a session."""
    try:
        return answer()
    except JsonRpcException:  # an answer: why not
        raise
    except Exception as error:
        print(internal_fault(error).render(), file=sys.stderr, flush=True)
        return None


def create(folders: Sequence[str] = ()) -> Server:
    """Return a server that is not started.

    Args:
        folders: folders of policies that references are resolved in, before the shipped ones.
    """
    server = Server(folders)
    _add_files(server)
    _add_answers(server)
    return server


def _add_files(server: Server) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(parameters: types.InitializeParams) -> None:
        listed = [each.uri for each in parameters.workspace_folders or ()]
        roots = [path_of(uri) for uri in listed or [parameters.root_uri or ""]]
        server.files.roots = [root for root in roots if root is not None and os.path.isdir(root)]
        if server.files.roots:  # paths in suites start there, as if commands were run there
            os.chdir(server.files.roots[0])

    @server.feature(types.INITIALIZED)
    async def initialized(parameters: types.InitializedParams) -> None:
        workspace = server.client_capabilities.workspace
        watching = None if workspace is None else workspace.did_change_watched_files
        if watching is None or not watching.dynamic_registration:
            return
        watcher = types.FileSystemWatcher("**/*.{yaml,yml,csv,lock}")
        options = types.DidChangeWatchedFilesRegistrationOptions([watcher])
        registration = types.Registration("files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
        await server.client_register_capability_async(types.RegistrationParams([registration]))

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(parameters: types.DidOpenTextDocumentParams) -> None:
        document = parameters.text_document
        server.put(document.uri, document.version, document.text)

    @server.feature(types.TEXT_DOCUMENT_CODE_LENS, types.CodeLensOptions(resolve_provider=False))
    def lensed(parameters: types.CodeLensParams) -> list[types.CodeLens] | None:
        path = path_of(parameters.text_document.uri)
        if path is None or not server.files.is_ours(path):
            return None
        counts = server.counts.get(server.files.unit(path))
        if counts is None:
            server.count_soon(path)
            return []
        found = guarded(lambda: list(lenses(server.files, path, counts)))
        return [code_lens(each) for each in found or ()]

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(parameters: types.DidChangeTextDocumentParams) -> None:
        document = parameters.text_document
        for change in parameters.content_changes[-1:]:
            server.put(document.uri, document.version, change.text)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(parameters: types.DidCloseTextDocumentParams) -> None:
        server.close(parameters.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(parameters: types.DidSaveTextDocumentParams) -> None:
        _changed_outside()
        path = path_of(parameters.text_document.uri)
        for unit in list(server.counts):
            if path is not None and server.files.depends(unit, path):
                server.count_soon(unit)

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def watched(parameters: types.DidChangeWatchedFilesParams) -> None:
        _changed_outside()

    def _changed_outside() -> None:
        server.files.changed()
        for path in list(server.uris)[:1]:
            server.check_soon(path)


def _add_answers(server: Server) -> None:
    def answer(place: _Placed, find: Callable[[Workspace, str, int, int], Answer | None]) -> Answer | None:
        path = path_of(place.text_document.uri)
        if path is None or not server.files.is_ours(path):
            return None
        position = place.position
        return guarded(
            lambda: server.files.within(lambda: find(server.files, path, position.line, position.character))
        )

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(parameters: types.HoverParams) -> types.Hover | None:
        found = answer(parameters, hover)
        return None if found is None else hover_of(found)

    @server.feature(
        types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[".", '"', "'"])
    )
    def completed(parameters: types.CompletionParams) -> types.CompletionList | None:
        found = answer(parameters, complete)
        return None if found is None else completion_of(found)

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def defined(parameters: types.DefinitionParams) -> types.Location | None:
        found = answer(parameters, definition)
        return None if found is None else location(found, server.uri)

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    def referred(parameters: types.ReferenceParams) -> list[types.Location] | None:
        declared = parameters.context.include_declaration
        found = answer(parameters, partial(references, declared=declared))
        return None if found is None else [location(each, server.uri) for each in found]

    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepared(parameters: types.PrepareRenameParams) -> types.Range | None:
        found = answer(parameters, _refusing(renameable))
        return None if found is None else range_of(found)

    @server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    def renamed(parameters: types.RenameParams) -> types.WorkspaceEdit | None:
        found = answer(parameters, _refusing(partial(rename, name=parameters.new_name)))
        return None if found is None else workspace_edit(found, server.uri)

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions([types.CodeActionKind.QuickFix]))
    def offered(parameters: types.CodeActionParams) -> list[types.CodeAction] | None:
        path = path_of(parameters.text_document.uri)
        if path is None or not server.files.is_ours(path):
            return None
        found = guarded(lambda: diagnostics.diagnose(server.files, path).get(path, []))
        touched = [each for each in found or () if _touches(range_of(each.stretch), parameters.range)]
        return [code_action(each, server.uri) for marked in touched for each in actions(marked)]


def _touches(one: types.Range, other: types.Range) -> bool:
    def order(position: types.Position) -> tuple[int, int]:
        return position.line, position.character

    return order(one.start) <= order(other.end) and order(other.start) <= order(one.end)


def _refusing(
    find: Callable[[Workspace, str, int, int], Answer],
) -> Callable[[Workspace, str, int, int], Answer]:
    """Return a function that answers with the reason where it is refused."""

    def refusing(workspace: Workspace, path: str, line: int, character: int) -> Answer:
        try:
            return find(workspace, path, line, character)
        except EngineError as error:
            hint = f" ({error.hint})" if error.hint else ""
            raise JsonRpcInvalidParams(message=f"{error.message}{hint}") from None

    return refusing


def serve(folders: Sequence[str] = ()) -> None:
    """Run a server on standard input and output until the editor ends it.

    Args:
        folders: folders of policies that references are resolved in, before the shipped ones.
    """
    collect_rarely()  # what the memory keeps is not garbage, and looking for some takes as long as a check
    # The protocol has the streams to itself: what anything prints goes to standard error.
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        create(folders).start_io(requests, answers)
