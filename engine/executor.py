"""One kind of work on many pieces, in their order, in this process or in several."""

from __future__ import annotations

import gc
import multiprocessing
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from engine.errors import EngineError

Piece_contra = TypeVar("Piece_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)
Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Job(Protocol, Generic[Piece_contra, Result_co]):
    """Work that can be sent to another process."""

    def start(self) -> Callable[[Piece_contra], Result_co]:
        """Make ready in the process at hand; gives the function that does a piece."""
        ...


def in_order(job: Job[Piece, Result], pieces: Iterable[Piece], jobs: int = 1) -> Iterator[Result]:
    """What the job makes of each piece, in the pieces' order.

    Only a few pieces for each process are on the way at any time.

    Raises:
        EngineError: a process was ended from outside; and whatever the job raises.
    """
    if jobs == 1:
        yield from map(job.start(), pieces)
        return
    source = iter(pieces)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _start, (job, sys.getrecursionlimit())) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            while True:
                for piece in islice(source, 3 * jobs - len(waiting)):
                    waiting.append(pool.submit(_run, piece))
                if not waiting:
                    return
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise EngineError(
                "one of the processes ended before its work was done", hint="fewer --jobs need less memory"
            ) from None
        finally:
            # Waits: what is left of a pool at the end of the interpreter may write to pipes that are closed.
            pool.shutdown(cancel_futures=True)


def collect_rarely() -> None:
    """What a decision leaves behind is freed as it goes; there is next to nothing for the collector."""
    gc.freeze()
    gc.set_threshold(100_000)


class _Process:
    """What this one of several processes does."""

    run: Callable[[Any], Any]


def _start(job: Job[Any, Any], frames: int) -> None:
    sys.setrecursionlimit(frames)
    collect_rarely()
    _Process.run = staticmethod(job.start())


def _run(piece: Any) -> Any:
    return _Process.run(piece)
