"""Verdicts measured on pairs of annotated texts and labelled pictures, as often true as false."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from animal_ner.names import Names
from animal_ner.sentences import SentenceError, read_sentences
from animal_ner.tags import Claim, Span
from verifier.cli import BAD_INPUT
from verifier.decision import InputError, Reading, Reason, Verdict, conditions, decide
from verifier.lookalikes import read_look_alikes
from verifier.pairs import Pair, Picture, make_pairs, read_pictures
from verifier.pipeline import Models, Verifier
from verifier.record import verdict_as_json
from verifier.release import Manifest, Release
from verifier.report import Control, Judged, Report, answered_otherwise, arrays, as_json, as_table, measure, worst
from verifier.scores import sureness
from verifier.two_animals import as_table as two_animals_as_table
from verifier.two_animals import measure_two_animals


def judge(pair: Pair, reading: Reading, presence: Mapping[str, float], manifest: Manifest) -> Judged:
    """The verdict on a pair, and what simpler rules say of it.

    The controls see what the decision sees. ``ANY_WORD``, the usual rule, is true if any animal named is the likeliest in the picture,
    whatever is said of it. ``NO_CLAIMS`` takes every mention as PRESENT. ``NO_REJECTION`` takes the likeliest kind as certainly shown,
    however unlikely it is, and the others as not: a classifier that always names one kind, with the full decision on top.

    Args:
        pair: the text and the picture.
        reading: what the tagger read in the text.
        presence: what the classifier saw in the picture.
        manifest: of the release.
    """
    mentions = reading.mentions
    rule = partial(_rule(manifest), alike=read_look_alikes())
    verdict = rule(mentions=mentions, presence=presence, certainty=reading.certainty, foreign=reading.foreign)
    wanted, denied = conditions(mentions)
    settled = verdict.reason in (Reason.NO_CLAIM, Reason.FOREIGN, Reason.UNKNOWN_ANIMAL)
    likeliest = verdict.animals[0].kind
    return Judged(
        pair=pair,
        verdict=verdict,
        conditions=0 if settled else len(wanted) + bool(denied),
        as_annotated=[Span(m.start, m.end, m.claim) for m in mentions] == list(pair.sentence.mentions),
        controls={
            Control.ANY_WORD: any(likeliest in mention.kinds for mention in mentions),
            Control.NO_CLAIMS: rule(mentions=[replace(mention, claim=Claim.PRESENT) for mention in mentions], presence=presence).answer,
            Control.NO_REJECTION: rule(mentions=mentions, presence={kind: float(kind == likeliest) for kind in presence}).answer,
        },
    )


def _rule(manifest: Manifest) -> Callable[..., Verdict]:
    """The decision, with what a release decides by; it is given mentions, presence and what looks alike."""
    return partial(decide, asked=manifest.asked, threshold=manifest.threshold, seen_from=manifest.seen_from)


def judge_all(verifier: Verifier, manifest: Manifest, pairs: Sequence[Pair]) -> Iterator[Judged]:
    """Judge pairs in order; each text is read and each picture looked at once.

    Raises:
        InputError: a text or a picture cannot be used.
    """
    read, look = cache(verifier.reading), cache(verifier.look)
    for pair in pairs:
        yield judge(pair, read(pair.sentence.text), look(pair.picture.path), manifest)


def main(args: Sequence[str] | None = None) -> int:
    """Command line of scripts/evaluate.py.

    Returns:
        The exit code: 0, or 2 for bad input.
    """
    options = _parser().parse_args(args)
    try:
        _check(options)
        if options.plots:
            _require_plots()
        manifest = Release(options.release).manifest
        verifier = Verifier(options.release)
        beside = Models(options.release, options.ner_checkpoint, options.cls_checkpoint)
        others = beside.open() if beside.ner or beside.cls else None
        if others and others.kinds != verifier.kinds:
            raise InputError(f"{beside.cls}: knows other kinds than the release; compare it with the checkpoint that it was made of")
        pictures = _pictures(options, verifier)
        pairs = _pairs(options, verifier, pictures)
        judged = _judged(verifier, manifest, pairs)
        report = measure(judged, threshold=manifest.threshold, seen_from=manifest.seen_from, seed=options.seed)
        print(as_table(report, rows=options.rows))
        if options.worst:
            print(f"\n{worst(judged, count=options.worst, threshold=manifest.threshold)}")
        if options.json:
            _write(
                options.json,
                json.dumps({"settings": _settings(options, manifest)} | as_json(report), indent=1, allow_nan=False).encode() + b"\n",
            )
        if options.pairs_json:
            _write(options.pairs_json, "".join(_line(each) for each in judged).encode())
        if options.plots:
            _write_plots(options.plots, judged, report)
        if others:
            print(f"\n{answered_otherwise(judged, _judged(others, manifest, pairs))}")
        if options.two_animals:
            alike, count = read_look_alikes(), options.two_animals
            found = measure_two_animals(verifier, _rule(manifest), pictures, alike=alike, count=count, seed=options.seed)
            print(f"\n{two_animals_as_table(found)}")
    except (InputError, SentenceError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def _judged(verifier: Verifier, manifest: Manifest, pairs: Sequence[Pair]) -> list[Judged]:
    return list(tqdm(judge_all(verifier, manifest, pairs), total=len(pairs), unit="pair", file=sys.stderr))


def _check(options: argparse.Namespace) -> None:
    for name in ("look_alikes", "without_animal"):
        if not 0 <= getattr(options, name) <= 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(options, name)}: a share lies between 0 and 1")
    for name, least in (("rounds", 1), ("rows", 0), ("worst", 0), ("two_animals", 0)):
        if getattr(options, name) < least:
            raise InputError(f"--{name.replace('_', '-')} {getattr(options, name)}: at least {least}")
    for file in (options.json, options.pairs_json):
        if file and file.is_dir():
            raise InputError(f"{file}: a folder; name a file to write")
    if options.plots and options.plots.exists() and not options.plots.is_dir():
        raise InputError(f"{options.plots}: a file; name a folder for the plots")


def _pictures(options: argparse.Namespace, verifier: Verifier) -> list[Picture]:
    pictures = read_pictures(options.pictures, side=options.side, negatives=options.negatives)
    unknown = sorted({picture.label for picture in pictures if picture.label} - set(verifier.kinds))
    if unknown:
        raise InputError(f"{options.pictures}: the release does not know {', '.join(unknown[:5])}")
    return pictures


def _pairs(options: argparse.Namespace, verifier: Verifier, pictures: Sequence[Picture]) -> list[Pair]:
    return make_pairs(
        read_sentences(options.texts),
        pictures,
        Names(verifier.kinds).kinds,
        alike=read_look_alikes(),
        rounds=options.rounds,
        look_alikes=options.look_alikes,
        without_animal=options.without_animal,
        seed=options.seed,
    )


def _require_plots() -> None:
    try:
        import verifier.plots  # noqa: F401, PLC0415  (matplotlib, only when asked for)
    except ModuleNotFoundError as error:
        raise InputError(f"--plots: {error.name} is missing; plots need the extra 'train': pip install -e '.[train]'") from error


def _write_plots(folder: Path, judged: Sequence[Judged], report: Report) -> None:
    from verifier.plots import plot_confusions, plot_reliability, plot_risk_coverage  # noqa: PLC0415  (matplotlib, only when asked for)

    truth, probability = arrays(judged)
    right = (probability >= report.threshold) == truth
    risks = {name: 1 - rival.rates.accuracy for name, rival in report.controls.items()}
    for name, figure in (
        ("risk_coverage", plot_risk_coverage(right, sureness(probability, threshold=report.threshold), risks)),
        ("reliability", plot_reliability(truth, probability, threshold=report.threshold)),
        ("confusions", plot_confusions(report.confusions)),
    ):
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=120)
        _write(folder / f"{name}.png", png.getvalue())


def _write(file: Path, content: bytes) -> None:
    """Write a file atomically, with the folders it lies in."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{file}: cannot be written ({error.strerror})") from error


def _settings(options: argparse.Namespace, manifest: Manifest) -> dict[str, Any]:
    """What a run must be given to come out the same, and the digests of the release that was measured."""
    inputs = ("texts", "pictures", "side", "negatives", "rounds", "look_alikes", "without_animal", "seed")
    given = {name: getattr(options, name) for name in inputs}
    return {name: str(value) if isinstance(value, Path) else value for name, value in given.items()} | {"release": manifest.sha256}


def _line(judged: Judged) -> str:
    pair = judged.pair
    record = {
        "text": pair.sentence.text,
        "category": pair.sentence.category,
        "picture": str(pair.picture.path),
        "label": pair.picture.label,
        "source": pair.picture.source,
        "shown": pair.shown.value,
        "truth": pair.truth,
        "conditions": judged.conditions,
        "as_annotated": judged.as_annotated,
        "controls": {control.value: answer for control, answer in judged.controls.items()},
    }
    return json.dumps(record | verdict_as_json(judged.verdict), ensure_ascii=False) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate.py", allow_abbrev=False, description="Measure verdicts on pairs of annotated texts and labelled pictures."
    )
    data = parser.add_argument_group("texts and pictures")
    data.add_argument(
        "--texts", type=Path, required=True, metavar="JSONL", help="annotated sentences, such as animal_ner/corpus/test.jsonl"
    )
    data.add_argument(
        "--pictures",
        type=Path,
        required=True,
        metavar="PATH",
        help="a folder for each label, or a CSV with the columns path (or file) and label and, if wanted, source and split",
    )
    data.add_argument("--side", default="test", help="side of the split that counts, if the CSV has one (default: %(default)s)")
    data.add_argument("--negatives", type=Path, metavar="DIR", help="pictures that show no animal (so do rows of the CSV without a label)")
    draw = parser.add_argument_group("which pairs")
    draw.add_argument("--rounds", type=int, default=2, help="pictures of each truth for each text (default: %(default)s)")
    draw.add_argument(
        "--look-alikes",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="share of the pictures, 0..1, that show what the text names or what looks like it, where that gives the truth "
        "(default: %(default)s)",
    )
    draw.add_argument(
        "--without-animal",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="share of the pictures, 0..1, that show no animal, where there are such and that gives the truth (default: %(default)s)",
    )
    draw.add_argument(
        "--seed", type=int, default=0, help="seed of the pairs and of the intervals, a whole number from 0 (default: %(default)s)"
    )
    parser.add_argument("--release", type=Path, metavar="DIR", help="a release in place of the shipped one")
    tell = parser.add_argument_group("what is told")
    tell.add_argument("--rows", type=int, default=12, help="most rows of each table; --json has all (default: %(default)s)")
    tell.add_argument("--worst", type=int, default=0, metavar="N", help="list the N surest wrong answers")
    tell.add_argument(
        "--two-animals",
        type=int,
        default=0,
        metavar="N",
        help="tell what is said of N pairs of pictures side by side, too, and of look-alikes",
    )
    for model, what in (("ner", "tagger"), ("cls", "classifier")):
        tell.add_argument(
            f"--{model}-checkpoint",
            type=Path,
            metavar="CKPT",
            help=f"tell how many pairs are answered otherwise with this checkpoint in place of the release's {what}",
        )
    tell.add_argument("--json", type=Path, metavar="FILE", help="where to write all figures of the pairs")
    tell.add_argument("--pairs-json", type=Path, metavar="FILE", help="where to write every pair with its verdict, as JSON lines")
    tell.add_argument("--plots", type=Path, metavar="DIR", help="where to draw risk and coverage, reliability and confusions (PNG)")
    return parser
