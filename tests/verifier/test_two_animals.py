"""Pictures of two animals, and texts that set look-alikes beside each other."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from verifier.asked import Asked
from verifier.decision import InputError, decide
from verifier.evaluation import main
from verifier.pairs import Picture
from verifier.two_animals import as_table, measure_two_animals

KINDS = ("cat", "cow", "dog", "owl")
COLOURS = {"cat": 0, "dog": 128, "owl": 255}
ALIKE = {"cat": {"dog"}, "dog": {"cat"}}
RULE = partial(decide, asked=Asked(shift=0.0), threshold=0.5, seen_from=0.5)


@pytest.fixture
def pictures(tmp_path):
    for kind, grey in COLOURS.items():
        Image.new("L", (40, 30), grey).save(tmp_path / f"{kind}.png")
    return [Picture(tmp_path / f"{kind}.png", kind) for kind in COLOURS] + [Picture(tmp_path / "none.png", "")]


def looker(**faint):
    """Sees which greys a picture has."""

    def look(image):
        greys = np.unique(np.asarray(image if isinstance(image, Image.Image) else Image.open(image).convert("RGB")))
        return {kind: 0.95 if COLOURS.get(kind) in greys else faint.get(kind, 0.01) for kind in KINDS}

    return SimpleNamespace(kinds=KINDS, look=look)


def test_of_two_photos_side_by_side_what_is_there_is_confirmed_and_nothing_else(pictures):
    found = measure_two_animals(looker(), RULE, pictures, alike=ALIKE, count=9, seed=0)
    assert found["photos of two kinds: both"] == (2, 1.0)
    assert found["photos of two kinds: one of them"] == (2, 1.0)
    assert found["photos of two kinds: another kind"] == (2, 0.0)
    assert found["photos of two kinds: one of them and another kind"] == (2, 0.0)
    assert found["photos of two look-alikes: both, without the rule for these"] == (1, 1.0)
    assert found["a photo of one kind: it and a look-alike"] == (2, 0.0)


def test_what_the_rule_for_look_alikes_does_is_told(pictures):
    found = measure_two_animals(looker(dog=0.75), RULE, pictures, alike=ALIKE, count=9, seed=0)
    assert found["a photo of one kind: it and a look-alike"] == (2, 0.0)
    assert found["a photo of one kind: it and a look-alike, without the rule for these"] == (2, 0.5)


def test_a_release_of_two_kinds_has_no_other_kind_to_ask_about(pictures):
    two = SimpleNamespace(kinds=("cat", "dog"), look=looker().look)
    found = measure_two_animals(two, RULE, pictures[:2], alike={}, count=9, seed=0)
    assert found == {"photos of two kinds: both": (1, 1.0), "photos of two kinds: one of them": (1, 1.0)}


def test_a_picture_that_cannot_be_read_is_named(pictures):
    pictures[0].path.write_text("no picture")
    with pytest.raises(InputError, match=r"cat\.png"):
        measure_two_animals(looker(), RULE, pictures, alike={}, count=9, seed=0)


def test_the_table_has_a_line_for_each_sort():
    assert as_table({"both": (1200, 0.75)}).splitlines() == [
        "what is said to be there  claims confirmed",
        "both                       1,200     0.750",
    ]


def test_an_evaluation_tells_it_when_asked(capsys, sentence_file, picture_folder):
    assert main(["--texts", str(sentence_file), "--pictures", str(picture_folder), "--two-animals", "2"]) == 0
    assert "photos of two kinds: both" in capsys.readouterr().out
