"""Opening any picture file and bringing it to the network's size: one rule for training, prediction and verification.

Needs Pillow and NumPy only, so that inference stays light.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import (
    Image,
    JpegImagePlugin,  # noqa: F401  (importing a plugin registers its format)
    UnidentifiedImageError,
)

Pixels: TypeAlias = NDArray[np.uint8]
PictureSource: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | Pixels"

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
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
MAX_PIXELS = 89_478_485  # Pillow's own limit against decompression bombs (a quarter gigabyte of RGB)
_OPENING = threading.Lock()  # warning filters are the process's: two threads that set and restore them would leave them wrong


class PictureError(ValueError):
    """A picture that cannot be used; the message names it and says why."""


def open_picture(source: PictureSource, *, at_least: int | None = None) -> Image.Image:
    """Open a picture as people see it: upright, in RGB, its first frame, transparent parts over white.

    Args:
        source: a path, the bytes of a file, a PIL image, or a uint8 array of shape (H, W, 3).
        at_least: when given, a large JPEG may be decoded at 1/2, 1/4 or 1/8 of its size (which is much faster), as long as
            both sides stay at least this many pixels long.

    Returns:
        A PIL image in mode RGB.

    Raises:
        PictureError: the file is missing, is no picture, is broken or has more than ``MAX_PIXELS`` pixels.
    """
    if not isinstance(source, str | os.PathLike | bytes | Image.Image | np.ndarray):
        raise PictureError(f"image: {type(source).__name__} given; a path, bytes, a PIL image or an array is needed")
    name = _name(source)
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or 0 in source.shape:
            raise PictureError(f"{name}: shape {source.shape}, dtype {source.dtype}; an array must be (H, W, 3), uint8")
        return Image.fromarray(source)
    try:
        if isinstance(source, Image.Image):
            return _as_seen(source)
        file = io.BytesIO(source) if isinstance(source, bytes) else _regular_file(Path(source))
        with _open_header(file) as image:
            if at_least is not None:
                image.draft("RGB", (at_least, at_least))
            return _as_seen(image)
    except PictureError:
        raise
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise PictureError(f"{name}: a folder, not a picture") from None
    except PermissionError:
        raise PictureError(f"{name}: may not be read (permission denied)") from None
    except UnidentifiedImageError:
        raise PictureError(f"{name}: {_what_it_is(source)}; expected one of {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureError(f"{name}: more than {MAX_PIXELS:,} pixels; scale it down first") from None
    except Exception as error:
        raise PictureError(f"{name}: not a picture that can be read ({error})") from error


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


def load_picture(source: PictureSource, size: int) -> Pixels:
    """Open a picture and bring it to the network's size: ``open_picture`` then ``fit_picture``.

    JPEGs are decoded at no less than twice the network's size, so that the final resize still averages pixels.
    """
    return fit_picture(open_picture(source, at_least=2 * size), size)


def find_pictures(folder: Path) -> list[Path]:
    """All picture files below a folder, by suffix, in sorted order; hidden files are left out."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file())


def _open_header(file: Path | io.BytesIO) -> Image.Image:
    """A picture whose pixels are not decoded yet, in one thread at a time; decoding them runs in as many as call."""
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return Image.open(file, formats=FORMATS[:1])  # nearly every photo is a JPEG
        except UnidentifiedImageError:
            for name in ("Avif", "Bmp", "Gif", "Png", "Tiff", "WebP"):  # or Pillow would register all the formats it has
                import_module(f"PIL.{name}ImagePlugin")
            return Image.open(file, formats=FORMATS[1:])


def _as_seen(image: Image.Image) -> Image.Image:
    """The first frame of an image, upright, as RGB."""
    if image.width < 1 or image.height < 1:
        raise ValueError("it has no pixels")
    image.load()
    turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    upright = image.transpose(turn) if turn is not None else image
    if upright.mode.startswith(("I", "F")):
        return Image.fromarray(_to_8_bit(np.asarray(upright))).convert("RGB")
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        return Image.alpha_composite(white, upright).convert("RGB")
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def _to_8_bit(values: NDArray[np.generic]) -> Pixels:
    """Grey values of more than 8 bits as uint8; white is the least of 1 (floats), 255, 4095 and 65535 that none exceeds."""
    grey = np.nan_to_num(values.astype(np.float64))
    whites = (255.0, 4095.0, 65535.0) if np.issubdtype(values.dtype, np.integer) else (1.0, 255.0, 65535.0)
    white = next((w for w in whites if grey.max() <= w), float(grey.max()))
    return (np.clip(grey / white, 0.0, 1.0) * 255).round().astype(np.uint8)


def _regular_file(path: Path) -> Path:
    """The path, unless it is something that opens but never ends (a pipe, a device)."""
    if not str(path) or str(path) == ".":
        raise PictureError("image: no path given")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise PictureError(f"{path}: not a file")
    return path


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
    size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size  # type: ignore[arg-type]
    return "an empty file" if size == 0 else "not a picture in a known format"
