"""From whatever a source holds to pixels of one size, with nothing lost unless it was agreed to."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from argmind.data.base import optional_module
from argmind.data.images.base import DamagedImage, Picture
from argmind.errors import UserError

Fit = Literal["exact", "crop", "stretch", "pad"]
#: What Pillow raises for files that are cut off or corrupt.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError)
_GREY, _COLOUR = ("L",), ("RGB",)
#: Modes that Pillow turns into grey or RGB without loss.
_LOSSLESS = {"1": "L", "P": "RGB"}
_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")
_CONVERT = "Prepare it otherwise, or allow it with data.convert=true (for a trained run --convert)."


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What every image becomes, and by which means."""

    image_size: int
    channels: int
    fit: Fit = "exact"
    convert: bool = False


def shape_of(picture: Picture, convert: bool = False) -> tuple[int, int, int]:
    """Width, height and channels (1 or 3) that an image has.

    Raises:
        UserError: it cannot be read, or has more than 8 bits or transparency.
    """
    image = _plain(picture, convert)
    return (*image.size, 1 if image.mode in _GREY else 3)


def decode(picture: Picture, shape: Shape) -> NDArray[np.uint8]:
    """An image as pixels (C, H, W), 0 to 255.

    Raises:
        DamagedImage: it cannot be read.
        UserError: it is of another size or kind, and ``shape`` does not say what to do about it.
    """
    image = _sized(_coloured(_plain(picture, shape.convert), picture, shape), picture, shape)
    pixels = np.array(image, dtype=np.uint8)  # a copy: Pillow's own memory is read-only
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


# ------------------------------------------------------------------ reading


def _plain(picture: Picture, convert: bool) -> Any:
    """An image as Pillow has it, 8 bits deep, grey or RGB."""
    content = picture.content
    if isinstance(content, np.ndarray):
        content = _from_array(content, picture.name, convert)
    elif isinstance(content, (bytes, bytearray, memoryview)):
        content = _from_file(bytes(content), picture.name, convert)
    elif not hasattr(content, "getbands"):
        kind = type(content).__name__
        raise UserError(f"{picture.name} holds {kind}, not an image. Choose another --field.")
    return _opaque(content, picture.name, convert)


def _from_file(content: bytes, name: str, convert: bool) -> Any:
    pillow: Any = optional_module("PIL.Image", f"reading {name}", "image")
    operations: Any = optional_module("PIL.ImageOps", f"reading {name}", "image")
    if not content:
        raise DamagedImage(f"{name} is empty: there is no image in it.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata, which is not read
            image = pillow.open(io.BytesIO(content))
            deep = image.mode in ("I", "F") or any(_is_deep(tile[3]) for tile in image.tile)
            frames = getattr(image, "n_frames", 1)
            image.load()
            image = operations.exif_transpose(image)
    except pillow.DecompressionBombError as error:
        raise UserError(f"{name} is too large to be an image to learn from ({error}).") from error
    except BROKEN as error:
        raise DamagedImage(f"{name}: no image that can be read ({why(error)}).") from error
    if frames > 1 and not convert:
        raise UserError(f"{name} holds {frames} frames, where one image is needed. {_CONVERT}")
    if deep:
        _require_finite(np.asarray(image), name)
        _require(convert, name, "has more than 8 bits a channel")
        if image.mode not in ("L", "RGB", "RGBA"):
            image = _from_array(np.asarray(image), name, convert=True)
    return image


def _is_deep(packing: Any) -> bool:
    """Is this how Pillow says that a file stores 16 bits a channel, say "RGB;16B"?"""
    first = packing[0] if isinstance(packing, tuple) and packing else packing
    return isinstance(first, str) and "16" in first


def why(error: BaseException) -> str:
    """What Pillow says of a file, without the object that it names it by."""
    reason = " ".join(str(error).split())
    return "no known image format" if "cannot identify" in reason else reason


def _from_array(pixels: NDArray[Any], name: str, convert: bool) -> Any:
    pillow: Any = optional_module("PIL.Image", f"reading {name}", "image")
    squeezed = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    colours = squeezed.ndim == 3 and squeezed.shape[-1] in (3, 4)
    if not (squeezed.ndim == 2 or colours) or not squeezed.size:
        raise UserError(
            f"{name} has the shape {tuple(pixels.shape)}: give (height, width), "
            "(height, width, 1) or (height, width, 3); and latents as a LatentSource."
        )
    return pillow.fromarray(_bytes_of(squeezed, name, convert))


def _bytes_of(pixels: NDArray[Any], name: str, convert: bool) -> NDArray[np.uint8]:
    """Pixels from 0 to 255 of numbers of any type."""
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(pixels.dtype, np.floating):
        _require_finite(pixels, name)
        _require_range(pixels, name, 0, 1, "floats")
        return np.round(pixels * 255).astype(np.uint8)
    if not np.issubdtype(pixels.dtype, np.integer):
        raise UserError(f"{name} holds {pixels.dtype}, not numbers that pixels can be.")
    if int(pixels.max()) > 255:
        _require(convert, name, "has more than 8 bits a channel")
        _require_range(pixels, name, 0, 65535, "16-bit pixels")
        return np.round(pixels / 257).astype(np.uint8)
    _require_range(pixels, name, 0, 255, "whole numbers")
    return pixels.astype(np.uint8)


def _require_finite(pixels: NDArray[Any], name: str) -> None:
    wrong = int((~np.isfinite(pixels)).sum())
    if wrong:
        raise DamagedImage(f"{name}: {wrong} of its pixels are NaN or infinite.")


def _require_range(pixels: NDArray[Any], name: str, low: int, high: int, what: str) -> None:
    least, most = pixels.min(), pixels.max()
    if least < low or most > high:
        raise UserError(
            f"{name} has pixels from {least} to {most}, where {what} must lie in [{low}, {high}]."
        )


def _opaque(image: Any, name: str, convert: bool) -> Any:
    """Without transparency: dropped where nothing is transparent, else on white if agreed to."""
    mode = image.mode
    if mode in _ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getextrema()[3][0] == 255:
            return image.convert("L" if mode in ("LA", "La", "L", "1") else "RGB")
        _require(convert, name, "has transparent pixels (an alpha channel)")
        pillow: Any = optional_module("PIL.Image", f"reading {name}", "image")
        white = pillow.new("RGBA", image.size, (255, 255, 255, 255))
        flat = pillow.alpha_composite(white, image)
        return flat.convert("L" if mode in ("LA", "La", "L", "1") else "RGB")
    if mode in (*_GREY, *_COLOUR):
        return image
    if mode not in _LOSSLESS:
        _require(convert, name, f"is in the colours {mode}, where grey or RGB is needed")
    return image.convert(_LOSSLESS.get(mode, "RGB"))


# ------------------------------------------------------------------ colours and size


def _coloured(image: Any, picture: Picture, shape: Shape) -> Any:
    if shape.channels == 3 and image.mode == "L":
        _require(shape.convert, picture.name, "is greyscale, where data.channels=3 needs RGB")
        return image.convert("RGB")
    if shape.channels == 1 and image.mode == "RGB":
        _require(shape.convert, picture.name, "has colours, where data.channels=1 needs greyscale")
        return image.convert("L")
    return image


def _sized(image: Any, picture: Picture, shape: Shape) -> Any:
    size = shape.image_size
    if image.size == (size, size):
        return image
    if shape.fit == "exact":
        width, height = image.size
        raise UserError(
            f"{picture.name} is {width}x{height}, where images of {size}x{size} are needed. Say "
            "how they are to fit: data.fit=crop (scale, then cut off what hangs over), stretch or "
            "pad, or another data.image_size; for a trained run --fit."
        )
    pillow: Any = optional_module("PIL.Image", f"reading {picture.name}", "image")
    operations: Any = optional_module("PIL.ImageOps", f"reading {picture.name}", "image")
    to, how = (size, size), pillow.Resampling.BICUBIC
    if shape.fit == "crop":
        return operations.fit(image, to, method=how)
    if shape.fit == "pad":
        return operations.pad(image, to, method=how)
    return image.resize(to, how)


def _require(convert: bool, name: str, what: str) -> None:
    if not convert:
        raise UserError(f"{name} {what}. {_CONVERT}")
