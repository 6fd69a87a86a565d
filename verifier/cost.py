"""What running something costs: seconds, memory, room on the disk."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TypeAlias

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from verifier.decision import InputError

MB = 1e6  # bytes
PAUSE = 0.02  # seconds between turns, in which the threads of whoever went before stop waiting for more work

Way: TypeAlias = Callable[[str, Path], float]  # answers a text and a picture, and returns the milliseconds that it took


@dataclass(frozen=True)
class Run:
    """What a command took: seconds, and the most memory in MB that it had at once."""

    seconds: float
    memory: float


def run_command(*command: str | Path) -> Run:
    """Run a command to its end in a process of its own.

    Raises:
        InputError: it failed.
    """
    # A process's most memory counts from that of the process which starts it, so a small one does.
    told = subprocess.run([sys.executable, "-c", _STARTER, *command], stdout=subprocess.PIPE, text=True, check=True).stdout  # noqa: S603
    code, seconds, memory = told.split()
    if code != "0":
        raise InputError(f"exit code {code} of: {' '.join(map(str, command))}")
    return Run(float(seconds), float(memory) * (1 if sys.platform == "darwin" else 1024) / MB)


_STARTER = """
import resource, subprocess, sys, time
begin = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
print(code, time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def in_turns(ways: Sequence[Way], pairs: Sequence[tuple[str, Path]], *, turn: int = 5) -> list[list[float]]:
    """Milliseconds that ways of answering take for pairs, some pairs of each way in turns, so that noise hits all alike.

    A turn begins with its first pair once more than is counted: another way has just had the processor's caches.

    Args:
        ways: what answers.
        pairs: texts and pictures.
        turn: pairs that a way answers before the next way answers them.

    Returns:
        For each way the milliseconds of each pair.
    """
    times: list[list[float]] = [[] for _ in ways]
    for start in range(0, len(pairs), turn):
        for way, taken in zip(ways, times, strict=True):
            time.sleep(PAUSE)
            way(*pairs[start])
            taken += [way(*pair) for pair in pairs[start : start + turn]]
    return times


def installed_size(names: Iterable[str]) -> float:
    """Room in MB that distributions take, with all that they require here, extras left out; what is not installed takes none."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found and (installed := next(iter(metadata.distributions(name=name)), None)):
            found[name] = installed
            waiting += required(installed.requires or ())
    return size(Path(str(file.locate())) for each in found.values() for file in each.files or ())


def required(lines: Iterable[str]) -> list[str]:
    """Names of the distributions that lines of requirements ask for here, those of extras left out."""
    requirements = map(Requirement, lines)
    return [each.name for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]


def size(files: Iterable[Path]) -> float:
    """Size in MB of the files among some paths, each counted once."""
    return sum(file.stat().st_size for file in set(files) if file.is_file()) / MB
