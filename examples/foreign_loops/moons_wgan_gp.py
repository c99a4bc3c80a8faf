"""Two moons by a Wasserstein GAN with gradient penalty and RMSprop: residual perceptrons, SiLU, two critic steps.

Example: python examples/foreign_loops/moons_wgan_gp.py --lr-g 1e-5 --lr-d 1e-2 --policy policy.safetensors

Gulrajani et al., arXiv 1704.00028. Nothing here comes from this project but the balancer and the final distance.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import make_moons
from torch import Tensor, nn

NAME = "moons, WGAN-GP, RMSprop"
UPDATES = 1000
BATCH_SIZE, LATENT_SIZE, PENALTY, CRITIC_STEPS = 128, 4, 1.0, 2


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, values: Tensor) -> Tensor:
        return values + self.body(values)


def perceptron(inputs: int, outputs: int, width: int = 48) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), Residual(width), Residual(width), nn.SiLU(), nn.Linear(width, outputs)
    )


def train(lr_g: float, lr_d: float, seed: int, updates: int = UPDATES, policy: str | None = None) -> float:
    """Squared sliced Wasserstein distance at the end; ``policy`` balances, none leaves the rates alone."""
    torch.manual_seed(seed)
    points = torch.from_numpy(make_moons(8192, noise=0.05, random_state=seed)[0]).float()
    points = (points - points.mean(0)) / points.std(0)
    generator, critic = perceptron(LATENT_SIZE, 2), perceptron(2, 1)
    optimizer_g = torch.optim.RMSprop(generator.parameters(), lr=lr_g, alpha=0.9)
    optimizer_d = torch.optim.RMSprop(critic.parameters(), lr=lr_d, alpha=0.9)
    if policy is not None:
        from agents.balancer import Balancer

        balancer = Balancer.load(policy)
        balancer.attach(optimizer_g, optimizer_d, total_updates=updates)
    for _ in range(updates):
        for _ in range(CRITIC_STEPS):
            real = points[torch.randint(len(points), (BATCH_SIZE,))]
            with torch.no_grad():
                fake = generator(torch.randn(BATCH_SIZE, LATENT_SIZE))
            real_scores, fake_scores = critic(real), critic(fake)
            mixed = torch.lerp(real, fake, torch.rand(BATCH_SIZE, 1)).requires_grad_()
            (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
            loss_d = (fake_scores - real_scores).mean() + PENALTY * ((slope.norm(dim=1) - 1) ** 2).mean()
            optimizer_d.zero_grad()
            loss_d.backward()
            optimizer_d.step()
        loss_g = -critic(generator(torch.randn(BATCH_SIZE, LATENT_SIZE))).mean()
        optimizer_g.zero_grad()
        loss_g.backward()
        optimizer_g.step()
        if policy is not None:
            balancer.update(loss_g, loss_d, real_scores, fake_scores)
    with torch.no_grad():
        return distance(points[:4096], generator(torch.randn(4096, LATENT_SIZE)))


def distance(real: Tensor, fake: Tensor) -> float:
    """Mean over 64 directions of the squared 2-Wasserstein distance of the projections; lower is better."""
    if not fake.isfinite().all():
        return float("inf")
    angles = torch.arange(64) * np.pi / 64
    directions = torch.stack([angles.cos(), angles.sin()])
    return float(((real @ directions).sort(0).values - (fake @ directions).sort(0).values).square().mean())


if __name__ == "__main__":
    from command_line import main

    main(train, __doc__)
