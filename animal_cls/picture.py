"""Opening any picture file and bringing it to the network's size: one rule for training, prediction and verification.

Needs Pillow and NumPy only, so that inference stays light.
"""

from __future__ import annotations

import io
import logging
import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import (
    Image,
    ImageCms,
    JpegImagePlugin,  # noqa: F401  (importing a plugin registers its format)
    UnidentifiedImageError,
)

Pixels: TypeAlias = NDArray[np.uint8]
PictureSource: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | Pixels"

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
# How files begin that people take for pictures, and that are of none of these formats.
OTHERS = (
    (re.compile(rb".{4}ftyp(?:hei[cxms]|hev[cmx]|mif1|msf1)", re.DOTALL), "a HEIC picture, as phones take them; save it as JPEG first"),
    (re.compile(rb".{4}ftypavi[fs]", re.DOTALL), "an AVIF picture, and it is broken or Pillow was built without AVIF"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "a JPEG XL picture; save it as JPEG first"),
    (re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  "), "a JPEG 2000 picture; save it as JPEG first"),
    (re.compile(rb".{4}ftyp|.{4}moov|\x1aE\xdf\xa3", re.DOTALL), "a film; save one picture of it"),
    (re.compile(rb"8BPS"), "a Photoshop file; save it as JPEG first"),
    (re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<svg", re.IGNORECASE), "a drawing in SVG; save it as PNG first"),
    (re.compile(rb"%PDF"), "a PDF; save its picture as JPEG first"),
)
ORIENTATION = 0x0112  # EXIF tag; 1 is upright
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ADDRESS = re.compile(r"\w+:/")
MAX_PIXELS = 89_478_485  # Pillow's own limit against decompression bombs (Pillow keeps 4 bytes of each)
LARGE = 25_000_000  # pixels of a picture beside which no other large one is decoded: each may take some hundred megabytes
REDUCING_GAP = 3  # times the network's size; from there on nobody sees that a picture was reduced before (Pillow's documentation)
REDUCIBLE = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})
MAX_BYTES = 1024 * 1024 * 1024  # some decoders read the whole file into memory; that many pixels of 64 bits take less
_NOWHERE = logging.NullHandler()
_LOADING = threading.Lock()  # an image of the caller's may be in the hands of another thread, which loads it too
_ONE_LARGE = threading.Lock()
_QUIET = threading.Lock()  # warning filters are the process's: two threads that set and restore them would leave them wrong


class PictureError(ValueError):
    """A picture that cannot be used; the message names it and says why."""


def open_picture(source: PictureSource, *, at_least: int | None = None) -> Image.Image:
    """Open a picture as people see it: upright, in sRGB, its first frame, transparent parts over white.

    Colours are led from the picture's own profile (ICC) to sRGB; a profile that cannot be used is passed over. What a file is, its
    first bytes say; its name does not matter. Sizes are checked before anything is decoded.

    Args:
        source: a path, the bytes of a file, a PIL image, or a uint8 array of shape (H, W, 3).
        at_least: when given, a large JPEG may be decoded at 1/2, 1/4 or 1/8 of its size (which is much faster), as long as both sides
            stay at least this many pixels long, and others are scaled down to not less than three times as many (which saves memory).

    Returns:
        A PIL image in mode RGB.

    Raises:
        PictureError: the file is missing, is no picture, is broken, or has more than ``MAX_PIXELS`` pixels or ``MAX_BYTES`` bytes.
    """
    if not isinstance(source, str | os.PathLike | bytes | Image.Image | np.ndarray):
        raise PictureError(f"image: {type(source).__name__} given; a path, bytes, a PIL image or an array is needed")
    name = _name(source)
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or 0 in source.shape:
            raise PictureError(f"{name}: shape {source.shape}, dtype {source.dtype}; an array must be (H, W, 3), uint8")
        return _reduced(Image.fromarray(source), at_least)
    try:
        if isinstance(source, Image.Image):
            with _LOADING:
                _load(source)
            return _as_seen(source, at_least)
        with _open_header(_file(source)) as image:
            if at_least is not None:
                image.draft("RGB", (at_least, at_least))
            with _ONE_LARGE if image.width * image.height > LARGE else nullcontext():
                return _as_seen(_load(_first_frame(image)), at_least)
    except PictureError:
        raise
    except FileNotFoundError:
        what = "an address; only files are opened" if ADDRESS.match(name) else "no such file"
        raise PictureError(f"{name}: {what}") from None
    except IsADirectoryError:
        raise PictureError(f"{name}: a folder, not a picture") from None
    except PermissionError:
        raise PictureError(f"{name}: may not be read (permission denied)") from None
    except UnidentifiedImageError:
        raise PictureError(f"{name}: {_what_it_is(source)}; expected one of {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureError(f"{name}: more than {MAX_PIXELS:,} pixels; scale it down first") from None
    except Exception as error:
        raise PictureError(f"{name}: not a picture that can be read ({error or type(error).__name__})") from error


def fit_picture(image: Image.Image, size: int) -> Pixels:
    """Bring a whole picture to the network's size.

    The picture is squashed to a square rather than cropped: a centre crop never sees the sides of a wide photo.

    Args:
        image: an RGB image of any size.
        size: side of the result in pixels.

    Returns:
        A uint8 array of shape (size, size, 3), values 0..255.
    """
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)


def limit_picture(image: Image.Image, shorter: int) -> Image.Image:
    """Scale an RGB image down so that its shorter side has at most this many pixels; a smaller one stays as it is."""
    scale = shorter / min(image.size)
    if scale >= 1:
        return image
    return image.resize((max(round(scale * image.width), shorter), max(round(scale * image.height), shorter)), Image.Resampling.BILINEAR)


def load_picture(source: PictureSource, size: int) -> Pixels:
    """Open a picture and bring it to the network's size: ``open_picture`` then ``fit_picture``."""
    return fit_picture(open_picture(source, at_least=least_side(size)), size)


def least_side(size: int) -> int:
    """How many pixels each side of a picture should keep in decoding, for a network that takes ``size``.

    A tenth fewer than it takes: JPEGs are decoded at 1/2, 1/4 or 1/8, and VGA at 1/2 has 240. Of photos that were enlarged to a shorter
    side of 480 pixels as many are known as from all their pixels, though not quite the same ones (``tests/verifier/test_pipeline.py``).
    """
    return size - size // 10


def hush_pillow() -> None:
    """Keep what Pillow remarks on odd files off this process's stderr; for programs, whose errors say what there is to say."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(_NOWHERE)


def find_pictures(folder: Path) -> list[Path]:
    """All picture files below a folder, by suffix, in sorted order; hidden files are left out."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file())


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep Pillow from warning of odd metadata, of which there is nothing to say to anybody; one thread at a time."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _open_header(file: Path | io.BytesIO) -> Image.Image:
    """A picture whose pixels are not decoded yet."""
    with _quietly():
        try:
            return Image.open(file, formats=FORMATS[:1])  # nearly every photo is a JPEG
        except UnidentifiedImageError:
            for name in ("Avif", "Bmp", "Gif", "Png", "Tiff", "WebP"):  # or Pillow would register all the formats it has
                import_module(f"PIL.{name}ImagePlugin")
            return Image.open(file, formats=FORMATS[1:])


def _first_frame(image: Image.Image) -> Image.Image:
    """An image at its first frame; the still of an APNG, for programs that cannot show it moving, is none of its frames."""
    if getattr(image, "default_image", False) and image.width * image.height <= MAX_PIXELS:
        image.seek(1)
    return image


def _load(image: Image.Image) -> Image.Image:
    """An image with its pixels decoded, unless they are none, or too many."""
    if image.width < 1 or image.height < 1:
        raise ValueError("it has no pixels")
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    image.load()
    return image


def _as_seen(image: Image.Image, at_least: int | None) -> Image.Image:
    """A loaded image, upright, as RGB in the colours of sRGB."""
    with _quietly():
        turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    image = _reduced(image, at_least)
    upright = image.transpose(turn) if turn is not None else image
    if upright.mode.startswith(("I", "F")):
        values, clear = np.asarray(upright), upright.info.get("transparency")
        grey = _to_8_bit(values)
        if isinstance(clear, int):
            grey[values == clear] = 255
        return Image.fromarray(grey).convert("RGB")
    if upright.has_transparency_data:
        coloured = _in_srgb(upright.convert("RGBA"))
        return Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured).convert("RGB")
    seen = _in_srgb(upright.convert("RGB") if upright.mode == "P" else upright)
    return seen if seen.mode == "RGB" else seen.convert("RGB")


def _reduced(image: Image.Image, at_least: int | None) -> Image.Image:
    """A large image at a whole fraction of its size; one of other than 8 bits, or with one colour for clear, as it is."""
    factor = min(image.size) // (REDUCING_GAP * at_least) if at_least else 1
    if factor < 2 or image.mode not in REDUCIBLE or "transparency" in image.info:
        return image
    return image.reduce(factor)


def _in_srgb(image: Image.Image) -> Image.Image:
    """An image in the colours of sRGB, as RGB or RGBA; as it is where its profile is none that its pixels can be of."""
    profile = image.info.get("icc_profile")
    if not profile:
        return image
    try:
        own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        if "sRGB" in ImageCms.getProfileDescription(own):  # most pictures; the way would take longer than decoding them
            return image
        seen = ImageCms.profileToProfile(image, own, srgb, outputMode="RGBA" if image.mode == "RGBA" else "RGB")
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):  # broken, or of another sort of pixels
        return image
    return image if seen is None else seen


def _to_8_bit(values: NDArray[np.generic]) -> Pixels:
    """Grey values of more than 8 bits as uint8; white is the least of 1 (floats), 255, 4095 and 65535 that none exceeds."""
    grey = np.nan_to_num(values.astype(np.float32))
    whites = (255.0, 4095.0, 65535.0) if np.issubdtype(values.dtype, np.integer) else (1.0, 255.0, 65535.0)
    white = next((w for w in whites if grey.max() <= w), float(grey.max()))
    grey *= np.float32(255 / white)
    return np.clip(grey, 0, 255, out=grey).round(out=grey).astype(np.uint8)


def _file(source: str | os.PathLike[str] | bytes) -> Path | io.BytesIO:
    """What to read from, unless it is something that opens but never ends (a pipe, a device) or that no memory should hold."""
    if not isinstance(source, bytes):
        path = Path(source)
        if not str(path) or str(path) == ".":
            raise PictureError("image: no path given, or a folder")
        if path.exists() and not path.is_file() and not path.is_dir():
            raise PictureError(f"{path}: not a file")
    size = len(source) if isinstance(source, bytes) else path.stat().st_size
    if size > MAX_BYTES:
        raise PictureError(f"{_name(source)}: {size:,} bytes; no picture needs more than {MAX_BYTES:,}")
    return io.BytesIO(source) if isinstance(source, bytes) else path


def _name(source: PictureSource) -> str:
    """How messages call a picture."""
    match source:
        case bytes():
            return f"image ({len(source):,} bytes)"
        case np.ndarray():
            return "image array"
        case Image.Image():
            return str(getattr(source, "filename", "") or "image")
        case _:
            return os.fspath(source)


def _what_it_is(source: PictureSource) -> str:
    """What a file is that is none of the formats, as far as its first bytes tell."""
    if isinstance(source, bytes):
        start = source[:256]
    else:
        with Path(source).open("rb") as stream:  # type: ignore[arg-type]
            start = stream.read(256)
    if not start:
        return "an empty file"
    return next((what for begins, what in OTHERS if begins.match(start)), "not a picture in a known format")
