"""Writing files whole or not at all, and reading only what is a file."""

from __future__ import annotations

import errno
import json
import os
import stat
import uuid
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes) -> None:
    """Temporary file in the same folder, fsync, rename: a reader sees the old file or the whole new one.

    Makes missing parent folders. Raises ``OSError`` when the file cannot be written; nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # whatever stops it; it is raised again
        temporary.unlink(missing_ok=True)
        raise


def require_file(path: Path) -> None:
    """Raise ``OSError`` unless ``path`` is a regular file: a pipe would be waited for, a device never ends."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


def read_file(path: Path) -> bytes:
    """The content of a regular file. Raises ``OSError`` for anything else."""
    require_file(path)
    return path.read_bytes()


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises ``ValueError``, in one line that names it, where it cannot be read as such."""
    try:
        return parse_json(read_file(path))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def parse_json(text: bytes | str) -> Any:
    """What a JSON text says. Raises ``ValueError`` for another text, and for one nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
