"""One rule for every way in: training, prediction, verification and tables open a picture file alike."""

import ast
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animal_cls.data import FolderDataset, PictureDataset
from animal_cls.picture import PictureError, fit_picture, least_side, open_picture
from animal_cls.split import Example
from animal_ner.tokens import Tagging
from verifier import InputError, Verifier
from verifier.bulk import Pictures, answer_rows
from verifier.table import Layout

ROOT = Path(__file__).parents[2]
SIZE = 16
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (6, 9, 3), dtype=np.uint8)).resize((90, 60), Image.Resampling.BICUBIC)
TURNED = Image.Exif()
TURNED[0x0112] = 6


def _encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


WHOLE = {
    "turned.jpg": _encoded(PHOTO, "JPEG", exif=TURNED),
    "large.jpg": _encoded(PHOTO.resize((900, 600)), "JPEG"),
    "print.jpg": _encoded(PHOTO.convert("CMYK"), "JPEG"),
    "grey.png": _encoded(PHOTO.convert("L"), "PNG"),
    "deep.png": _encoded(Image.fromarray(np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257), "PNG"),
    "palette.gif": _encoded(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(180)]),
    "moving.png": _encoded(PHOTO, "PNG", save_all=True, append_images=[PHOTO.rotate(180)]),
    "moving.webp": _encoded(PHOTO, "WEBP", save_all=True, append_images=[PHOTO.rotate(180)]),
    "clear.png": _encoded(Image.merge("RGBA", [*PHOTO.split(), PHOTO.convert("L")]), "PNG"),
    "new.avif": _encoded(PHOTO, "AVIF"),
    "really_webp.jpg": _encoded(PHOTO, "WEBP"),
    "dot.bmp": _encoded(Image.new("RGB", (1, 1)), "BMP"),
}
BROKEN = {"half.jpg": WHOLE["large.jpg"][:9000], "empty.png": b"", "phone.jpg": b"\0\0\0\x24ftypheic" + bytes(99), "folder": None}


class Spy:
    """Reads nothing, and keeps the pictures that it is to look at."""

    kinds, size = ("cat",), SIZE

    def __init__(self):
        self.seen = []

    def read(self, texts):
        return [Tagging([], 1.0) for _ in texts]

    def look(self, pictures):
        self.seen += [views[0] for views in pictures]
        return np.full((len(pictures), 1), 0.5)


@pytest.fixture
def file(tmp_path, request):
    """A file with the content that the test names; a folder where it has none."""
    content = (WHOLE | BROKEN)[request.param]
    path = tmp_path / request.param
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    return path


def in_training(path):
    """What training's augmentation is given, squashed."""
    taken = []
    PictureDataset([Example(path, "cat")], ["cat"], SIZE, transform=lambda pixels, seed: taken.append(pixels) or pixels)[0]
    return fit_picture(Image.fromarray(taken[0]), SIZE)


def in_validation(path):
    return PictureDataset([Example(path, "cat")], ["cat"], SIZE)[0]["image"].permute(1, 2, 0).numpy()


def in_prediction(path):
    item = FolderDataset([path], SIZE)[0]
    if item["error"]:
        raise PictureError(item["error"])
    return item["image"][0].permute(1, 2, 0).numpy()


def in_verification(path):
    spy = Spy()
    Verifier(reader=spy, looker=spy).verify("a cat", path)
    return spy.seen[0]


def in_a_table(path):
    spy = Spy()
    layout = Layout(".jsonl", (), ("error",))
    answered = answer_rows(
        Verifier(reader=spy, looker=spy), [{"text": "a cat", "image": str(path)}], pictures=Pictures(path), layout=layout
    )
    if answered.errors:
        raise InputError(json.loads(answered.lines)["error"])
    return spy.seen[0]


ENTRIES = [in_training, in_validation, in_prediction, in_verification, in_a_table]


@pytest.mark.parametrize("file", WHOLE, indirect=True)
def test_every_entry_sees_the_same_pixels(file):
    expected = fit_picture(open_picture(file, at_least=least_side(SIZE)), SIZE)
    for entry in ENTRIES:
        difference = np.abs(entry(file).astype(int) - expected)
        # Training makes them smaller in two steps, and decodes more of a large JPEG, from which it cuts crops.
        most = 8 if file.suffix == ".jpg" else 3
        assert difference.max() == 0 or (entry is in_training and difference.mean() < most), entry.__name__


@pytest.mark.parametrize("file", BROKEN, indirect=True)
def test_every_entry_refuses_with_the_same_words(file):
    with pytest.raises(PictureError) as told:
        open_picture(file)
    for entry in ENTRIES:
        with pytest.raises((PictureError, InputError)) as caught:
            entry(file)
        assert str(caught.value) == str(told.value), entry.__name__


def test_no_other_module_opens_pictures():
    openers = {
        path.relative_to(ROOT).as_posix()
        for package in ("animal_cls", "animal_ner", "verifier", "scripts")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"open", "imread", "read_image", "decode_image", "imdecode"}
        if isinstance(node.value, ast.Name) and node.value.id in {"Image", "cv2", "io", "plt", "skimage", "imageio"}
    }
    assert openers == {"animal_cls/picture.py", "verifier/baseline.py"}  # the latter is what others do, to compare with
