"""Named tensors and JSON in one safetensors file, with a checksum over both; written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gan_backbones.files import parse_json, require_file, write_atomically


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able ``metadata`` atomically.

    Raises TypeError when ``metadata`` is not JSON-able, OSError when the file cannot be written.
    """
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(dict(metadata), sort_keys=True)
    write_atomically(path, save(ready, metadata={"json": text, "sha256": digest_tensors(ready, text)}))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """What `write_tensors` wrote: (tensors, metadata).

    Raises ValueError with the reason, in one line, when the file cannot be read or is not what was written.
    """
    try:
        require_file(path)
        with safe_open(path, framework="pt", device="cpu") as entry:
            header = entry.metadata() or {}
            # Copied, because the originals are windows into a file that others may replace.
            tensors = {name: entry.get_tensor(name).clone() for name in entry.keys()}  # noqa: SIM118  # not iterable
    except (OSError, SafetensorError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    text = header.get("json", "")
    if header.get("sha256") != digest_tensors(tensors, text):
        raise ValueError("its checksum does not match its content")
    metadata = parse_json(text)
    if not isinstance(metadata, dict):
        raise ValueError(f"its description is no object but {type(metadata).__name__}")
    return tensors, metadata


def digest_tensors(tensors: Mapping[str, torch.Tensor], text: str = "") -> str:
    """SHA-256 (hex) over ``text`` and every tensor's name, dtype, shape and bytes, in the order of the names."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        flat = tensor.flatten().as_strided((tensor.numel(),), (1,))  # a single number may have any stride
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
