"""A GAN comes back from its file as it was, or is refused with the reason."""

import dataclasses

import pytest
import torch

from gan_backbones import BACKBONES, GanMeta, build, initialise, load_gan, save_gan
from gan_backbones.tensor_file import read_tensors, write_tensors


def make_gan(tiny_backbone, name, rng):
    shape, options, _ = tiny_backbone(name)
    pair = build(name, shape, **options)
    initialise(pair.generator, rng)
    initialise(pair.discriminator, rng)
    return pair, GanMeta(name, options, shape, pair.latent_size, {"data": "noise", "updates": 7})


@pytest.fixture
def saved(tiny_backbone, rng, tmp_path):
    pair, meta = make_gan(tiny_backbone, "dcgan", rng)
    path = tmp_path / "deep" / "gan.safetensors"
    save_gan(path, pair.generator, pair.discriminator, meta)
    return path


@pytest.mark.parametrize("name", BACKBONES)
def test_a_gan_comes_back_bit_for_bit(tiny_backbone, rng, tmp_path, name):
    pair, meta = make_gan(tiny_backbone, name, rng)
    pair.generator(torch.randn(16, pair.latent_size, generator=rng))  # batch norms have seen something
    save_gan(tmp_path / "gan.safetensors", pair.generator, pair.discriminator, meta)
    state = torch.get_rng_state()
    generator, discriminator, found = load_gan(tmp_path / "gan.safetensors")
    assert torch.equal(torch.get_rng_state(), state)
    assert found == meta and not generator.training and not discriminator.training
    latents = torch.randn(5, pair.latent_size, generator=rng)
    samples = pair.generator.eval()(latents)
    assert torch.equal(generator(latents), samples)
    assert torch.equal(discriminator(samples), pair.discriminator.eval()(samples))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_row_of_a_population_is_what_it_samples(make, tiny_backbone, tmp_path, name):
    population = make(name, (3, 4), dtype=torch.float32)
    population.update({rate: torch.full((2,), 1e-3) for rate in ("lr_g", "lr_d")}, steps=3)
    latents = population.draw_latents(6)
    shape, options, _ = tiny_backbone(name)
    generator, discriminator = population.networks(1)
    samples = population.sample(6, latents)
    save_gan(
        tmp_path / "gan", generator, discriminator, GanMeta(name, options, shape, latents.shape[-1], {"from": "row 1"})
    )
    loaded, judge, _ = load_gan(tmp_path / "gan")
    with torch.no_grad():
        torch.testing.assert_close(loaded(latents[1]), samples[1], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(judge(samples[1]), population.discriminate(samples)[1], rtol=1e-5, atol=1e-5)


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def flip(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def rewrite(**changes):
    """The same tensors with other metadata, checksum and all."""

    def change(path):
        tensors, metadata = read_tensors(path)
        write_tensors(path, tensors, metadata | changes)

    return change


def drop_tensor(path):
    tensors, metadata = read_tensors(path)
    write_tensors(path, dict(list(tensors.items())[1:]), metadata)


def poison(path):
    tensors, metadata = read_tensors(path)
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    write_tensors(path, tensors, metadata)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(b"\x80\x04pickle"), "header"),
        (cut, "cannot load GAN"),
        (flip, "checksum"),
        (rewrite(version=2), "version 2.*reads version 1"),
        (rewrite(format="policy"), "not the checkpoint of a GAN"),
        (rewrite(backbone="biggan"), "unknown backbone 'biggan'"),
        (rewrite(options={"width": 4, "latent_size": 4}), "does not fit"),
        (rewrite(options={"depth": 4}), "unknown option 'depth'"),
        (rewrite(latent_size=5), "latent_size 5"),
        (rewrite(sample_shape=[0, 16, 16]), "no sense"),
        (rewrite(surprise=1), "surprise"),
        (drop_tensor, "does not fit"),
        (rewrite(options={"width": 10**9, "latent_size": 4}), "'"),  # without allocating it
        (rewrite(latent_size=4.0), "no sense"),
        (rewrite(notes=[1]), "notes must be"),
        (poison, "not all finite"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(saved, damage, reason):
    load_gan(saved)
    damage(saved)
    with pytest.raises(ValueError, match=reason) as caught:
        load_gan(saved)
    assert str(saved) in str(caught.value) and "\n" not in str(caught.value)


def test_a_failed_write_leaves_the_old_file(saved, tiny_backbone, rng, monkeypatch):
    pair, meta = make_gan(tiny_backbone, "dcgan", rng)

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gan_backbones.files.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_gan(saved, pair.generator, pair.discriminator, dataclasses.replace(meta, notes={"updates": 9}))
    monkeypatch.undo()
    assert load_gan(saved)[2].notes["updates"] == 7
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
