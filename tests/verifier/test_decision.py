from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier import Claim, InputError, Mention, Reason, Verdict, decide
from verifier.asked import Asked
from verifier.decision import UNKNOWN, conditions, weigh, weigh_all
from verifier.pairs import holds

KINDS = ("cat", "cow", "dog", "duck", "horse", "owl")
BIRDS = ("duck", "owl")
ASKED = Asked(scale=1.0, shift=1.5, rival=2.0)
ALIKE = {"cow": {"horse"}, "horse": {"cow"}, "duck": {"goose", "owl"}, "owl": {"duck"}}


def mention(claim: Claim, *kinds: str, name: str = "x") -> Mention:
    return Mention(name, 0, 1, claim, kinds)


def present(*kinds: str, name: str = "x") -> Mention:
    return mention(Claim.PRESENT, *kinds, name=name)


def absent(*kinds: str, name: str = "x") -> Mention:
    return mention(Claim.ABSENT, *kinds, name=name)


def either(*kinds: str) -> Mention:
    return mention(Claim.EITHER, *kinds)


known = st.builds(
    lambda claim, named: mention(claim, *named), st.sampled_from(Claim), st.sampled_from([*([k] for k in KINDS), BIRDS, KINDS])
)
unknown = st.builds(mention, st.sampled_from(Claim))
claims = st.lists(known | unknown, max_size=5)
presences = st.fixed_dictionaries({kind: st.floats(0, 1) for kind in KINDS})


def verdict(mentions: list[Mention], *shown: str) -> Verdict:
    presence = {kind: 0.95 if kind in shown else 0.01 for kind in KINDS}
    return decide(mentions=mentions, presence=presence, asked=ASKED, threshold=0.5, seen_from=0.3)


@pytest.mark.parametrize(
    ("mentions", "shown", "answer", "reason"),
    [
        ([present("cat")], ["cat"], True, Reason.AGREES),
        ([present("cat")], ["dog"], False, Reason.DISAGREES),
        ([absent("cat")], ["dog"], True, Reason.AGREES),
        ([absent("cat")], ["cat"], False, Reason.DENIED_ANIMAL_SEEN),
        ([absent("cat")], [], True, Reason.AGREES),
        ([present("cow"), present("horse")], ["cow"], False, Reason.DISAGREES),
        ([present("cow"), present("horse")], ["cow", "horse"], True, Reason.AGREES),
        ([either("cow"), either("horse")], ["horse"], True, Reason.AGREES),
        ([either("cow"), either("horse")], ["cat"], False, Reason.DISAGREES),
        ([present(*BIRDS)], ["owl"], True, Reason.AGREES),
        ([absent(*BIRDS)], ["owl"], False, Reason.DENIED_ANIMAL_SEEN),
        ([absent(*BIRDS), present("cat")], ["cat"], True, Reason.AGREES),
        ([present(*BIRDS), present("owl")], ["owl"], True, Reason.AGREES),
        ([absent(*BIRDS), present("owl")], ["owl"], False, Reason.DENIED_ANIMAL_SEEN),
        ([absent("cat"), either("cow"), either("dog")], ["dog"], True, Reason.AGREES),
        ([], ["cat"], False, Reason.NO_CLAIM),
        ([mention(Claim.MENTIONED, "cat")], ["cat"], False, Reason.NO_CLAIM),
        ([mention(Claim.MENTIONED, "dog"), present("cat")], ["cat"], True, Reason.AGREES),
        ([present()], ["cat"], False, Reason.UNKNOWN_ANIMAL),
        ([present("cat"), present()], ["cat"], False, Reason.UNKNOWN_ANIMAL),
        ([absent()], ["cat"], True, Reason.AGREES),
        ([either(), either("cat")], ["cat"], True, Reason.AGREES),
        ([either(), either()], ["cat"], False, Reason.UNKNOWN_ANIMAL),
        ([present("cat")], [], False, Reason.NO_ANIMAL_SEEN),
        ([present(*KINDS)], [], False, Reason.NO_ANIMAL_SEEN),
    ],
)
def test_the_answer_follows_the_claims(mentions, shown, answer, reason):
    result = verdict(mentions, *shown)
    assert (result.answer, result.reason) == (answer, reason)
    assert (result.probability >= 0.5) == answer


@pytest.mark.parametrize(
    ("mentions", "answer"),
    [
        ([present("duck", name="duck"), absent("duck", name="drake")], True),
        ([absent("cat", name="kittens"), present("cat", name="cat"), present("duck", name="duck")], True),
        ([present("duck", name="duck"), absent("duck", name="Ducks")], False),
        ([present("duck", name="duck"), present("duck", name="drake"), absent("duck", name="drakes")], False),
        ([present("duck", name="duck"), absent(*BIRDS, name="bird")], False),
        ([present(*BIRDS, name="bird"), absent("duck", name="duck")], False),
        ([present("duck", name="duck"), absent("duck", name="drake"), absent("cat", name="cat")], False),
        ([absent("duck", name="drake")], False),
        ([mention(Claim.MENTIONED, "duck", name="duck"), absent("duck", name="drake")], False),
    ],
)
def test_a_denied_sort_of_an_animal_that_the_text_says_is_there_is_no_condition(mentions, answer):
    assert verdict(mentions, "duck", "cat").answer == answer


@given(st.lists(st.sampled_from(["hen", "hens", "rooster"]), min_size=1, max_size=3), st.data())
def test_where_all_names_differ_a_denied_sort_changes_nothing(names, data):
    presence = data.draw(presences)
    claimed = [present("duck", name=name) for name in names]
    rule = partial(decide, presence=presence, asked=ASKED, threshold=0.5, seen_from=0.5)
    assert rule(mentions=[*claimed, absent("duck", name="chick")]).probability == rule(mentions=claimed).probability


@given(st.floats(0.01, 0.99))
def test_a_text_in_another_language_is_never_confirmed_and_as_unsure_as_can_be(threshold):
    result = decide(mentions=[], presence={"cat": 0.9}, asked=ASKED, threshold=threshold, seen_from=0.5, foreign=True)
    assert (result.answer, result.reason) == (False, Reason.FOREIGN)
    assert result.probability == pytest.approx(threshold)
    assert result.probability < threshold


def test_a_denied_sort_is_found_neither_to_hold_nor_to_fail():
    assert [each.holds for each in verdict([present("duck", name="duck"), absent("duck", name="drake")], "duck").findings] == [True, None]


@pytest.mark.parametrize(
    ("mentions", "cow", "horse", "answer"),
    [
        ([present("cow"), present("horse")], 0.92, 0.7, False),
        ([present("cow"), present("horse")], 0.7, 0.92, False),
        ([present("cow"), present("horse")], 0.98, 0.97, True),
        ([present("cow"), absent("horse")], 0.92, 0.7, True),
        ([present("cow"), absent("horse")], 0.7, 0.92, False),
        ([present("cow"), absent("horse")], 0.98, 0.97, False),
        ([either("cow"), either("horse")], 0.7, 0.92, True),
        ([absent("cow"), absent("horse")], 0.3, 0.2, False),
        ([present("cow"), mention(Claim.MENTIONED, "horse")], 0.7, 0.92, True),
        ([present("cow", "dog"), present("horse")], 0.7, 0.92, False),
        ([present("cow", "horse", name="livestock"), absent("horse")], 0.92, 0.3, False),
    ],
)
def test_of_look_alikes_that_are_set_against_each_other_the_weaker_must_be_seen_plainly(mentions, cow, horse, answer):
    presence = dict.fromkeys(KINDS, 0.01) | {"cow": cow, "horse": horse}
    assert decide(mentions=mentions, presence=presence, asked=ASKED, threshold=0.5, seen_from=0.5, alike=ALIKE).answer == answer


@given(claims, presences)
def test_a_text_that_speaks_of_one_of_two_look_alikes_is_answered_as_if_there_were_none(mentions, presence):
    alone = [each for each in mentions if not {"horse", "owl"} & set(each.kinds)]
    rule = partial(decide, mentions=alone, presence=presence, asked=ASKED, threshold=0.5, seen_from=0.5)
    assert rule(alike=ALIKE) == rule()


@given(presences, st.permutations(["cow", "horse"]))
def test_look_alikes_are_never_surer_both_there_than_if_they_looked_different(presence, kinds):
    rule = partial(decide, mentions=[present(kind) for kind in kinds], presence=presence, asked=ASKED, threshold=0.5, seen_from=0.5)
    assert rule(alike=ALIKE).probability <= rule().probability


def test_the_same_condition_twice_counts_once():
    once, twice = verdict([present("cat")], "cat"), verdict([present("cat"), present("cat")], "cat")
    assert twice.probability == once.probability


def test_animals_are_listed_likeliest_first():
    result = decide(mentions=[], presence={"cat": 0.2, "dog": 0.9, "owl": 0.5}, asked=ASKED, threshold=0.5, seen_from=0.5, shown=2)
    assert [animal.kind for animal in result.animals] == ["dog", "owl"]


def test_a_kind_that_was_not_looked_for_is_refused_by_name():
    with pytest.raises(InputError, match="unicorn"):
        verdict([present("unicorn")], "cat")


def test_every_reason_has_a_sentence_for_people():
    assert all(reason.sentence.endswith(".") for reason in Reason)


@given(claims, st.sets(st.sampled_from(KINDS)))
def test_with_certain_presences_the_answer_is_the_truth_rule_of_the_guideline(mentions, shown):
    presence = {kind: float(kind in shown) for kind in KINDS}
    result = decide(mentions=mentions, presence=presence, asked=ASKED, threshold=0.5, seen_from=0.5, alike=ALIKE)
    assert result.answer == holds([(m.claim, m.kinds) for m in mentions], shown)


@given(
    claims, st.fixed_dictionaries({kind: st.floats(0, 1) for kind in KINDS}), st.floats(0.01, 0.99), st.floats(0.01, 1), st.floats(0.01, 1)
)
def test_a_less_certain_reading_gives_the_same_answer_less_surely(mentions, presence, threshold, certainty, share):
    rule = partial(decide, mentions=mentions, presence=presence, asked=ASKED, threshold=threshold, seen_from=0.5)
    more, less = rule(certainty=certainty), rule(certainty=certainty * share)
    assert (more.answer, more.reason, more.findings) == (less.answer, less.reason, less.findings)
    assert abs(less.probability - threshold) <= abs(more.probability - threshold) + 1e-9


@given(claims, st.fixed_dictionaries({kind: st.floats(0, 1) for kind in KINDS}), st.floats(0.01, 1))
def test_any_presences_give_a_probability_and_an_answer_that_the_threshold_explains(mentions, presence, threshold):
    result = decide(mentions=mentions, presence=presence, asked=ASKED, threshold=threshold, seen_from=0.5)
    assert 0.0 <= result.probability <= 1.0
    assert result.answer == (result.probability >= threshold)
    assert result.answer == (result.reason is Reason.AGREES)


kinds = st.sets(st.sampled_from(KINDS))


@given(kinds, kinds, presences)
def test_a_group_is_never_less_likely_than_a_part_of_it(part, rest, presence):
    weights = weigh_all([], frozenset(), presence, asked=ASKED, alike={}, threshold=0.5)
    assert weigh(part, weights) <= weigh(part | rest, weights)


@given(presences, st.sampled_from([["cat"], []]), st.floats(0.01, 0.99))
def test_one_of_two_answers_follows_from_a_claim_and_its_denial(presence, named, threshold):
    claim, denial = (
        decide(mentions=[m(*named)], presence=presence, asked=ASKED, threshold=threshold, seen_from=0.5) for m in (present, absent)
    )
    assert claim.probability + denial.probability == pytest.approx(1.0)


def probability(mentions: list[Mention], *shown: str) -> float:
    return verdict(mentions, *shown).probability


@pytest.mark.parametrize(
    ("mentions", "shown", "lowest", "highest"),
    [
        ([present()], [], 0.4, 0.5),
        ([present()], ["dog"], 0.0, 0.02),
        ([absent()], [], 0.5, 0.6),
        ([absent()], ["dog"], 0.98, 1.0),
        ([either(), either()], [], 0.4, 0.5),
        ([either(), either("cat")], [], 0.4, 0.5),
        ([either(), either("cat")], ["dog"], 0.0, 0.05),
        ([either(), either("cat")], ["cat"], 0.98, 1.0),
        ([present("cat"), present()], ["cat"], 0.4, 0.5),
        ([present("cat"), present()], ["dog"], 0.0, 0.05),
        ([present("cat"), present()], ["cat", "dog"], 0.0, 0.02),
        ([present("cat"), absent()], ["cat"], 0.97, 1.0),
        ([absent("cat"), present()], ["cat"], 0.0, 0.02),
        ([absent("cat"), present()], [], 0.4, 0.5),
        ([present(*KINDS), present()], ["cat"], 0.4, 0.5),
    ],
)
def test_an_unknown_animal_is_the_likelier_the_less_is_seen(mentions, shown, lowest, highest):
    assert lowest <= probability(mentions, *shown) <= highest


@given(presences, st.floats(0.01, 0.99), st.floats(0, 1))
def test_an_unknown_animal_is_no_likelier_when_more_is_seen(presence, threshold, more):
    rule = partial(decide, mentions=[present()], asked=ASKED, threshold=threshold, seen_from=0.5)
    seen = presence | {"cat": max(presence["cat"], more)}
    assert rule(presence=seen).probability <= rule(presence=presence).probability < threshold


@given(st.lists(known, min_size=1, max_size=4), st.lists(unknown, max_size=3), presences, st.floats(0.01, 0.99))
def test_denied_and_alternative_unknown_animals_leave_the_answer_to_the_known_ones(mentions, more, presence, threshold):
    either_known = any(m.claim is Claim.EITHER for m in mentions)
    leaving = [m for m in more if m.claim in (Claim.ABSENT, Claim.MENTIONED) or (m.claim is Claim.EITHER and either_known)]
    rule = partial(decide, presence=presence, asked=ASKED, threshold=threshold, seen_from=0.5)
    without, beside = rule(mentions=mentions), rule(mentions=mentions + leaving)
    if without.reason is not Reason.NO_CLAIM:
        assert beside.answer == without.answer


@pytest.mark.parametrize(
    ("mentions", "wanted", "denied"),
    [
        ([present("cat"), absent("dog"), absent("cow")], [{"cat"}], {"dog", "cow"}),
        ([present("cat"), present("cat")], [{"cat"}], set()),
        ([present(*BIRDS), present("owl")], [{"owl"}], set()),
        ([either("cow"), either("horse"), present("cat")], [{"cat"}, {"cow", "horse"}], set()),
        ([mention(Claim.MENTIONED, "cat")], [], set()),
        ([present("cat"), present(), present(), absent()], [{"cat"}, {UNKNOWN}], set()),
        ([either("cow"), either()], [{"cow", UNKNOWN}], set()),
        ([present(*KINDS), either("cow"), either()], [{"cow", UNKNOWN}], set()),
    ],
)
def test_conditions_are_what_a_text_asks_of_a_picture_each_once(mentions, wanted, denied):
    assert conditions(mentions) == ({frozenset(kinds) for kinds in wanted}, denied)


def found(mentions: list[Mention], *shown: str) -> list[tuple]:
    """Each mention's (holds, likeliest kind, kinds seen instead)."""
    return [
        (each.holds, each.likeliest and each.likeliest.kind, [animal.kind for animal in each.instead])
        for each in verdict(mentions, *shown).findings
    ]


@pytest.mark.parametrize(
    ("mentions", "shown", "findings"),
    [
        ([present("cat")], ["cat"], [(True, "cat", [])]),
        ([present("cat")], ["dog"], [(False, "cat", ["dog"])]),
        ([present("cat")], [], [(False, "cat", [])]),
        ([present("cow"), present("horse")], ["cow", "dog"], [(True, "cow", []), (False, "horse", ["cow", "dog"])]),
        ([present(*BIRDS)], ["owl"], [(True, "owl", [])]),
        ([absent(*BIRDS)], ["owl"], [(False, "owl", [])]),
        ([present(*BIRDS), absent("owl")], ["owl"], [(True, "owl", []), (False, "owl", [])]),
        ([absent("cat"), present("dog")], ["dog"], [(True, "cat", []), (True, "dog", [])]),
        ([either("cow"), either("horse")], ["horse"], [(True, "cow", []), (True, "horse", [])]),
        ([either("cow"), either("horse")], ["cat"], [(False, "cow", ["cat"]), (False, "horse", ["cat"])]),
        ([mention(Claim.MENTIONED, "dog"), present("cat")], ["cat"], [(None, "dog", []), (True, "cat", [])]),
        ([present(), present("cat")], ["cat"], [(False, None, ["cat"]), (True, "cat", [])]),
        ([absent()], ["cat"], [(True, None, [])]),
        ([], ["cat"], []),
    ],
)
def test_findings_say_which_mention_failed_and_what_was_seen_instead(mentions, shown, findings):
    assert found(mentions, *shown) == findings


def test_of_conditions_that_only_fall_short_together_the_weakest_fails():
    result = decide(
        mentions=[present("cat"), present("dog")], presence={"cat": 0.5, "dog": 0.45}, asked=Asked(), threshold=0.4, seen_from=0.1
    )
    assert (result.answer, [each.holds for each in result.findings]) == (False, [True, False])


@given(claims, presences, st.floats(0.01, 1))
def test_an_answer_is_true_exactly_if_every_claim_holds(mentions, presence, threshold):
    result = decide(mentions=mentions, presence=presence, asked=ASKED, threshold=threshold, seen_from=0.5, alike=ALIKE)
    claimed = [each for each in result.findings if each.holds is not None]
    assert len(result.findings) == len(mentions)
    assert result.answer == (all(each.holds for each in claimed) and bool(claimed))
    assert not any(each.holds for m, each in zip(mentions, result.findings, strict=True) if m.claim is Claim.PRESENT and not m.kinds)


@given(claims, presences)
def test_a_denied_animal_is_the_reason_only_if_its_mention_fails(mentions, presence):
    result = decide(mentions=mentions, presence=presence, asked=ASKED, threshold=0.5, seen_from=0.5, alike=ALIKE)
    if result.reason is Reason.DENIED_ANIMAL_SEEN:
        assert any(m.claim is Claim.ABSENT and not each.holds for m, each in zip(mentions, result.findings, strict=True))


@given(st.sampled_from(KINDS), st.sampled_from(KINDS), presences)
def test_two_animals_are_never_likelier_than_one_of_them(one, other, presence):
    rule = partial(decide, presence=presence, asked=ASKED, threshold=0.5, seen_from=0.5)
    assert rule(mentions=[present(one), present(other)]).probability <= rule(mentions=[present(one)]).probability + 1e-9


@pytest.mark.parametrize(
    ("mentions", "owl", "answer"),
    [
        ([present("dog")], 0.01, True),
        ([present("dog")], 0.95, False),
        ([absent("dog")], 0.01, False),
        ([absent("dog")], 0.95, True),
        ([present("dog", "cow")], 0.95, False),
        ([present("dog", "owl")], 0.95, True),
    ],
)
def test_a_faint_animal_counts_where_nothing_else_is_seen(mentions, owl, answer):
    presence = {"dog": 0.25, "cow": 0.01, "owl": owl, "cat": 0.02}
    assert decide(mentions=mentions, presence=presence, asked=ASKED, threshold=0.5, seen_from=0.5).answer == answer
