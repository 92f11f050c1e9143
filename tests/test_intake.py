"""Hostile, broken and odd pictures: each one gives the right pixels or a helpful refusal, and never anything else."""

from __future__ import annotations

import base64
import io
import os
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from explorer import intake
from explorer.intake import IntakeError, Picture, data_uri, read_image, square, thumbnail

pytestmark = pytest.mark.filterwarnings("error")

RED, GREEN, BLUE, YELLOW = (220, 20, 20), (20, 180, 20), (20, 20, 220), (230, 220, 20)


# ---------------------------------------------------------------------------------------------------------- building


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def quadrants(width: int = 48, height: int = 32) -> Image.Image:
    """Red, green above blue, yellow: any turn or flip changes it."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(YELLOW, (width // 2, height // 2, width, height))
    return image


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    height, width = pixels.shape[:2]
    return [tuple(pixels[y, x].tolist()) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]


def shows_quadrants(picture: Picture, tolerance: int = 25) -> bool:
    found = np.array(corners(picture.pixels), dtype=int)
    return bool((np.abs(found - np.array([RED, GREEN, BLUE, YELLOW])) <= tolerance).all())


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_header_only(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + png_chunk(b"IEND", b"")


def png_with(*chunks: bytes) -> bytes:
    """The quadrants with more chunks between the header and the pixels."""
    plain = encoded(quadrants(), "PNG")
    return plain[:33] + b"".join(chunks) + plain[33:]


def jpeg_with(*segments: bytes) -> bytes:
    plain = encoded(quadrants(), "JPEG", quality=95)
    return plain[:2] + b"".join(segments) + plain[2:]


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def gif_frames(count: int) -> bytes:
    first = quadrants().quantize(8)
    others = [Image.new("RGB", (48, 32), (index % 251, index % 13, 0)).quantize(2) for index in range(1, count)]
    return encoded(first, "GIF", save_all=True, append_images=others, duration=20)


def gif_with_comment(size: int) -> bytes:
    plain = encoded(quadrants().quantize(8), "GIF")
    table = 13 + (3 << ((plain[10] & 7) + 1))
    return plain[:table] + b"!\xfe" + (b"\xff" + b"a" * 255) * (size // 256) + b"\0" + plain[table:]


def exif_turned(orientation: int, order: str = "<") -> bytes:
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return b"Exif\0\0" + start + struct.pack(order + "HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def exif_bomb(entries: int, size: int) -> bytes:
    """A directory whose entries all point at the same `size` bytes: Pillow would copy them once per entry."""
    table = b"".join(struct.pack("<HHII", 1000 + index, 7, size, 16) for index in range(entries))
    return (b"II*\0" + struct.pack("<IH", 8, entries) + table + b"\0\0\0\0").ljust(size + 16, b"\0")


def one_bit_bomb(width: int, height: int) -> bytes:
    """All-white 1-bit PNG built row by row: some kilobytes that unpack to hundreds of megabytes."""
    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * ((width + 7) // 8)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


def webp_claiming(width: int, height: int) -> bytes:
    """A lossless WebP whose header says `width` × `height`."""
    body = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + b"\0" * 16
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def jpeg_claiming(width: int, height: int) -> bytes:
    """A JPEG of the quadrants whose frame header says `width` × `height`."""
    start = b"\xff\xc0\0\x11\x08"
    return encoded(quadrants(), "JPEG").replace(start + struct.pack(">HH", 32, 48), start + struct.pack(">HH", height, width))


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last pass is repeated."""
    plain = encoded(quadrants(), "JPEG", progressive=True)
    last = plain.rindex(b"\xff\xda")
    return plain[:last] + plain[last:-2] * count + plain[-2:]


def zipped(name: str, content: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(name, content)
    return data.getvalue()


def with_alpha(image: Image.Image, alpha: int) -> Image.Image:
    image = image.copy()
    image.putalpha(Image.new("L", image.size, alpha))
    return image


def see_through_palette() -> bytes:
    image = Image.new("P", (32, 32), 1)
    image.putpalette([0, 0, 0, 220, 20, 20])
    image.paste(0, (0, 0, 16, 32))
    return encoded(image, "PNG", transparency=0)


def sixteen_bit_grey() -> Image.Image:
    return Image.fromarray((np.arange(64, dtype=np.uint16) * 1000)[None].repeat(32, axis=0))


def sixteen_bit_rgb_png() -> bytes:
    row = b"\0" + struct.pack(">HHH", 220 << 8, 20 << 8, 20 << 8) * 32
    header = struct.pack(">IIBBBBB", 32, 32, 16, 2, 0, 0, 0)
    body = png_chunk(b"IDAT", zlib.compress(row * 32))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + body + png_chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    return encoded(quadrants(), kind, save_all=True, append_images=[Image.new("RGB", (48, 32), c) for c in (RED, BLUE)], lossless=True)


# ------------------------------------------------------------------------------------------------------------- corpus

# Pictures that must be read: name → (bytes, a remark that must be made, or "")
SHOWN = {
    "png": (encoded(quadrants(), "PNG"), ""),
    "jpeg": (encoded(quadrants(), "JPEG", quality=95), ""),
    "jpeg progressive": (encoded(quadrants(), "JPEG", quality=95, progressive=True), ""),
    "webp lossy": (encoded(quadrants(), "WEBP", quality=95), ""),
    "webp lossless": (encoded(quadrants(), "WEBP", lossless=True), ""),
    "bmp": (encoded(quadrants(), "BMP"), ""),
    "bmp palette": (encoded(quadrants().quantize(8), "BMP"), ""),
    "gif": (encoded(quadrants().quantize(8), "GIF"), ""),
    "gif of 200 frames": (gif_frames(200), "first of 200 frames"),
    "gif of 3000 frames": (gif_frames(3000), "first of more than 1000 frames"),
    "gif cut off in a later frame": (gif_frames(20)[:-40], "first of 19 frames"),
    "gif with 2 MB of comment": (gif_with_comment(2 * 2**20), ""),
    "apng": (animated("PNG"), "first of 3 frames"),
    "animated webp": (animated("WEBP"), "first of 3 frames"),
    "palette": (encoded(quadrants().quantize(8), "PNG"), ""),
    "opaque alpha": (encoded(with_alpha(quadrants(), 255), "PNG"), ""),
    "cmyk jpeg": (encoded(quadrants().convert("CMYK"), "JPEG", quality=95), "CMYK converted"),
    "text chunk that unpacks to 50 MB": (png_with(png_chunk(b"zTXt", b"note\0\0" + zlib.compress(b"a" * 50 * 2**20, 9))), ""),
    "plain text chunk of 4 MB": (png_with(png_chunk(b"tEXt", b"note\0" + b"a" * 4 * 2**20)), ""),
    "profile that unpacks to 50 MB": (png_with(png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(50 * 2**20), 9))), ""),
    "jpeg with 5 MB of profile": (jpeg_with(*[segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(65_000))] * 80), ""),
    "jpeg with broken exif": (jpeg_with(segment(0xE1, b"Exif\0\0" + b"MM\0*" + b"\xff" * 200)), ""),
    "jpeg with an exif bomb": (jpeg_with(segment(0xE1, b"Exif\0\0" + exif_bomb(3000, 60_000))), ""),
    "webp with an exif bomb": (encoded(quadrants(), "WEBP", lossless=True, exif=exif_bomb(60_000, 2 * 2**20)), ""),
    "png with a zip behind it": (encoded(quadrants(), "PNG") + zipped("a.txt", b"hello"), ""),
    "jpeg with a zip behind it": (encoded(quadrants(), "JPEG", quality=95) + zipped("a.txt", b"hello"), ""),
    "jpeg followed by a second view": (encoded(quadrants(), "JPEG", quality=95) + encoded(Image.new("RGB", (900, 900)), "JPEG"), ""),
    "large jpeg": (encoded(quadrants(4000, 3000), "JPEG", quality=90), "scaled from 4000 × 3000"),
    "large png": (encoded(quadrants(1500, 2500), "PNG"), "scaled from 1500 × 2500"),
    "smallest": (encoded(quadrants(16, 16), "PNG"), ""),
    "ten to one": (encoded(quadrants(640, 64), "PNG"), ""),
}

# Pictures that must be refused: name → (bytes, a part of what the message says)
REFUSED = {
    "nothing": (b"", "empty"),
    "random bytes": (bytes(range(256)) * 8, "not a picture"),
    "text": (b"Hello, this is a note.\n" * 5, "text"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "SVG"),
    "svg with a prologue": (b'<?xml version="1.0"?>\n<!-- a --><!DOCTYPE svg PUBLIC "x">\n<svg width="1"/>', "SVG"),
    "xml": (b"<?xml version='1.0'?><a/>", "XML"),
    "html": (b"<!DOCTYPE html><html><img src=x onerror=alert(1)></html>", "web page"),
    "many comments": (b"<!---->" * 300, "text"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(64), "HEIC"),
    "avif": (b"\0\0\0\x18ftypavif" + bytes(64), "AVIF"),
    "mp4": (b"\0\0\0\x18ftypisom" + bytes(64), "video"),
    "tiff": (encoded(quadrants(), "TIFF"), "TIFF"),
    "float tiff": (encoded(Image.new("F", (32, 32)), "TIFF"), "TIFF"),
    "ppm": (encoded(quadrants(), "PPM"), "PNM"),
    "icon": (encoded(quadrants(), "ICO"), "icon"),
    "jpeg 2000": (encoded(quadrants(), "JPEG2000"), "JPEG 2000"),
    "zip": (zipped("a.png", encoded(quadrants(), "PNG")), "archive"),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(32), "archive"),
    "pickle": (b"\x80\x04\x95" + bytes(32), "numbers"),
    "program": (b"\x7fELF" + bytes(64), "program"),
    "sound": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(32), "sound"),
    "1 × 1": (encoded(Image.new("RGB", (1, 1)), "PNG"), "too small"),
    "15 × 40": (encoded(Image.new("RGB", (15, 40)), "PNG"), "too small"),
    "1 × 30000": (encoded(Image.new("1", (1, 30_000)), "PNG"), "too small"),
    "too narrow": (encoded(Image.new("1", (20, 210)), "PNG"), "10 : 1"),
    "too long": (encoded(Image.new("1", (1000, 8193)), "PNG"), "too large"),
    "one-bit bomb": (one_bit_bomb(13_000, 13_000), "too large"),
    "header of 30000 × 30000": (png_header_only(30_000, 30_000), "too large"),
    "header of 2³¹ × 2³¹": (png_header_only(2**31 - 1, 2**31 - 1), "too large"),
    "webp bomb": (webp_claiming(8000, 8000), "too large"),
    "jpeg bomb": (jpeg_claiming(65_500, 65_500), "too large"),
    "gif bomb": (b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;", "too large"),
    "gif bomb in its frame": (b"GIF89a" + struct.pack("<HHBBB", 32, 32, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\2\2D\1\0;", "too large"),
    "bmp bomb": (b"BM" + struct.pack("<IIIIiiHHI", 54, 0, 54, 40, 2**31 - 1, -(2**31), 1, 24, 0) + bytes(24), "too large"),
    "bmp of run lengths": (b"BM" + struct.pack("<IIIIiiHHI", 54, 0, 54, 40, 64, 64, 1, 8, 1) + bytes(60), "compressed"),
    "png without pixels": (png_header_only(64, 64), "damaged"),
    "jpeg without pixels": (encoded(quadrants(), "JPEG")[:100] + b"\xff\xd9", "damaged"),
    "jpeg of 500 passes": (many_scans(500), "too many parts"),
    "jpeg of 100000 comments": (jpeg_with(segment(0xFE, b"") * 100_000), "too many parts"),
    "png of 100000 chunks": (png_with(png_chunk(b"IDAT", b"") * 100_000), "too many parts"),
    "gif without a frame": (encoded(quadrants().quantize(8), "GIF")[:37] + b";", "damaged"),
    "webp of an unknown part": (b"RIFF\x20\0\0\0WEBPABCD" + bytes(32), "damaged"),
    "signature only": (b"\x89PNG\r\n\x1a\n", "damaged"),
    "9 MB": (b"\x89PNG\r\n\x1a\n" + bytes(9 * 2**20), "9.0 MB"),
    "12-bit jpeg": (encoded(quadrants(), "JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), "12 bits"),
}

HELPFUL = re.compile(r"PNG|JPEG|at least 16 pixels|at most (8,192|10 : 1)|Crop|Scale it down")


def test_the_corpus_is_large_enough():
    assert len(SHOWN) + len(REFUSED) >= 45


@pytest.mark.parametrize("name", SHOWN)
def test_odd_but_honest_pictures_are_shown(name: str):
    data, remark = SHOWN[name]
    picture = read_image(data)
    assert shows_quadrants(picture)
    assert max(picture.pixels.shape) <= intake.LONGEST_SIDE
    assert picture.notes == ((remark,) if remark else ())


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_is_wrong_and_what_is_accepted(name: str):
    data, reason = REFUSED[name]
    with pytest.raises(IntakeError) as refusal:
        read_image(data)
    message = str(refusal.value)
    assert reason in message
    assert HELPFUL.search(message)
    assert message.endswith(".")
    assert len(message) < 200


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_cut_off_pictures_are_refused(kind: str, share: float):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    with pytest.raises(IntakeError, match="damaged or was cut off"):
        read_image(data[: max(12, int(len(data) * share))])


# -------------------------------------------------------------------------------------------------- modes and turning


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_gives_an_upright_picture(kind: str, orientation: int, order: str):
    upright = quadrants()
    stored = {  # what a camera held that way writes: the inverse of what the viewer must do
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    image = upright if stored is None else upright.transpose(stored)
    picture = read_image(encoded(image, kind, exif=exif_turned(orientation, order), quality=95))
    assert picture.pixels.shape == (32, 48, 3)
    assert picture.original_size == (48, 32)
    assert shows_quadrants(picture)
    assert picture.notes == (("rotated as the camera recorded",) if orientation > 1 else ())


def test_size_of_a_turned_and_scaled_picture_is_the_upright_one():
    stored = quadrants(1600, 1200).transpose(Image.Transpose.ROTATE_90)
    picture = read_image(encoded(stored, "JPEG", exif=exif_turned(6)))
    assert picture.original_size == (1600, 1200)
    assert picture.pixels.shape == (768, 1024, 3)
    assert shows_quadrants(picture)
    assert picture.notes == ("rotated as the camera recorded", "scaled from 1600 × 1200")


def test_sixteen_bits_keep_their_high_byte():
    grey = read_image(encoded(sixteen_bit_grey(), "PNG"))
    assert grey.pixels[0, :, 0].tolist() == [value * 1000 >> 8 for value in range(64)]
    colour = read_image(sixteen_bit_rgb_png())
    assert (colour.pixels == RED).all()
    assert grey.notes == colour.notes == ("16-bit reduced to 8 bit",)


def test_older_readers_give_sixteen_bits_as_integers():
    wide = Image.fromarray(np.array([[-5, 0, 255, 256, 65_535, 70_000]], dtype=np.int32))
    assert wide.mode == "I"
    assert np.asarray(intake._simple_mode(wide)).tolist() == [[0, 0, 0, 1, 255, 255]]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "WEBP", "JPEG"])
def test_black_and_white(kind: str):
    image = Image.new("1", (32, 32))
    image.paste(1, (16, 0, 32, 32))
    pixels = read_image(encoded(image.convert("RGB") if kind == "WEBP" else image, kind)).pixels
    assert pixels[:, :12].max() < 10
    assert pixels[:, 20:].min() > 245


def test_transparency_is_shown_on_white():
    remark = "transparent parts shown on white"
    half_red = read_image(encoded(with_alpha(Image.new("RGB", (32, 32), (200, 0, 0)), 128), "PNG"))
    assert np.abs(half_red.pixels[0, 0].astype(int) - (227, 127, 127)).max() <= 1
    half_grey = read_image(encoded(with_alpha(Image.new("L", (32, 32), 0), 128), "PNG"))
    assert np.abs(half_grey.pixels.astype(int) - 127).max() <= 1
    palette = read_image(see_through_palette())
    assert (palette.pixels[:, :16] == 255).all()
    assert (palette.pixels[:, 16:] == RED).all()
    key = read_image(encoded(quadrants(), "PNG", transparency=RED))
    assert corners(key.pixels) == [(255, 255, 255), GREEN, BLUE, YELLOW]
    gif = Image.new("P", (32, 32), 0)
    gif.putpalette([9, 9, 9, 220, 20, 20])
    gif.paste(1, (16, 0, 32, 32))
    frame = read_image(encoded(gif, "GIF", transparency=0))
    assert (frame.pixels[:, :16] == 255).all()
    assert half_red.notes == half_grey.notes == palette.notes == key.notes == frame.notes == (remark,)


def test_hidden_colours_do_not_bleed_when_a_transparent_picture_is_scaled():
    image = Image.new("RGBA", (2048, 2048), (255, 0, 255, 0))
    image.paste((0, 0, 0, 255), (512, 512, 1536, 1536))
    pixels = read_image(encoded(image, "PNG")).pixels.astype(int)
    assert np.ptp(pixels, axis=2).max() <= 1  # black, white and greys between; no magenta rim


# ------------------------------------------------------------------------------------------------------------ sources


def test_a_path_and_its_bytes_are_the_same_picture(tmp_path: Path):
    path = tmp_path / "holiday.txt"  # the name says nothing
    path.write_bytes(SHOWN["jpeg"][0])
    from_bytes = read_image(SHOWN["jpeg"][0])
    for source in (path, str(path)):
        assert (read_image(source).pixels == from_bytes.pixels).all()


def test_paths_that_are_no_picture_are_refused_without_naming_them(tmp_path: Path):
    broken = tmp_path / "secret-name.png"
    broken.write_bytes(SHOWN["png"][0][:60])
    large = tmp_path / "secret-name.bmp"
    with large.open("wb") as file:
        file.truncate(100 * 2**30)  # sparse: 100 GB that nobody may try to read
    pipe = tmp_path / "secret-name.jpg"
    os.mkfifo(pipe)
    for source in (tmp_path, tmp_path / "secret-name", broken, large, pipe, "/dev/zero", "secret-name\0", "http://secret-name/"):
        with pytest.raises(IntakeError) as refusal:
            read_image(source)
        assert "secret-name" not in str(refusal.value)
        assert str(tmp_path) not in str(refusal.value)
        assert HELPFUL.search(str(refusal.value))


def test_nothing_and_nonsense():
    with pytest.raises(IntakeError, match="No picture"):
        read_image(None)
    with pytest.raises(TypeError):
        read_image(3)  # an open file descriptor, to the operating system


def test_metadata_is_dropped():
    info = PngImagePlugin.PngInfo()
    info.add_text("place", "52.5 N 13.4 E")
    picture = read_image(encoded(quadrants(), "PNG", pnginfo=info))
    for data in (thumbnail(picture, 32), base64.b64decode(data_uri(picture.pixels).partition(",")[2])):
        assert b"52.5" not in data
        assert not Image.open(io.BytesIO(data)).getexif()


def test_pillow_refuses_bombs_at_every_other_door():
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(REFUSED["one-bit bomb"][0]))


def test_reading_twice_changes_nothing():
    for name in ("large jpeg", "cmyk jpeg", "gif of 200 frames", "png"):
        once = read_image(SHOWN[name][0])
        twice = read_image(encoded(Image.fromarray(once.pixels), "PNG"))
        assert (once.pixels == twice.pixels).all()
        assert twice.notes == ()


# ------------------------------------------------------------------------------------------------------------- memory

# Linux keeps the peak of each process; writing 5 to clear_refs starts it anew, so one file cannot hide behind another.
# (ru_maxrss would not do: a child starts with the peak of its parent.)
MEASURE = """
import sys
from pathlib import Path
from explorer.intake import IntakeError, read_image

def status(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field))

for path in sorted(Path(sys.argv[1]).iterdir()):
    data = path.read_bytes()
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    try:
        read_image(data)
        answer = "shown"
    except IntakeError:
        answer = "refused"
    print(path.name, answer, (status("VmHWM") - before) // 1024)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs the peak memory as Linux keeps it")
def test_bombs_take_little_memory(tmp_path: Path):
    refused = [name for name in REFUSED if name not in ("9 MB",)]
    shown = [name for name in SHOWN if "bomb" in name or "MB" in name or "frames" in name]
    files = {f"r{i}": REFUSED[name][0] for i, name in enumerate(refused)} | {f"s{i}": SHOWN[name][0] for i, name in enumerate(shown)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    lines = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    ).stdout.splitlines()
    assert len(lines) == len(files)
    for line in lines:
        name, answer, growth = line.split()
        assert answer == ("refused" if name.startswith("r") else "shown")
        assert int(growth) <= 50, f"{name} took {growth} MB"


# --------------------------------------------------------------------------------------------------------- properties

SIGNATURES = [
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF89a",
    b"BM",
    b"RIFF\xff\0\0\0WEBPVP8 ",
    b"RIFF\xff\0\0\0WEBPVP8X",
    b"<",
    b"\0\0\0\x18ftyp",
]
SEEDS = [SHOWN[name][0] for name in ("png", "jpeg", "jpeg progressive", "webp lossy", "webp lossless", "bmp palette", "gif", "apng")]
SEEDS += [see_through_palette(), sixteen_bit_rgb_png(), gif_frames(3), encoded(quadrants(), "JPEG", exif=exif_turned(6))]


@given(st.sampled_from(SIGNATURES), st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_random_bytes_raise_nothing_but_a_refusal(start: bytes, rest: bytes):
    with pytest.raises(IntakeError, match=HELPFUL):
        read_image(start + rest)


@given(st.sampled_from(SEEDS), st.data())
@settings(max_examples=400, deadline=None)
def test_damaged_pictures_are_shown_or_refused(seed: bytes, data: st.DataObject):
    broken = bytearray(seed)
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(seed) - 1), st.integers(0, 255)), min_size=1, max_size=8)):
        broken[at] = value
    del broken[data.draw(st.integers(12, len(seed))) :]
    try:
        picture = read_image(bytes(broken))
    except IntakeError:
        return
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.ndim == 3
    assert picture.pixels.shape[2] == 3
    assert max(picture.pixels.shape) <= intake.LONGEST_SIDE


MODES = {
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "JPEG": ["1", "L", "RGB", "CMYK"],
    "WEBP": ["RGB", "RGBA"],
    "BMP": ["1", "L", "RGB"],  # "P" is in the corpus: Pillow writes a broken file when the palette is empty
    "GIF": ["1", "L", "P", "RGB"],
}


@given(st.sampled_from([(kind, mode) for kind, modes in MODES.items() for mode in modes]), st.integers(16, 1500), st.integers(16, 1500))
@settings(max_examples=60, deadline=None)
def test_every_mode_and_size_becomes_rgb(kind_and_mode: tuple[str, str], width: int, height: int):
    kind, mode = kind_and_mode
    picture_data = encoded(Image.new(mode, (width, height)), kind)
    if max(width, height) > 10 * min(width, height):
        with pytest.raises(IntakeError, match="10 : 1"):
            read_image(picture_data)
        return
    picture = read_image(picture_data)
    assert picture.pixels.dtype == np.uint8
    assert picture.original_size == (width, height)
    longest = max(width, height)
    if longest <= intake.LONGEST_SIDE:
        assert picture.pixels.shape == (height, width, 3)
    else:
        assert max(picture.pixels.shape[:2]) == intake.LONGEST_SIDE
        assert abs(picture.pixels.shape[1] - width * intake.LONGEST_SIDE / longest) <= 0.5


def ramp(width: int, height: int) -> Picture:
    """Red is twice the column, green twice the row (sizes below 128): every pixel tells its own place."""
    row, column = np.mgrid[:height, :width]
    return Picture(np.stack([2 * column, 2 * row, 0 * row], axis=-1).astype(np.uint8), (width, height))


@given(st.integers(24, 127), st.integers(24, 127), st.integers(16, 160), st.sampled_from(["crop", "letterbox", "stretch"]))
@settings(max_examples=150, deadline=None)
def test_the_box_leads_patches_back_to_their_place(width: int, height: int, side: int, mode: str):
    pixels, (left, top, shown_width, shown_height) = square(ramp(width, height), side, mode)
    assert pixels.shape == (side, side, 3)
    assert pixels.dtype == np.uint8
    places = np.arange(side) + 0.5
    x, y = left + places / side * shown_width, top + places / side * shown_height
    # The filter looks two pixels (of the coarser side) around; at the border the ramp ends and the filter bends it.
    margin = 2 * max(1, shown_width / side, shown_height / side) + 1
    columns = np.flatnonzero((x > margin) & (x < width - margin) & (x > left + margin) & (x < left + shown_width - margin))
    rows = np.flatnonzero((y > margin) & (y < height - margin) & (y > top + margin) & (y < top + shown_height - margin))
    inner = pixels[np.ix_(rows, columns)].astype(float)
    # Pixel i covers i … i + 1, so its centre is at (value / 2) + 0.5.
    if inner.size:
        assert np.abs(inner[..., 0] / 2 + 0.5 - x[columns]).max() <= 0.5
        assert np.abs(inner[..., 1] / 2 + 0.5 - y[rows][:, None]).max() <= 0.5


# ------------------------------------------------------------------------------------------------ square and encodings


def test_a_square_of_the_right_size_passes_through():
    picture = Picture(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8), (64, 64))
    for mode in ("crop", "letterbox", "stretch"):
        pixels, box = square(picture, 64, mode)
        assert (pixels == picture.pixels).all()
        assert box == (0, 0, 64, 64)


def test_what_each_square_shows():
    picture = read_image(encoded(quadrants(200, 100), "PNG"))
    crop = square(picture, 50)
    assert crop.box == (50, 0, 100, 100)
    assert (crop.pixels == square(picture, 50, "crop").pixels).all()
    assert square(picture, 50, "stretch").box == (0, 0, 200, 100)
    letterbox = square(picture, 50, "letterbox")
    assert letterbox.box == (0, -48, 200, 200)  # 25 rows in the middle of 50; twelve rows of border above, 4 pixels each
    assert (letterbox.pixels[0] == intake.BORDER).all()
    assert corners(letterbox.pixels[12:37]) == [RED, GREEN, BLUE, YELLOW]


def test_squares_refuse_nonsense():
    picture = ramp(32, 32)
    with pytest.raises(ValueError, match="1 or more"):
        square(picture, 0)
    with pytest.raises(ValueError, match="letterbox"):
        square(picture, 32, "fill")


def test_thumbnail_and_data_uri_are_jpeg():
    picture = read_image(encoded(quadrants(600, 300), "PNG"))
    small = Image.open(io.BytesIO(thumbnail(picture, 96)))
    assert (small.format, small.size) == ("JPEG", (96, 48))
    start, _, text = data_uri(picture.pixels).partition(",")
    assert start == "data:image/jpeg;base64"
    back = Image.open(io.BytesIO(base64.b64decode(text)))
    assert back.size == (600, 300)
    assert shows_quadrants(Picture(np.array(back), back.size))
    assert len(data_uri(picture.pixels, quality=30)) < len(data_uri(picture.pixels, quality=95))
