import json
from dataclasses import replace
from pathlib import Path

import pytest

from animal_ner.sentences import Sentence
from animal_ner.tags import Claim
from verifier.decision import Animal, Finding, Mention, Reason, Verdict
from verifier.pairs import NO_KIND, Pair, Picture, Shown
from verifier.report import Control, Judged, answered_otherwise, as_json, as_table, measure, worst


def judged(truth, probability, *, label="cat", likeliest="cat", presence=0.9, conditions=1, text="a cat", category="plain", **changed):
    """A pair of which every control says true."""
    answer = probability >= 0.5
    mention = Mention("cat", 2, 5, Claim.PRESENT, ("cat",))
    reason, seen = Reason.AGREES if answer else Reason.DISAGREES, Animal(likeliest, presence)
    verdict = Verdict(answer, probability, reason, (mention,), (Finding(answer, probability, seen, ()),), (seen,))
    pair = Pair(Sentence(text, category=category), Picture(Path(f"{label}/web_1.jpg"), label, "web"), truth, Shown.OTHER)
    return Judged(**({"pair": pair, "verdict": verdict, "conditions": conditions, "as_annotated": True} | changed), controls=TRUE)


TRUE = dict.fromkeys(Control, True)
SMALL = [
    judged(True, 0.9),
    judged(True, 0.2, text="some cat", conditions=2),
    judged(False, 0.1, label="dog", likeliest="fox", text="cats", conditions=2),
    judged(False, 0.4, label="dog", likeliest="fox", category="noisy", conditions=0),
    judged(False, 0.0, label=NO_KIND, presence=0.1, conditions=3, as_annotated=False),
]


@pytest.fixture
def report():
    return measure(SMALL, threshold=0.5, seen_from=0.2)


def test_overall_figures_lie_in_their_intervals(report):
    assert (report.overall.pairs, report.true_pairs, report.texts, report.pictures) == (5, 2, 3, 3)
    assert report.overall.accuracy == 0.8
    assert report.overall.balanced_accuracy == 0.75
    for name, (low, high) in report.intervals.items():
        assert low <= getattr(report.overall, name) <= high


def test_a_control_that_always_says_true_is_beaten_by_a_quarter(report):
    for rival in report.controls.values():
        assert rival.rates.balanced_accuracy == 0.5
        assert rival.ahead == 0.25
        assert rival.interval[0] <= rival.ahead <= rival.interval[1]


def test_every_grouping_divides_all_pairs(report):
    assert report.groups.keys() == {"category", "shown", "kind", "source"}
    assert all(sum(scores.pairs for scores in groups.values()) == 5 for groups in report.groups.values())
    assert report.groups["kind"]["dog"].true_negative_rate == 1.0
    assert report.groups["kind"]["no animal"].pairs == 1


def test_independence_is_checked_on_several_conditions_that_were_read_right(report):
    several = report.conditions["several"]
    assert several.pairs == 2
    assert several.mean_probability == pytest.approx(0.15)
    assert several.share_true == 0.5
    assert report.conditions["one"].pairs == 1


def test_a_picture_is_confused_once_and_what_is_not_seen_is_no_animal(report):
    assert report.confusions == [("dog", "fox", 1)]
    unseen = measure([judged(True, 0.9, presence=0.1)], threshold=0.5, seen_from=0.2)
    assert unseen.confusions == [("cat", "no animal", 1)]


def test_the_table_puts_what_is_most_wrong_first_and_says_what_it_leaves_out(report):
    table = as_table(report, rows=1)
    assert "kind of the picture (1 of 3, most wrong first)" in table
    assert "\ncat " in table
    assert "\ndog " not in table
    assert "several conditions: mean probability 0.150, share true 0.500" in table
    assert all(len(line) <= 140 for line in table.splitlines())


def test_json_has_no_figure_that_is_none(report):
    read = json.loads(json.dumps(as_json(report), allow_nan=False))
    assert read["overall"]["accuracy"] == 0.8
    assert read["groups"]["kind"]["dog"]["true_positive_rate"] is None


def test_the_worst_are_wrong_and_the_surest_come_first():
    more = [*SMALL, judged(False, 0.6, label="owl"), judged(False, 0.95, label="fox")]
    told = worst(more, count=2, threshold=0.5)
    assert "2 surest of 3 wrong" in told
    assert told.index("fox/web_1.jpg (fox)") < told.index("some cat")
    assert "owl" not in told


def test_pairs_that_other_models_answer_otherwise_are_counted_and_who_is_right():
    others = [replace(each, verdict=replace(each.verdict, answer=not each.verdict.answer)) for each in SMALL[:2]] + SMALL[2:]
    right = sum(each.verdict.answer == each.pair.truth for each in SMALL[:2])
    told = answered_otherwise(SMALL, others)
    assert f"2 of {len(SMALL)} pairs otherwise ({2 / len(SMALL):.2%})" in told
    assert told.endswith(f"the release has {right} right and they {2 - right}")
    assert "answer 0 of" in answered_otherwise(SMALL, SMALL)
