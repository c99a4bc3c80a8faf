"""A small classifier that reads the attributes of images, trained on what a data set knows about its own.

It serves rewards and pictures ("more glasses"), never grades.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from tqdm import tqdm

from gan_backbones.backbone import global_seed
from gan_backbones.data.cache import cache_folder, load_or_compute
from gan_backbones.data.dataset import DataError, DataSet
from gan_backbones.metrics.extractors import resize_square, torch_threads

VERSION = 1
"""Part of every cache key; raise it whenever a change here alters what is computed."""
SIDE = 32
"""Pixels at which the reader looks."""
_CHANNELS = (24, 48, 96)
_HELD_OUT = 0.1
_PASSES, _BATCH, _RATE = 20, 64, 2e-3
_NOISE = 0.1  # added to the images in training, which generated ones are never free of


class AttributeReader(nn.Module):
    """Images ``(m, C, H, W)`` in [-1, 1] to probabilities ``(m, A)``: the values of all attributes side by side.

    ``values`` names the values of each attribute; :attr:`columns` says where they lie. Three strided convolutions at
    32 pixels and one linear map: positions are kept, as eyes and mouths are told by where they are.
    """

    accuracy: Mapping[str, float]
    """Share of held-out real images that are read right, by attribute; empty before the training."""

    def __init__(self, values: Mapping[str, tuple[str, ...]], channels: int) -> None:
        super().__init__()
        self.values = dict(values)
        edges = torch.tensor([0, *(len(names) for names in values.values())]).cumsum(0).tolist()
        self.columns = {name: slice(edges[index], edges[index + 1]) for index, name in enumerate(values)}
        layers: list[nn.Module] = []
        for width, following in zip((channels, *_CHANNELS[:-1]), _CHANNELS, strict=True):
            layers += [nn.Conv2d(width, following, 4, stride=2, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(_CHANNELS[-1] * (SIDE // 2 ** len(_CHANNELS)) ** 2, edges[-1])
        self.accuracy = {}

    def logits(self, images: Tensor) -> Tensor:
        """``(m, A)``, unnormalised."""
        scores: Tensor = self.head(self.body(resize_square(images.float(), SIDE)))
        return scores

    def forward(self, images: Tensor) -> Tensor:
        logits = self.logits(images)
        return torch.cat([logits[:, columns].softmax(1) for columns in self.columns.values()], dim=1)


def load_reader(data: DataSet, *, cache_dir: Path | None = None, progress: bool = True) -> AttributeReader:
    """The reader of a data set's attributes, frozen, on the CPU; trained once on nine tenths of it, then cached.

    Raises DataError, in one line, for a data set without images or attributes.
    """
    if not data.is_image or not data.attributes:
        known = "has no attributes" if data.is_image else "holds points"
        raise DataError(f"data set {data.name!r} {known}; rewards about attributes need images with attributes")
    with global_seed(0):
        reader = AttributeReader(data.attribute_values, data.sample_shape[0])
    path = cache_folder(cache_dir) / "metrics" / f"reader-v{VERSION}-{data.fingerprint[:32]}.safetensors"
    recipe = {"version": VERSION, "fingerprint": data.fingerprint}

    def use(tensors: dict[str, Tensor]) -> AttributeReader:
        reader.load_state_dict({name: tensor for name, tensor in tensors.items() if name != "accuracy"})
        reader.accuracy = dict(zip(data.attribute_values, tensors["accuracy"].tolist(), strict=True))
        return reader.eval().requires_grad_(False)

    return load_or_compute(path, recipe, lambda: _trained(reader, data, progress), use)


def majority_shares(data: DataSet) -> dict[str, float]:
    """How often the commonest value occurs, by attribute: what reading without looking gets right."""
    return {name: float(torch.bincount(labels).max() / len(labels)) for name, labels in data.attributes.items()}


def _trained(reader: AttributeReader, data: DataSet, progress: bool) -> dict[str, Tensor]:
    """The weights after training ``reader`` in place, and its accuracy on held-out images, in order of the attributes.

    With so few images that none can be held out, the accuracy is that on the images it was trained on.
    """
    rng = Generator().manual_seed(0)
    order = torch.randperm(len(data), generator=rng)
    held = order[: max(1, round(_HELD_OUT * len(data)))]
    used = order[len(held) :] if len(order) > len(held) else order
    labels = torch.stack([data.attributes[name] for name in reader.columns], dim=1)  # (M, attributes)
    steps = _PASSES * max(1, len(used) // _BATCH)
    optimizer = torch.optim.AdamW(reader.parameters(), _RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    shown = None if progress else True
    with torch_threads(1), torch.enable_grad():
        for _ in tqdm(range(steps), desc="reading attributes", disable=shown, file=sys.stderr, leave=False):
            rows = used[torch.randint(len(used), (_BATCH,), generator=rng)]
            images = data.batch(rows)
            logits = reader.logits(images + _NOISE * torch.randn(images.shape, generator=rng))
            losses = [F.cross_entropy(logits[:, at], labels[rows, i]) for i, at in enumerate(reader.columns.values())]
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            read = torch.cat([reader(data.batch(rows)) for rows in held.split(256)])
    right = [(read[:, at].argmax(1) == labels[held, i]).double().mean() for i, at in enumerate(reader.columns.values())]
    return {name: tensor.detach() for name, tensor in reader.state_dict().items()} | {"accuracy": torch.stack(right)}
