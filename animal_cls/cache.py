"""Decoded pictures, kept so that only the first epoch decodes them."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from animal_cls.picture import Pixels
from animal_cls.processes import is_running, remove_leftovers

logger = logging.getLogger(__name__)

Place: TypeAlias = Literal["auto", "ram", "disk"]
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (Linux keeps the files of this folder in memory)
PREFIX = "animal_cls_"


class PixelCache:
    """Pixels of pictures in a folder that the processes of a machine share; the first that needs a picture decodes it for all.

    A picture is known by its path, its size in bytes and the time of its last change, so that one that changes is decoded anew. Arrays are
    mapped into memory: of a folder on a disk, the system keeps in memory what there is room for.

    Args:
        folder: where the arrays are kept, one file for each; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._full = False

    def read(self, path: Path, form: str, decode: Callable[[], Pixels]) -> Pixels:
        """The pixels of a picture, without opening its file if they are kept.

        Args:
            path: of the picture.
            form: what ``decode`` makes of it; other forms are kept apart.
            decode: opens the picture.

        Returns:
            A uint8 array (H, W, 3), read-only if it was kept.
        """
        file = self._file(path, form)
        try:
            kept: Pixels = np.load(file, mmap_mode="r")
        except (OSError, EOFError, ValueError):  # not there, or cut off when the machine stopped
            pixels = decode()
            self._keep(file, pixels)
            return pixels
        return kept

    def _file(self, path: Path, form: str) -> Path:
        try:
            status = path.stat()
        except OSError:  # decoding says what is wrong
            return self.folder / "missing.npy"
        name = blake2b(f"{path.absolute()}|{status.st_size}|{status.st_mtime_ns}|{form}".encode(), digest_size=16).hexdigest()
        return self.folder / name[:2] / f"{name}.npy"

    def _keep(self, file: Path, pixels: Pixels) -> None:
        if self._full:
            return
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                np.save(stream, pixels)
            temporary.replace(file)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            self._full = True
            logger.warning("%s: cannot keep decoded pictures (%s); the others are decoded each time", self.folder, error.strerror)


def cache_folder(place: Place, folder: Path, *, needed: int, run: int) -> Path | None:
    """Where to keep decoded pictures.

    Args:
        place: ``ram``, ``disk``, or ``auto``: in memory if half of what is free there suffices, else on the disk, if there is room.
        folder: the one on the disk.
        needed: bytes of all decoded pictures, on which ``auto`` decides.
        run: number of the process that this run is known by.

    Returns:
        A folder; none if there is room nowhere.
    """
    if place == "ram" or (place == "auto" and needed <= _free_memory() // 2):
        return SHARED_MEMORY / f"{PREFIX}{run}"
    if place == "disk" or needed <= 0.9 * _free_space(folder):
        return folder
    logger.warning("%s: decoded pictures need %.1f GB, more than is free; they are decoded each time", folder, needed / 1e9)
    return None


def clean_up(folder: Path) -> None:
    """Remove what runs that were killed left in memory, and half written in a folder."""
    for left in SHARED_MEMORY.glob(f"{PREFIX}*"):
        run = left.name.removeprefix(PREFIX)
        if run.isdecimal() and not is_running(int(run)):
            shutil.rmtree(left, ignore_errors=True)
    remove_leftovers(folder, "*/.*.npy.*")


def forget(folder: Path) -> None:
    """Give back the memory of pictures that were kept there; those on a disk stay for the next run."""
    if folder.parent == SHARED_MEMORY:
        shutil.rmtree(folder, ignore_errors=True)


def _free_memory() -> int:
    """Bytes that files in memory could take if all programs but this one kept theirs; 0 where the system has no such files."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
        return min(free, shutil.disk_usage(SHARED_MEMORY).free)
    except (OSError, StopIteration):
        return 0


def _free_space(folder: Path) -> int:
    """Bytes that files in a folder can take; 0 if it can never be."""
    there = next((parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir()), None)
    return shutil.disk_usage(there).free if there else 0
