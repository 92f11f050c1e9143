"""The only door for picture bytes: untrusted bytes go in, a clean RGB picture or a clear refusal comes out.

    picture = read_image(path_of_the_upload)
    pixels, box = square(picture, 224)

What a file claims is read from its own header before a pixel is unpacked, and Pillow receives the file without its
metadata: comments, colour profiles and EXIF directories can cost seconds and gigabytes while the picture is tiny.
"""

from __future__ import annotations

import base64
import io
import os
import re
import stat
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

MAX_BYTES = 8 * 2**20
MIN_SIDE, MAX_SIDE = 16, 8192
MAX_PIXELS = 25_000_000
MAX_ASPECT = 10
LONGEST_SIDE = 1024
MAX_PARTS = 65_536  # chunks or segments of one file; an honest file of 8 MB has a few thousand at most
MAX_SCANS = 64  # passes of a progressive JPEG; encoders write about ten, and every pass visits the whole picture
MAX_FRAMES = 1000  # counted for the remark only

FORMATS = "PNG, JPEG, WebP, BMP or GIF"
WHITE = (255, 255, 255)
BORDER = (124, 116, 104)  # the mean colour of ImageNet: after the usual normalisation it is zero, so it says nothing

# The second wall, for pictures that are opened elsewhere: Pillow warns above this and raises above twice this.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

# A picture of 25 million pixels needs up to 400 MB while it is unpacked: more than two at a time wait for their turn.
_turns = threading.BoundedSemaphore(2)


class IntakeError(ValueError):
    """A refusal. The message is one or two plain sentences: what is wrong, and what would be accepted."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as a person would see it, safe to work with.

    Attributes:
        pixels: [H, W, 3] uint8, RGB, upright, the longest side at most 1024. Treat it as read-only.
        original_size: (width, height) of the upright picture before it was scaled down.
        notes: plain-word remarks on what was done to the picture, e.g. "scaled from 4000 × 3000".
    """

    pixels: np.ndarray
    original_size: tuple[int, int]
    notes: tuple[str, ...] = ()


class Square(NamedTuple):
    """What a model sees of a picture.

    Attributes:
        pixels: [side, side, 3] uint8, RGB.
        box: (left, top, width, height) of the square in the pixels of `Picture.pixels`. The point (u, v) of the square,
            0 ≤ u, v ≤ side, lies at (left + u / side · width, top + v / side · height) of the picture; a letterbox
            reaches beyond the picture (left or top is negative).
    """

    pixels: np.ndarray
    box: tuple[float, float, float, float]


def read_image(source: bytes | str | os.PathLike[str] | None) -> Picture:
    """Read an untrusted picture.

    Args:
        source: the bytes of a file, or the path of one; None stands for "nothing was sent".

    Returns:
        The first frame, upright, transparency over white, 8 bits per channel, RGB, at most 1024 pixels a side.
        Colour profiles are dropped, not applied: the networks were trained that way.

    Raises:
        IntakeError: not PNG, JPEG, WebP, BMP or GIF, more than 8 MB, a side outside 16 … 8192, more than 25 million
            pixels, longer than 10 : 1, cut off, or damaged.
        TypeError: `source` is none of the types above.
    """
    header = _read_header(_read_bytes(source))
    _check_size(*header.size)
    image, width_height, notes = _unpack(header)
    turn = _TURN.get(_orientation(header.exif))
    if turn is not None:
        image = image.transpose(turn)
        notes.append("rotated as the camera recorded")
        if turn in _SWAPS_SIDES:
            width_height = (width_height[1], width_height[0])
    image, transparent = _over_white(image)
    if transparent:
        notes.append("transparent parts shown on white")
    if width_height != image.size:
        notes.append(f"scaled from {width_height[0]} × {width_height[1]}")
    return Picture(np.array(image), width_height, tuple(notes))


def square(picture: Picture, side: int, mode: Literal["crop", "letterbox", "stretch"] = "crop") -> Square:
    """Bring a picture to the square that a model takes (Pillow's bicubic filter, antialiased).

    Args:
        side: of the square, in pixels.
        mode: "crop" keeps the centre, "letterbox" keeps everything and adds a border, "stretch" distorts.

    Raises:
        ValueError: `side` is not positive, or there is no such mode.
    """
    if side < 1:
        raise ValueError(f"side is {side}; it must be 1 or more")
    image = Image.fromarray(picture.pixels)
    width, height = image.size
    if mode == "letterbox":
        return _letterbox(image, side)
    if mode == "stretch":
        left, top, right, bottom = 0, 0, width, height
    elif mode == "crop":
        short = min(width, height)
        # Whole pixels, so that a picture of the right size passes through untouched.
        left, top = (width - short) // 2, (height - short) // 2
        right, bottom = left + short, top + short
    else:
        raise ValueError(f"mode is {mode!r}; it must be 'crop', 'letterbox' or 'stretch'")
    pixels = np.array(image.resize((side, side), Image.Resampling.BICUBIC, box=(left, top, right, bottom)))
    return Square(pixels, (float(left), float(top), float(right - left), float(bottom - top)))


def thumbnail(picture: Picture, side: int) -> bytes:
    """The picture as JPEG data, its longest side at most `side` pixels."""
    image = Image.fromarray(picture.pixels)
    image.thumbnail((side, side), Image.Resampling.BICUBIC)
    return _jpeg_data(image, quality=80)


def data_uri(pixels: np.ndarray, quality: int = 85) -> str:
    """[H, W, 3] uint8 as a `data:image/jpeg;base64,…` text."""
    return "data:image/jpeg;base64," + base64.b64encode(_jpeg_data(Image.fromarray(pixels), quality)).decode("ascii")


def webp_uri(pixels: np.ndarray, quality: int = 80) -> str:
    """[H, W, 3] uint8 as a `data:image/webp;base64,…` text: two thirds of the bytes of a JPEG that looks the same, with colours at half resolution."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "WEBP", quality=quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode("ascii")


def _jpeg_data(image: Image.Image, quality: int) -> bytes:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality, subsampling="4:4:4")  # colours are looked at patch by patch
    return data.getvalue()


def _letterbox(image: Image.Image, side: int) -> Square:
    width, height = image.size
    scale = side / max(width, height)
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (side - inner_width) // 2, (side - inner_height) // 2
    canvas = Image.new("RGB", (side, side), BORDER)
    canvas.paste(image.resize((inner_width, inner_height), Image.Resampling.BICUBIC), (left, top))
    # From the rounded sizes, not from `scale`: the box is exact to the pixel that was pasted.
    across, down = width / inner_width, height / inner_height
    return Square(np.array(canvas), (-left * across, -top * down, side * across, side * down))


# ---------------------------------------------------------------------------------------------- from bytes to pixels


def _read_bytes(source: bytes | str | os.PathLike[str] | None) -> bytes:
    if source is None:
        raise IntakeError(f"No picture has arrived. Send a {FORMATS} picture of up to 8 MB.")
    if isinstance(source, bytes):
        data, size = source, len(source)
    elif isinstance(source, (str, os.PathLike)):
        try:
            status = os.stat(source)
            if not stat.S_ISREG(status.st_mode):  # opening a pipe or a device could wait for ever
                raise OSError("not a regular file")
            with open(source, "rb") as file:
                data = file.read(MAX_BYTES + 1)
            size = max(status.st_size, len(data))
        except (OSError, ValueError):
            # Without the cause, which would carry the path of the file into the log.
            raise IntakeError(f"The file cannot be read. Send a {FORMATS} picture of up to 8 MB again.") from None
    else:
        raise TypeError(f"source must be bytes or a path, not {type(source).__name__}")
    if size > MAX_BYTES:
        raise IntakeError(f"The file has {size / 2**20:.1f} MB. Send a {FORMATS} picture of at most 8 MB.")
    if not data:
        raise IntakeError(f"The file is empty. Send a {FORMATS} picture of up to 8 MB.")
    return data


def _check_size(width: int, height: int) -> None:
    is_so = f"The picture is {width:,} × {height:,} pixels"
    if min(width, height) < MIN_SIDE:
        raise IntakeError(f"{is_so}, too small to look into. Send one with at least {MIN_SIDE} pixels on each side.")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise IntakeError(
            f"{is_so}, which is too large. Scale it down to at most {MAX_SIDE:,} pixels a side"
            f" and {MAX_PIXELS // 10**6} million pixels in all."
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise IntakeError(f"{is_so}, too long and narrow. Crop it to at most {MAX_ASPECT} : 1.")


def _fit(size: tuple[int, int], longest: int) -> tuple[int, int]:
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _unpack(header: _Header) -> tuple[Image.Image, tuple[int, int], list[str]]:
    """The first frame, scaled down, as L, LA, RGB or RGBA; its size before; remarks so far."""
    notes: list[str] = []
    if header.frames > 1:
        count = f"{header.frames}" if header.frames <= MAX_FRAMES else f"more than {MAX_FRAMES}"
        notes.append(f"first of {count} frames")
    if header.bits > 8:
        notes.append(f"{header.bits}-bit reduced to 8 bit")
    try:
        with _turns, Image.open(io.BytesIO(header.data), formats=[header.kind]) as file:
            size = file.size
            _check_size(*size)
            goal = _fit(size, LONGEST_SIDE)
            drafted = file.draft(None, goal)  # JPEG only: unpack 1/2, 1/4 or 1/8 of the picture
            file.load()
            if file.mode == "CMYK":
                notes.append("CMYK converted")
            image = _simple_mode(file)
            if image.size != goal:
                image = image.resize(goal, Image.Resampling.BICUBIC, box=drafted[1] if drafted else None)
    except IntakeError:
        raise
    except Exception as error:  # a broken file makes Pillow's readers raise nearly anything, not only OSError
        raise _damaged(header.kind) from error
    return image, size, notes


def _simple_mode(image: Image.Image) -> Image.Image:
    """Any mode that the five formats can hold, as L, LA, RGB or RGBA with 8 bits per channel."""
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion to L clips at 255
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
    if "transparency" in image.info:  # one colour, or one entry of the palette, stands for "see-through"
        return image.convert("RGBA")
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _over_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """The picture as RGB, and whether any of it was transparent."""
    if image.mode not in ("LA", "RGBA"):
        return image.convert("RGB"), False
    image = image.convert("RGBA")
    lowest_alpha, _ = image.getchannel("A").getextrema()
    if lowest_alpha == 255:
        return image.convert("RGB"), False
    return Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image).convert("RGB"), True


def _damaged(kind: str) -> IntakeError:
    name = {"WEBP": "WebP"}.get(kind, kind)
    return IntakeError(f"The {name} picture is damaged or was cut off. Save or download it again and send a complete {FORMATS} file.")


# ------------------------------------------------------------------------- what a file says of itself, without Pillow


@dataclass(frozen=True)
class _Header:
    """What a file says of itself.

    kind: Pillow's name of the format. size: (width, height) as stored. data: the file, with no more than its first
    frame and its pixels needs. frames: counted up to MAX_FRAMES + 1. bits: per channel. exif: the raw block.
    """

    kind: str
    size: tuple[int, int]
    data: bytes
    frames: int = 1
    bits: int = 8
    exif: bytes = b""


def _read_header(data: bytes) -> _Header:
    for signature, kind, reader in _READERS:
        if signature.match(data):
            try:
                return reader(data)
            except (struct.error, IndexError) as error:
                raise _damaged(kind) from error
    raise _refusal_of_kind(data)


_PNG_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def _png(data: bytes) -> _Header:
    """PNG specification (third edition) §5.3: length, name, content, checksum; acTL counts the frames of an APNG."""
    width, height, bits = struct.unpack_from(">IIB", data, 16)
    kept, frames, exif = [data[:8]], 1, b""
    at = 8
    for _ in range(MAX_PARTS):
        if at + 8 > len(data):
            break
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if name in _PNG_PIXELS:
            kept.append(data[at:end])
        elif name == b"acTL":
            frames = min(struct.unpack_from(">I", data, at + 8)[0], MAX_FRAMES + 1)
        elif name == b"eXIf":
            exif = data[at + 8 : end - 4]
        if name == b"IEND":
            break
        at = end
    else:
        raise _too_many_parts("PNG")
    return _Header("PNG", (width, height), b"".join(kept), frames, bits, exif)


_JPEG_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # stuffed bytes and restarts belong to the scan
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_METADATA = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})  # APP0 (JFIF) and APP14 (Adobe) name the colour space


def _jpeg(data: bytes) -> _Header:
    """ITU-T T.81 annex B: markers, most with a two-byte length; a scan runs up to the next marker."""
    size, exif, scans = (0, 0), b"", 0
    kept, at = [data[:2]], 2
    for _ in range(MAX_PARTS):
        found = _JPEG_NEXT_MARKER.search(data, at)
        if found is None:
            break
        at, marker = found.start(), data[found.start() + 1]
        if marker == 0xD9:  # end of the picture; what follows (a second view, an archive) is not ours
            kept.append(data[at : at + 2])
            break
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker in _JPEG_FRAMES and size == (0, 0):
            bits, height, width = struct.unpack_from(">BHH", data, at + 4)
            if bits != 8:
                raise IntakeError(f"This JPEG picture has {bits} bits per channel, which is not read here. Save it as ordinary JPEG.")
            size = (width, height)
        elif marker == 0xE1 and not exif and data[at + 4 : at + 10] == b"Exif\0\0":
            exif = data[at + 10 : end]
        elif marker == 0xDA:
            scans += 1
            next_marker = _JPEG_NEXT_MARKER.search(data, end)
            end = next_marker.start() if next_marker else len(data)
        if marker not in _JPEG_METADATA:
            kept.append(data[at:end])
        at = end
    else:
        raise _too_many_parts("JPEG")
    if scans > MAX_SCANS:
        raise _too_many_parts("JPEG")
    if not scans:
        raise _damaged("JPEG")
    return _Header("JPEG", size, b"".join(kept), exif=exif)


def _gif(data: bytes) -> _Header:
    """GIF89a specification §§18–26. Only the first frame goes on; the others are counted."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + _gif_palette(flags)
    kept, frames = [data[:at]], 0
    try:
        while frames <= MAX_FRAMES:
            block, end = data[at], 0
            if block == 0x21:  # an extension; the graphic control (F9) names the transparent colour
                end = _gif_blocks_end(data, at + 2)
                if data[at + 1] == 0xF9 and not frames:
                    kept.append(data[at:end])
            elif block == 0x2C:
                left, top, frame_width, frame_height, flags = struct.unpack_from("<4HB", data, at + 1)
                end = _gif_blocks_end(data, at + 11 + _gif_palette(flags))
                if not frames:
                    kept.append(data[at:end])
                    width, height = max(width, left + frame_width), max(height, top + frame_height)
                frames += 1
            else:
                break
            at = end
    except (IndexError, struct.error):
        if not frames:  # later frames may be cut off: they are not shown
            raise
    if not frames:
        raise _damaged("GIF")
    return _Header("GIF", (width, height), b"".join(kept) + b";", frames)


def _gif_palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_blocks_end(data: bytes, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1


def _webp(data: bytes) -> _Header:
    """WebP container specification; VP8: RFC 6386 §9.1; VP8L: lossless bitstream specification §3."""
    first = data[12:16]
    if first == b"VP8X":
        _, wide, wide_high, high, high_high = struct.unpack_from("<IHBHB", data, 20)
        size = (1 + wide + (wide_high << 16), 1 + high + (high_high << 16))
    elif first == b"VP8L":
        (packed,) = struct.unpack_from("<I", data, 21)
        size = (1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF))
    elif first == b"VP8 ":
        wide, high = struct.unpack_from("<HH", data, 26)
        size = (wide & 0x3FFF, high & 0x3FFF)
    else:
        raise _damaged("WEBP")
    frames, exif, at = 0, b"", 12
    while at + 8 <= len(data) and frames <= MAX_FRAMES:
        name, length = struct.unpack_from("<4sI", data, at)
        if name == b"ANMF":
            frames += 1
        elif name == b"EXIF":
            exif = data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return _Header("WEBP", size, data, max(1, frames), exif=exif)


def _bmp(data: bytes) -> _Header:
    """BITMAPCOREHEADER (12 bytes) or BITMAPINFOHEADER and its successors; a negative height means top-down."""
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size == 12:
        return _Header("BMP", struct.unpack_from("<HH", data, 18), data)
    width, height, _, _, compression = struct.unpack_from("<iiHHI", data, 18)
    if compression not in (0, 3):  # 1 and 2 are run lengths, which Pillow unpacks in slow Python
        raise IntakeError("This is a compressed BMP picture, which is not read here. Save it as PNG or as plain BMP and send that.")
    return _Header("BMP", (width, abs(height)), data)


def _too_many_parts(kind: str) -> IntakeError:
    return IntakeError(f"The {kind} file is cut into far too many parts. Save the picture again as an ordinary PNG or JPEG and send that.")


_READERS: tuple[tuple[re.Pattern[bytes], str, Callable[[bytes], _Header]], ...] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG", _png),
    (re.compile(rb"\xff\xd8\xff"), "JPEG", _jpeg),
    (re.compile(rb"GIF8[79]a"), "GIF", _gif),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "WEBP", _webp),
    (re.compile(rb"BM"), "BMP", _bmp),
)

_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = frozenset(_TURN[orientation] for orientation in (5, 6, 7, 8))


def _orientation(exif: bytes) -> int:
    """How the camera was held, 1 (upright) to 8 (EXIF 2.32, tag 0x0112); 1 where that cannot be read.

    Pillow's own reader copies every entry of the directory: some kilobytes of overlapping entries become gigabytes.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(entries):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * entry)
            if tag == 0x0112:
                return value
    except struct.error:
        pass
    return 1


# ------------------------------------------------------------------------------------- what else people send, by kind

# (signature at the start of the file, what it is, what to do instead)
_OTHER_KINDS: tuple[tuple[re.Pattern[bytes], str, str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), what, instead)
    for pattern, what, instead in (
        (rb"(\xef\xbb\xbf)?\s*(<!doctype html|<html|<head|<body|<script)", "a web page (HTML)", "Save the picture itself as PNG or JPEG"),
        (rb"(\xef\xbb\xbf)?\s*<(.*<)?svg\b", "an SVG drawing, which has no pixels", "Export it as PNG"),
        (rb"(\xef\xbb\xbf)?\s*<\?xml", "an XML text", "Export the picture as PNG"),
        (rb"%PDF", "a PDF document", "Export the page as PNG"),
        (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript document", "Export it as PNG"),
        (rb".{4}ftyp(hei|hev|mif1|msf1)", "a HEIC photo", "Export it as JPEG (iPhone: Settings, Camera, Formats, Most Compatible)"),
        (rb".{4}ftypavi", "an AVIF picture", "Save it as PNG, JPEG or WebP"),
        (rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ", "a video", "Save one frame of it as PNG or JPEG"),
        (rb"II[*+]\0|MM\0[*+]", "a TIFF or camera raw picture", "Save it as PNG or JPEG"),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture", "Save it as PNG or JPEG"),
        (rb"\0\0\0\x0cJXL |\xff\x0a", "a JPEG XL picture", "Save it as PNG or JPEG"),
        (rb"8BPS", "a Photoshop document", "Export it as PNG"),
        (rb"\0\0[\x01\x02]\0", "an icon file", "Save it as PNG"),
        (rb"P[1-7]\s", "a PNM picture", "Save it as PNG"),
        (rb"PK(\x03\x04|\x05\x06)|\x1f\x8b|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ", "an archive (zip or the like)", "Unpack it and send one picture"),
        (rb"\x93NUMPY|\x80[\x02-\x05]|.{7}\0\{\"", "a file of numbers", "Save it as PNG"),
        (rb"\x7fELF|MZ", "a program", "Send a picture instead"),
        (rb"RIFF|ID3|OggS|fLaC", "a sound file", "Send a picture instead"),
    )
)


def _refusal_of_kind(data: bytes) -> IntakeError:
    start = data[:1024]
    for signature, what, instead in _OTHER_KINDS:
        if signature.match(start):
            return IntakeError(f"This is {what}. {instead}; {FORMATS} are accepted.")
    if b"\0" not in start and all(byte >= 32 or byte in b"\t\n\r\f" for byte in start):
        return IntakeError(f"This is a text, not a picture. Send a {FORMATS} picture of up to 8 MB.")
    return IntakeError(f"This is not a picture of a known kind. Send a {FORMATS} picture of up to 8 MB.")
