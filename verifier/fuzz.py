"""Fuzzing and soaking: mutated pictures and texts through the command's own entry, and as many verdicts as one likes in one process.

Whatever is put in, ``verify.py`` answers or refuses with one line; anything else is a finding. Hypothesis states the laws in the tests;
this looks for what nobody thought of.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import hashlib
import io
import json
import os
import random
import re
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from verifier import cli

MESSAGES = Path(str(resources.files("animal_ner"))) / "corpus/test.jsonl"  # in a clone; an installed package has none
SLOW = 20.0  # seconds of processor time from which one input is a finding
HEADER = 512  # bytes at the beginning of a file that are mutated as often as all the others
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
ODD = (
    "\0\x07\x1b\t\r\n\x85\u2028\xa0\xad\u200b\u200d\u202e\u2066\ufeff\ufe0f\u0301\u0489\ud83d\udc31\U0001f431"
    "\U000e0061\uffff\U0010ffff,;'\"-=@%"
)
ALIKE = str.maketrans("aeopc", "\u0430\u0435\u043e\u0440\u0441")
HUNG = 300  # seconds from which an input that coverage led to is a finding; by the clock, which other programs slow down
SEEN = 50  # inputs with which it begins: every format of pictures, and texts of most sorts
GUIDING = ("verifier", "animal_cls", "animal_ner", "PIL")  # packages whose lines count as covered
SAMPLES = 10  # times that a soak prints its memory, besides at its start
GROWTH = 0.03  # share of the memory that a soak may end with above what it had after a fifth of its verdicts


class ContractError(AssertionError):
    """The command neither answered nor refused as it promises; the message says what it did."""


@dataclass(frozen=True)
class Finding:
    """An input that broke the command: its number, what it was, and what it did."""

    number: int
    content: bytes
    problem: str


@dataclass(frozen=True)
class Outcome:
    """What became of many inputs: how many were answered and refused, the findings, and the longest processor time of one, in seconds."""

    counts: Counter[str]
    findings: tuple[Finding, ...]
    slowest: float


def seed_pictures() -> list[bytes]:
    """Files of every format that is read, in its modes and compressions, from 1 x 1 to 160 x 120 pixels."""
    noise = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
    grey, small = photo.convert("L"), photo.resize((24, 18))
    clear = Image.merge("RGBA", [*photo.split(), grey])
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6

    def moving() -> dict[str, Any]:
        """Options for two more frames, anew each time, as Pillow notes in an image how it was saved."""
        return {"save_all": True, "append_images": [small.rotate(90 * i) for i in range(1, 3)]}

    flat = Image.fromarray(np.asarray(grey, dtype=np.float32))
    print_colours = photo.convert("CMYK")
    wanted: dict[str, list[tuple[Image.Image, dict[str, Any]]]] = {
        "JPEG": [(photo, {"exif": turned}), (photo, {"progressive": True, "quality": 30}), (grey, {}), (print_colours, {})],
        "MPO": [(small, moving())],
        "PNG": [(photo, {}), (clear, {"exif": turned}), (clear.convert("LA"), {}), (grey.convert("1"), {}), (deep, {}), (small, moving())],
        "GIF": [(photo.convert("P"), {"transparency": 3}), (small, moving())],
        "WEBP": [(photo, {"exif": turned}), (clear, {"lossless": True}), (small, moving())],
        "BMP": [(photo, {}), (photo.convert("P"), {}), (grey.convert("1"), {})],
        "AVIF": [(photo, {"exif": turned}), (clear, {}), (small, moving())],
        "TIFF": [(photo, {"exif": turned}), (photo, {"big_tiff": True}), (print_colours, {}), (flat, {}), (deep, {}), (small, moving())],
    }
    wanted["PNG"] += [(photo.convert("P"), {"transparency": 3}), (photo.resize((1, 1)), {})]
    wanted["TIFF"] += [(photo, {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")]
    wanted["TIFF"] += [(grey.convert("1"), {"compression": "group4"})]
    return [_encoded(image, kind, options) for kind, pictures in wanted.items() for image, options in pictures]


def seed_texts() -> list[str]:
    """The messages that test the tagger."""
    return [json.loads(line)["text"] for line in MESSAGES.read_text(encoding="utf-8").splitlines()]


def mutate_picture(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """One of the files with bytes of it changed, lost, doubled or taken from another file; in a PNG, checksums may be made to fit."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(min(len(data), HEADER) if chance.random() < 0.5 else len(data)) if data else 0
        length = chance.choice((1, 2, 4, 16, 256))
        match chance.randrange(8):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1 if data:
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                number = struct.pack(chance.choice("<>") + "Q", chance.choice(NUMBERS))
                width = chance.choice((1, 2, 4))
                data[at : at + width] = number[:width] if chance.random() < 0.5 else number[-width:]
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length]
            case 5:
                data[at:at] = chance.randbytes(length)
            case 6 if chance.random() < 0.3:
                del data[at:]
            case _:
                other = chance.choice(seeds)
                data[at : at + length] = other[at : at + length]
    return _with_checksums(bytes(data)) if data.startswith(b"\x89PNG") and chance.random() < 0.5 else bytes(data)


def mutate_text(seeds: Sequence[str], chance: random.Random) -> str:
    """One of the texts with characters of it changed, lost, doubled, hidden or taken from another text."""
    text = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(text) + 1)
        end = min(at + chance.choice((1, 2, 8, 64)), len(text))
        match chance.randrange(11):
            case 0:
                text = text[:at] + "".join(chance.choices(ODD, k=chance.choice((1, 3, 20)))) + text[at:]
            case 1:
                text = (
                    text[:at]
                    + chr(chance.choice((chance.randrange(0x300), chance.randrange(0x10000), chance.randrange(0x110000))))
                    + text[at:]
                )
            case 2:
                text = text[:at] + text[end:]
            case 3:
                text = text[:end] + text[at:]
            case 4:
                text = text[:at] + chance.choice((text[at:end].upper(), text[at:end].swapcase(), text[at:end][::-1])) + text[end:]
            case 5:
                text = text[:at] + text[at:end].translate(ALIKE) + text[end:]
            case 6:
                text = text[:at] + chance.choice(ODD).join(text[at:end]) + text[end:]
            case 7:
                text = text[:at] + chance.choice((" ", ", ", "\n", "", "\0")) + chance.choice(seeds)
            case 8:
                words = text.split(" ")
                chance.shuffle(words)
                text = " ".join(words)
            case 9:
                text = re.sub(r"\w+", lambda word: word[0] + chance.choice(ODD), text, count=chance.randrange(1, 4))
            case _:
                text = text[:at] + text[at:end] * chance.choice((2, 10, 100)) + text[end:]
    return text * 2000 if chance.random() < 0.005 else text  # some are far too long


def ask(text: str, image: Path, *, release: Path | None = None) -> str:
    """Put one pair to the command in this process; the shipped release answers, or another one.

    Returns:
        ``answered`` or ``refused``.

    Raises:
        ContractError: it did neither as it promises: one line of JSON and exit code 0, whose offsets cut the mentions out of the text, or
            one line on stderr and exit code 2.
    """
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main([f"--text={text}", f"--image={image}", "--json", *([f"--release={release}"] if release else [])])
    said, told = out.getvalue(), err.getvalue()
    if code == cli.BAD_INPUT and not said and re.fullmatch(r"verify: [^\n]+\n", told):
        return "refused"
    if code == 0 and not told and said.count("\n") == 1:
        for mention in json.loads(said)["mentions"]:
            if text[mention["start"] : mention["end"]] != mention["text"]:
                raise ContractError(f"offsets {mention['start']}..{mention['end']} do not cut {mention['text']!r} out of the text")
        return "answered"
    raise ContractError(f"exit code {code}, stdout {said[:200]!r}, stderr {told[:500]!r}")


def try_all(inputs: Iterator[bytes], put: Callable[[bytes], str], *, seconds: float) -> Outcome:
    """Put inputs to the command, for at most so many seconds, and keep those that break it."""
    counts: Counter[str] = Counter()
    findings: list[Finding] = []
    slowest, deadline = 0.0, time.monotonic() + seconds
    for number, content in enumerate(inputs):
        begun, problem = time.process_time(), ""
        try:
            counts[put(content)] += 1
        except (Exception, SystemExit) as error:  # noqa: BLE001  (any is a finding)
            problem = f"{type(error).__name__}: {error}"
        took = time.process_time() - begun
        slowest = max(slowest, took)
        if problem or took > SLOW:
            findings.append(Finding(number, content, problem or f"took {took:.1f} s"))
        if time.monotonic() > deadline:
            break
    return Outcome(counts, tuple(findings), slowest)


def grew(memory: Sequence[float]) -> float:
    """By what share memory grew in a soak, from what it had after a fifth of the samples to the last of them."""
    after_start = memory[len(memory) // 5]
    return memory[-1] / after_start - 1


def slope(verdicts: Sequence[int], memory: Sequence[float]) -> float:
    """By how many megabytes memory grew in 10,000 verdicts, as the straight line through all samples but the first fifth says."""
    settled = slice(len(memory) // 5, None)
    x, y = np.asarray(verdicts[settled], dtype=float), np.asarray(memory[settled])
    spread = ((x - x.mean()) ** 2).sum()
    return float(10_000 * ((x - x.mean()) * (y - y.mean())).sum() / spread) if spread else 0.0


def main(args: Sequence[str] | None = None) -> int:
    """Command line of scripts/fuzz.py.

    Returns:
        The exit code: 0, or 1 when there are findings or memory grew, or 2 for bad input; libFuzzer's own when it found something.
    """
    options = _parser().parse_args(args)
    if options.guided and find_spec("atheris") is None:
        print("fuzz: atheris is missing; --guided needs the extra 'fuzz': pip install -e '.[fuzz]'", file=sys.stderr)
        return cli.BAD_INPUT
    if options.corpus and not options.guided:
        print("fuzz: --corpus goes with --guided, which keeps there what it finds worth changing further", file=sys.stderr)
        return cli.BAD_INPUT
    if not MESSAGES.is_file():
        print(f"fuzz: {MESSAGES} is missing; a clone has it: pip install -e .", file=sys.stderr)
        return cli.BAD_INPUT
    faulthandler.enable(sys.__stderr__ or sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        if options.soak:
            return _soak(options.soak, Path(folder), options.release, seconds=options.seconds)
        entries = _entries(Path(folder), options.release)
        if options.guided:
            kept = options.corpus or Path(folder) / "corpus"
            return _guided(options.guided, *entries[options.guided], kept=kept, output=options.output, seconds=options.seconds)
        found = [
            _fuzz(sort, *entries[sort], count=count, seconds=options.seconds, seed=options.seed, output=options.output)
            for sort, count in (("pictures", options.pictures), ("texts", options.texts))
        ]
    return int(any(found))


@dataclass(frozen=True)
class _Corpus:
    """Inputs to begin with, and how another is made of some."""

    seeds: Sequence[bytes]
    mutate: Callable[[Sequence[bytes], random.Random], bytes]


def _entries(folder: Path, release: Path | None) -> dict[str, tuple[_Corpus, Callable[[bytes], str]]]:
    """For pictures and for texts what to begin with, and how one is put to the command; what is mutated lies in the folder meanwhile."""
    pictures, texts = seed_pictures(), seed_texts()
    mutated, whole = folder / "mutated", folder / "whole.jpg"
    whole.write_bytes(pictures[0])

    def put_picture(content: bytes) -> str:
        mutated.write_bytes(content)
        return ask("There is a cat in the picture.", mutated, release=release)

    def put_text(content: bytes) -> str:
        mutated.write_bytes(content)  # so that it is still there if the process dies
        return ask(_decoded(content), whole, release=release)

    return {
        "pictures": (_Corpus(pictures, mutate_picture), put_picture),
        "texts": (_Corpus([_to_bytes(text) for text in texts], _mutate_encoded), put_text),
    }


def _mutate_encoded(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    return _to_bytes(mutate_text([_decoded(seed) for seed in seeds], chance))


def _fuzz(sort: str, corpus: _Corpus, put: Callable[[bytes], str], *, count: int, seconds: float, seed: int, output: Path) -> bool:
    """Whether there were findings; they are printed, and kept in the folder ``output``."""
    with suppress(Exception):  # which the first input would meet as well
        put(corpus.seeds[0])  # opens the models: no input is to be blamed for their time
    begun = time.monotonic()
    inputs = (corpus.mutate(corpus.seeds, random.Random(f"{seed} {sort} {number}")) for number in range(count))
    outcome = try_all(inputs, put, seconds=seconds)
    for finding in outcome.findings:
        output.mkdir(parents=True, exist_ok=True)
        file = output / f"{sort}-{seed}-{finding.number}"
        file.write_bytes(finding.content)
        print(f"{file}: {finding.problem}")
    answered, refused, findings = outcome.counts["answered"], outcome.counts["refused"], len(outcome.findings)
    took = f"{time.monotonic() - begun:,.0f} s, the slowest in {outcome.slowest:.2f}"
    print(f"{sort}: {answered + refused + findings:,} in {took}: {answered:,} answered, {refused:,} refused, {findings} findings")
    return bool(outcome.findings)


def _guided(sort: str, corpus: _Corpus, put: Callable[[bytes], str], *, kept: Path, output: Path, seconds: float) -> int:
    """Let libFuzzer look for inputs that reach new lines of code, until one breaks the command, which is kept in the folder ``output``."""
    for folder in (kept, output):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in corpus.seeds[:SEEN]:
        (kept / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)  # as libFuzzer names its own
    process = os.fork()  # libFuzzer ends the process in which it runs
    if not process:
        _look_for_new_lines(corpus, put, f"-artifact_prefix={output}/{sort}-", str(kept), seconds=seconds)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(f"{sort}: {f'a finding in {output}' if code else 'no finding'}; {len(list(kept.iterdir())):,} inputs to begin with next time")
    return code


def _look_for_new_lines(corpus: _Corpus, put: Callable[[bytes], str], *options: str, seconds: float) -> NoReturn:
    """Run libFuzzer, whose mutations take turns with those of the corpus."""
    import atheris  # noqa: PLC0415  (of the extra `fuzz`, for this alone)

    def mutate(content: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        changed = corpus.mutate([content], chance) if content and chance.random() < 0.5 else atheris.Mutate(content, most)
        return bytes(changed[:most])

    def put_in_time(content: bytes) -> None:
        put(content)
        if time.monotonic() > deadline or os.getppid() != parent:  # which may have been killed
            os._exit(0)  # as libFuzzer would end it, ONNX Runtime's threads abort

    for seed in corpus.seeds[:SEEN]:
        with suppress(Exception):  # which libFuzzer will meet as well
            put(seed)  # imports what the lines to be covered are in
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and (each.__module__ or "").partition(".")[0] in GUIDING and each.__module__ != __name__:
            atheris.instrument_func(each)
    parent, deadline = os.getppid(), time.monotonic() + seconds
    atheris.Setup([sys.argv[0], f"-timeout={HUNG}", "-rss_limit_mb=8192", *options], put_in_time, custom_mutator=mutate)
    atheris.Fuzz()
    raise SystemExit


def _soak(count: int, folder: Path, release: Path | None, *, seconds: float) -> int:
    """Put small whole pictures and messages to the command, one pair after another, and print the memory of the process meanwhile.

    Each pair goes the whole way: nothing is kept from one to the next but the opened models.
    """
    files = [folder / str(number) for number in range(len(seed_pictures()))]
    for file, content in zip(files, seed_pictures(), strict=True):
        file.write_bytes(content)
    texts, chance = seed_texts(), random.Random(0)
    for file in files:
        ask(texts[0], file, release=release)  # opens the models and imports what reads each format
    begun, done, samples = time.monotonic(), 0, [(0, _resident())]
    print(f"  verdicts   seconds        MB\n{0:10,}{0:10,}{samples[0][1]:10,.1f}", flush=True)
    while len(samples) <= SAMPLES:
        passed = time.monotonic() - begun
        if SAMPLES * max(done / count, passed / max(seconds, 1e-9)) < len(samples):
            ask(chance.choice(texts), chance.choice(files), release=release)
            done += 1
            continue
        samples.append((done, _resident()))
        print(f"{done:10,}{passed:10,.0f}{samples[-1][1]:10,.1f}", flush=True)
    verdicts, memory = zip(*samples, strict=True)
    growth = grew(memory)
    print(f"{done:,} verdicts; after the first fifth memory grew by {growth:.1%} (at most {GROWTH:.0%} is flat),", end=" ")
    print(f"{slope(verdicts, memory):+.2f} MB in 10,000 verdicts")
    return int(growth > GROWTH)


def _resident() -> float:
    """Memory of this process in megabytes, as Linux tells it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _encoded(image: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # as libFuzzer makes them
        return content.decode("utf-8", "surrogateescape")


def _with_checksums(png: bytes) -> bytes:
    """A PNG whose chunks have the checksums that fit them, as far as they can be told apart."""
    whole, at = png[:8], 8
    while at + 12 <= len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        body = png[at + 4 : at + 8 + length]
        whole += png[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return whole + png[at:]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fuzz.py", description="Look for inputs that verify.py neither answers nor refuses with one line."
    )
    parser.add_argument("--pictures", type=int, default=1000, metavar="N", help="mutated pictures (default: %(default)s)")
    parser.add_argument("--texts", type=int, default=1000, metavar="N", help="mutated texts (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=86400.0, metavar="S", help="most seconds for either (default: a day)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutations, a whole number (default: %(default)s)")
    parser.add_argument(
        "--output", type=Path, default=Path("findings"), metavar="DIR", help="folder for inputs that break it (default: findings)"
    )
    parser.add_argument(
        "--guided",
        choices=("pictures", "texts"),
        help="instead, let atheris (extra 'fuzz') guide mutations by coverage, for --seconds or until one breaks it",
    )
    parser.add_argument(
        "--corpus", type=Path, metavar="DIR", help="where --guided keeps inputs that reached new lines, to go on from (default: nowhere)"
    )
    parser.add_argument(
        "--soak",
        type=int,
        default=0,
        metavar="N",
        help="instead, give so many verdicts, for --seconds at most, and print the memory meanwhile (Linux)",
    )
    parser.add_argument("--release", type=Path, metavar="DIR", help="a release made by scripts/export.py, in place of the shipped one")
    return parser
