"""Folders of images: broken, huge, odd, or no images at all."""

from __future__ import annotations

import io
import os
import random
import shutil
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from fuzz_parts.garbage import NAMES, spoil
from fuzz_parts.verdict import Case, require
from gan_backbones.data import load_data

_SIDE = 24
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F", "YCbCr", "HSV", "LAB")
_WRITTEN = {"PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), "JPEG": ("L", "RGB", "CMYK", "YCbCr")}


class Images:
    """``load_data("folder:PATH")``: a data set of bytes, or one sentence; warnings of one line."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._bombs: dict[int, bytes] = {}
        self._makers: tuple[Callable[[Path, random.Random], str], ...] = (
            self._spoilt,
            self._spoilt,
            self._spoilt,
            self._mode,
            self._lying_header,
            self._bomb,
            self._animated,
            self._empty,
            self._shape,
            self._wrong_suffix,
            self._links,
            self._not_a_file,
            self._named,
            self._no_access,
            self._chunks,
        )

    def case(self, rng: random.Random) -> Case:
        folder = self._place / f"{rng.randrange(2**48):012x}"
        makers = [rng.choice(self._makers) for _ in range(rng.choice((1, 1, 2, 4)))]
        good, side, count = rng.random() < 0.4, rng.choice((None, 16, 64)), rng.choice((None, None, 1, 5))
        title = " + ".join(maker.__name__.strip("_") for maker in makers) + (" + a good one" if good else "")
        seed = rng.randrange(2**32)
        return Case(f"{title}, at {side}", lambda: self._load(folder, makers, seed, good, side, count))

    def _load(
        self,
        folder: Path,
        makers: list[Callable[[Path, random.Random], str]],
        seed: int,
        good: bool,
        side: int | None,
        count: int | None,
    ) -> None:
        rng = random.Random(seed)
        folder.mkdir()
        try:
            for maker in makers:
                maker(folder, rng)
            if good:
                _encode(rng, "PNG", "RGB").save(folder / "good.png")
            data = load_data(f"folder:{folder}", resolution=side, count=count, progress=False)
            require(data.samples.shape[1:] == (3, side or 32, side or 32), f"samples of shape {data.samples.shape}")
            require(count is None or len(data) <= count, "more images than were asked for")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _spoilt(self, folder: Path, rng: random.Random) -> str:
        format = rng.choice(_FORMATS)
        what, content = spoil(_bytes(_encode(rng, format, None), format), rng)
        (folder / f"{rng.randrange(10**6)}.{format.lower()}").write_bytes(content)
        return what

    def _mode(self, folder: Path, rng: random.Random) -> str:
        format = rng.choice(("PNG", "JPEG", "TIFF", "WEBP"))
        mode = rng.choice(_WRITTEN.get(format, _MODES))
        try:
            content = _bytes(_encode(rng, format, mode), format)
        except OSError:  # no such file
            content = b""
        (folder / f"{rng.randrange(10**6)}.png").write_bytes(content)
        return mode

    def _lying_header(self, folder: Path, rng: random.Random) -> str:
        """A PNG that claims another size than its pixels have, with a right checksum."""
        content = bytearray(_bytes(_encode(rng, "PNG", "RGB"), "PNG"))
        sizes = (0, 1, 7, 3000, 9000, 60_000, 2**31 - 1, 2**32 - 1)
        content[16:24] = struct.pack(">II", rng.choice(sizes), rng.choice(sizes))
        content[24] = rng.choice((1, 8, 16, 3))
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
        (folder / "lying.png").write_bytes(content)
        return "lying"

    def _bomb(self, folder: Path, rng: random.Random) -> str:
        """Few bytes, very many pixels; the largest lies below Pillow's limit, so that it has to be decoded."""
        side = rng.choices((40_000, 15_000, 5_000), (4, 4, 1))[0]
        if side not in self._bombs:
            rows = zlib.compressobj(9)
            line = bytes(1 + side // 8)
            body = b"".join([*(rows.compress(line) for _ in range(side)), rows.flush()])
            header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
            self._bombs[side] = (
                b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
            )
        (folder / "bomb.png").write_bytes(self._bombs[side])
        return f"{side}"

    def _animated(self, folder: Path, rng: random.Random) -> str:
        format = rng.choice(("GIF", "PNG", "WEBP"))
        frames = [_encode(rng, "PNG", "RGB") for _ in range(rng.choice((2, 12)))]
        buffer = io.BytesIO()
        frames[0].save(buffer, format, save_all=True, append_images=frames[1:], duration=10, loop=0)
        content = buffer.getvalue() if rng.random() < 0.5 else spoil(buffer.getvalue(), rng)[1]
        (folder / f"moving.{format.lower()}").write_bytes(content)
        return format

    def _empty(self, folder: Path, rng: random.Random) -> str:
        (folder / f"nothing{rng.randrange(9)}.{rng.choice(('png', 'jpg', 'gif', 'webp', 'bmp'))}").write_bytes(b"")
        return "empty"

    def _shape(self, folder: Path, rng: random.Random) -> str:
        size = rng.choice(((1, 1), (1, 4000), (4000, 1), (2, 3), (1, 60_000)))
        Image.new(rng.choice(("L", "RGB", "P")), size).save(folder / "shape.png")
        return str(size)

    def _wrong_suffix(self, folder: Path, rng: random.Random) -> str:
        format = rng.choice(("TIFF", "ICO", "PPM", "PCX", "TGA", "PDF", "EPS", "SGI", "DDS", "JPEG2000"))
        try:
            content = _bytes(_encode(rng, "PNG", "RGB"), format)
        except (KeyError, OSError):
            content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n%%EndComments\nquit\n"
        (folder / "other.jpg").write_bytes(content)
        return format

    def _links(self, folder: Path, rng: random.Random) -> str:
        target = rng.choice(("loop.png", ".", "..", "nowhere", "/dev/zero", "/dev/stdin", "/proc/self/mem", "/"))
        (folder / f"loop{rng.randrange(10**6)}.png").symlink_to(target)
        (folder / f"round{rng.randrange(10**6)}").symlink_to(folder, target_is_directory=True)
        return target

    def _not_a_file(self, folder: Path, rng: random.Random) -> str:
        path = folder / f"odd{rng.randrange(10**6)}.png"
        kind = rng.choice(("folder", "fifo", "socket"))
        if kind == "folder":
            path.mkdir()
            (path / "inner.png").write_bytes(b"")
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            back = Path.cwd()
            os.chdir(folder)  # a socket's path must be short
            try:
                with socket.socket(socket.AF_UNIX) as one:
                    one.bind(path.name)
            finally:
                os.chdir(back)
        return kind

    def _named(self, folder: Path, rng: random.Random) -> str:
        content = _bytes(_encode(rng, "PNG", "RGB"), "PNG")
        content = content if rng.random() < 0.5 else spoil(content, rng)[1]
        name = rng.choice((*NAMES, "\udcff\udc80")).replace("/", "")
        (folder / f"{name}.png").write_bytes(content)
        deeper = (
            folder / name.encode("utf-8", "surrogateescape")[:60].decode("utf-8", "surrogateescape")
            if name != "~"
            else folder
        )
        deeper.mkdir(exist_ok=True)
        (deeper / "inside.png").write_bytes(content)
        return name

    def _no_access(self, folder: Path, rng: random.Random) -> str:
        """What only another user than root is refused."""
        (folder / "secret").mkdir(exist_ok=True)
        (folder / "secret" / "hidden.png").write_bytes(_bytes(_encode(rng, "PNG", "RGB"), "PNG"))
        (folder / "closed.png").write_bytes(b"x")
        (folder / "closed.png").chmod(0)
        if os.geteuid():
            (folder / "secret").chmod(0)
        return "closed"

    def _chunks(self, folder: Path, rng: random.Random) -> str:
        """A PNG with megabytes of text that take few bytes, or with odd facts about its colours and its turn."""
        about = PngImagePlugin.PngInfo()
        kind = rng.choice(("text", "profile", "exif"))
        if kind == "text":
            about.add_text("comment", "x" * rng.choice((10, 3_000_000)), zip=True)
        image = _encode(rng, "PNG", "RGB")
        extra = (
            {"icc_profile": rng.randbytes(200)}
            if kind == "profile"
            else {"exif": b"Exif\x00\x00" + rng.randbytes(60)}
            if kind == "exif"
            else {}
        )
        image.save(folder / "chunks.png", pnginfo=about, **extra)
        return kind


def _encode(rng: random.Random, format: str, mode: str | None) -> Image.Image:
    """Noise, in a mode that the format can hold."""
    mode = mode or rng.choice(_WRITTEN.get(format, ("L", "RGB")))
    pixels = np.random.default_rng(rng.randrange(2**32)).integers(256, size=(_SIDE, _SIDE + 6, 3), dtype=np.uint8)
    colour = Image.fromarray(pixels)
    if mode in ("I;16", "I", "F"):
        return Image.fromarray(pixels[..., 0].astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]) * 257)
    if mode == "LAB":
        return Image.merge("LAB", colour.split())
    return colour.convert(mode)


def _bytes(image: Image.Image, format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
