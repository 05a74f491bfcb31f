"""Small picture files, and some that encoders do not write, for the tests of decoding."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 17, 41
FORMATS = ("JPEG", "PNG", "WEBP")


def picture(mode: str = "RGB", height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    """A smooth picture, different in every corner."""
    noise = np.random.default_rng(7).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand, for the kinds that Pillow does not write. `rows` start with their filter byte."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def scans_by_colour() -> list[bytes]:
    """The head of a sequential JPEG, and a scan for each of its three colours: grey pictures with one set of tables."""
    greys = [saved(plane, "JPEG") for plane in picture().split()]
    frame, scan = greys[0].index(b"\xff\xc0"), greys[0].index(b"\xff\xda")
    size = struct.pack(">BHHB", 8, HEIGHT, WIDTH, 3)
    colours = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    head = greys[0][:frame] + b"\xff\xc0\0\x11" + size + colours + greys[0][frame + 13 : scan]
    starts = [b"\xff\xda\0\x08\1" + bytes((number, 0, 0, 63, 0)) for number in (1, 2, 3)]
    return [head, *(start + grey[grey.index(b"\xff\xda") + 10 : -2] for start, grey in zip(starts, greys, strict=True))]


def rgb(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))
