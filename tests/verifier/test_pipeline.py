import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from animal_ner.sentences import read_sentences
from verifier import Claim, InputError, Reason, Verifier, pipeline

PHOTOS = Path(skimage.__file__).parent / "data"
CAT = PHOTOS / "chelsea.png"
KINDS = Path(__file__).parents[3] / "shared/data/animals"  # a folder of photos for each kind
MESSAGES = Path(__file__).parents[2] / "animal_ner/corpus/test.jsonl"


@pytest.fixture(scope="module")
def verifier():
    return Verifier()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("There is a cat in the picture.", True),
        ("There is a dog in the picture.", False),
        ("There is no cat in the picture.", False),
        ("There is no dog in the picture.", True),
        ("Is this a cat?", True),
        ("Isn't that a kitten?", True),
        ("I can see cats.", True),
        ("IS THERE A CAT", True),
        ("a photo of a kitty", True),
        ("There is a cat and a horse.", False),
        ("It's either a cat or a dog.", True),
        ("either a cow or a horse", False),
        ("no birds here, just a cat", True),
        ("nothing but sheep", False),
        ("That's not a dog but a cat.", True),
        ("There is an animal.", True),
        ("No animals in this picture.", False),
        ("There is an owl in the picture.", False),
        ("There is no owl in the picture.", True),
        ("a cat, no owl", True),
        ("a fluffy white cat", True),
    ],
)
def test_the_answer_follows_the_meaning_on_a_photo_of_a_cat(verifier, text, answer):
    verdict = verifier.verify(text, CAT)
    assert verdict.answer == answer, verdict


@pytest.mark.parametrize(
    ("text", "photo", "reason"),
    [
        ("A bus is parked near the house.", "chelsea.png", Reason.NO_CLAIM),
        ("There is an aardvark in the picture.", "chelsea.png", Reason.UNKNOWN_ANIMAL),
        ("There is a cat in the picture.", "rocket.jpg", Reason.NO_ANIMAL_SEEN),
    ],
)
def test_a_false_answer_says_why(verifier, text, photo, reason):
    verdict = verifier.verify(text, PHOTOS / photo)
    assert (verdict.answer, verdict.reason) == (False, reason)


def test_a_denied_animal_is_missing_from_a_picture_without_animals(verifier):
    assert verifier.verify("There are no dogs in the picture.", PHOTOS / "coffee.png").answer


def test_mentions_say_where_they_are_and_what_they_claim(verifier):
    text = "There is no cow here, just a foal."
    mentions = verifier.read(text)
    assert [(m.text, m.claim, m.kinds) for m in mentions] == [("cow", Claim.ABSENT, ("cow",)), ("foal", Claim.PRESENT, ("horse",))]
    assert all(text[m.start : m.end] == m.text for m in mentions)


def test_a_path_bytes_an_image_and_an_array_of_one_picture_look_the_same(verifier):
    with Image.open(CAT) as image:
        looks = [verifier.look(each) for each in (CAT, str(CAT), CAT.read_bytes(), image, np.asarray(image))]
    assert all(look == looks[0] for look in looks)
    assert max(looks[0], key=looks[0].get) == "cat"
    assert set(looks[0]) == set(verifier.kinds)


def test_a_batch_gives_the_verdicts_of_its_pairs_in_order(verifier):
    pairs = [(text, photo) for photo in (CAT, PHOTOS / "coffee.png") for text in ("a cat", "no cat", "hello", "a dog or a cat")] * 5
    batch = list(verifier.verify_batch(iter(pairs)))
    single = [verifier.verify(*pair) for pair in pairs]
    assert [(v.answer, v.mentions) for v in batch] == [(v.answer, v.mentions) for v in single]
    assert [v.probability for v in batch] == pytest.approx([v.probability for v in single], abs=1e-6)


def test_a_text_is_read_the_same_in_any_company(verifier):
    texts = [sentence.text for sentence in read_sentences(MESSAGES)][::7]
    alone = {text: verifier.reading(text) for text in texts}
    for seed in range(2):
        shuffled = np.random.default_rng(seed).permutation(texts).tolist()
        together = [verdict.mentions for verdict in verifier.verify_batch((text, CAT) for text in shuffled)]
        assert together == [alone[text].mentions for text in shuffled]


def test_a_bad_pair_stops_a_batch_at_its_place_but_not_before(verifier):
    verdicts = verifier.verify_batch([("a cat", CAT), ("", CAT)])
    assert next(verdicts).answer
    with pytest.raises(InputError, match="empty"):
        next(verdicts)


@pytest.mark.parametrize("text", ["", "  \n", None, 3, "cat " * 20_000])
def test_a_text_that_cannot_be_read_is_refused(verifier, text):
    with pytest.raises(InputError, match="text"):
        verifier.read(text)


@pytest.mark.parametrize("image", ["no-such.jpg", b"", b"not a picture", np.zeros((4, 4), np.uint8)])
def test_a_picture_that_cannot_be_read_is_refused(verifier, image):
    with pytest.raises(InputError):
        verifier.look(image)


@pytest.mark.parametrize("colour", ["white", "black", "blue", "gray"])
@pytest.mark.parametrize("kind", ["fly", "whale", "hawk", "ray", "animal", "bird"])
def test_a_blank_picture_confirms_no_animal(verifier, colour, kind):
    assert not verifier.verify(f"There is a {kind} in the picture.", Image.new("RGB", (300, 200), colour)).answer


@pytest.mark.skipif(not KINDS.is_dir(), reason="needs the photos of kinds")
def test_photos_that_are_decoded_at_a_fraction_of_their_size_are_known_as_well_as_from_all_their_pixels(verifier):
    def likeliest(image):
        return max(presence := verifier.look(image), key=presence.get)

    known_decoded, known_whole = [], []
    for file in sorted(KINDS.glob("*/*.jpg"))[::50]:
        photo = Image.open(file).convert("RGB")
        scale = 480 / min(photo.size)  # JPEGs of this size are decoded at half of it, and lie below the network's
        jpeg = BytesIO()
        photo.resize([round(scale * side) for side in photo.size], Image.Resampling.BICUBIC).save(jpeg, "JPEG", quality=88)
        known_decoded.append(likeliest(jpeg.getvalue()) == file.parent.name)
        known_whole.append(likeliest(Image.open(jpeg)) == file.parent.name)
    assert np.mean(known_whole) > 0.8
    assert np.mean(known_decoded) >= np.mean(known_whole) - 0.02


@pytest.mark.parametrize("image", [None, 3, [], object(), ""])
def test_what_is_no_picture_at_all_is_refused(verifier, image):
    with pytest.raises(InputError, match="image"):
        verifier.verify("a cat", image)


@pytest.mark.parametrize("pair", [1, ("cat",), ("cat", CAT, 3)])
def test_what_is_no_pair_is_refused(verifier, pair):
    with pytest.raises(InputError, match="pair"):
        list(verifier.verify_batch([pair]))


def test_a_long_text_is_read_to_its_end(verifier):
    text = "The weather was fine and we walked along the river for hours. " * 30 + "There is a zebra."
    assert [(m.text, m.start) for m in verifier.read(text)] == [("zebra", text.index("zebra"))]


class Counting:
    """A reader and looker that remembers what it was asked."""

    def __init__(self, verifier):
        self._reader, self._looker = verifier._reader, verifier._looker
        self.kinds, self.size = verifier._looker.kinds, verifier._looker.size
        self.texts, self.pictures = [], 0

    def read(self, texts):
        self.texts += texts
        return self._reader.read(texts)

    def look(self, images):
        self.pictures += len(images)
        return self._looker.look(images)


def test_in_a_batch_a_text_is_read_once_and_a_picture_looked_at_once(verifier):
    counting = Counting(verifier)
    pairs = [(text, photo) for text in ("a cat", "no cat") for photo in (CAT, str(CAT), PHOTOS / "coffee.png", "none.jpg")] * 4
    outcomes = list(Verifier(reader=counting, looker=counting).try_batch(pairs))
    assert (counting.texts, counting.pictures) == (["a cat", "no cat"], 2)
    assert [getattr(each, "answer", None) for each in outcomes] == [True, True, False, None, False, False, True, None] * 4


def test_a_text_of_an_earlier_batch_is_read_again_only_after_many_others(verifier, monkeypatch):
    monkeypatch.setattr(pipeline, "REMEMBERED", 2)
    counting = Counting(verifier)
    verifying = Verifier(reader=counting, looker=counting)
    for batch in (["a cat", "a dog"], ["a dog", "a cow"], ["a cow", "a dog", "a cat"], ["a dog", "a cow", "a cat"]):
        assert [each.mentions[0].text for each in verifying.verify_batch((text, CAT) for text in batch)] == [text[2:] for text in batch]
    assert counting.texts == ["a cat", "a dog", "a cow", "a cat", "a dog"]


def test_a_long_text_of_an_earlier_batch_is_read_again(verifier):
    counting = Counting(verifier)
    text = "a cat in a very " + "very " * pipeline.SHORT + "big picture"
    verifying = Verifier(reader=counting, looker=counting)
    for _ in range(2):
        list(verifying.verify_batch([(text, CAT)]))
    assert counting.texts == [text, text]


def test_pictures_without_a_path_are_each_looked_at(verifier):
    counting = Counting(verifier)
    pixels = np.zeros((9, 9, 3), np.uint8)
    list(Verifier(reader=counting, looker=counting).try_batch([("a cat", pixels), ("a cat", pixels), ("a cat", CAT.read_bytes())]))
    assert counting.pictures == 3


def test_one_image_that_is_not_loaded_yet_may_stand_in_every_pair_of_a_batch(verifier, tmp_path):
    Image.open(CAT).resize((1600, 1200)).save(tmp_path / "large.png")
    alone = verifier.verify("a cat", tmp_path / "large.png")
    for _ in range(3):
        with Image.open(tmp_path / "large.png") as image:
            assert list(verifier.try_batch([("a cat", image)] * 4)) == [alone] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_verifier_that_a_fork_took_along_says_so_and_does_not_wait_forever(verifier):
    program = f"""
import os, sys
from verifier import Verifier
verifier = Verifier()
verifier.verify("a cat", {str(CAT)!r})
if os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
try:
    verifier.verify("a cat", {str(CAT)!r})
except RuntimeError as error:
    os._exit(0 if "forked" in str(error) else 1)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=120).returncode == 0


def test_a_verifier_with_one_thread_answers_as_one_with_all(verifier):
    alone = Verifier(threads=1)
    assert alone.verify("a cat", CAT) == verifier.verify("a cat", CAT)
    assert alone._looker._session.get_session_options().intra_op_num_threads == 1


def test_eight_threads_on_one_verifier_get_the_answers_of_one(verifier):
    texts = ("a cat", "no cat", "There is a dog.", "either a lynx or a cat", "no zebroo, a kittie", "Da ist eine Katze auf dem Bild.")
    pictures = (CAT, CAT.read_bytes(), PHOTOS / "coffee.png", Image.new("RGB", (300, 60), "red"), "none.jpg")
    pairs = [(text, picture) for text in texts for picture in pictures] * 4

    def outcome(pair):
        try:
            return verifier.verify(*pair)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(outcome, pairs))
    alone = [outcome(pair) for pair in pairs]
    assert together == alone
    assert len({str(each) for each in alone}) > 10
