"""Texts as the world has them, read by the release that ships: nothing breaks it, and what looks the same is read the same."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verifier import InputError, Reason, Verifier

FEW = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
# Sentences that mean the same in any case and with any white space.
PLAIN = [
    "There is a cat in the picture.",
    "There is no cow here, just a foal.",
    "Is this a dog or a wolf?",
    "I see two polar bears and a seal.",
    "either a lynx or a cat, can't tell",
    "no animals other than a cat",
    "There are no birds.",
    "a fluffy white cat",
    "That's not a dog but a cat.",
    "A bus is parked near the house.",
    "a guinea pig, no hamster",
    "There is an aardvark.",
]
ODD = (
    "\0\x07\x1b[31m\t\r\n\x85\u2028\xa0\xad\u200b\u200d\u202e\u2066\ufeff\ufe0f\u0301\u0489\ud83d\udc31\U0001f431\U000e0061"
    "\u0430\u03bf\uff21\u24d0\u05d0\u0627\ufdfa\u0e01\u732b\uffff\U0010ffff"
)
PIECES = ["cat", "no", "dog", "a", "polar bear", "or", "isn't", ".", "?", "'", "-", "mix", "#GoldenRetriever", " ", "  ", *ODD]


@pytest.fixture(scope="module")
def verifier():
    return Verifier(threads=1)


def _claims(verifier, text):
    """What a text claims, wherever in it it stands and however it is written."""
    return [(mention.claim, mention.kinds) for mention in verifier.read(text)]


@FEW
@given(text=st.lists(st.sampled_from(PIECES), min_size=1, max_size=30).map("".join) | st.text(st.characters(), min_size=1, max_size=60))
def test_any_text_is_read_or_refused_and_offsets_cut_the_mentions_out_of_it(verifier, text):
    mentions = ()
    with suppress(InputError):  # an empty one
        mentions = verifier.read(text)
    at = 0
    for mention in mentions:
        assert at <= mention.start < mention.end <= len(text)
        assert text[mention.start : mention.end] == mention.text
        at = mention.end


@pytest.mark.parametrize("text", PLAIN)
def test_case_does_not_change_what_is_claimed(verifier, text):
    for changed in (text.upper(), text.lower(), text.swapcase(), text.title(), text.capitalize()):
        assert _claims(verifier, changed) == _claims(verifier, text), changed


@pytest.mark.parametrize("text", PLAIN)
def test_white_space_does_not_change_what_is_claimed(verifier, text):
    changes = [f"\n\t {text} \r\n", *(text.replace(" ", space) for space in ("  ", "\t", "\r\n", "\xa0", "\u2003", " \u200b", "\u2028"))]
    for changed in changes:
        assert _claims(verifier, changed) == _claims(verifier, text), changed


@pytest.mark.parametrize("text", PLAIN)
def test_what_nobody_sees_does_not_change_what_is_claimed(verifier, text):
    for unseen in ("\u200b", "\u2060", "\xad", "\0", "\u0336"):
        changed = "".join(c + unseen if c.isalpha() else c for c in text)
        assert _claims(verifier, changed) == _claims(verifier, text), unseen
    assert _claims(verifier, text.translate({ord("o"): "\u043e", ord("e"): "\u0435"})) == _claims(verifier, text)


PIXEL = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\1\0\0\0\1\0\x18" + bytes(29)  # a bitmap of one
HIDDEN = [
    "c\u200bat",
    "ca\u00adt",
    "\u0441at",
    "c\0at",
    "\uff43\uff41\uff54",
    "\u24d2\u24d0\u24e3",
    "\u202ecat\u202c",
    "c\u0336a\u0336t",
    "cat\U0001f431",
]


@pytest.mark.parametrize("name", HIDDEN)
def test_a_cat_is_found_however_its_letters_are_hidden(verifier, name):
    text = f"There is a {name} in the picture."
    mention = verifier.read(text)[0]
    assert mention.kinds == ("cat",)
    assert text[mention.start : mention.end] == mention.text


@pytest.mark.parametrize(
    "text",
    [
        "Ich sehe keinen Hund.",
        "Ein Auto steht vor dem Haus.",
        "Der Rat hat gestern getagt.",
        "Un animal est assis dans l'herbe.",
        "Je ne vois pas de chien.",
        "Hay un animal en el campo.",
        "C'\u00e8 un gatto nella foto.",
        "Er is een kat op de foto.",
        "Resimde bir kedi var.",
        "\u042f \u043d\u0435 \u0432\u0438\u0436\u0443 \u0441\u043e\u0431\u0430\u043a\u0438.",
        "\u6ca1\u6709\u72d7\u3002",
        "\u72ac\u306f\u3044\u307e\u305b\u3093\u3002",
        "\u0644\u0627 \u064a\u0648\u062c\u062f \u0643\u0644\u0628 \u0647\u0646\u0627.",
        "\u05d0\u05d9\u05df \u05db\u05d0\u05df \u05db\u05dc\u05d1.",
    ],
)
def test_a_text_in_another_language_is_not_read(verifier, text):
    verdict = verifier.verify(text, PIXEL)
    assert (verdict.answer, verdict.reason, verdict.mentions) == (False, Reason.FOREIGN, ())


@pytest.mark.parametrize("text", ["\U0001f431\U0001f431\U0001f431", "!?", "12345"])
def test_a_text_without_words_claims_nothing(verifier, text):
    verdict = verifier.verify(text, PIXEL)
    assert (verdict.answer, verdict.reason, verdict.mentions) == (False, Reason.NO_CLAIM, ())


LONG = ["a" * 20_000, "cat " * 5000, "cat " + "\u0301" * 19_000, "\u202e" * 19_990 + "cat", "\u732b" * 20_000, "no zebroo, " * 1800]


@pytest.mark.parametrize("text", LONG, ids=lambda text: ascii(text[-6:]))
def test_the_longest_texts_are_read(verifier, text):
    assert all(text[mention.start : mention.end] == mention.text for mention in verifier.read(text))


@pytest.mark.parametrize("text", ["", " \n", "\0", "\u200b", "\u202e", "cat " * 2**18])
def test_an_empty_text_and_a_megabyte_are_refused(verifier, text):
    with pytest.raises(InputError, match="text: "):
        verifier.read(text)
