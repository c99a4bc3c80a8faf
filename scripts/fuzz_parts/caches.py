"""The cache: statistics, features and data. A spoilt entry is computed again, and no entry brings in a bad number."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast
from unittest import mock

import torch

from fuzz_parts.garbage import SPOILT_JSON, spoil
from fuzz_parts.tensor_files import TensorFile
from fuzz_parts.verdict import Case, require
from gan_backbones import attributes
from gan_backbones.data import DataSet
from gan_backbones.data.cache import load_or_compute
from gan_backbones.metrics import references
from gan_backbones.metrics.extractors import Extractor
from gan_backbones.metrics.proxy import ProxyExtractor


class Means(torch.nn.Module):
    """An extractor that costs nothing."""

    name, width, batch_size = "means@16", 3, 8

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().mean((2, 3)).expand(-1, 3).contiguous()


class Caches:
    """Entries of every kind, spoilt, then asked for; nothing is ever refused."""

    def __init__(self, place: Path) -> None:
        self._place = place
        rng = torch.Generator().manual_seed(0)
        pixels = torch.randint(256, (12, 1, 16, 16), generator=rng, dtype=torch.uint8)
        labels = {"kind": torch.arange(12) % 3}
        data = DataSet("noise", pixels, labels, {"kind": ("a", "b", "c")}, None)
        student = ProxyExtractor.empty().eval()
        for value in student.state_dict().values():
            value.fill_(1)  # an empty one holds whatever lay in memory

        def proxy() -> list[torch.Tensor]:
            with mock.patch.object(references, "distil_proxy", return_value=student):
                found, reference = references.load_proxy(data, cache_dir=place, progress=False)
            return [*found.state_dict().values(), reference.mean, reference.deviation]

        def features() -> list[torch.Tensor]:
            extractor = cast(Extractor, Means())  # as far as it is asked
            return [references.load_real_features(data, extractor, cache_dir=place, progress=False)]

        def reader() -> list[torch.Tensor]:
            def train(reader: attributes.AttributeReader, *_: object) -> dict[str, torch.Tensor]:
                return {name: value.detach() for name, value in reader.state_dict().items()} | {
                    "accuracy": torch.ones(1)
                }

            with mock.patch.object(attributes, "_trained", train):
                found = attributes.load_reader(data, cache_dir=place, progress=False)
            return [*found.state_dict().values(), torch.tensor(list(found.accuracy.values()))]

        def entry() -> list[torch.Tensor]:
            recipe = {"name": "entry", "count": 3}
            path = place / "data" / "entry.safetensors"
            compute, use = lambda: {"samples": pixels}, lambda tensors: [tensors["samples"].reshape(pixels.shape)]
            return load_or_compute(path, recipe, compute, use)

        self._entries = [self._known(read) for read in (proxy, features, reader, entry)]

    def _known(
        self, read: Callable[[], list[torch.Tensor]]
    ) -> tuple[Callable[[], list[torch.Tensor]], list[torch.Tensor], Path, TensorFile]:
        before = set(self._place.rglob("*.safetensors"))
        right = read()
        (path,) = set(self._place.rglob("*.safetensors")) - before
        return read, right, path, TensorFile(self._place, path, lambda _: None)

    def case(self, rng: random.Random) -> Case:
        read, right, path, spoiler = rng.choice(self._entries)
        original = path.read_bytes()
        kind = rng.choice(("bytes", "crafted", "crafted", "json", "folder", "link"))
        if kind == "bytes":
            title, content = spoil(original, rng)
        elif kind == "crafted":
            title, content, _ = rng.choice((spoiler._tensor, spoiler._json, spoiler._metadata_text))(rng)
        else:
            title, content = kind, rng.choice(SPOILT_JSON)

        def run() -> None:
            try:
                path.unlink()
                if kind == "folder":
                    path.mkdir()
                elif kind == "link":
                    path.symlink_to(rng.choice(("/dev/zero", "nowhere", path.name, "/proc/self/mem")))
                else:
                    path.write_bytes(content)
                found = read()
                require([t.shape for t in found] == [t.shape for t in right], f"shapes {[t.shape for t in found]}")
                require(all(t.isfinite().all() for t in found), "numbers that are not finite")
                if kind != "crafted":
                    require(all(map(torch.equal, found, right)), "other numbers than those that were written")
            finally:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
                path.write_bytes(original)

        return Case(f"{path.name[:12]}: {title}", run, ())
