"""Several image sets as one: ``faces+photos``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import torch

from gan_backbones.data.dataset import DataError, DataSet


def split_name(name: str, plain: Collection[str], with_path: Collection[str]) -> list[str]:
    """The members of a union: ``faces+folder:PATH`` gives ``faces`` and ``folder:PATH``.

    ``plain``: known names; ``with_path``: known names that a colon and a path follow. A plus within a path stays,
    unless nothing but known names follow it to the end or to the next path: ``folder:a+b`` is one member,
    ``folder:a+ring`` is two.
    """
    known = "|".join(re.escape(each) for each in plain)
    colon = "|".join(re.escape(each) for each in with_path)
    members = re.split(rf"\+(?=(?:(?:{known})\+)*(?:(?:{known})$|(?:{colon}):))", name)
    # Without a path no plus can belong to one, and an unknown member is told by its own name.
    return [part for member in members for part in ([member] if ":" in member else member.split("+"))]


def shares(count: int | None, members: int) -> list[int | None]:
    """How many samples each member gives: ``count`` split evenly, the first ones giving one more; or None each."""
    return [None if count is None else (count + members - 1 - index) // members for index in range(members)]


def join(name: str, members: Mapping[str, DataSet]) -> DataSet:
    """The images of all ``members`` (at least two, of one height and width), dealt in turn while they last.

    Grey images get three equal channels when another member has colour. Attribute ``source`` tells which member an
    image is from; of the members' own, those are kept that all have with the same values.

    Raises DataError when the shapes do not fit together.
    """
    sets = list(members.values())
    channels = max(data.sample_shape[0] for data in sets)
    if len({data.sample_shape[1:] for data in sets}) > 1 or any(
        data.sample_shape[0] not in (1, channels) for data in sets
    ):
        shapes = ", ".join(f"{member} {data.sample_shape}" for member, data in members.items())
        raise DataError(
            f"the members of data set {name!r} must have one size, and be grey or of one kind; got {shapes}"
        )
    samples = torch.cat([data.samples.expand(-1, channels, -1, -1) for data in sets])
    position = torch.cat([torch.arange(len(data)) for data in sets])
    order = torch.argsort(position, stable=True)
    source = torch.cat([torch.full((len(data),), index) for index, data in enumerate(sets)])
    values = _shared_values(sets)
    labels = {attribute: torch.cat([data.attributes[attribute] for data in sets]) for attribute in values}
    return DataSet(
        name=name,
        samples=samples[order],
        attributes={attribute: each[order] for attribute, each in (labels | {"source": source}).items()},
        attribute_values=values | {"source": tuple(members)},
        mixture=None,
        skipped=sum(data.skipped for data in sets),
    )


def _shared_values(sets: Sequence[DataSet]) -> dict[str, tuple[str, ...]]:
    """The attributes that all sets have with the same values."""
    first, *others = (data.attribute_values for data in sets)
    return {
        attribute: tuple(values)
        for attribute, values in first.items()
        if all(tuple(other.get(attribute, ())) == tuple(values) for other in others)
    }
