import math
import operator
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from verifier.workers import AHEAD, WorkerError, map_in_order

ROOT = Path(__file__).parents[2]


def test_results_come_in_the_order_of_their_chunks():
    assert list(map_in_order(operator.neg, range(40), workers=2)) == [-i for i in range(40)]


def test_chunks_larger_than_any_pipe_pass():
    chunks = [bytes(3_000_000), bytes(2_000_000), b""] * 2
    assert list(map_in_order(bytes.upper, chunks, workers=2)) == chunks


def test_only_so_many_chunks_are_taken_before_their_results_are():
    taken = []
    results = map_in_order(operator.neg, (taken.append(i) or i for i in range(100)), workers=2)
    for yielded in range(1, 11):
        next(results)
        assert len(taken) <= yielded + 2 * AHEAD
    results.close()


@pytest.mark.parametrize(
    ("function", "chunk", "told"),
    [(os._exit, 3, "exit code 3"), (signal.raise_signal, signal.SIGKILL, "killed by signal 9"), (math.sqrt, -1.0, "exit code 1")],
)
def test_a_worker_that_dies_is_told_of(capfd, function, chunk, told):
    with pytest.raises(WorkerError, match=told):
        list(map_in_order(function, [chunk], workers=1))


def test_workers_get_neither_ctrl_c_nor_sigterm():
    assert list(map_in_order(signal.raise_signal, [signal.SIGINT, signal.SIGTERM], workers=1)) == [None, None]


def test_the_first_workers_of_a_process_get_neither_as_well():
    mapped = "map_in_order(signal.raise_signal, [signal.SIGINT, signal.SIGTERM] * 2, workers=2)"
    code = f"import signal; from verifier.workers import map_in_order; print(list({mapped}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[None, None, None, None]\n", "")
