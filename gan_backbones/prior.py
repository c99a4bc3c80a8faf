"""A causal transformer over code maps, with a key/value cache.

Codes stand in raster order (the maps of several levels one after another), and each is predicted from all before it:
p(x) = prod_t p(x_t | x_<t) (van den Oord et al., arXiv 1711.00937, section 3.3; the transformer as in Radford et al.
2019, with norms before the layers). The likelihood of a map is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_backbones.backbone import draw_seed, global_seed, require_sizes


@dataclass(frozen=True)
class PriorOptions:
    """Sizes of the transformer; ``channels`` must be a multiple of ``heads``."""

    channels: int = 64
    """Width of the residual stream."""
    layers: int = 3
    """Blocks of attention and perceptron."""
    heads: int = 4
    """Attention heads."""

    def __post_init__(self) -> None:
        require_sizes("prior", self)
        if self.channels % self.heads:
            raise ValueError(f"prior: channels must be a multiple of heads, not {self.channels} of {self.heads}")


class KeyValueCache:
    """Keys and values of what was read so far, tensors ``(B, heads, length, channels / heads)``, one pair a layer."""

    def __init__(self, layers: int, shape: tuple[int, int, int, int], like: Tensor) -> None:
        self.keys = [like.new_empty(shape) for _ in range(layers)]
        self.values = [like.new_empty(shape) for _ in range(layers)]
        self.length = 0


class _Block(nn.Module):
    """Attention and perceptron, each behind a norm and beside a skip connection.

    ``(B, m, C) -> (B, m, C)``, or ``(B, 1, C)`` for the ``last`` position alone.
    """

    def __init__(self, options: PriorOptions) -> None:
        super().__init__()
        channels = options.channels
        self.heads = options.heads
        self.norm = nn.LayerNorm(channels)
        self.attend = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor, cache: KeyValueCache | None, layer: int, *, last: bool) -> Tensor:
        count = x.shape[1]
        mixed = self.attend(self.norm(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = mixed.permute(2, 0, 3, 1, 4)  # (B, heads, m, C / heads) each
        start = 0
        if cache is not None:
            start, end = cache.length, cache.length + count
            cache.keys[layer][:, :, start:end] = key
            cache.values[layer][:, :, start:end] = value
            key, value = cache.keys[layer][:, :, :end], cache.values[layer][:, :, :end]
        seen, causal = None, count > 1 and start == 0
        if last:  # it sees everything
            x, query, causal = x[:, -1:], query[:, :, -1:], False
        elif count > 1 and start > 0:
            seen = torch.ones(count, start + count, dtype=torch.bool, device=x.device).tril(start)
        heard = F.scaled_dot_product_attention(query, key, value, seen, is_causal=causal)
        x = x + self.project(heard.transpose(1, 2).flatten(2))
        return x + self.perceptron(x)


class CodePrior(nn.Module):
    """A distribution over sequences of ``length`` codes from ``codes`` values.

    Parameters are drawn from ``generator`` alone. The last layer starts at zero, so that all codes are equally likely.

    Raises ``ValueError`` for sizes below one.
    """

    def __init__(self, codes: int, length: int, options: PriorOptions, generator: torch.Generator) -> None:
        super().__init__()
        if min(codes, length) < 1:
            raise ValueError(f"prior: codes and length must be at least 1, not {codes} and {length}")
        self.codes, self.length, self.options = codes, length, options
        with global_seed(draw_seed(generator)):
            self.embed = nn.Embedding(codes + 1, options.channels)  # the last one begins every sequence
            self.position = nn.Embedding(length, options.channels)
            self.blocks = nn.ModuleList(_Block(options) for _ in range(options.layers))
            self.norm = nn.LayerNorm(options.channels)
            self.head = nn.Linear(options.channels, codes)
        with torch.no_grad():
            for table in (self.embed, self.position):
                table.weight.mul_(0.02)
            self.head.weight.zero_()
            self.head.bias.zero_()

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def new_cache(self, batch: int) -> KeyValueCache:
        """An empty cache for ``batch`` sequences."""
        options = self.options
        shape = (batch, options.heads, self.length, options.channels // options.heads)
        return KeyValueCache(options.layers, shape, self.head.weight)

    def predict(self, read: Tensor, cache: KeyValueCache | None = None, *, last: bool = False) -> Tensor:
        """Logits of the code after each code ``read``, ``(B, m) -> (B, m, codes)``; after the ``last`` alone: m is 1.

        The first code that is ever read must be the start code, ``self.codes``. Without a cache ``read`` begins at the
        start; with one it goes on where the last call ended, and what was read is remembered.
        """
        start = 0 if cache is None else cache.length
        places = torch.arange(start, start + read.shape[1], device=read.device)
        x = self.embed(read) + self.position(places)
        for layer, block in enumerate(self.blocks):
            x = block(x, cache, layer, last=last and layer == len(self.blocks) - 1)
        if cache is not None:
            cache.length += read.shape[1]
        logits: Tensor = self.head(self.norm(x))
        return logits

    def forward(self, codes: Tensor) -> Tensor:
        """Logits of every code given all before it: ``(B, length)`` int64 ``-> (B, length, codes)``."""
        return self.predict(self._shifted(codes))

    def nll(self, codes: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Exact negative log likelihood of each code given all before it, in nats: ``(B, length) -> (B, length)``.

        At another ``temperature`` than 1, which must be positive, it is that of the distribution which :meth:`sample`
        draws from there.
        """
        return F.cross_entropy(self(codes).mT / temperature, codes, reduction="none")

    @torch.no_grad()
    def sample(
        self,
        count: int,
        generator: torch.Generator,
        *,
        given: Tensor | None = None,
        free: Tensor | None = None,
        temperature: float = 1.0,
        cached: bool = True,
    ) -> Tensor:
        """``count`` sequences, ``(count, length)`` int64.

        ``given``: codes ``(count, length)`` that stand wherever ``free``, ``(length,)`` bool, is false; every sampled
        code follows from all before it, given or sampled. Without them everything is sampled. One uniform number per
        code is drawn up front from ``generator`` (on the CPU), so that two priors, or a prior with and without cache,
        meet the same chances. ``cached=False`` is the slow reference, which reads everything before a code again, as in
        training; in single precision a choice that hangs by a rounding error may differ from it.

        Raises ``ValueError`` for a ``free`` without ``given``, wrong shapes or a temperature that is not positive.
        """
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, not {temperature}")
        if (given is None) != (free is None):
            raise ValueError("given codes and the positions that are free go together")
        if (
            given is not None
            and free is not None
            and (given.shape, free.shape) != ((count, self.length), (self.length,))
        ):
            raise ValueError(
                f"given and free must be {(count, self.length)} and {(self.length,)}, not {tuple(given.shape)} and "
                f"{tuple(free.shape)}"
            )
        chances = torch.rand(count, self.length, generator=generator).to(self.device)
        choose = [True] * self.length if free is None else free.tolist()
        # Read is what the network sees: the start code, then the sequence.
        read = torch.full((count, self.length + 1), self.codes, device=self.device)
        if given is not None:
            read[:, 1:] = given.to(self.device)
        cache = self.new_cache(count) if cached else None
        for place in (place for place, chosen in enumerate(choose) if chosen):
            if cache is None:
                logits = self.predict(read[:, : place + 1])[:, -1]
            else:
                logits = self.predict(read[:, cache.length : place + 1], cache, last=True)[:, -1]
            read[:, place + 1] = choose_codes(logits / temperature, chances[:, place])
        return read[:, 1:]

    def _shifted(self, codes: Tensor) -> Tensor:
        return F.pad(codes[:, :-1], (1, 0), value=self.codes)


def choose_codes(logits: Tensor, chances: Tensor) -> Tensor:
    """Codes by inverting the distribution function at uniform numbers in [0, 1): ``(B, K), (B,) -> (B,)``."""
    total = logits.softmax(-1).cumsum(-1)
    place = torch.searchsorted(total, chances[:, None] * total[:, -1:], right=True)[:, 0]
    return place.clamp_(max=logits.shape[-1] - 1)  # a product may round up to the total


def bits_per_dimension(nll: Tensor) -> float:
    """Mean over codes of a negative log likelihood in nats, in bits: a code is one dimension."""
    return float(nll.detach().mean() / math.log(2))


@torch.no_grad()
def batched_nll(model: Callable[[Tensor], Tensor], codes: Tensor, batch_size: int = 256) -> Tensor:
    """``model(codes)``, a likelihood per code, over many maps: ``(M, length) -> (M, length)`` on the codes' device."""
    return torch.cat([model(chunk) for chunk in codes.split(batch_size)])
