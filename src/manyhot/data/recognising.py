"""Which format a picture has, by content: names of files do not count. What is not read is refused by its name."""

import re
import struct

from manyhot.data.bitmaps import read_bmp, read_gif
from manyhot.data.containers import PNG_START, Container, read_jpeg, read_png, read_webp
from manyhot.data.tiff import TIFF_STARTS, read_tiff
from manyhot.errors import ImageError

READ = "JPEG, PNG, WebP, GIF, BMP and TIFF"
"""The formats that are read, for messages."""

_READERS = (
    (re.compile(rb"\xff\xd8\xff"), read_jpeg),
    (re.compile(re.escape(PNG_START)), read_png),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), read_webp),
    (re.compile(rb"GIF8[79]a"), read_gif),
    # Two letters are little: the size of the header and the number of planes belong to it.
    (re.compile(rb"BM.{12}([\x28\x34\x38\x40\x6c\x7c]\0\0\0.{8}\x01\0|\x0c\0\0\0.{4}\x01\0)", re.DOTALL), read_bmp),
    (re.compile(b"|".join(re.escape(start) for start in TIFF_STARTS)), read_tiff),
)
_OTHERS = (
    (rb"II\+\0|MM\0\+", "BigTIFF"),
    (rb"....ftyp(avif|avis)", "AVIF"),
    (rb"....ftyp(heic|heix|mif1|msf1|hevc)", "HEIC"),
    (rb"....ftyp", "a video"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"8BPS", "a Photoshop file"),
    (rb"\0\0\x01\0", "an icon"),
    (rb"%PDF", "PDF"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript"),
    (rb"(?i)(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!doctype svg|<svg)", "SVG"),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)", "an HTML page"),
    (rb"(\xef\xbb\xbf)?\s*<\?xml", "XML"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf", "an archive"),
    (rb"version https://git-lfs", "a pointer of Git LFS, not the file that it stands for"),
)


def read_container(data: bytes) -> Container:
    """Return what the file says of itself. Nothing is decoded, and no memory is taken that the header asks for.

    Raises:
        ImageError: If it is of no format that is read, is cut off, or contradicts itself. The message names no file.

    >>> read_container(b"%PDF-1.7")
    Traceback (most recent call last):
    manyhot.errors.ImageError: is PDF; only JPEG, PNG, WebP, GIF, BMP and TIFF are read: convert it
    """
    if not data:
        raise ImageError("is empty; get it again from where it came from")
    for start, reader in _READERS:
        if start.match(data):
            try:
                return reader(data)
            except (struct.error, IndexError):
                raise ImageError("is cut off; get it again from where it came from") from None
    for pattern, name in _OTHERS:
        if re.match(pattern, data[:512], re.DOTALL):
            raise ImageError(f"is {name}; only {READ} are read: convert it")
    raise ImageError(f"is none of {READ}: it starts with {data[:8]!r}")
