"""A plain PyTorch DCGAN on cartoon faces, once with its rates left alone and once balanced, side by side.

Example: python examples/balanced_dcgan.py --policy runs/faces-ppo/policy.safetensors --lr-g 1e-5 --lr-d 1e-2

The networks, the loss and the loop are written out, as in anybody's script; of this project they use the images alone.
The five lines that a balancer takes are marked.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

from agents.balancer import Balancer  # 1
from gan_backbones.data import load_data

LATENT_SIZE = 32


def make_generator(width: int, resolution: int, channels: int) -> nn.Sequential:
    """Latents to images in [-1, 1]: a linear layer to 4 x 4 pixels, then twice the pixels per block."""
    layers: list[nn.Module] = [nn.Linear(LATENT_SIZE, 4 * width * 16), nn.Unflatten(1, (4 * width, 4, 4))]
    size, pixels = 4 * width, 4
    while pixels < resolution:
        layers += [nn.BatchNorm2d(size), nn.ReLU(), nn.ConvTranspose2d(size, size // 2, 4, 2, 1, bias=False)]
        size, pixels = size // 2, 2 * pixels
    return nn.Sequential(*layers, nn.BatchNorm2d(size), nn.ReLU(), nn.Conv2d(size, channels, 3, 1, 1), nn.Tanh())


def make_discriminator(width: int, resolution: int, channels: int) -> nn.Sequential:
    """Images to one logit each: half the pixels per block."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, 1, 1), nn.LeakyReLU(0.2)]
    size, pixels = width, resolution
    while pixels > 4:
        layers += [nn.Conv2d(size, 2 * size, 4, 2, 1), nn.LeakyReLU(0.2)]
        size, pixels = 2 * size, pixels // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(size * 16, 1))


def train(images: Tensor, options: argparse.Namespace, policy: Path | str | None) -> tuple[Tensor, list[list[float]]]:
    """Train from the options' rates; ``policy`` balances, none leaves the rates alone.

    Gives 16 images and, for every update, both rates.
    """
    torch.manual_seed(options.seed)
    resolution, channels = images.shape[-1], images.shape[1]
    generator = make_generator(options.width, resolution, channels).to(options.device)
    discriminator = make_discriminator(options.width, resolution, channels).to(options.device)
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=options.lr_g, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=options.lr_d, betas=(0.5, 0.999))
    if policy is not None:  # 2
        balancer = Balancer.load(policy)  # 3
        balancer.attach(optimizer_g, optimizer_d, total_updates=options.updates)  # 4
    rates = []
    for _ in range(options.updates):
        indices = torch.randint(len(images), (options.batch_size,))
        real = (images[indices].to(options.device).float() / 127.5) - 1
        fake = generator(torch.randn(options.batch_size, LATENT_SIZE, device=options.device))

        real_logits, fake_logits = discriminator(real), discriminator(fake.detach())
        loss_d = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        optimizer_d.zero_grad()
        loss_d.backward()
        optimizer_d.step()

        loss_g = F.softplus(-discriminator(fake)).mean()
        optimizer_g.zero_grad()
        loss_g.backward()
        optimizer_g.step()

        if policy is not None:
            balancer.update(loss_g, loss_d, real_logits, fake_logits)  # 5
        rates.append([one.param_groups[0]["lr"] for one in (optimizer_g, optimizer_d)])
    with torch.no_grad():
        samples = generator.eval()(torch.randn(16, LATENT_SIZE, device=options.device))
    return samples.cpu(), rates


def draw(runs: dict[str, tuple[Tensor, list[list[float]]]], output: Path) -> None:
    """Images above, rates below, one column a run."""
    figure = Figure(figsize=(4 * len(runs), 6), layout="constrained")
    axes = figure.subplots(2, len(runs), squeeze=False)
    for column, (name, (samples, rates)) in enumerate(runs.items()):
        rows = ((samples + 1) / 2).clamp(0, 1).unflatten(0, (4, 4))  # (4, 4, C, H, W)
        grid = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
        axes[0, column].imshow(grid.squeeze(-1).numpy(), cmap="gray", interpolation="nearest")
        axes[0, column].set_axis_off()
        axes[0, column].set_title(name)
        axes[1, column].semilogy(rates, label=["generator", "discriminator"])
        axes[1, column].set_xlabel("update")
        axes[1, column].set_ylabel("learning rate")
    axes[1, 0].legend()
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description="A plain DCGAN, left alone and balanced.")
    parser.add_argument("--policy", help="name of a shipped policy or a file; by default the recommended one")
    parser.add_argument("--data", default="faces", help="data set of images")
    parser.add_argument("--resolution", type=int, default=32, help="4 times a power of 2")
    parser.add_argument("--updates", type=int, default=3000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--lr-g", type=float, default=1e-5)
    parser.add_argument("--lr-d", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=Path("balanced.png"))
    options = parser.parse_args()
    try:
        policy = options.policy or "recommended"
        Balancer.load(policy)  # a wrong name is told before anything is trained
        images = load_data(options.data, resolution=options.resolution).samples
        runs = {"left alone": train(images, options, None), "balanced": train(images, options, policy)}
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    draw(runs, options.output)
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
