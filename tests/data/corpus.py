"""Image files of every kind, made here byte by byte: each has known pixels, or a reason for which it is refused."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 34, 50


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """An image file, and what is known of it without decoding it.

    Args:
        name: What is odd about it.
        data: The file.
        pixels: What it shows; None if it is refused.
        tolerance: How far the mean grey level may be off: above 0 for lossy formats.
        reason: What the refusal says.
        suffix: How its name ends.
    """

    name: str
    data: bytes
    pixels: np.ndarray | None = None
    tolerance: float = 0.0
    reason: str = ""
    suffix: str = ".jpg"


def scene(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A smooth picture by formula, different in every corner and in every channel."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    rows, columns = rows / max(height - 1, 1), columns / max(width - 1, 1)
    channels = (220 * rows + 20, 200 * columns + 30, 120 + 90 * np.cos(3 * rows + 2 * columns))
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def grey(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return scene(height, width)[..., 1]


def as_rgb(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None].astype(np.uint8), 3, axis=-1)


def saved(image: np.ndarray | Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(stream, image_format, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand, for the kinds that Pillow does not write. `rows` start with their filter byte."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(
    tags: dict[int, tuple[str, tuple[int, ...]]], pixels: bytes, *, order: str = "<", offset_tag: int = 273
) -> bytes:
    """A TIFF written by hand: `tags` are codes of `struct` and values; the place of the pixels is filled in."""
    tags = {**tags, offset_tag: ("I", (8,))}
    place = 8 + len(pixels) + len(pixels) % 2
    directory, spare = struct.pack(order + "H", len(tags)), b""
    after = place + 2 + 12 * len(tags) + 4
    for tag, (code, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        where = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(order + "I", after + len(spare))
        spare += packed if len(packed) > 4 else b""
        directory += struct.pack(order + "HHI", tag, {"B": 1, "H": 3, "I": 4}[code], len(values)) + where
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "I", place) + pixels.ljust(place - 8, b"\0") + directory + bytes(4) + spare


def grey_tiff(values: np.ndarray, *, order: str = "<", **changes: tuple[str, tuple[int, ...]]) -> bytes:
    """A plain grey TIFF; changes are named `tag_262` and so on."""
    height, width = values.shape
    pixels = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = {
        256: ("I", (width,)), 257: ("I", (height,)), 258: ("H", (8 * values.itemsize,)), 259: ("H", (1,)),
        262: ("H", (1,)), 277: ("H", (1,)), 278: ("I", (height,)), 279: ("I", (len(pixels),)),
    }  # fmt: skip
    return tiff(tags | {int(name[4:]): change for name, change in changes.items()}, pixels, order=order)


def exif(orientation: int) -> bytes:
    return b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


TURNS = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}
"""What each EXIF orientation asks to be done with the stored pixels (EXIF 2.32, table "Orientation")."""


VIDEO = b"\xff\xda\0\x01" * 3_000
"""In what phones put after a photo, bytes that look like the start of a scan come by chance, once in 64 kB."""


def jpegs() -> list[Case]:
    best = {"quality": 97, "subsampling": 0}
    plain, small = saved(scene(), "JPEG", **best), saved(scene(3, 2), "JPEG", **best)
    light = 255 - grey()
    # Adobe's files hold light where others hold ink; Pillow writes them so.
    ink = Image.merge("CMYK", [Image.fromarray(channel) for channel in (light, light, light, np.zeros_like(light))])
    near = {"tolerance": 1.5}
    cases = [
        Case(name="JPEG", data=plain, pixels=scene(), **near),
        Case(name="grey JPEG", data=saved(grey(), "JPEG", quality=97), pixels=as_rgb(grey()), **near),
        Case(name="CMYK JPEG", data=saved(ink, "JPEG", quality=97), pixels=as_rgb(grey()), **near),
        Case(name="progressive JPEG", data=saved(scene(), "JPEG", progressive=True, **best), pixels=scene(), **near),
        Case(name="JPEG of halved colours", data=saved(scene(), "JPEG", quality=97), pixels=scene(), tolerance=2.5),
        Case(name="JPEG of 1 pixel", data=saved(scene(1, 1), "JPEG", **best), pixels=scene(1, 1), tolerance=3),
        Case(name="JPEG of 1 row", data=saved(scene(1, 5000), "JPEG", **best), pixels=scene(1, 5000), **near),
        Case(name="JPEG of 1 column", data=saved(scene(5000, 1), "JPEG", **best), pixels=scene(5000, 1), **near),
        Case(name="JPEG with bytes after its end", data=plain + b"junk" * 500, pixels=scene(), **near),
        Case(name="JPEG with a video after its end", data=plain + VIDEO, pixels=scene(), **near),
        Case(name="JPEG with a bad profile", data=saved(scene(), "JPEG", icc_profile=b"bad", **best), pixels=scene(), **near),
        Case(name="JPEG with a bad EXIF", data=saved(scene(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff", **best), pixels=scene(), **near),
        Case(name="JPEG called a PNG", data=plain, pixels=scene(), suffix=".png", **near),
        Case(name="JPEG of a single block", data=small, pixels=scene(3, 2), tolerance=3),
    ]  # fmt: skip
    for orientation, turn in TURNS.items():
        data = saved(scene(), "JPEG", exif=exif(orientation), **best)
        cases.append(Case(name=f"JPEG turned as EXIF {orientation}", data=data, pixels=turn(scene()), **near))
    return cases


def large_claim(jpeg: bytes) -> bytes:
    """A JPEG whose header claims 100 million pixels, which is within the limit."""
    frame = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2"))
    return jpeg[: frame + 5] + struct.pack(">HH", 10_000, 10_000) + jpeg[frame + 9 :]


def broken_jpegs() -> list[Case]:
    large = scene(300, 400)
    plain, progressive = saved(large, "JPEG", quality=95), saved(large, "JPEG", quality=95, progressive=True)
    frame, scan = plain.index(b"\xff\xc0"), progressive.rindex(b"\xff\xda")
    huge = plain[: frame + 5] + struct.pack(">HH", 65_500, 65_500) + plain[frame + 9 :]
    flat = plain[: frame + 5] + struct.pack(">HH", 0, 50) + plain[frame + 9 :]
    taller = plain[: frame + 5] + struct.pack(">HH", 600, 400) + plain[frame + 9 :]
    endless = progressive[:-2] + progressive[scan:-2] * 3_000 + progressive[-2:]
    return [
        Case(name="half a JPEG", data=plain[: len(plain) // 2], reason="[Pp]remature end"),
        Case(name="half a progressive JPEG", data=progressive[: len(progressive) // 2], reason="[Pp]remature end"),
        Case(name="the header of a JPEG", data=plain[:frame], reason="cut off"),
        Case(name="a JPEG without a scan", data=plain[:frame] + b"\xff\xd9", reason="ends before its first scan"),
        Case(name="a JPEG with flipped bits", data=plain[: frame + 1] + b"\x3f" + plain[frame + 2 :], reason="damaged"),
        Case(name="a JPEG of 0 rows", data=flat, reason="0 pixels|damaged"),
        Case(name="a JPEG that claims 4 billion pixels", data=huge, reason="cannot hold 65,500 × 65,500"),
        Case(
            name="a JPEG that claims 100 million pixels", data=large_claim(plain), reason="cannot hold 10,000 × 10,000"
        ),
        Case(name="a progressive JPEG that claims as many", data=large_claim(progressive), reason="cannot hold"),
        Case(name="a JPEG that claims twice its rows", data=taller, reason="damaged JPEG"),
        Case(name="a JPEG of 3,000 scans", data=endless, reason="more than 100 scans"),
    ]


def pngs() -> list[Case]:
    deep = scene().astype(np.uint16) * 256 + 77
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    indexed = Image.fromarray((np.arange(HEIGHT * WIDTH) % 4).astype(np.uint8).reshape(HEIGHT, WIDTH), "P")
    colours = np.array([[255, 0, 0], [0, 128, 0], [1, 2, 3], [250, 250, 250]], dtype=np.uint8)
    indexed.putpalette(colours.ravel().tolist())
    painted = colours[np.asarray(indexed)]
    cleared = np.where(np.asarray(indexed)[..., None] == 1, 255, painted)
    bits = grey() > 120
    halves = np.where(np.arange(WIDTH) < 20, 0, 255).astype(np.uint8) * np.ones((HEIGHT, 1), dtype=np.uint8)
    on_white = np.where(halves[..., None] == 0, 255, scene())
    bomb = zlib.compress(bytes(2**26), 9)
    extra = chunk(b"iCCP", b"bad\0\0" + bomb) + chunk(b"zTXt", b"key\0\0" + bomb)
    row = b"\0" + scene(1, 1).tobytes()
    long = b"".join(b"\0" + line.tobytes() for line in scene(2, 2)) + bytes(2**26)
    frames = [Image.fromarray(scene()), Image.fromarray(255 - scene())]
    return [
        Case(name="PNG", data=saved(scene(), "PNG"), pixels=scene()),
        Case(name="grey PNG", data=saved(grey(), "PNG"), pixels=as_rgb(grey())),
        Case(name="16-bit PNG", data=png(WIDTH, HEIGHT, 16, 2, rows), pixels=scene()),
        Case(name="16-bit grey PNG", data=saved(deep[..., 1].copy(), "PNG"), pixels=as_rgb(grey())),
        Case(name="palette PNG", data=saved(indexed, "PNG"), pixels=painted),
        Case(name="palette PNG with transparency", data=saved(indexed, "PNG", transparency=1), pixels=cleared),
        Case(name="RGBA PNG", data=saved(np.dstack([scene(), halves]), "PNG"), pixels=on_white),
        Case(name="1-bit PNG", data=saved(Image.fromarray(bits), "PNG"), pixels=as_rgb(bits * 255)),
        Case(name="PNG of 1 pixel", data=saved(scene(1, 1), "PNG"), pixels=scene(1, 1)),
        Case(name="PNG of 1 row", data=saved(scene(1, 5000), "PNG"), pixels=scene(1, 5000)),
        Case(
            name="PNG of 12 million pixels in a row",
            data=png(12_000_000, 1, 8, 0, bytes(12_000_001)),
            reason="no side may have more than 65,535",
        ),
        Case(name="animated PNG", data=saved(frames[0], "PNG", save_all=True, append_images=frames[1:]), pixels=scene()),
        Case(name="PNG turned as EXIF 6", data=saved(scene(), "PNG", exif=exif(6)), pixels=TURNS[6](scene())),
        Case(name="PNG called a JPEG", data=saved(scene(), "PNG"), pixels=scene()),
        Case(name="PNG with bytes after its end", data=saved(scene(), "PNG") + b"junk" * 500, pixels=scene()),
        Case(name="PNG with a bad profile and a text of 64 MB", data=png(1, 1, 8, 2, row, extra), pixels=scene(1, 1)),
        Case(name="PNG of 4 pixels that unpacks to 64 MB", data=png(2, 2, 8, 2, long), pixels=scene(2, 2)),
    ]  # fmt: skip


def broken_pngs() -> list[Case]:
    plain = saved(scene(), "PNG")
    flipped = bytearray(plain)
    flipped[len(flipped) // 2] ^= 16
    return [
        Case(name="half a PNG", data=plain[: len(plain) // 2], reason="cut off"),
        Case(name="the header of a PNG", data=plain[:33], reason="cut off"),
        Case(name="a PNG with a flipped bit", data=bytes(flipped), reason="wrong checksum"),
        Case(name="a PNG of 0 rows", data=png(3, 0, 8, 2, b""), reason="0 pixels"),
        Case(name="a PNG of a depth that there is not", data=png(1, 1, 7, 2, b"\0" + bytes(3)), reason="damaged PNG"),
        Case(name="a PNG that claims 4 billion pixels", data=png(65_000, 65_000, 8, 2, b""), reason="the limit is"),
        Case(name="a bomb of 400 million pixels", data=png(20_000, 20_000, 1, 0, bytes(2501 * 20_000)), reason="limit"),
    ]


def webps() -> list[Case]:
    plain = saved(scene(), "WEBP", lossless=True)
    frames = [Image.fromarray(scene()), Image.fromarray(255 - scene())]
    moving = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=10, lossless=True)
    alpha = np.full((HEIGHT, WIDTH), 51, dtype=np.uint8)
    faded = (scene() * (51 / 255) + 255 * (204 / 255)).round()
    seen = saved(np.dstack([scene(), alpha]), "WEBP", lossless=True, exact=True)
    huge = bytearray(saved(scene(), "WEBP"))
    huge[26:30] = struct.pack("<HH", 16383, 16383)
    return [
        Case(name="WebP", data=plain, pixels=scene()),
        Case(name="lossy WebP", data=saved(scene(), "WEBP", quality=95), pixels=scene(), tolerance=4),
        Case(name="animated WebP", data=moving, pixels=scene()),
        Case(name="transparent WebP", data=seen, pixels=faded, tolerance=1),
        Case(name="WebP turned as EXIF 8", data=saved(scene(), "WEBP", lossless=True, exif=exif(8)), pixels=TURNS[8](scene())),
        Case(name="half a WebP", data=plain[: len(plain) // 2], reason="cut off"),
        Case(name="a WebP that claims 268 million pixels", data=bytes(huge), reason="the limit is"),
    ]  # fmt: skip


def gifs() -> list[Case]:
    indexed = Image.fromarray((np.arange(HEIGHT * WIDTH) % 4).astype(np.uint8).reshape(HEIGHT, WIDTH), "P")
    colours = np.array([[255, 0, 0], [0, 128, 0], [1, 2, 3], [250, 250, 250]], dtype=np.uint8)
    indexed.putpalette(colours.ravel().tolist())
    painted = colours[np.asarray(indexed)]
    cleared = np.where(np.asarray(indexed)[..., None] == 1, 255, painted)
    other = indexed.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    plain = saved(indexed, "GIF")
    beyond = bytearray(plain)
    beyond[6:10] = struct.pack("<HH", 4, 4)
    huge = bytearray(plain)
    huge[6:10] = struct.pack("<HH", 65_535, 65_535)
    empty = bytearray(plain)
    empty[6:10] = bytes(4)
    return [
        Case(name="GIF", data=plain, pixels=painted),
        Case(name="animated GIF", data=saved(indexed, "GIF", save_all=True, append_images=[other]), pixels=painted),
        Case(name="transparent GIF", data=saved(indexed, "GIF", transparency=1), pixels=cleared),
        Case(name="interlaced GIF", data=saved(indexed, "GIF", interlace=1), pixels=painted),
        Case(name="GIF with bytes after its end", data=plain + b"junk" * 500, pixels=painted),
        Case(name="half a GIF", data=plain[: len(plain) // 2], reason="cut off"),
        Case(name="the header of a GIF", data=plain[:13], reason="cut off"),
        Case(name="a GIF with a picture beyond its canvas", data=bytes(beyond), reason="beyond its canvas"),
        Case(name="a GIF that claims 4 billion pixels", data=bytes(huge), reason="the limit is"),
        Case(name="a GIF of 0 pixels", data=bytes(empty), reason="beyond its canvas|0 pixels"),
    ]


def bitmaps() -> list[Case]:
    plain = saved(scene(), "BMP")
    downwards = bytearray(saved(scene()[::-1].copy(), "BMP"))
    downwards[22:26] = struct.pack("<i", -HEIGHT)
    packed, huge = bytearray(plain), bytearray(plain)
    packed[30:34] = struct.pack("<I", 1)
    huge[18:26] = struct.pack("<ii", 60_000, 60_000)
    bits = grey() > 120
    return [
        Case(name="BMP", data=plain, pixels=scene()),
        Case(name="BMP from top to bottom", data=bytes(downwards), pixels=scene()),
        Case(name="grey BMP", data=saved(grey(), "BMP"), pixels=as_rgb(grey())),
        Case(name="1-bit BMP", data=saved(Image.fromarray(bits), "BMP"), pixels=as_rgb(bits * 255)),
        Case(name="half a BMP", data=plain[: len(plain) // 2], reason="cut off"),
        Case(name="a BMP of run lengths", data=bytes(packed), reason="BMP of compression 1"),
        Case(name="a BMP that claims 4 billion pixels", data=bytes(huge), reason="cut off"),
    ]


def tiffs() -> list[Case]:
    plain = saved(scene(), "TIFF")
    bits = grey() > 120
    deep = grey().astype(np.uint16) * 256 + 77
    pages = saved(scene(), "TIFF", save_all=True, append_images=[Image.fromarray(255 - scene())])
    return [
        Case(name="TIFF", data=plain, pixels=scene()),
        Case(name="LZW TIFF", data=saved(scene(), "TIFF", compression="tiff_lzw"), pixels=scene()),
        Case(name="deflate TIFF", data=saved(scene(), "TIFF", compression="tiff_adobe_deflate"), pixels=scene()),
        Case(name="PackBits TIFF", data=saved(scene(), "TIFF", compression="packbits"), pixels=scene()),
        Case(name="1-bit TIFF", data=saved(Image.fromarray(bits), "TIFF"), pixels=as_rgb(bits * 255)),
        Case(name="16-bit TIFF", data=grey_tiff(deep), pixels=as_rgb(grey())),
        Case(name="16-bit TIFF, most significant byte first", data=grey_tiff(deep, order=">"), pixels=as_rgb(grey())),
        Case(name="TIFF whose white is 0", data=grey_tiff(grey(), tag_262=("H", (0,))), pixels=as_rgb(255 - grey())),
        Case(name="TIFF turned as EXIF 6", data=grey_tiff(grey(), tag_274=("H", (6,))), pixels=TURNS[6](as_rgb(grey()))),
        Case(name="TIFF with two heights", data=grey_tiff(grey(), tag_257=("H", (HEIGHT, 9))), pixels=as_rgb(grey())),
        Case(name="TIFF of two pages", data=pages, pixels=scene()),
        Case(name="TIFF with a bad tag", data=grey_tiff(grey(), tag_34665=("I", (2**32 - 1,))), pixels=as_rgb(grey())),
    ]  # fmt: skip


def broken_tiffs() -> list[Case]:
    plain = grey_tiff(grey())
    photo = saved(scene(), "TIFF", compression="jpeg")
    huge = grey_tiff(grey(), tag_256=("I", (60_000,)), tag_257=("I", (60_000,)))
    tiles = {"tag_322": ("I", (2**30,)), "tag_323": ("I", (2**30,)), "tag_324": ("I", (8,)), "tag_325": ("I", (64,))}
    return [
        Case(name="half a TIFF", data=plain[: len(plain) // 2], reason="cut off"),
        Case(name="the start of a TIFF", data=plain[:8], reason="cut off"),
        Case(name="float TIFF", data=saved(Image.fromarray(grey().astype(np.float32)), "TIFF"), reason="floating-point"),
        Case(name="TIFF of signed numbers", data=grey_tiff(grey(), tag_339=("H", (2,))), reason="signed"),
        Case(name="TIFF of 32 bits", data=grey_tiff(grey().astype(np.uint32)), reason=r"\[32\] bits"),
        Case(name="JPEG inside a TIFF", data=photo, reason="TIFF of compression 7"),
        Case(name="the preview of a raw photo", data=grey_tiff(grey(), tag_254=("I", (1,))), reason="preview"),
        Case(name="a TIFF that claims 4 billion pixels", data=huge, reason="the limit is"),
        Case(name="a TIFF with tiles of a billion pixels", data=grey_tiff(grey(), **tiles), reason="has tiles"),
        Case(name="a TIFF without pixels", data=grey_tiff(grey(), tag_279=("H", (1, 2))), reason="where its pixels are"),
        Case(name="a TIFF whose pixels lie beyond its end", data=grey_tiff(grey(), tag_279=("I", (9_999,))), reason="cut"),
        Case(name="a TIFF without a kind of colour", data=grey_tiff(grey(), tag_262=("H", (9,))), reason="colour kind 9"),
        Case(name="BigTIFF", data=b"II+\0" + bytes(60), reason="is BigTIFF"),
    ]  # fmt: skip


def no_pictures() -> list[Case]:
    random = np.random.default_rng(1).bytes(1000)
    page = b"<!DOCTYPE html><html><body>404</body></html>"
    drawing = b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"/>'
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    return [
        Case(name="nothing", data=b"", reason="is empty"),
        Case(name="one byte", data=b"\xff", reason="is none of JPEG"),
        Case(name="the start of a JPEG", data=b"\xff\xd8\xff", reason="cut off"),
        Case(name="random bytes", data=random, reason="is none of JPEG"),
        Case(name="random bytes after the start of a JPEG", data=b"\xff\xd8\xff\xe0" + random, reason="damaged|cut off"),
        Case(name="zeros", data=bytes(1000), reason="is none of JPEG"),
        Case(name="a text that starts with BM", data=b"BM is short for bitmap, and this is a text of no picture", reason="is none"),
        Case(name="an HTML page", data=page, reason="is an HTML page"),
        Case(name="an error in XML", data=b'<?xml version="1.0"?><Error/>', reason="is XML"),
        Case(name="SVG", data=drawing, reason="is SVG"),
        Case(name="EPS", data=b"%!PS-Adobe-3.0 EPSF-3.0", reason="is PostScript"),
        Case(name="PDF", data=b"%PDF-1.7", reason="is PDF"),
        Case(name="HEIC", data=b"\0\0\0 ftypheic", reason="is HEIC"),
        Case(name="AVIF", data=b"\0\0\0 ftypavif", reason="is AVIF"),
        Case(name="a video", data=b"\0\0\0 ftypisom", reason="is a video"),
        Case(name="a ZIP archive", data=b"PK\3\4" + bytes(40), reason="is an archive"),
        Case(name="a pointer of Git LFS", data=pointer, reason="Git LFS"),
    ]  # fmt: skip


CASES: tuple[Case, ...] = tuple(
    case
    for make in (jpegs, broken_jpegs, pngs, broken_pngs, webps, gifs, bitmaps, tiffs, broken_tiffs, no_pictures)
    for case in make()
)
