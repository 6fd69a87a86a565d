"""Opening any picture file: what people would see comes out, or an error that names the file."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import AvifImagePlugin, Image, ImageCms

import animal_cls.picture
from animal_cls.picture import MAX_PIXELS, PictureError, find_pictures, fit_picture, least_side, load_picture, open_picture

ROOT = Path(__file__).parents[2]
PHOTOS = Path(next(iter(importlib.util.find_spec("skimage").submodule_search_locations))) / "data"
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """The bytes of a file with the image."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def colour(image: Image.Image) -> tuple[int, ...]:
    """Mean colour of an image."""
    return tuple(int(v) for v in np.asarray(image).reshape(-1, 3).mean(axis=0).round())


def png(width: int, height: int, depth: int, colours: int, rows: bytes) -> bytes:
    """A PNG of these rows of pixels, as the standard numbers kinds of colours: 2 is RGB, 6 has alpha."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    size = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and holds none."""
    return png(width, height, 8, 2, b"\0" * 64)


def deep_png(colours: int, *channels: int) -> bytes:
    """A PNG of 2 x 2 pixels of 16 bits for each channel."""
    return png(2, 2, 16, colours, (b"\0" + struct.pack(f">{len(channels)}H", *channels) * 2) * 2)


def red_and_blue_exchanged() -> bytes:
    """A colour profile in which full red is what sRGB calls blue."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, other in (
        (b"rXYZ", b"...."),
        (b"bXYZ", b"rXYZ"),
        (b"....", b"bXYZ"),
        ("sRGB".encode("utf-16-be"), "BGRs".encode("utf-16-be")),
    ):
        profile = profile.replace(name, other)
    return profile


def palette_with_transparency() -> Image.Image:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.paste(0, (0, 0, 8, 16))
    return image


def animated(kind: str, **options) -> bytes:
    """A file with two frames, a red one and a blue one."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def grey_png(*values: int, clear: int) -> bytes:
    """A PNG of 16-bit grey pixels, of which those of one value are transparent."""
    pixels = np.array([values], np.uint16).repeat(8, axis=0).repeat(8, axis=1)
    return encoded(Image.fromarray(pixels), "PNG", transparency=clear)


def moving_png_with_a_still() -> bytes:
    """A PNG with a blue picture for programs that cannot show it moving, and a red and a white frame for those that can."""
    still, *frames = (Image.new("RGB", (16, 16), colour) for colour in (BLUE, RED, WHITE))
    return encoded(still, "PNG", save_all=True, append_images=frames, default_image=True)


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_each_format_opens_with_its_size_and_colours(kind):
    image = open_picture(encoded(Image.new("RGB", (40, 24), (200, 40, 40)), kind))
    assert (image.mode, image.size) == ("RGB", (40, 24))
    assert np.abs(np.subtract(colour(image), (200, 40, 40))).max() <= 4


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, None),
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (5, Image.Transpose.TRANSPOSE),
        (6, Image.Transpose.ROTATE_90),
        (7, Image.Transpose.TRANSVERSE),
        (8, Image.Transpose.ROTATE_270),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_is_turned_upright_as_its_exif_orientation_says(orientation, stored, kind):
    quarters = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(0, 0, 0), (255, 255, 255), (255, 255, 0)]], dtype=np.uint8)
    upright = Image.fromarray(quarters.repeat(32, axis=0).repeat(32, axis=1))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = upright if stored is None else upright.transpose(stored)
    seen = open_picture(encoded(image, kind, exif=exif))
    assert seen.size == upright.size
    assert np.abs(np.asarray(seen, dtype=int)[16::32, 16::32] - quarters).max() < 12


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), RED, id="CMYK JPEG"),
        pytest.param(encoded(Image.new("L", (16, 16), 90), "JPEG"), (90, 90, 90), id="grey JPEG"),
        pytest.param(encoded(Image.new("L", (16, 16), 90), "PNG"), (90, 90, 90), id="grey PNG"),
        pytest.param(encoded(Image.new("1", (16, 16), 1), "PNG"), WHITE, id="black-and-white PNG"),
        pytest.param(encoded(Image.fromarray(np.full((16, 16), 90 * 257, np.uint16)), "PNG"), (90, 90, 90), id="16-bit PNG"),
        pytest.param(encoded(Image.fromarray(np.full((16, 16), 0.5, np.float32)), "TIFF"), (128, 128, 128), id="float TIFF"),
        pytest.param(encoded(palette_with_transparency(), "PNG", transparency=0), (255, 128, 128), id="palette PNG, half transparent"),
        pytest.param(encoded(palette_with_transparency(), "GIF", transparency=0), (255, 128, 128), id="palette GIF, half transparent"),
        pytest.param(encoded(palette_with_transparency(), "PNG"), (128, 0, 128), id="palette PNG, opaque"),
        pytest.param(encoded(Image.new("RGBA", (16, 16), (255, 0, 0, 0)), "PNG"), WHITE, id="RGBA, transparent"),
        pytest.param(encoded(Image.new("RGBA", (16, 16), (255, 0, 0, 127)), "PNG"), (255, 128, 128), id="RGBA, half transparent"),
        pytest.param(encoded(Image.new("LA", (16, 16), (0, 0)), "PNG"), WHITE, id="grey with alpha, transparent"),
        pytest.param(animated("GIF"), RED, id="first frame of an animated GIF"),
        pytest.param(animated("PNG"), RED, id="first frame of an animated PNG"),
        pytest.param(moving_png_with_a_still(), RED, id="first frame of an animated PNG with a still besides"),
        pytest.param(animated("WEBP", lossless=True), RED, id="first frame of an animated WebP"),
        pytest.param(animated("AVIF", quality=100), RED, id="first frame of an animated AVIF"),
        pytest.param(deep_png(2, 65535, 0, 0), RED, id="16-bit colour PNG"),
        pytest.param(deep_png(6, 65535, 0, 0, 32768), (255, 127, 127), id="16-bit colour PNG, half transparent"),
        pytest.param(grey_png(0, 65535, clear=0), WHITE, id="16-bit grey PNG, half transparent"),
        pytest.param(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "TIFF"), RED, id="CMYK TIFF"),
        pytest.param(
            encoded(Image.new("RGB", (16, 16), RED), "JPEG", icc_profile=red_and_blue_exchanged()), BLUE, id="JPEG with a profile"
        ),
        pytest.param(
            encoded(Image.new("RGBA", (16, 16), (*RED, 127)), "PNG", icc_profile=red_and_blue_exchanged()), (128, 128, 255), id="RGBA"
        ),
        pytest.param(
            encoded(palette_with_transparency(), "PNG", icc_profile=red_and_blue_exchanged()), (128, 0, 128), id="palette, profile"
        ),
        pytest.param(
            encoded(Image.new("L", (16, 16), 90), "JPEG", icc_profile=red_and_blue_exchanged()), (90,) * 3, id="profile of others"
        ),
        pytest.param(encoded(Image.new("RGB", (16, 16), RED), "PNG", icc_profile=b"no profile"), RED, id="PNG with a broken profile"),
    ],
)
def test_colours_are_those_that_people_see(data, expected):
    assert np.abs(np.subtract(colour(open_picture(data, at_least=8)), expected)).max() <= 2


def test_16_bit_grey_keeps_its_order_from_black_to_white():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    seen = np.asarray(open_picture(encoded(Image.fromarray(ramp), "PNG")))[..., 0].ravel()
    assert (seen[0], seen[-1]) == (0, 255)
    assert (np.diff(seen.astype(int)) >= 0).all()


BROKEN = {
    "truncated.jpg": encoded(Image.open(PHOTOS / "rocket.jpg"), "JPEG")[:9000],
    "truncated.png": encoded(Image.open(PHOTOS / "chelsea.png"), "PNG")[:9000],
    "header_only.jpg": encoded(Image.new("RGB", (64, 64)), "JPEG")[:20],
    "empty.jpg": b"",
    "text.jpg": b"There is no cow here, just a foal.\n",
    "page.png": b"<!DOCTYPE html><html><body>404</body></html>",
    "vector.jpg": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "script.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "bomb.png": png_header(60_000, 60_000),
    "smaller_bomb.png": png_header(10_000, 10_000),
    "bomb_without_pixels.png": png_header(0, 7),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_picture_gives_an_error_that_names_it(tmp_path, name):
    file = tmp_path / name
    file.write_bytes(BROKEN[name])
    for source in (file, str(file)):
        for at_least in (None, 32):
            with pytest.raises(PictureError) as caught:
                open_picture(source, at_least=at_least)
            assert str(caught.value).startswith(f"{file}: ")
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", BROKEN)
def test_bytes_that_are_no_picture_give_an_error_with_their_number(name):
    with pytest.raises(PictureError, match=rf"^image \({len(BROKEN[name]):,} bytes\): "):
        load_picture(BROKEN[name], 32)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.jpg", "an empty file; expected one of JPEG"),
        ("text.jpg", "not a picture in a known format; expected one of JPEG"),
        ("bomb.png", f"more than {MAX_PIXELS:,} pixels"),
        ("smaller_bomb.png", f"more than {MAX_PIXELS:,} pixels"),
        ("truncated.jpg", "not a picture that can be read"),
    ],
)
def test_the_error_says_what_is_wrong(tmp_path, name, reason):
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(PictureError) as caught:
        load_picture(tmp_path / name, 32)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"\0\0\0\x24ftypheic\0\0\0\0mif1heic", "a HEIC picture, as phones take them; save it as JPEG first"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
        (b"\xff\x0a\x7f\x02", "a JPEG XL picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "a film"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">', "a drawing in SVG"),
        (b"%PDF-1.7\n", "a PDF"),
    ],
)
def test_a_file_of_another_format_is_called_by_its_name(tmp_path, start, what):
    file = tmp_path / "photo.jpg"
    file.write_bytes(start + bytes(300))
    for source in (file, file.read_bytes()):
        with pytest.raises(PictureError, match=rf": {what}.*; expected one of JPEG, PNG"):
            open_picture(source)


def test_an_avif_that_pillow_cannot_decode_is_a_picture_error_that_says_so(monkeypatch, recwarn):
    data = encoded(Image.new("RGB", (16, 16)), "AVIF")
    monkeypatch.setattr(AvifImagePlugin, "SUPPORTED", False)
    with pytest.raises(PictureError, match="an AVIF picture, and it is broken or Pillow was built without AVIF"):
        open_picture(data)
    assert not recwarn.list


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_bomb_is_refused_before_a_pixel_is_decoded(kind, monkeypatch, tmp_path):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(animal_cls.picture, "MAX_PIXELS", 100)
    (tmp_path / "bomb").write_bytes(encoded(Image.new("RGB", (12, 12)), kind))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(PictureError, match="more than 100 pixels; scale it down first"):
        open_picture(tmp_path / "bomb")


def test_a_moving_bomb_with_a_still_is_refused_before_a_pixel_is_decoded(monkeypatch):
    content = moving_png_with_a_still()
    monkeypatch.setattr(animal_cls.picture, "MAX_PIXELS", 100)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(PictureError, match="more than 100 pixels"):
        open_picture(content)


def test_twenty_thousand_pixels_squared_in_sixty_kilobytes_are_refused(tmp_path):
    black = png(20_000, 20_000, 1, 0, bytes(2501) * 20_000)
    assert len(black) < 60_000
    (tmp_path / "bomb.png").write_bytes(black)
    with pytest.raises(PictureError, match=r"bomb\.png: more than 89,478,485 pixels"):
        open_picture(tmp_path / "bomb.png")


def test_an_image_that_the_caller_opened_is_refused_by_its_size_as_well():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(png_header(10_000, 10_000)))
    with pytest.raises(PictureError, match=f"more than {MAX_PIXELS:,} pixels"):
        open_picture(image)


def test_a_file_that_no_memory_should_hold_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(animal_cls.picture, "MAX_BYTES", 100)
    file = tmp_path / "huge.webp"
    file.write_bytes(encoded(Image.open(PHOTOS / "chelsea.png"), "WEBP"))
    with pytest.raises(PictureError, match=rf"huge\.webp: {file.stat().st_size:,} bytes; no picture needs more than 100"):
        open_picture(file)


def test_odd_metadata_warns_nobody(recwarn):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12\0\x03"  # nine entries, of which not one is whole
    assert open_picture(encoded(Image.new("RGB", (16, 16), RED), "PNG", exif=exif)).size == (16, 16)
    assert not recwarn.list


# What scripts/fuzz.py found: remarks of Pillow on stderr, of a tag that leads out of the file and of 8 samples a pixel.
TIFF = encoded(Image.new("RGB", (8, 8)), "TIFF", dpi=(72, 72))
REMARKED = {
    "tag.tif": TIFF.replace(struct.pack("<HHI", 282, 5, 1), struct.pack("<HHI", 282, 5, 1 << 28)),
    "samples.tif": TIFF.replace(struct.pack("<HHII", 277, 3, 1, 3), struct.pack("<HHII", 277, 3, 1, 8)),
}


@pytest.mark.parametrize("name", REMARKED)
def test_a_program_that_asks_for_it_hears_nothing_from_pillow(name, tmp_path):
    (tmp_path / name).write_bytes(REMARKED[name])
    told = {}
    for asked in ("", "picture.hush_pillow(); "):
        code = f"import sys; from animal_cls import picture; {asked}picture.open_picture(sys.argv[1])"
        told[asked] = subprocess.run(
            [sys.executable, "-c", code, tmp_path / name], capture_output=True, text=True, check=False, cwd=ROOT
        ).stderr
    remark = re.compile("UserWarning|More samples per pixel")
    assert [bool(remark.search(each)) for each in told.values()] == [True, False]


def test_the_limit_of_pixels_is_the_one_that_pillow_applies():
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(PictureError, match=r"absent\.jpg: no such file"):
        open_picture(tmp_path / "absent.jpg")
    with pytest.raises(PictureError, match="a folder, not a picture"):
        open_picture(tmp_path)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK"])
def test_a_large_picture_that_is_scaled_down_before_looks_as_if_it_were_not(mode):
    grid = np.indices((1500, 1800)).sum(axis=0) // 150 * 40 % 256
    image = Image.fromarray(grid.astype(np.uint8)).convert(mode)
    near = fit_picture(open_picture(image, at_least=100), 100).astype(int)
    assert open_picture(image, at_least=100).size == (360, 300)
    assert np.abs(near - fit_picture(open_picture(image), 100)).max() <= 12


def test_an_address_is_told_from_a_file_that_is_missing():
    with pytest.raises(PictureError, match=r"cat\.jpg: an address; only files are opened"):
        open_picture("https://example.com/cat.jpg")


@pytest.mark.parametrize("name", ["a\0b.jpg", "x" * 5000 + ".jpg", "text.jpg/inside.jpg", ""])
def test_a_path_that_no_file_can_have_is_a_picture_error(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.jpg").write_text("text")
    with pytest.raises(PictureError):
        open_picture(name)


def test_a_wrong_extension_does_not_matter(tmp_path):
    (tmp_path / "really_png.jpg").write_bytes(encoded(Image.new("RGB", (8, 8), RED), "PNG"))
    assert colour(open_picture(tmp_path / "really_png.jpg")) == RED


def test_one_pixel_fills_the_network_s_input():
    assert (load_picture(encoded(Image.new("RGB", (1, 1), RED), "PNG"), 32) == RED).all()


def test_path_string_bytes_image_and_array_of_one_picture_give_the_same_pixels(tmp_path):
    image = Image.open(PHOTOS / "chelsea.png").convert("RGB")
    file = tmp_path / "cat.png"
    image.save(file)
    expected = load_picture(file, 32)
    for source in (str(file), file.read_bytes(), image, Image.open(file), np.asarray(image), np.asarray(image)[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(load_picture(source, 32), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "I;16", "F"])
def test_an_image_of_any_mode_becomes_rgb(mode):
    assert open_picture(Image.new(mode, (5, 4))).mode == "RGB"


def test_opening_an_image_leaves_it_as_it_is():
    image = Image.new("RGBA", (4, 4), (255, 0, 0, 10))
    open_picture(image)
    assert (image.mode, image.getpixel((0, 0))) == ("RGBA", (255, 0, 0, 10))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 1), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.int64),
        np.array(7, np.uint8),
    ],
    ids=lambda a: f"{a.shape} {a.dtype}",
)
def test_an_array_of_another_shape_or_type_is_refused(array):
    with pytest.raises(PictureError, match=r"image array: .*must be \(H, W, 3\), uint8"):
        open_picture(array)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(PictureError, match="no pixels"):
        open_picture(Image.new("RGB", (0, 5)))


SMALL = Image.open(PHOTOS / "chelsea.png").convert("RGB").resize((24, 20))
EXIF = Image.Exif()
EXIF[0x0112] = 6
WHOLE = {
    "JPEG": encoded(SMALL, "JPEG", exif=EXIF, icc_profile=red_and_blue_exchanged()),
    "PNG": encoded(SMALL.convert("P"), "PNG", exif=EXIF, transparency=0),
    "WEBP": encoded(SMALL, "WEBP", exif=EXIF),
    "GIF": encoded(SMALL, "GIF"),
    "BMP": encoded(SMALL, "BMP"),
    "TIFF": encoded(SMALL, "TIFF", compression="tiff_lzw"),
    "AVIF": encoded(SMALL, "AVIF", exif=EXIF),
}


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    damage=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    kept=st.floats(0.05, 1.0),
    front=st.booleans(),
)
def test_a_damaged_file_opens_or_is_a_picture_error(kind, damage, kept, front):
    data = bytearray(WHOLE[kind])
    for place, value in damage:
        data[int(place * (min(len(data), 200) if front else len(data)))] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(PictureError):
            assert open_picture(bytes(data[: int(kept * len(data)) + 1]), at_least=8).mode == "RGB"


def test_decoding_a_large_jpeg_at_a_fraction_gives_nearly_the_same_pixels(tmp_path):
    photo = Image.open(PHOTOS / "astronaut.png").convert("RGB").resize((2000, 1500), Image.Resampling.BICUBIC)
    photo.save(tmp_path / "large.jpg", quality=90)
    small = open_picture(tmp_path / "large.jpg", at_least=128)
    assert 128 <= min(small.size) < 500
    fast = load_picture(tmp_path / "large.jpg", 64).astype(int)
    whole = fit_picture(open_picture(tmp_path / "large.jpg"), 64).astype(int)
    assert np.abs(fast - whole).mean() < 2
    assert np.percentile(np.abs(fast - whole), 99) < 20


def test_a_jpeg_is_decoded_at_the_smallest_fraction_that_leaves_nearly_the_size_that_is_wanted(tmp_path):
    photo = Image.open(PHOTOS / "astronaut.png").convert("RGB").resize((2000, 1500), Image.Resampling.BICUBIC)
    photo.save(tmp_path / "large.jpg", quality=90)
    decoded = {size: open_picture(tmp_path / "large.jpg", at_least=least_side(size)).height for size in (200, 210, 400, 420, 900)}
    assert decoded == {200: 188, 210: 375, 400: 375, 420: 750, 900: 1500}


def test_a_long_thin_jpeg_is_not_decoded_below_the_asked_size():
    small = open_picture(encoded(Image.new("RGB", (3000, 150)), "JPEG"), at_least=128)
    assert min(small.size) >= 128


def test_the_whole_of_a_wide_picture_is_kept():
    wide = np.zeros((20, 400, 3), np.uint8)
    wide[:, 200:] = 255
    fitted = fit_picture(Image.fromarray(wide), 32)
    assert fitted.shape == (32, 32, 3)
    assert fitted.dtype == np.uint8
    assert fitted[:, :15].max() < 10
    assert fitted[:, 17:].min() > 245


def test_pictures_are_found_in_order_below_a_folder_without_hidden_files_and_folders_named_like_pictures(tmp_path):
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / "folder.jpg").mkdir()
    for name in ("b/deep/2.PNG", "b/1.jpeg", "a.jpg", "notes.txt", ".hidden.jpg", "b/._1.jpeg", "folder.jpg/x.webp"):
        (tmp_path / name).write_bytes(b"")
    found = [path.relative_to(tmp_path).as_posix() for path in find_pictures(tmp_path)]
    assert found == ["a.jpg", "b/1.jpeg", "b/deep/2.PNG", "folder.jpg/x.webp"]


def test_opening_pictures_needs_no_torch():
    code = "import sys, animal_cls.picture, animal_cls.calibration, animal_cls.split; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_odd_exif_beside_the_orientation_does_not_keep_a_picture_from_being_turned():
    compression = struct.pack(">HHII", 0x0103, 5, 1, 38)  # as a fraction, which Pillow does not write back
    orientation = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2) + compression + orientation + struct.pack(">III", 0, 6, 1)
    data = io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(data, "JPEG", exif=exif)
    assert open_picture(data.getvalue()).size == (20, 40)


@pytest.mark.parametrize("white", [255, 4095, 65535])
def test_white_of_any_depth_is_white(white):
    deep = Image.fromarray(np.array([[0, white]], dtype=np.int32))
    assert open_picture(deep).getpixel((1, 0)) == (255, 255, 255)


def test_threads_that_open_pictures_at_once_refuse_bombs_and_leave_the_warnings_alone():
    before = list(warnings.filters)

    def refused(source):
        try:
            return not open_picture(source)
        except PictureError:
            return True

    sources = [png_header(10_000, 10_000), encoded(Image.new("RGB", (300, 300)), "JPEG")] * 200
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(refused, sources)) == [True, False] * 200
    assert list(warnings.filters) == before
