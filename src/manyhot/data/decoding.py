"""The one way in for pictures: bytes nobody can trust become 8-bit RGB pixels, or an `ImageError`.

JPEG goes through simplejpeg (it releases the interpreter's lock; its pixels are Pillow's), the rest through Pillow.
Pillow's own `Image.open` is not used: which formats it tries, and when it warns, are global settings of the process.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from manyhot.data.containers import Container, strip_jpeg
from manyhot.data.libtiff import silence_libtiff
from manyhot.data.orientation import MIRRORED, UPSIDE_DOWN, read_orientation, upright
from manyhot.data.recognising import read_container
from manyhot.data.resizing import ScaledPixels
from manyhot.errors import ImageError
from manyhot.sources.picture_store import read_picture_file

MAX_PIXELS = 100_000_000
"""Larger pictures are refused unless asked for. What a pixel takes while it is decoded, in bytes: 3 in a JPEG, 6.5 in a
progressive one, 7 at most in PNG, GIF, BMP and TIFF, 16 in WebP."""

MAX_SIDE = 65_535
"""Longer sides are refused, whatever the other: no JPEG has them, and resizing them would take more memory than decoding."""

_BAND_PIXELS = 2**20
"""How much of a picture is converted at a time."""

BYTES_NAME = "bytes in memory"
"""What messages call a picture that is no file."""

# What Pillow and simplejpeg raise on damaged data, found by mutating files; each is an exception of its own root.
_DECODER_ERRORS = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError,
    SyntaxError, TypeError, ValueError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedImage:
    """A picture whose size is known, and checked, before it is decoded.

    Args:
        name: What errors call it.
        container: What stands around the pixels.
        orientation: How it has to be turned, as EXIF counts, 1 to 8.
    """

    name: str
    container: Container
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """Stored height and width of the picture, upright."""
        width, height = self.container.width, self.container.height
        return (height, width) if self.orientation < 5 else (width, height)

    def decode(self, *, at_least: tuple[int, int] | None = None) -> ScaledPixels:
        """Return the pixels, upright, smaller than stored where that is cheaper.

        Args:
            at_least: Height and width that the result must have, unless it is stored smaller; None: as stored.

        Raises:
            ImageError: If it is damaged, naming the file.
        """
        divisor = self.divisor(at_least)
        try:
            image = upright(_decode(self.container, divisor), self.orientation)
        except ImageError as error:
            raise ImageError(f"{self.name}: {error}") from error
        if divisor == 1:
            return ScaledPixels(pixels=image)
        # A JPEG's last row and column may stand for fewer stored pixels than the others; turned, they come first.
        spare = [side - stored / divisor for side, stored in zip(image.shape, self.size, strict=False)]
        return ScaledPixels(
            pixels=image,
            divisor=divisor,
            top=spare[0] if self.orientation in UPSIDE_DOWN else 0.0,
            left=spare[1] if self.orientation in MIRRORED else 0.0,
        )

    def divisor(self, at_least: tuple[int, int] | None) -> int:
        """Return by how much the sides are divided in decoding: other fractions are slower than decoding it all."""
        if at_least is None or self.container.format != "JPEG":
            return 1
        height, width = self.size
        shrink = min(height // at_least[0], width // at_least[1])
        return 1 if shrink < 2 else 2 if shrink < 4 else 4 if shrink < 8 else 8


def open_image(source: Path | bytes | memoryview, *, max_pixels: int = MAX_PIXELS) -> EncodedImage:
    """Return a picture that is ready to be decoded; its header has been read and its size checked.

    Args:
        source: A file, or the bytes of one.
        max_pixels: The largest number of pixels that is decoded.

    Raises:
        ImageError: If it is missing, empty, cut off, too large or of another format, naming the file.

    >>> white = io.BytesIO()
    >>> Image.new("L", (30, 20), 255).save(white, "JPEG")
    >>> open_image(white.getvalue()).size
    (20, 30)
    >>> open_image(white.getvalue()).decode(at_least=(5, 5)).pixels.shape
    (5, 8, 3)
    """
    name = str(source) if isinstance(source, Path) else BYTES_NAME
    try:
        # A copy of a view: microseconds beside the decoding, and only bytes can be searched.
        container = read_container(read_picture_file(source) if isinstance(source, Path) else bytes(source))
        _check_size(container, max_pixels)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    return EncodedImage(name=name, container=container, orientation=read_orientation(container.exif))


def decode_image(
    source: Path | bytes | memoryview, *, max_pixels: int = MAX_PIXELS, at_least: tuple[int, int] | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the pixels of a JPEG, PNG, WebP, GIF, BMP or TIFF file as 8-bit RGB, upright.

    The format is told by content, never by name. Size is checked before anything is decoded, and the EXIF orientation
    is applied. Grey and palette become RGB; CMYK is converted without a colour profile; 16 bits are divided by 256;
    transparent parts lie on white; of an animation, or of several pages, only the first picture counts. Profiles and gamma are ignored, as
    nearly everywhere in training. Safe to call from several threads.

    Args:
        source: A file, or the bytes of one.
        max_pixels: The largest number of pixels that is decoded.
        at_least: Height and width that suffice: a JPEG that is at least twice as large is decoded at a half, a quarter
            or an eighth, never smaller than this. None decodes it as it is stored.

    Raises:
        ImageError: Whatever is wrong, naming the file: missing, empty, cut off, damaged, too large, another format.

    >>> white = io.BytesIO()
    >>> Image.new("L", (3, 2), 255).save(white, "PNG")
    >>> decode_image(white.getvalue()).shape
    (2, 3, 3)
    >>> decode_image(white.getvalue()[:-5])
    Traceback (most recent call last):
    manyhot.errors.ImageError: bytes in memory: is cut off; get it again from where it came from
    """
    return open_image(source, max_pixels=max_pixels).decode(at_least=at_least).pixels


def _check_size(container: Container, max_pixels: int) -> None:
    sides = container.width, container.height
    if 0 < sides[0] * sides[1] <= max_pixels and max(sides) <= MAX_SIDE:
        return
    size = f"{sides[0]:,} × {sides[1]:,} pixels"
    if not sides[0] * sides[1]:
        raise ImageError(f"has {size}; it is damaged")
    if max(sides) > MAX_SIDE:
        raise ImageError(f"has {size}; no side may have more than {MAX_SIDE:,}")
    raise ImageError(f"has {size}; the limit is {max_pixels:,} (max_pixels)")


def _decode(container: Container, divisor: int) -> UInt8[np.ndarray, "h w 3"]:
    try:
        image = _decode_jpeg(container, divisor) if container.format == "JPEG" else _decode_with_pillow(container)
    except _DECODER_ERRORS as error:
        reason = str(error).splitlines() or [type(error).__name__]
        raise ImageError(f"is a damaged {container.format}: {reason[0]}") from error
    if image.shape != (-(-container.height // divisor), -(-container.width // divisor), 3):
        raise ImageError(f"decodes to another size than its header says; it is a damaged {container.format}")
    return image


def _decode_jpeg(container: Container, divisor: int) -> UInt8[np.ndarray, "h w 3"]:
    try:
        colours = simplejpeg.decode_jpeg_header(container.pixels)[2]
    except ValueError:
        # Rare ways of subsampling, which simplejpeg does not know.
        return _decode_with_pillow(container, divisor)
    is_cmyk = colours in ("CMYK", "YCCK")
    image = simplejpeg.decode_jpeg(
        container.pixels,
        "CMYK" if is_cmyk else "RGB",
        # What libjpeg would only warn of, such as missing data, leaves grey areas.
        strict=True,
        min_height=-(-container.height // divisor),
        min_width=-(-container.width // divisor),
        min_factor=divisor,
    )
    return _rgb_of_cmyk(image, container.is_adobe) if is_cmyk else image


def _rgb_of_cmyk(cmyk: UInt8[np.ndarray, "h w 4"], is_inverted: bool) -> UInt8[np.ndarray, "h w 3"]:
    light = cmyk if is_inverted else 255 - cmyk
    rgb = np.empty((*cmyk.shape[:2], 3), dtype=np.uint8)
    black = light[..., 3].astype(np.uint16)
    for channel in range(3):
        rgb[..., channel] = (light[..., channel] * black + 127) // 255
    return rgb


def _decode_with_pillow(container: Container, divisor: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    with _open_with_pillow(container) as image:
        if divisor > 1:
            image.draft(None, (-(-container.width // divisor), -(-container.height // divisor)))
        image.load()
        # Byte 24 of a PNG is the number of bits of a value.
        depth = container.pixels[24] if container.format == "PNG" else 8
        rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
        # In bands: each step of a conversion is a copy, and of a whole picture that would be up to 20 bytes a pixel.
        rows = max(1, _BAND_PIXELS // image.width)
        for top in range(0, image.height, rows):
            bottom = min(top + rows, image.height)
            rgb[top:bottom] = _to_rgb(image.crop((0, top, image.width, bottom)), depth)
        return rgb


def _to_rgb(image: Image.Image, depth: int) -> UInt8[np.ndarray, "h w 3"]:
    plain = _to_8_bits(image, depth)
    if plain.has_transparency_data:
        plain = _on_white(plain.convert("RGBA"))
    return np.asarray(plain.convert("RGB"))


def _open_with_pillow(container: Container) -> ImageFile:
    match container.format:
        case "JPEG":
            return JpegImageFile(io.BytesIO(strip_jpeg(container.pixels)))
        case "PNG":
            return PngImageFile(io.BytesIO(container.pixels))
        case "WebP":
            return WebPImageFile(io.BytesIO(container.pixels))
        case "GIF":
            return GifImageFile(io.BytesIO(container.pixels))
        case "BMP":
            return BmpImageFile(io.BytesIO(container.pixels))
        case "TIFF":
            silence_libtiff()
            return TiffImageFile(io.BytesIO(container.pixels))


def _to_8_bits(image: Image.Image, depth: int) -> Image.Image:
    """Return the pixels, and a PNG's transparent colour if it has one, in 8 bits: Pillow leaves either as it stands."""
    key: object = image.info.pop("transparency", None)
    if image.mode in ("I;16", "I;16B"):
        # The high byte, as Pillow takes of 16-bit colour; convert("L") would clip nearly all to white.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    match key:
        case int() if image.mode == "L":
            image.info["transparency"] = _to_byte(key, depth)
        case tuple():
            image.info["transparency"] = tuple(_to_byte(value, depth) for value in key)
        case None:
            pass
        case _:
            image.info["transparency"] = key
    return image.convert("L") if image.mode == "1" else image


def _to_byte(value: int, depth: int) -> int:
    return (value >> 8 if depth == 16 else value * 255 // (2**depth - 1)) & 255


def _on_white(image: Image.Image) -> Image.Image:
    ground = Image.new("RGB", image.size, (255, 255, 255))
    ground.paste(image, mask=image.getchannel("A"))
    return ground
