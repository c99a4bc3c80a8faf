"""What the discriminator sees of code maps: the maps themselves, or the images that they decode to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from agents.restoring import require_finite, require_like, require_optimizer
from agents.tree_file import Tree
from gan_backbones import AdversarialLoss
from gan_backbones.vqvae import VqVae

Against = Literal["reconstructions", "images"]
AGAINST: tuple[str, ...] = get_args(Against)


class Rendering(Protocol):
    """Codes ``(B, length)`` to what the discriminator takes, for sampled maps and for rows of the training data."""

    def fake(self, codes: Tensor) -> Tensor: ...

    def real(self, rows: Tensor) -> Tensor: ...

    def tune(self, critic: Callable[[Tensor], Tensor], loss: AdversarialLoss, sampled: Tensor, rows: Tensor) -> None:
        """Learn from the discriminator, too, where there is something to learn."""
        ...

    def get_state(self) -> Tree:
        """What has been learned; :meth:`set_state` goes on from it exactly."""
        ...

    def set_state(self, state: Tree) -> None: ...


class OneHotMaps:
    """Code maps as ``(B, K, h, w)`` of zeros and ones; nothing learns.

    ``codes``: the training maps ``(N, h w)``.
    """

    def __init__(self, codes: Tensor, shape: tuple[int, int], count: int) -> None:
        self.codes, self.shape, self.count = codes, shape, count

    def fake(self, codes: Tensor) -> Tensor:
        return F.one_hot(codes.unflatten(1, self.shape), self.count).permute(0, 3, 1, 2).float()

    def real(self, rows: Tensor) -> Tensor:
        return self.fake(self.codes[rows])

    def tune(self, critic: Callable[[Tensor], Tensor], loss: AdversarialLoss, sampled: Tensor, rows: Tensor) -> None:
        pass

    def get_state(self) -> Tree:
        return None

    def set_state(self, state: Tree) -> None:
        pass


class DecodedImages:
    """Decoded samples against data.

    Args:
        vqvae: in evaluation mode.
        images: the training images ``(N, C, R, R)``, uint8.
        codes: their codes ``(N, length)``.
        against: real images, or their reconstructions, which differ from decoded samples in the codes alone.
        decoder_learning_rate: above 0, the decoder is tuned jointly, by the discriminator's score of decoded samples
            and by the reconstruction of the training images; the encoder and the codebooks stay, and so do the codes.
        reconstruction_weight: of the squared error beside the adversarial term.

    Raises:
        ValueError: for an unknown ``against``.
    """

    def __init__(
        self,
        vqvae: VqVae,
        images: Tensor,
        codes: Tensor,
        against: Against,
        decoder_learning_rate: float,
        reconstruction_weight: float,
    ) -> None:
        if against not in AGAINST:
            raise ValueError(f"decoded samples stand against {' or '.join(AGAINST)}, not {against!r}")
        self.vqvae, self.images, self.codes, self.against = vqvae, images, codes, against
        self.reconstruction_weight = reconstruction_weight
        vqvae.requires_grad_(False)
        self.optimizer: torch.optim.Adam | None = None
        if decoder_learning_rate > 0:
            self.parameters: Sequence[torch.nn.Parameter] = vqvae.decoder_parameters()
            self.optimizer = torch.optim.Adam(self.parameters, decoder_learning_rate, betas=(0.5, 0.99))

    @torch.no_grad()
    def fake(self, codes: Tensor) -> Tensor:
        return self.vqvae.decode(codes)

    def real(self, rows: Tensor) -> Tensor:
        return self.fake(self.codes[rows]) if self.against == "reconstructions" else self._pixels(rows)

    def tune(self, critic: Callable[[Tensor], Tensor], loss: AdversarialLoss, sampled: Tensor, rows: Tensor) -> None:
        if self.optimizer is None:
            return
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        scores = critic(self.vqvae.decode(sampled))
        error = (self.vqvae.decode(self.codes[rows]) - self._pixels(rows)).square().mean()
        # The generator's losses here do not look at the real scores.
        total = loss.generator(scores, scores).mean() + self.reconstruction_weight * error
        gradients = torch.autograd.grad(total, self.parameters)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
            parameter.requires_grad_(False)
        self.optimizer.step()

    def get_state(self) -> Tree:
        optimizer = None if self.optimizer is None else self.optimizer.state_dict()
        return {"vqvae": self.vqvae.state_dict(), "optimizer": optimizer}

    def set_state(self, state: Tree) -> None:
        require_like(state, {"vqvae": self.vqvae.state_dict(), "optimizer": None}, "its rendering")
        require_finite(state["vqvae"], "its decoder")
        self.vqvae.load_state_dict(state["vqvae"])
        if self.optimizer is not None:
            require_optimizer(self.optimizer, state["optimizer"], "its decoder's optimizer")
            self.optimizer.load_state_dict(state["optimizer"])

    def _pixels(self, rows: Tensor) -> Tensor:
        return self.images[rows].float() / 127.5 - 1
