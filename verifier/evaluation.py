"""Verdicts measured on pairs of annotated texts and labelled pictures, as often true as false."""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from animal_cls.picture import find_pictures
from animal_ner.names import Names
from animal_ner.sentences import Sentence, SentenceError, read_sentences
from animal_ner.tags import Claim
from verifier.decision import InputError, Mention, Verdict
from verifier.pipeline import Verifier


@dataclass(frozen=True)
class Pair:
    """A text and a picture, and whether the text is true of it."""

    sentence: Sentence
    picture: Path
    label: str
    truth: bool


@dataclass(frozen=True)
class Score:
    """Share of true pairs answered true (``true_rate``), of false pairs answered false, and the number of pairs of each sort."""

    true_rate: float
    false_rate: float
    true_pairs: int
    false_pairs: int

    @property
    def balanced_accuracy(self) -> float:
        """Mean of both rates, 0..1; the rate of the only sort there is when one has no pairs."""
        if not self.true_pairs:
            return self.false_rate
        return (self.true_rate + self.false_rate) / 2 if self.false_pairs else self.true_rate


def holds(mentions: Iterable[tuple[Claim, Collection[str]]], shown: Collection[str]) -> bool:
    """Whether annotated mentions are true of a picture that shows some kinds: the rule of the annotation guideline.

    Every PRESENT mention has a kind that is shown, no ABSENT one has, and of the EITHER ones at least one has. Without any of these
    there is no claim, and it does not hold.
    """
    claims = list(mentions)
    met = {claim: [bool(set(kinds) & set(shown)) for c, kinds in claims if c == claim] for claim in Claim}
    if not met[Claim.PRESENT] and not met[Claim.ABSENT] and not met[Claim.EITHER]:
        return False
    return all(met[Claim.PRESENT]) and not any(met[Claim.ABSENT]) and (not met[Claim.EITHER] or any(met[Claim.EITHER]))


def make_pairs(
    sentences: Sequence[Sentence],
    pictures: Mapping[str, Sequence[Path]],
    kinds: Callable[[str], Collection[str]],
    *,
    rounds: int,
    seed: int,
) -> list[Pair]:
    """Give each sentence pictures of which it is true and as many of which it is false, where there are such.

    Args:
        sentences: annotated texts.
        pictures: pictures by the kind they show.
        kinds: kinds that a name may mean.
        rounds: pictures of each truth for each sentence.
        seed: of the draws; the kind is drawn evenly first, then the picture.
    """
    chance = random.Random(seed)
    pairs = []
    for sentence in sentences:
        mentions = [(m.claim, kinds(sentence.text[m.start : m.end])) for m in sentence.mentions]
        for truth in (True, False):
            labels = [label for label in sorted(pictures) if holds(mentions, {label}) == truth]
            drawn = [chance.choice(labels) for _ in range(rounds if labels else 0)]
            pairs += [Pair(sentence, chance.choice(pictures[label]), label, truth) for label in drawn]
    return pairs


def score(pairs: Sequence[Pair], answers: Sequence[bool]) -> Score:
    """Rates of right answers among true and among false pairs."""
    right: dict[bool, list[bool]] = {True: [], False: []}
    for pair, answer in zip(pairs, answers, strict=True):
        right[pair.truth].append(answer == pair.truth)
    rates = {truth: sum(values) / len(values) if values else 0.0 for truth, values in right.items()}
    return Score(rates[True], rates[False], len(right[True]), len(right[False]))


def any_word_matches(verdict: Verdict) -> bool:
    """The usual rule, as a control: true if any animal named is the likeliest in the picture, whatever is said of it."""
    likeliest = verdict.animals[0].kind
    return any(likeliest in mention.kinds for mention in verdict.mentions)


def read_pictures(source: Path, side: str) -> dict[str, list[Path]]:
    """Pictures by label, from a folder for each label or from one side of a split file (path, label, split).

    Raises:
        InputError: there are none.
    """
    pictures: dict[str, list[Path]] = defaultdict(list)
    if source.is_dir():
        for folder in sorted(path for path in source.iterdir() if path.is_dir()):
            pictures[folder.name] = find_pictures(folder)
    elif source.is_file():
        with source.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                if row.get("split") == side and row.get("label"):
                    pictures[row["label"]].append(Path(row["path"]))
    found = {label: paths for label, paths in pictures.items() if paths}
    if not found:
        raise InputError(f"{source}: no labelled picture there; give a folder for each label, or a split file that animal_cls wrote")
    return found


def main(args: Sequence[str] | None = None) -> int:
    """Command line of scripts/evaluate.py."""
    parser = argparse.ArgumentParser(prog="evaluate.py", description="Measure verdicts on pairs of annotated texts and labelled pictures.")
    parser.add_argument(
        "--texts", type=Path, required=True, metavar="JSONL", help="annotated sentences, such as animal_ner/corpus/test.jsonl"
    )
    parser.add_argument(
        "--pictures", type=Path, required=True, metavar="PATH", help="a folder for each label, or a split file (path, label, split)"
    )
    parser.add_argument("--side", default="test", help="side of the split file (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="pictures of each truth for each text (default: %(default)s)")
    parser.add_argument("--release", type=Path, metavar="DIR", help="a release in place of the shipped one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every pair with its verdict, as JSON lines")
    options = parser.parse_args(args)
    try:
        verifier = Verifier(options.release)
        names = Names(verifier.kinds)
        pictures = read_pictures(options.pictures, options.side)
        unknown = sorted(set(pictures) - set(verifier.kinds))
        if unknown:
            raise InputError(f"{options.pictures}: the release does not know {', '.join(unknown[:5])}")
        pairs = make_pairs(read_sentences(options.texts), pictures, names.kinds, rounds=options.rounds, seed=0)
        stream = verifier.verify_batch((pair.sentence.text, pair.picture) for pair in pairs)
        verdicts = list(tqdm(stream, total=len(pairs), unit="pair", file=sys.stderr))
    except (InputError, SentenceError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    _print_tables(pairs, verdicts)
    if options.json:
        options.json.write_text("".join(_line(p, v) for p, v in zip(pairs, verdicts, strict=True)), encoding="utf-8")
    return 0


def _print_tables(pairs: Sequence[Pair], verdicts: Sequence[Verdict]) -> None:
    answers = [verdict.answer for verdict in verdicts]
    rows = [("all", score(pairs, answers)), ("all, any word matches", score(pairs, [any_word_matches(v) for v in verdicts]))]
    for category in sorted({pair.sentence.category for pair in pairs}):
        chosen = [i for i, pair in enumerate(pairs) if pair.sentence.category == category]
        rows.append((category or "-", score([pairs[i] for i in chosen], [answers[i] for i in chosen])))
    print(f"{'texts':24} {'balanced':>8} {'true':>6} {'false':>6} {'pairs':>6}")
    for name, s in rows:
        print(f"{name:24} {s.balanced_accuracy:8.3f} {s.true_rate:6.3f} {s.false_rate:6.3f} {s.true_pairs + s.false_pairs:6d}")


def _line(pair: Pair, verdict: Verdict) -> str:
    def named(mentions: Sequence[Mention]) -> list[list[str]]:
        return [[mention.text, mention.claim.value] for mention in mentions]

    record = {
        "text": pair.sentence.text,
        "category": pair.sentence.category,
        "picture": str(pair.picture),
        "label": pair.label,
        "truth": pair.truth,
        "answer": verdict.answer,
        "probability": round(verdict.probability, 4),
        "reason": verdict.reason.value,
        "mentions": named(verdict.mentions),
        "animals": [[animal.kind, round(animal.probability, 4)] for animal in verdict.animals],
    }
    return json.dumps(record, ensure_ascii=False) + "\n"
