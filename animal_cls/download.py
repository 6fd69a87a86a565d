"""Public sets of animal pictures, from Kaggle or from an archive, as a folder of pictures for each kind, with English names.

What lies in the folder afterwards is recorded in its ``SHA256SUMS``, which a second run compares (and so does ``sha256sum --check``).
Nothing here needs torch.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import lzma
import os
import shutil
import stat
import sys
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from animal_cls.picture import SUFFIXES

# Versions of Kaggle sets never change, and kagglehub compares the MD5 of what it downloads with Kaggle's.
SETS = {
    "animals90": "iamsouravbanerjee/animal-image-dataset-90-different-animals/versions/5",
    "animals10": "alessiocorrado99/animals10/versions/2",
}
# The folders of Animals-10.
ENGLISH = {
    "cane": "dog",
    "cavallo": "horse",
    "elefante": "elephant",
    "farfalla": "butterfly",
    "gallina": "chicken",
    "gatto": "cat",
    "mucca": "cow",
    "pecora": "sheep",
    "ragno": "spider",
    "scoiattolo": "squirrel",
}
SUMS = "SHA256SUMS"
GIGABYTE = 10**9
BROKEN = (tarfile.TarError, zipfile.BadZipFile, NotImplementedError, EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)
BLOCK = 4096  # bytes that even an empty file takes
CHUNK = 1 << 20


class DownloadError(ValueError):
    """Pictures that cannot be had; the message names the set, file or member and says what would be right."""


@dataclass(frozen=True)
class Member:
    """A file of an archive or a folder: its path inside, and how to read it."""

    path: PurePosixPath
    open: Callable[[], IO[bytes]]


def arrange(paths: Sequence[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """Where the pictures of a set belong: ``KIND/FILE``, kinds in English.

    The kinds are the folders that hold the pictures; they lie side by side, at whatever depth. Where pictures lie in several such
    places, the place with most of them counts, and the others are left out.

    Args:
        paths: of files in a set, relative to it; those that are no pictures, and hidden ones, are left out.

    Returns:
        For each picture that counts its path in the folder to be made; empty where there are not at least two kinds.
    """
    pictures = [path for path in paths if len(path.parts) > 1 and path.suffix.lower() in SUFFIXES and not _hidden(path)]
    by_place: dict[PurePosixPath, list[PurePosixPath]] = {}
    for path in pictures:
        by_place.setdefault(path.parent.parent, []).append(path)
    places = [found for found in by_place.values() if len({path.parent for path in found}) > 1]
    chosen = max(places, key=len, default=[])
    translated = ENGLISH if {path.parent.name for path in chosen} <= ENGLISH.keys() else {}
    return {path: PurePosixPath(translated.get(path.parent.name, path.parent.name), path.name) for path in chosen}


def _hidden(path: PurePosixPath) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


@contextmanager
def open_archive(file: Path) -> Iterator[list[Member]]:
    """The files of a zip or a tar (also compressed), none of which leaves the folder that it is extracted to.

    Raises:
        DownloadError: it is no such archive, or a member is a link or a device, is encrypted, or has a path that is absolute or leads up.
    """
    if not file.is_file():
        raise DownloadError(f"{file}: no such file; name animals90, animals10 or a .zip or .tar of folders of pictures")
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                yield [_zip_member(file, archive, info) for info in archive.infolist() if not info.is_dir()]
        else:
            with tarfile.open(file) as archive:
                yield [_tar_member(file, archive, info) for info in archive if not info.isdir()]
    except BROKEN as error:
        why = (str(error) or type(error).__name__).partition("\n")[0].removesuffix(":")  # tarfile goes on with a line for each compression
        raise DownloadError(f"{file}: not a .zip or .tar that can be read ({why})") from error


def _zip_member(file: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise DownloadError(f"{file}: {info.filename} is a link or a device; only files and folders are taken")
    if info.flag_bits & 1:
        raise DownloadError(f"{file}: {info.filename} is encrypted; extract it by hand, and name its folder as data.root")
    return Member(_inside(file, info.filename), lambda: archive.open(info))


def _tar_member(file: Path, archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if not info.isreg():
        raise DownloadError(f"{file}: {info.name} is a link or a device; only files and folders are taken")

    def read() -> IO[bytes]:
        stream = archive.extractfile(info)
        if stream is None:
            raise DownloadError(f"{file}: {info.name} holds no data")
        return stream

    return Member(_inside(file, info.name), read)


def _inside(file: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise DownloadError(f"{file}: {name!r} would lie outside the folder; it is not extracted")
    return path


@contextmanager
def open_folder(folder: Path) -> Iterator[list[Member]]:
    """The files below a folder; links are left out."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink()]
    yield [Member(PurePosixPath(file.relative_to(folder).as_posix()), partial(_read, file)) for file in files]


def _read(file: Path) -> IO[bytes]:
    return file.open("rb")


def gather(members: Sequence[Member], into: Path, *, name: str, most_bytes: int) -> str:
    """Copy the pictures of a set into a folder that appears when it is complete.

    Args:
        members: the files of the set.
        into: folder to make; it may be there if it is empty.
        name: of the set, for messages.
        most_bytes: on disk, counted while writing: what an archive says of its sizes is not believed.

    Returns:
        The text of its ``SHA256SUMS``.

    Raises:
        DownloadError: there are not two folders of pictures, a file is there twice, or there are more bytes than ``most_bytes``.
    """
    targets = arrange([member.path for member in members])
    if not targets:
        raise DownloadError(f"{name}: fewer than two folders of pictures in it; a set has one for each kind")
    wanted = [(member, targets[member.path]) for member in members if member.path in targets]
    sums: dict[str, str] = {}
    left = most_bytes
    into.parent.mkdir(parents=True, exist_ok=True)
    part = into.with_name(f".{into.name}.{os.getpid()}.part")
    try:
        for member, target in tqdm(wanted, desc=name, unit="picture", file=sys.stderr):
            if target.as_posix() in sums:
                raise DownloadError(f"{name}: {member.path} is in it twice; extract it by hand, and name its folder as data.root")
            (part / target).parent.mkdir(parents=True, exist_ok=True)
            digest, size = _copy(member, part / target, most_bytes=left)
            left -= max(size, BLOCK)
            if left < 0:
                raise DownloadError(f"{name}: more than {most_bytes / GIGABYTE:g} GB of pictures; --limit allows more")
            sums[target.as_posix()] = digest
        text = "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items()))
        (part / SUMS).write_text(text, encoding="utf-8")
        part.replace(into)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return text


def _copy(member: Member, target: Path, *, most_bytes: int) -> tuple[str, int]:
    """Write a member to a new file, one chunk more than allowed at most; its SHA-256 and its size in bytes."""
    digest, size = hashlib.sha256(), 0
    with member.open() as source, target.open("xb") as copy:
        while size <= most_bytes and (chunk := source.read(CHUNK)):
            copy.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def compare(folder: Path) -> str:
    """Compare the pictures in a folder with its ``SHA256SUMS``.

    Returns:
        The text of that file.

    Raises:
        DownloadError: a picture is missing or is another than was recorded.
    """
    text = (folder / SUMS).read_text(encoding="utf-8")
    for line in tqdm(text.splitlines(), desc=f"comparing {folder}", unit="picture", file=sys.stderr):
        recorded, _, path = line.partition("  ")
        file = folder / path
        if not file.is_file():
            raise DownloadError(f"{file}: missing, though {folder / SUMS} records it; remove {folder} to get it anew")
        with file.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != recorded:
                raise DownloadError(f"{file}: not what {folder / SUMS} recorded; remove {folder} to get it anew")
    return text


def fetch(name: str) -> Path:
    """Download a set of ``SETS`` through kagglehub, which shows progress, resumes, and keeps what it has in its own cache.

    Raises:
        DownloadError: kagglehub is not installed, or Kaggle cannot be reached.
    """
    try:
        import kagglehub  # noqa: PLC0415  (an extra, and archives do without)
    except ModuleNotFoundError as error:
        raise DownloadError(
            f"{name}: {error.name} is missing; downloading needs the extra 'download': pip install -e '.[download]'"
        ) from error
    try:
        return Path(kagglehub.dataset_download(SETS[name]))
    except Exception as error:  # no network, a proxy, a checksum: each has its own
        page = SETS[name].partition("/versions/")[0]
        raise DownloadError(
            f"{name}: not to be had from Kaggle ({type(error).__name__}); where there is a network, download "
            f"https://www.kaggle.com/datasets/{page} and give the file: scripts/download.py FILE.zip --into DIR"
        ) from error


def summary(sums: str) -> str:
    """What a ``SHA256SUMS`` holds: pictures, kinds, and one SHA-256 of it all, the same wherever the same pictures are."""
    kinds = Counter(line.partition("  ")[2].partition("/")[0] for line in sums.splitlines())
    return f"{kinds.total():,} pictures of {len(kinds)} kinds, SHA-256 {hashlib.sha256(sums.encode()).hexdigest()}"


def download(what: str, into: Path, *, most_bytes: int) -> str:
    """Bring a set into a folder, or compare what is there already.

    Args:
        what: a name of ``SETS``, or an archive.
        into: the folder.
        most_bytes: see ``gather``.

    Returns:
        The text of the folder's ``SHA256SUMS``.

    Raises:
        DownloadError: it cannot be had, or the folder holds something else.
    """
    if (into / SUMS).is_file():
        return compare(into)
    if into.exists() and not (into.is_dir() and not any(into.iterdir())):
        raise DownloadError(f"{into}: holds something already, and no {SUMS}; name another folder (--into)")
    opened = open_folder(fetch(what)) if what in SETS else open_archive(Path(what))
    with opened as members:
        return gather(members, into, name=what, most_bytes=most_bytes)


def _default_folder(name: str) -> Path:
    return Path("data", name)


def main(args: Sequence[str] | None = None) -> int:
    """Command line of scripts/download.py."""
    parser = argparse.ArgumentParser(
        prog="download.py", allow_abbrev=False, description="Get a public set of animal pictures as a folder for each kind."
    )
    parser.add_argument("what", metavar="SET|ARCHIVE", help=f"{', '.join(SETS)} (from Kaggle), or a .zip or .tar of folders of pictures")
    parser.add_argument("--into", type=Path, metavar="DIR", help="folder to make, or to compare with its record (default: data/SET)")
    parser.add_argument(
        "--limit", type=float, default=8, metavar="GB", help="most that may be written, in gigabytes (default: %(default)s)"
    )
    options = parser.parse_args(args)
    try:
        if options.into is None and options.what not in SETS:
            raise DownloadError(f"{options.what}: an archive needs --into DIR")
        into = options.into or _default_folder(options.what)
        sums = download(options.what, into, most_bytes=int(options.limit * GIGABYTE))
    except (DownloadError, OSError) as error:
        print(f"download: {error}", file=sys.stderr)
        return 2
    print(f"{into}: {summary(sums)}", file=sys.stderr)
    return 0
