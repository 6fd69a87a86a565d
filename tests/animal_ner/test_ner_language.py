"""Texts in other languages: told where they say so, and English ones never taken for them."""

from __future__ import annotations

from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animal_ner.language import ENGLISH, is_foreign, languages
from animal_ner.sentences import read_sentences


@pytest.mark.parametrize(
    "text",
    [
        "Da ist eine Katze auf dem Bild.",
        "Das Gift steht im Schrank.",
        "Deux grands chevaux bruns galopent dans prairie verte",
        "Zwei junge Hunde spielen im Garten neben Gro\u00dfmutters Gartenhaus",
        "Der Rat hat gestern getagt.",
        "Un animal est assis dans l'herbe.",
        "C'est un lion ou un tigre ?",
        "Hay una vaca y un burro.",
        "C'\u00e8 un gatto nella foto.",
        "N\u00e3o vejo nenhum cachorro.",
        "Er is een kat op de foto.",
        "Det finns en katt p\u00e5 bilden.",
        "Na zdj\u0119ciu jest kot.",
        "Resimde bir kedi var.",
        "Kuvassa ei ole koiraa.",
        "Tidak ada anjing di sini.",
        "kein Tiger",
        "pas de lion",
        "no es un puma",
        "Kh\u00f4ng c\u00f3 ch\u00f3 \u1edf \u0111\u00e2y.",
        "\u041d\u0430 \u0444\u043e\u0442\u043e \u0435\u0441\u0442\u044c \u043a\u043e\u0448\u043a\u0430.",
        "\u7167\u7247\u91cc\u6709\u4e00\u53ea\u732b\u3002",
        "\u5199\u771f\u306b\u732b\u304c\u3044\u307e\u3059\u3002",
        "\u062a\u0648\u062c\u062f \u0642\u0637\u0629 \u0641\u064a \u0627\u0644\u0635\u0648\u0631\u0629.",
    ],
)
def test_a_text_that_speaks_another_language_is_foreign(text: str) -> None:
    assert is_foreign(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cat",
        "gato",
        "2 dogs, 1 horse",
        "Gal\u00e1pagos tortoise",
        "a caf\u00e9 with a piranha",
        "no dogs",
        "dat a doggo",
        "my \u732b",
        "d\u043eg and \u0441at",
        "\U0001d4ec\U0001d4ea\U0001d4fd",
        "\U0001f431\U0001f436",
        "IS THERE A CAT",
        "noo catz att alll thiss morninn",
        "a cat called El Gato",
        "a dog named Das Boot",
        "This is La Luna, my dog",
        "a Dogue de Bordeaux",
        "two De Brazza's monkeys",
    ],
)
def test_a_text_that_may_be_english_is_not(text: str) -> None:
    assert not is_foreign(text)


@pytest.mark.parametrize("side", ["train", "val", "test"])
def test_of_the_written_messages_hardly_one_that_names_an_animal_is_taken_for_foreign(side: str) -> None:
    with resources.as_file(resources.files("animal_ner") / "corpus" / f"{side}.jsonl") as file:
        naming = [sentence.text for sentence in read_sentences(file) if sentence.mentions]
    foreign = [text for text in naming if is_foreign(text)]
    assert len(foreign) <= len(naming) / 2000, foreign


@given(st.text(st.characters()))
def test_any_text_is_of_some_language(text: str) -> None:
    assert is_foreign(text) in {True, False}


def test_english_has_its_row() -> None:
    assert ENGLISH in languages()["the"]
    assert languages()["nicht"] == {"German"}
