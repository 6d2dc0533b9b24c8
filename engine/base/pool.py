"""One kind of work on many pieces, in their order, in this process or in several.

Workers never outlive the process that started them, however it ends. Only the parent holds the other end of a
worker's pipe of pieces, so the pipe ends with the parent, and the worker with the pipe. On Linux the kernel
kills the worker as well, even inside a long call that no thread of Python's interrupts.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Generic, Literal, Never, NoReturn, Protocol, TypeVar

from engine.base.errors import EngineError
from engine.base.lifetime import SAFE_PATH, end_with

Piece_contra = TypeVar("Piece_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)
Piece = TypeVar("Piece")
Result = TypeVar("Result")

_AHEAD = 2
"""Pieces that a worker has at once: the one that it does, and the next one, so that it never waits for it."""

_WINDOW = 3
"""Pieces for each worker that may be on the way or done ahead of their turn."""

_PATIENCE = 1.0
"""Seconds for a worker to end by itself before it is killed."""


class Job(Protocol, Generic[Piece_contra, Result_co]):
    """Work that can be sent to another process."""

    def start(self) -> Callable[[Piece_contra], Result_co]:
        """Make ready in the process at hand; gives the function that does a piece."""
        ...


def in_order(job: Job[Piece, Result], pieces: Iterable[Piece], jobs: int = 1) -> Iterator[Result]:
    """Yield the job's result for each piece, in the pieces' order.

    Only a few pieces for each process are on the way at any time.

    Raises:
        EngineError: a process was ended from outside; and whatever the job raises.
    """
    if jobs == 1:
        yield from map(job.start(), pieces)
        return
    pool = _Pool(job, jobs)
    try:
        yield from pool.results(pieces)
    finally:
        pool.stop()


def collect_rarely() -> None:
    """What a decision leaves behind is freed as it goes; there is next to nothing for the collector."""
    gc.freeze()
    gc.set_threshold(100_000)


class _Worker:
    """A process, the pipe that brings it pieces, and the pipe that brings back results.

    Each worker has pipes of its own: one that is killed while it writes breaks its own pipe and nothing else.
    """

    def __init__(self, job: Job[Never, object]) -> None:
        context = multiprocessing.get_context("spawn")
        pieces, self.pieces = context.Pipe(duplex=False)
        self.results, results = context.Pipe(duplex=False)
        self.busy = 0
        # The kernel's signal comes when the *thread* that started a process ends: only the main one will do.
        parent = os.getpid() if threading.current_thread() is threading.main_thread() else None
        # As bytes: what unpickling it imports can wait until the worker knows when to end.
        arguments = (pickle.dumps(job), sys.getrecursionlimit(), parent, pieces, results)
        self.process = context.Process(target=_work, args=arguments, daemon=True)
        before = {name: os.environ.get(name) for name in SAFE_PATH}
        try:
            # A Python that is started by `-c` would import what lies about in the folder at hand.
            os.environ.update(SAFE_PATH)
            self.process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
            # The worker has these ends; a copy here would hide that it is gone.
            pieces.close()
            results.close()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self.pieces.close()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.results.close()


class _Pool(Generic[Piece, Result]):
    """Workers, which are started as there is work for them."""

    def __init__(self, job: Job[Piece, Result], jobs: int) -> None:
        self.job = job
        self.jobs = jobs
        self.workers: list[_Worker] = []
        self.done: dict[int, tuple[Literal[True], Result] | tuple[Literal[False], Exception]] = {}

    def results(self, pieces: Iterable[Piece]) -> Iterator[Result]:
        """Yield results in the pieces' order."""
        source = iter(pieces)
        sent = turn = 0
        exhausted = False
        while True:
            while not exhausted and sent - turn < _WINDOW * self.jobs and (worker := self.free()):
                try:
                    piece = next(source)
                except StopIteration:
                    exhausted = True
                    break
                self.send(worker, sent, piece)
                sent += 1
            while turn in self.done:
                yield self.result(turn)
                turn += 1
            if turn < sent:
                self.receive()
            elif exhausted:
                return

    def free(self) -> _Worker | None:
        """A worker that can take a piece: an idle one, else another process, else the least busy one."""
        least = min(self.workers, key=lambda worker: worker.busy, default=None)
        if least is not None and least.busy == 0:
            return least
        if len(self.workers) < self.jobs:
            self.workers.append(_Worker(self.job))
            return self.workers[-1]
        return least if least is not None and least.busy < _AHEAD else None

    def send(self, worker: _Worker, number: int, piece: Piece) -> None:
        try:
            worker.pieces.send((number, piece))
        except OSError:
            raise _ended() from None
        worker.busy += 1

    def receive(self) -> None:
        """Wait for results, and take those that are there."""
        ready = wait([worker.results for worker in self.workers if worker.busy])
        for worker in self.workers:
            if worker.results in ready:
                try:
                    number, outcome = worker.results.recv()
                except (EOFError, OSError):
                    raise _ended() from None
                worker.busy -= 1
                self.done[number] = outcome

    def result(self, number: int) -> Result:
        done = self.done.pop(number)
        if done[0]:
            return done[1]
        raise done[1]

    def stop(self) -> None:
        for worker in self.workers:
            worker.pieces.close()
        for worker in self.workers:
            worker.stop()


def _ended() -> EngineError:
    return EngineError(
        "one of the processes ended before its work was done", hint="fewer --jobs need less memory"
    )


def _work(job: bytes, frames: int, parent: int | None, pieces: Connection, results: Connection) -> None:
    """Do pieces until the parent closes their pipe, or is gone."""
    if parent is not None:
        end_with(parent)
    # Ctrl-C and a closed terminal reach all processes of a group; what follows is the parent's to say.
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.setrecursionlimit(frames)
    waiting: SimpleQueue[tuple[int, object]] = SimpleQueue()
    threading.Thread(target=_receive, args=(pieces, waiting), daemon=True).start()
    collect_rarely()
    run: Callable[[object], object] | None = None
    while True:
        number, piece = waiting.get()
        try:
            run = run or pickle.loads(job).start()
            message = pickle.dumps((number, (True, run(piece))), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            message = pickle.dumps((number, (False, _portable(error))), pickle.HIGHEST_PROTOCOL)
        try:
            results.send_bytes(message)
        except OSError:
            os._exit(1)


def _receive(pieces: Connection, waiting: SimpleQueue[tuple[int, object]]) -> NoReturn:
    """Take pieces from the pipe as they come, and end the process with the pipe.

    A thread of its own takes them, so that the parent never waits for a worker that waits for the parent.
    """
    while True:
        try:
            waiting.put(pieces.recv())
        except (EOFError, OSError):
            os._exit(0)
        except BaseException:  # a piece that can't be unpickled; nobody else would say so
            traceback.print_exc()
            os._exit(1)


def _portable(error: Exception) -> Exception:
    """An exception as it can be sent to another process, with the traceback of one that nobody expects."""
    if not isinstance(error, EngineError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return EngineError(error.problems) if isinstance(error, EngineError) else RuntimeError(repr(error))
    return error
