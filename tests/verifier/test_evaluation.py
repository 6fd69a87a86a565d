from pathlib import Path

import pytest

from animal_ner.sentences import Sentence
from animal_ner.tags import Claim, Span
from verifier.evaluation import holds, make_pairs, score

CAT = Sentence("a cat", (Span(2, 5, Claim.PRESENT),))
NO_CAT = Sentence("no cat", (Span(3, 6, Claim.ABSENT),))
PICTURES = {"cat": [Path("cat.jpg")], "dog": [Path("dog.jpg")]}


@pytest.mark.parametrize(
    ("mentions", "shown", "truth"),
    [
        ([(Claim.PRESENT, {"cat"}), (Claim.PRESENT, {"dog"})], {"cat"}, False),
        ([(Claim.EITHER, {"cat"}), (Claim.EITHER, {"dog"})], {"dog"}, True),
        ([(Claim.ABSENT, set())], {"dog"}, True),
        ([(Claim.MENTIONED, {"dog"})], {"dog"}, False),
    ],
)
def test_the_truth_rule_is_that_of_the_guideline(mentions, shown, truth):
    assert holds(mentions, shown) == truth


def test_pairs_are_as_often_true_as_false_where_both_can_be():
    pairs = make_pairs([CAT, NO_CAT], PICTURES, lambda name: {name}, rounds=3, seed=0)
    assert len(pairs) == 12
    assert {(p.sentence.text, p.label, p.truth) for p in pairs} == {
        ("a cat", "cat", True),
        ("a cat", "dog", False),
        ("no cat", "dog", True),
        ("no cat", "cat", False),
    }


def test_always_answering_true_scores_one_half():
    pairs = make_pairs([CAT, NO_CAT], PICTURES, lambda name: {name}, rounds=1, seed=0)
    assert score(pairs, [True] * len(pairs)).balanced_accuracy == 0.5
