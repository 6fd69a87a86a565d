"""Command line of scripts/verify.py and animal-verifier: true or false on stdout, everything else on stderr."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import NoReturn

from animal_cls.picture import hush_pillow
from verifier import __version__
from verifier.decision import InputError
from verifier.pipeline import Models, Verifier
from verifier.record import verdict_as_json
from verifier.release import LISTED, Release

BAD_INPUT = 2


def main(args: Sequence[str] | None = None) -> int:
    """Verify a text and a picture, or a table of pairs, or tell which kinds are known.

    Returns:
        The exit code: 0, or 1 for a false answer with ``--exit-code``, or 2 for bad input (of a table: when no row could be verified), or
        130 after Ctrl-C and, for a table, 143 after SIGTERM.
    """
    options = _parser().parse_args(args)
    hush_pillow()
    try:
        _check_flags(options)
        if options.pairs is not None:
            return _verify_table(options)
        if options.kinds:
            return _print("\n".join(Release(options.release).manifest.kinds))
        models = _models(options)
        verdict = _opened(models, models.sha256()).verify(options.text, options.image)
    except InputError as error:
        print(f"verify: {_in_one_line(str(error))}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:  # of a path that no file system takes, or of a folder that may not be searched
        print(f"verify: {_in_one_line(str(error.filename)[:LISTED])}: cannot be used ({error.strerror})", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt as stop:
        print("verify: stopped" + ("" if options.pairs is None else "; the same command goes on from here"), file=sys.stderr)
        return 128 + (stop.args[0] if stop.args else signal.SIGINT)
    printed = _print(json.dumps(verdict_as_json(verdict)) if options.json else str(verdict.answer).lower())
    return printed or int(options.exit_code and not verdict.answer)


def _check_flags(options: argparse.Namespace) -> None:
    """Refuse flags that do not go together.

    Raises:
        InputError: the message says which, and what would be right.
    """
    if (options.pairs is not None) + (options.text is not None) + options.kinds != 1:
        missing = "--text: missing; " if options.image is not None and options.pairs is None and not options.kinds else ""
        raise InputError(f"{missing}give either --text and --image, or --pairs and --output, or --kinds")
    if options.text is None and (options.image or options.exit_code):
        raise InputError("--image and --exit-code go with --text; --pairs writes everything to --output")
    if options.pairs is None and options.output is not None:
        raise InputError("--output goes with --pairs; other answers are printed")
    if options.pairs is None and (options.image_root is not None or options.workers != 1):
        raise InputError("--workers and --image-root go with --pairs")
    if options.kinds and (options.ner_checkpoint or options.cls_checkpoint):
        raise InputError("--kinds tells those of a release; --ner-checkpoint and --cls-checkpoint do not go with it")
    if options.text is not None and options.image is None:
        raise InputError("--image: missing; name the picture that the text speaks of")
    if options.pairs is not None and options.output is None:
        raise InputError("--output: missing; name the .csv or .jsonl file to write")
    if options.json and (options.kinds or (options.output is not None and options.output.suffix != ".jsonl")):
        raise InputError("--json goes with --text, or with an --output in .jsonl")


def _print(text: str) -> int:
    """Print what was asked for; the exit code says whether that was possible."""
    try:
        print(text, flush=True)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # whoever reads has what they wanted (--kinds | head)
            print(f"verify: the answer cannot be printed ({error.strerror})", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails once more when it exits
        return BAD_INPUT
    return 0


def _verify_table(options: argparse.Namespace) -> int:
    from verifier.bulk import verify_table  # noqa: PLC0415  (what a table needs takes a tenth of the time that a pair takes)

    with _sigterm_stops():
        done = verify_table(
            _models(options),
            options.pairs,
            options.output,
            workers=options.workers,
            image_root=options.image_root,
            explained=options.json,
        )
    if not done.errors:
        return 0
    all_failed = done.errors == done.rows
    failed = "no row could" if all_failed else f"{done.errors:,} of {done.rows:,} rows could not"
    print(f"verify: {failed} be verified; see the column 'error' of {options.output}", file=sys.stderr)
    return BAD_INPUT if all_failed else 0


@lru_cache(maxsize=1)
def _opened(models: Models, _: str) -> Verifier:
    """The Verifier of these files with this digest; a process that asks again need not open them again."""
    return models.open()


def _in_one_line(message: str) -> str:
    """A message whose line ends, and what else cannot be printed (a terminal's escape sequences in a file's name), are written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


@contextmanager
def _sigterm_stops() -> Iterator[None]:
    """Let SIGTERM stop a run as Ctrl-C does, so that what there is gets saved."""

    def stop(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _models(options: argparse.Namespace) -> Models:
    return Models(release=options.release, ner=options.ner_checkpoint, cls=options.cls_checkpoint)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all others are."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"verify: {message}; see --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        allow_abbrev=False,
        description="Is what a text says about the animals in a picture true? Prints true or false.",
    )
    parser.add_argument("--version", action="version", version=f"animal-verifier {__version__}")
    parser.add_argument("--kinds", action="store_true", help="print the kinds of animals that the release knows, one a line")
    one = parser.add_argument_group("one pair")
    one.add_argument("--text", help="a message about the picture: 'There is a cow and a horse.', 'isn't that a foal?'")
    one.add_argument(
        "--image",
        type=Path,
        help="the picture: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF; a moving one by its first frame, a transparent one over white",
    )
    one.add_argument(
        "--json",
        action="store_true",
        help="print a JSON object: probability, reason, what holds of each mention, animals; with --pairs, write one for each row (.jsonl)",
    )
    one.add_argument("--exit-code", action="store_true", help="exit with 1 when the answer is false (bad input always exits with 2)")
    many = parser.add_argument_group(
        "many pairs",
        "A run that is stopped, in whatever way, keeps its rows in a hidden file beside the output; the same command goes on from there. "
        "It exits with 2 when no row could be verified.",
    )
    many.add_argument("--pairs", type=Path, metavar="CSV", help="a table with the columns text and image; others are kept")
    many.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="where to write its rows with answer, probability, reason and error (.csv or .jsonl); a file of that name is replaced once "
        "the new one is whole; in a .csv, text that begins with = + - @ tab or carriage return and is no number gets a ' in front, so that "
        "no spreadsheet runs it",
    )
    many.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that answer; each of several uses one core (default: one, on every core)",
    )
    many.add_argument(
        "--image-root",
        type=Path,
        metavar="DIR",
        help="where image paths start and stay; one that leads out of it (absolute, .., symbolic link) is its row's error "
        "(default: paths start in the current folder or beside the CSV, and lead anywhere)",
    )
    models = parser.add_argument_group("models")
    models.add_argument("--release", type=Path, metavar="DIR", help="a release made by scripts/export.py, in place of the shipped one")
    models.add_argument("--ner-checkpoint", type=Path, metavar="CKPT", help="a checkpoint of animal_ner, in place of the release's tagger")
    models.add_argument(
        "--cls-checkpoint", type=Path, metavar="CKPT", help="a checkpoint of animal_cls, in place of the release's classifier"
    )
    return parser
