"""Patches of photographs, 16 x 16 pixels, by a residual hinge GAN with Adam at betas (0, 0.9) and layer norm.

Example: python examples/foreign_loops/patches_hinge.py --lr-g 1e-5 --lr-d 1e-2 --policy policy.safetensors

Lim & Ye, arXiv 1705.02894. Nothing here comes from this project but the balancer and the final distance.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

NAME = "patches, hinge, Adam"
UPDATES = 500
BATCH_SIZE, LATENT_SIZE, WIDTH, PIXELS = 32, 32, 12, 16


class UpBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        maps = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
        return maps + self.conv(F.gelu(self.norm(maps)))


class DownBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        return F.avg_pool2d(maps + self.conv(F.gelu(maps)), 2)


def make_generator() -> nn.Sequential:
    stem = [nn.Linear(LATENT_SIZE, 2 * WIDTH * 16), nn.Unflatten(1, (2 * WIDTH, 4, 4))]
    blocks = [UpBlock(2 * WIDTH), UpBlock(2 * WIDTH)]
    return nn.Sequential(*stem, *blocks, nn.GELU(), nn.Conv2d(2 * WIDTH, 3, 3, padding=1), nn.Tanh())


def make_discriminator() -> nn.Sequential:
    blocks = [DownBlock(2 * WIDTH), DownBlock(2 * WIDTH)]
    return nn.Sequential(nn.Conv2d(3, 2 * WIDTH, 3, padding=1), *blocks, nn.Flatten(), nn.Linear(2 * WIDTH * 16, 1))


def load_patches(count: int = 4096) -> Tensor:
    """Random squares of scikit-learn's two photographs, shrunk: ``(count, 3, 16, 16)`` in [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    photos = [torch.from_numpy(image.copy()).permute(2, 0, 1).float() for image in load_sample_images().images]
    small = [F.avg_pool2d(photo[None], 4)[0] / 127.5 - 1 for photo in photos]  # (3, 106, 160)
    patches = []
    for index in range(count):
        photo = small[index % 2]
        top = int(torch.randint(photo.shape[1] - PIXELS, (), generator=generator))
        left = int(torch.randint(photo.shape[2] - PIXELS, (), generator=generator))
        patches.append(photo[:, top : top + PIXELS, left : left + PIXELS])
    return torch.stack(patches)


def train(lr_g: float, lr_d: float, seed: int, updates: int = UPDATES, policy: str | None = None) -> float:
    """Frechet distance on EfficientNet-lite0 at the end; ``policy`` balances, none leaves the rates alone."""
    torch.manual_seed(seed)
    images = load_patches()
    generator, discriminator = make_generator(), make_discriminator()
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=lr_g, betas=(0.0, 0.9))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=lr_d, betas=(0.0, 0.9))
    if policy is not None:
        from agents.balancer import Balancer

        balancer = Balancer.load(policy)
        balancer.attach(optimizer_g, optimizer_d, total_updates=updates)
    for _ in range(updates):
        real = images[torch.randint(len(images), (BATCH_SIZE,))]
        fake = generator(torch.randn(BATCH_SIZE, LATENT_SIZE))
        real_logits, fake_logits = discriminator(real), discriminator(fake.detach())
        loss_d = F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()
        optimizer_d.zero_grad()
        loss_d.backward()
        optimizer_d.step()
        loss_g = -discriminator(fake).mean()
        optimizer_g.zero_grad()
        loss_g.backward()
        optimizer_g.step()
        if policy is not None:
            balancer.update(loss_g, loss_d, real_logits, fake_logits)
    with torch.no_grad():
        return distance(images[:1024], torch.cat([generator(torch.randn(256, LATENT_SIZE)) for _ in range(4)]))


def distance(real: Tensor, fake: Tensor) -> float:
    """Frechet distance on the features of EfficientNet-lite0 after its sixth block, at 64 pixels; lower is better."""
    from gan_backbones.metrics import EfficientNetLite0, GaussianReference, frechet_distance

    if not fake.isfinite().all():
        return float("inf")
    extractor = EfficientNetLite0(64, blocks=6)
    one, other = (GaussianReference.fit(extractor(images).double()) for images in (real, fake))
    return float(frechet_distance(one.mean, one.covariance, other.mean, other.covariance))


if __name__ == "__main__":
    from command_line import main

    main(train, __doc__)
