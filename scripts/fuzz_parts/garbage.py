"""What is fed in: values of any type, words for a command line, spoilt bytes, spoilt JSON."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

NAMES = (
    "пингвин",
    "企鹅",
    "بطريق",
    "πιγκουίνος",
    "펭귄",
    "🐧👨‍👩‍👧",
    "e\u0301\u0323",
    "ﷺ",
    "\u202eright to left",
    "a b\tc",
    "line\nbreak",
    "carriage\rreturn",
    "[/red] [bold]",
    "{0} %s %n",
    "'\";&|$(touch x)`",
    "-leading",
    "~",
    "x" * 200,
)
"""Names of files and other things, in every script."""
_NUMBERS = (
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1",
    "2",
    "-0.0",
    "1e309",
    "1e-320",
    "1e-5",
    "0.5",
    "3.0",
    "9" * 25,
    "7" * 5000,
)
_TEXTS = (
    "",
    " ",
    "None",
    "True",
    "--help",
    "--",
    "=",
    "a=b",
    "a=",
    "=b",
    ",",
    "+",
    ":",
    "..",
    "/",
    "/dev/null",
    "/dev/zero",
    "folder:",
    "folder:/nowhere",
    "folder:a+ring",
    "[" * 3000,
    "x=" + "[" * 3000,
    "x=" + "(" * 90 + ")" * 90,
    "x=-" + "-" * 3000 + "1",
    "cpu:7",
    "cuda:99",
    "meta",
    "lr_g,lr_g",
    "quality=nan",
    "quality=1e999",
)
_OBJECTS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**63,
    10**30,
    -(10**30),
    0.0,
    -0.0,
    0.5,
    math.nan,
    math.inf,
    -math.inf,
    1e308,
    1j,
    "",
    "x",
    b"bytes",
    (),
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    {1: 2},
    set(),
    (1, 2),
    ("a", "b"),
    (("a", "b"),),
    (("width", math.nan),),
    ((1e-4, 1e-3),),
    ((math.nan, math.nan), (1e-4, 1e-3)),
    object(),
    len,
    int,
    Fraction(1, 3),
    Path("x"),
    np.float64("nan"),
    np.int64(3),
    np.zeros(3),
    np.array("text"),
)
SPOILT_JSON: tuple[bytes, ...] = (
    b"",
    b"\x00",
    b"\xff\xfe{}",
    b"{",
    b"[]",
    b"null",
    b"NaN",
    b'"text"',
    b"1e999",
    b"7" * 5000,
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"a": 1}\n{"a": 2}',
    "\ud800".encode("utf-8", "surrogatepass"),
)
"""Contents of a file that should hold an object."""


def word(rng: random.Random) -> str:
    """For a command line."""
    return rng.choice(rng.choice((_NUMBERS, _TEXTS, NAMES, ("\udcff", "x\udc80y"))))


def thing(rng: random.Random) -> Any:
    """Of any type."""
    return rng.choice((*_OBJECTS, word(rng)))


def shown(value: object) -> str:
    """For a title."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def spoil(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """What was done to the bytes of a file, and the result, which differs from them."""
    kind = rng.choice((_flip, _flip, _flip, _cut, _cut, _empty, _insert, _swap, _blank, _noise, _append))
    spoilt = kind(content, rng)
    if spoilt == content:
        spoilt, kind = content[:-1], _cut
    return f"{kind.__name__.strip('_')}, {len(spoilt)} of {len(content)} bytes", spoilt


def _flip(content: bytes, rng: random.Random) -> bytes:
    result = bytearray(content)
    near = len(result) if rng.random() < 0.5 else min(len(result), 200)  # headers lie at the beginning
    for _ in range(rng.choice((1, 1, 2, 20))):
        result[rng.randrange(near)] ^= rng.randrange(1, 256)
    return bytes(result)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _empty(content: bytes, rng: random.Random) -> bytes:
    return b""


def _insert(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + rng.randbytes(rng.randrange(1, 64)) + content[at:]


def _swap(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[at:] + content[:at]


def _blank(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + bytes(len(content) - at)


def _noise(content: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 4000))


def _append(content: bytes, rng: random.Random) -> bytes:
    return content + rng.randbytes(rng.randrange(1, 400))


def spoil_tree(tree: Any, rng: random.Random) -> tuple[str, Any]:
    """A copy of a JSON tree in which one place holds something else, or is missing; and which."""
    result = {"root": copy.deepcopy(tree)}
    parent, key = rng.choice(list(_places(result)))
    path = f"at {shown(key)}"
    if isinstance(parent, dict) and key != "root" and rng.random() < 0.2:
        del parent[key]
        return f"{path} nothing", result["root"]
    parent[key] = value = _json_value(rng)
    return f"{path} {shown(value)}", result["root"]


def _places(tree: Any) -> list[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    return [place for key in keys for place in ((tree, key), *_places(tree[key]))]


def _json_value(rng: random.Random) -> Any:
    plain: tuple[Any, ...] = (
        None,
        True,
        False,
        0,
        1,
        -1,
        3,
        2**63,
        10**30,
        10**9,
        0.5,
        math.nan,
        math.inf,
        1e308,
        "",
        "x",
    )
    makers: tuple[Callable[[], Any], ...] = (
        lambda: rng.choice(plain),
        lambda: word(rng),
        list,
        dict,
        lambda: [[1, 2], [3]],
        lambda: {"a": {"b": [None]}},
        lambda: [rng.choice(plain) for _ in range(5)],
    )
    return rng.choice(makers)()
