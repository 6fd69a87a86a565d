"""Several processes that work through chunks, in order and a few at a time, and never outlive the one that started them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TypeVar

AHEAD = 4  # chunks for each worker that may be out at once, so that a slow one does not hold up the others

_Chunk = TypeVar("_Chunk")
_Result = TypeVar("_Result")


class WorkerError(RuntimeError):
    """A worker process ended before its work; the message says how."""


def map_in_order(function: Callable[[_Chunk], _Result], chunks: Iterable[_Chunk], *, workers: int) -> Iterator[_Result]:
    """Apply a function to chunks, in processes of their own.

    The processes are spawned, get neither Ctrl-C nor SIGTERM, and end with the generator or with this process, whatever ends them. (An
    executor's would live on when this process is killed, and would not be stopped in the middle of a chunk.)

    Args:
        function: applied in the processes; it, its arguments and its results can be pickled.
        chunks: taken as they are needed, at most ``AHEAD`` for each worker before their results are.
        workers: how many processes.

    Yields:
        The result of each chunk, in order.

    Raises:
        WorkerError: a process died, be it that the function failed there or that it was killed.
    """
    started: dict[Connection, SpawnProcess] = {}
    try:
        with _signals_held():
            for _ in range(workers):
                _start(function, started)
        yield from _hand_out(iter(chunks), started)
    finally:
        for connection, process in started.items():
            connection.close()
            process.kill()
        for process in started.values():
            process.join()


def _hand_out(chunks: Iterator[_Chunk], started: dict[Connection, SpawnProcess]) -> Iterator[_Result]:
    idle = list(started)
    at: dict[Connection, int] = {}  # number of the chunk that each of the others is at
    results: dict[int, _Result] = {}
    given = yielded = 0
    while True:
        while idle and given - yielded < AHEAD * len(started) and (chunk := next(chunks, None)) is not None:
            connection = idle.pop()
            with _telling_of_death(started[connection]):
                connection.send(chunk)
            at[connection] = given
            given += 1
        if yielded == given:
            return
        if yielded in results:
            yield results.pop(yielded)
            yielded += 1
            continue
        ready = wait(list(at))
        for connection in [each for each in at if each in ready]:
            with _telling_of_death(started[connection]):
                results[at.pop(connection)] = connection.recv()
            idle.append(connection)


def _start(function: Callable[[_Chunk], _Result], started: dict[Connection, SpawnProcess]) -> None:
    spawn = get_context("spawn")  # a fork copies the locks of other threads in whatever state they are
    mine, its = spawn.Pipe()
    process = spawn.Process(target=_work, args=(its, function), daemon=True)
    process.start()
    its.close()  # or its end would never be noticed
    started[mine] = process


def _work(connection: Connection, function: Callable[[_Chunk], _Result]) -> None:
    """What a worker does until the other end is closed, as it is when its process dies."""
    while True:
        try:
            chunk = connection.recv()
        except (EOFError, ConnectionError):
            return
        result = function(chunk)
        with suppress(ConnectionError):
            connection.send(result)


@contextmanager
def _telling_of_death(process: SpawnProcess) -> Iterator[None]:
    try:
        yield
    except (EOFError, ConnectionError) as error:
        process.join()
        code = process.exitcode or 0
        how = f"was killed by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with exit code {code}"
        raise WorkerError(f"a worker process {how}") from error


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM; processes started meanwhile never get them, which terminals and service managers send to all.

    They are for the process that started the workers: it saves what there is and ends them.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # which processes start if it is not there, and which then lets these signals through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
