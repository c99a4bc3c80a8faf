"""Digits of 8 x 8 pixels by a least-squares GAN with AdamW: batch norm in both networks, dropout, no spectral norm.

Example: python examples/foreign_loops/digits_lsgan.py --lr-g 1e-5 --lr-d 1e-2 --policy policy.safetensors

Mao et al., arXiv 1611.04076. Nothing here comes from this project but the balancer and the final distance.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

NAME = "digits, LSGAN, AdamW"
UPDATES = 1000
BATCH_SIZE, LATENT_SIZE, WIDTH = 32, 24, 16


def make_generator() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(LATENT_SIZE, 2 * WIDTH * 4),
        nn.Unflatten(1, (2 * WIDTH, 2, 2)),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(2 * WIDTH, WIDTH, 3, padding=1),
        nn.BatchNorm2d(WIDTH),
        nn.ELU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        nn.BatchNorm2d(WIDTH),
        nn.ELU(),
        nn.Conv2d(WIDTH, 1, 3, padding=1),
        nn.Sigmoid(),
    )


def make_discriminator() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, WIDTH, 3, padding=1),
        nn.ELU(),
        nn.AvgPool2d(2),
        nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1),
        nn.BatchNorm2d(2 * WIDTH),
        nn.ELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(2 * WIDTH * 4, 1),
    )


def train(lr_g: float, lr_d: float, seed: int, updates: int = UPDATES, policy: str | None = None) -> float:
    """Frechet distance of the pixels at the end; ``policy`` balances, none leaves the rates alone."""
    torch.manual_seed(seed)
    images = torch.from_numpy(load_digits().images).float().unsqueeze(1) / 16
    generator, discriminator = make_generator(), make_discriminator()
    optimizer_g = torch.optim.AdamW(generator.parameters(), lr=lr_g, betas=(0.5, 0.99), weight_decay=1e-3)
    optimizer_d = torch.optim.AdamW(discriminator.parameters(), lr=lr_d, betas=(0.5, 0.99), weight_decay=1e-3)
    if policy is not None:
        from agents.balancer import Balancer

        balancer = Balancer.load(policy)
        balancer.attach(optimizer_g, optimizer_d, total_updates=updates)
    for _ in range(updates):
        real = images[torch.randint(len(images), (BATCH_SIZE,))]
        fake = generator(torch.randn(BATCH_SIZE, LATENT_SIZE))
        real_scores, fake_scores = discriminator(real), discriminator(fake.detach())
        loss_d = ((real_scores - 1) ** 2).mean() + (fake_scores**2).mean()
        optimizer_d.zero_grad()
        loss_d.backward()
        optimizer_d.step()
        loss_g = ((discriminator(fake) - 1) ** 2).mean()
        optimizer_g.zero_grad()
        loss_g.backward()
        optimizer_g.step()
        if policy is not None:  # a logit is positive for real: the middle between the targets is its zero
            balancer.update(loss_g, loss_d, real_scores - 0.5, fake_scores - 0.5)
    generator.eval()
    with torch.no_grad():
        return distance(images, generator(torch.randn(2048, LATENT_SIZE)))


def distance(real: Tensor, fake: Tensor) -> float:
    """Frechet distance of the Gaussians fitted to the 64 pixels; lower is better."""
    from gan_backbones.metrics import GaussianReference, frechet_distance

    if not fake.isfinite().all():
        return float("inf")
    one, other = (GaussianReference.fit(images.flatten(1).double()) for images in (real, fake))
    return float(frechet_distance(one.mean, one.covariance, other.mean, other.covariance))


if __name__ == "__main__":
    from command_line import main

    main(train, __doc__)
