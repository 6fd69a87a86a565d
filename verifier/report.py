"""What an evaluation found: figures of pairs and their verdicts, and how they are told."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np

from verifier.decision import Verdict
from verifier.pairs import Pair
from verifier.scores import BINS, Numbers, Rates, Scores, Truths, interval, rate, resamples, score

RESAMPLES = 1000
UNNAMED = "-"  # category or source of pairs that have none
NOTHING = "no animal"  # as a label, and as what a picture is taken for

Interval: TypeAlias = tuple[float, float]


class Control(StrEnum):
    """A simpler rule that the decision must beat on the same pairs."""

    ANY_WORD = "any word matches the argmax"
    NO_CLAIMS = "tagger without claims"
    NO_REJECTION = "argmax without rejection"


@dataclass(frozen=True)
class Judged:
    """A pair with its verdict.

    Attributes:
        pair: the text, the picture and the truth.
        verdict: what the release says.
        conditions: number of probabilities whose product the verdict's is; 0 when a rule settled it before.
        as_annotated: whether the tagger read exactly what the annotation has.
        controls: what simpler rules answer.
    """

    pair: Pair
    verdict: Verdict
    conditions: int
    as_annotated: bool
    controls: Mapping[Control, bool]


@dataclass(frozen=True)
class Rival:
    """How a control does: its rates, and by how much the decision's balanced accuracy is above, with a 95% interval."""

    rates: Rates
    ahead: float
    interval: Interval


@dataclass(frozen=True)
class Agreement:
    """Number of pairs, their mean probability of truth, the share that is true, and a 95% interval of the first less the second."""

    pairs: int
    mean_probability: float
    share_true: float
    difference: Interval


@dataclass(frozen=True)
class Report:
    """Figures of an evaluation.

    Attributes:
        overall: of all pairs.
        intervals: 95% intervals of those, by name.
        controls: of the rules that the decision must beat.
        groups: by what pairs are grouped by (category, shown, kind, source) and then by group.
        conditions: how probabilities agree with the truth in texts that were read as annotated, where one condition made them ("one")
            and where several multiplied ("several"), which is right if the conditions are independent.
        confusions: (label, what it was taken for, number of pictures), most frequent first.
        true_pairs: number of pairs whose text is true of the picture.
        texts: number of texts.
        pictures: number of pictures.
        threshold: probability from which an answer is true.
    """

    overall: Scores
    intervals: dict[str, Interval]
    controls: dict[str, Rival]
    groups: dict[str, dict[str, Scores]]
    conditions: dict[str, Agreement]
    confusions: list[tuple[str, str, int]]
    true_pairs: int
    texts: int
    pictures: int
    threshold: float


SCORES = tuple(field.name for field in fields(Scores) if field.name != "pairs")
HEADINGS = ("accuracy", "balanced", "TPR", "TNR", "AUROC", "ECE", "surest 90%")
WIDTHS = (6, 8, 8, 6, 6, 6, 6, 10)
GROUPED: dict[str, Callable[[Pair], str]] = {
    "category": lambda pair: pair.sentence.category or UNNAMED,
    "shown": lambda pair: pair.shown.value,
    "kind": lambda pair: pair.picture.label or NOTHING,
    "source": lambda pair: pair.picture.source or UNNAMED,
}
TITLES = {
    "category": "category of the text",
    "shown": "the picture shows",
    "kind": "kind of the picture",
    "source": "source of the picture",
}


def arrays(judged: Iterable[Judged]) -> tuple[Truths, Numbers]:
    """Truths and probabilities of truth, both (N,)."""
    truth, probability = zip(*((each.pair.truth, each.verdict.probability) for each in judged), strict=True)
    return np.array(truth, dtype=np.bool_), np.array(probability, dtype=np.float64)


def measure(judged: Sequence[Judged], *, threshold: float, seen_from: float, seed: int = 0) -> Report:
    """All figures of at least one pair.

    Args:
        judged: pairs with their verdicts.
        threshold: probability of truth, 0..1, from which the answers are true.
        seen_from: presence, 0..1, below which the likeliest kind of a picture counts as not seen.
        seed: of the resamples.
    """
    truth, probability = arrays(judged)
    answers = {control: np.array([each.controls[control] for each in judged]) for control in Control}
    number = np.array([each.conditions if each.as_annotated else 0 for each in judged])
    chosen = {"one": number == 1, "several": number > 1}
    texts, paths = [each.pair.sentence.text for each in judged], [str(each.pair.picture.path) for each in judged]

    drawn: dict[str, list[float]] = defaultdict(list)
    for i in resamples(texts, paths, times=RESAMPLES, seed=seed):
        scores = score(truth[i], probability[i], threshold=threshold)
        for name in SCORES:
            drawn[name].append(getattr(scores, name))
        for control, answer in answers.items():
            drawn[control].append(scores.balanced_accuracy - rate(truth[i], answer[i]).balanced_accuracy)
        for name, among in chosen.items():
            j = i[among[i]]
            drawn[name].append(float(np.mean(probability[j] - truth[j])) if len(j) else math.nan)

    overall = score(truth, probability, threshold=threshold)
    rivals = {control: rate(truth, answer) for control, answer in answers.items()}
    return Report(
        overall=overall,
        intervals={name: interval(drawn[name]) for name in SCORES},
        controls={
            control.value: Rival(rates, overall.balanced_accuracy - rates.balanced_accuracy, interval(drawn[control]))
            for control, rates in rivals.items()
        },
        groups={name: _grouped(judged, group, threshold) for name, group in GROUPED.items()},
        conditions={
            name: Agreement(int(among.sum()), _mean(probability[among]), _mean(truth[among]), interval(drawn[name]))
            for name, among in chosen.items()
        },
        confusions=_confusions(judged, seen_from),
        true_pairs=int(truth.sum()),
        texts=len(set(texts)),
        pictures=len(set(paths)),
        threshold=threshold,
    )


def as_table(report: Report, *, rows: int) -> str:
    """A report for people.

    Args:
        report: what was found.
        rows: most rows of each grouping; those with most wrong answers come first.
    """
    overall = report.overall
    lines = [
        f"{overall.pairs:,} pairs, {report.true_pairs:,} of them true, of {report.texts:,} texts and {report.pictures:,} pictures",
        "",
        _head("decision", *HEADINGS),
        _row("all pairs", overall),
        *(_cells(f"  95% interval, {end}", "", *(report.intervals[name][i] for name in SCORES)) for i, end in enumerate(("from", "to"))),
        "",
        _head("controls on the same pairs", *HEADINGS[:4], " decision ahead by"),
        *(_row(name, rival.rates) + f"  {rival.ahead:.3f} ({_span(rival.interval)})" for name, rival in report.controls.items()),
    ]
    for name, groups in report.groups.items():
        ordered = sorted(groups.items(), key=lambda item: (-_wrong(item[1]), item[0]))
        more = f" ({rows} of {len(ordered)}, most wrong first)" if len(ordered) > rows else ""
        lines += ["", _head(TITLES[name] + more, *HEADINGS), *(_row(group, scores) for group, scores in ordered[:rows])]
    lines += ["", *(_agreement(name, report.conditions[name]) for name in ("several", "one")), ""]
    lines += [
        "TPR, TNR: share of the true, of the false pairs that are answered right. balanced: their mean.",
        f"ECE: probability of truth against the share that is true, {BINS} bins of equal width.",
        f"surest 90%: accuracy when the tenth whose probability lies nearest to the threshold, {report.threshold}, is refused.",
        f"95% interval: {RESAMPLES:,} resamples of the texts and, independently, of the pictures.",
    ]
    return "\n".join(lines)


def as_json(report: Report) -> dict[str, Any]:
    """A report for machines, without NaNs, figures rounded to five digits."""
    tidy: dict[str, Any] = _tidy(asdict(report))
    return tidy


def worst(judged: Sequence[Judged], *, count: int, threshold: float) -> str:
    """The surest wrong verdicts for people, one after the other."""
    wrong = [each for each in judged if each.verdict.answer != each.pair.truth]
    wrong.sort(key=lambda each: -abs(each.verdict.probability - threshold))
    blocks = [f"the {min(count, len(wrong))} surest of {len(wrong):,} wrong answers"]
    for each in wrong[:count]:
        verdict, picture = each.verdict, each.pair.picture
        seen = ", ".join(f"{animal.kind} {animal.probability:.2f}" for animal in verdict.animals[:3])
        read = ", ".join(f"{mention.text} {mention.claim}" for mention in verdict.mentions) or "no mention"
        blocks.append(
            f"{str(verdict.answer).lower()} {verdict.probability:.3f}, wrongly: {verdict.reason}\n"
            f"  text     {each.pair.sentence.text}\n"
            f"  read     {read}\n"
            f"  picture  {picture.path} ({picture.label or NOTHING})\n"
            f"  seen     {seen}"
        )
    return "\n".join(blocks)


def answered_otherwise(judged: Sequence[Judged], others: Sequence[Judged]) -> str:
    """How many pairs other models answer otherwise, for people; ``others`` has the same pairs in the same order."""
    different = [each for each, other in zip(judged, others, strict=True) if each.verdict.answer != other.verdict.answer]
    right = sum(each.verdict.answer == each.pair.truth for each in different)
    return (
        f"the checkpoints answer {len(different):,} of {len(judged):,} pairs otherwise ({len(different) / len(judged):.2%}); "
        f"of these the release has {right:,} right and they {len(different) - right:,}"
    )


def _grouped(judged: Sequence[Judged], group: Callable[[Pair], str], threshold: float) -> dict[str, Scores]:
    members: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        members[group(each.pair)].append(each)
    return {name: score(*arrays(some), threshold=threshold) for name, some in sorted(members.items())}


def _confusions(judged: Sequence[Judged], seen_from: float) -> list[tuple[str, str, int]]:
    likeliest = {each.pair.picture: each.verdict.animals[0] for each in judged}
    taken = Counter(
        (picture.label or NOTHING, animal.kind if animal.probability >= seen_from else NOTHING) for picture, animal in likeliest.items()
    )
    wrong = [(label, kind, count) for (label, kind), count in taken.items() if label != kind]
    return sorted(wrong, key=lambda item: (-item[2], item))


def _agreement(name: str, agreement: Agreement) -> str:
    return (
        f"{name} condition{'s' if name == 'several' else ''}: mean probability {_figure(agreement.mean_probability)}, "
        f"share true {_figure(agreement.share_true)}, difference {_span(agreement.difference)} "
        f"({agreement.pairs:,} pairs read as annotated)"
    )


def _head(title: str, *headings: str) -> str:
    return _cells(title, "pairs", *headings)


def _row(name: str, rates: Rates) -> str:
    return _cells(name, f"{rates.pairs:,}", *(getattr(rates, each) for each in SCORES if hasattr(rates, each)))


def _cells(name: str, *cells: str | float) -> str:
    texts = [cell if isinstance(cell, str) else _figure(cell) for cell in cells]
    return f"{name:50}" + " ".join(f"{text:>{width}}" for text, width in zip(texts, WIDTHS, strict=False))


def _figure(value: float) -> str:
    return UNNAMED if math.isnan(value) else f"{value:.3f}"


def _span(ends: Interval) -> str:
    return f"{_figure(ends[0])} to {_figure(ends[1])}"


def _wrong(scores: Scores) -> int:
    return round((1 - scores.accuracy) * scores.pairs)


def _mean(values: Numbers | Truths) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _tidy(value: Any) -> Any:
    match value:
        case dict():
            return {key: _tidy(each) for key, each in value.items()}
        case list() | tuple():
            return [_tidy(each) for each in value]
        case float():
            return None if math.isnan(value) else round(value, 5)
        case _:
            return value
