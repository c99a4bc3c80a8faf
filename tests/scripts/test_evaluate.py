"""The command that scores a generator or a folder."""

import json

import pytest
import torch
from PIL import Image

from gan_backbones import GanMeta, build, initialise, load_gan, save_gan
from gan_backbones.data import load_data
from gan_backbones.metrics import MEASURES
from gan_backbones.metrics.generated import draw_images

SMALL = ["--data", "digits", "--real", "60", "--extractor", "efficientnet-lite0@32/2"]


@pytest.fixture
def gan(tmp_path):
    """A checkpoint of an untrained GAN of digits."""
    pair = build("dcgan", (1, 16, 16), latent_size=4, width=2)
    for network in (pair.generator, pair.discriminator):
        initialise(network, torch.Generator().manual_seed(0))
    path = tmp_path / "gan.safetensors"
    meta = GanMeta("dcgan", {"latent_size": 4, "width": 2}, (1, 16, 16), 4)
    save_gan(path, pair.generator, pair.discriminator, meta)
    return path


def write_folder(folder, images):
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image[0].numpy()).save(folder / f"{index:04}.png")


def scores_of(path):
    return {score["name"]: score for score in json.loads(path.read_text())["scores"]}


def test_a_generator_by_all_metrics(run_script, gan, tmp_path, capsys):
    arguments = [str(gan), *SMALL, "--samples", "40", "--metrics", ",".join(MEASURES), "--json", "out/scores.json"]
    assert run_script("evaluate", *arguments) == 0
    record = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert record["samples"] == 40 and record["real"] == 60 and record["resolution"] == 16 and record["git_commit"]
    scores = scores_of(tmp_path / "out" / "scores.json")
    assert len(scores) == 8 and all(name.endswith("n=40") for name in scores)
    assert scores["FD efficientnet-lite0@32/2, n=40"]["value"] > 0
    assert scores["coverage efficientnet-lite0@32/2, n=40"]["better"] == "higher"
    printed = capsys.readouterr().out
    assert "against 60 images of digits" in printed and "FD-infinity" in printed


def test_a_generator_and_the_folder_of_its_images_score_alike(run_script, gan, tmp_path):
    generator, _, meta = load_gan(gan)
    write_folder(tmp_path / "pictures", draw_images(generator, meta.latent_size, 30, seed=3, progress=False))
    options = [*SMALL, "--metrics", "fd,prdc,kid", "--seed", "3"]
    assert run_script("evaluate", str(gan), *options, "--samples", "30", "--json", "a.json") == 0
    assert run_script("evaluate", str(tmp_path / "pictures"), *options, "--resolution", "16", "--json", "b.json") == 0
    ours, theirs = scores_of(tmp_path / "a.json"), scores_of(tmp_path / "b.json")
    assert ours.keys() == theirs.keys()
    for name, score in ours.items():
        assert theirs[name]["value"] == pytest.approx(score["value"], rel=1e-4, abs=1e-6), name


def test_real_images_score_better_than_noise(run_script, gan, tmp_path):
    write_folder(tmp_path / "real", load_data("digits", resolution=16).samples[:60])
    options = [*SMALL, "--metrics", "fd,prdc"]
    assert run_script("evaluate", str(tmp_path / "real"), *options, "--resolution", "16", "--json", "real.json") == 0
    assert run_script("evaluate", str(gan), *options, "--samples", "60", "--json", "gan.json") == 0
    real, ours = scores_of(tmp_path / "real.json"), scores_of(tmp_path / "gan.json")
    for name, score in real.items():
        worse = ours[name]["value"]
        assert score["value"] < worse / 2 if score["better"] == "lower" else score["value"] > worse, name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "cannot load GAN 'nowhere'"),
        (["GAN", "--metrics", "fd,fod"], "unknown metric 'fod'; known: fd, fd-infinity, kid, prdc, lpips"),
        (["GAN", "--metrics", "fd,fd"], "once"),
        (["GAN", "--extractor", "vgg"], "unknown extractor 'vgg'"),
        (["GAN", "--extractor", "inception"], "no file is named"),
        (["GAN", "--extractor", "inception", "--inception-weights", "EMPTY"], "is not a file"),
        (["GAN", "--data", "diggits"], "unknown data set 'diggits'"),
        (["GAN", "--data", "ring"], "holds points"),
        (["GAN", "--resolution", "32"], "makes 16 pixels"),
        (["GAN", "--samples", "0"], "at least 1"),
        (["GAN", "--samples", "3"], "cannot be drawn from 3"),
        (["EMPTY"], "no image in folder"),
        (["EMPTY", "--data", "ring"], "holds points"),
        (["GAN", "--device", "tpu"], "tpu"),
    ],
)
def test_mistakes_are_told_in_one_line(run_script, gan, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.delenv("GANBALANCE_INCEPTION_WEIGHTS", raising=False)
    (tmp_path / "empty").mkdir()
    names = {"GAN": str(gan), "EMPTY": str(tmp_path / "empty")}
    defaults = [] if "--data" in arguments else ["--data", "digits"]
    assert run_script("evaluate", *[names.get(one, one) for one in arguments], *defaults, "--json", "scores.json") == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and message in error[0]
    assert not (tmp_path / "scores.json").exists()


def test_a_diverged_generator_is_told(run_script, tmp_path, capsys):
    pair = build("dcgan", (1, 16, 16), latent_size=4, width=2)
    for parameter in pair.generator.parameters():
        torch.nn.init.constant_(parameter, torch.nan)
    meta = GanMeta("dcgan", {"latent_size": 4, "width": 2}, (1, 16, 16), 4)
    save_gan(tmp_path / "gan", pair.generator, pair.discriminator, meta)
    assert run_script("evaluate", str(tmp_path / "gan"), *SMALL) == 2
    assert "diverged" in capsys.readouterr().err


def test_too_few_pictures_are_told(run_script, tmp_path, capsys):
    write_folder(tmp_path / "pictures", torch.zeros(5, 1, 16, 16, dtype=torch.uint8))
    assert run_script("evaluate", str(tmp_path / "pictures"), *SMALL, "--resolution", "16", "--samples", "6") == 2
    assert "holds 5 readable images, 6 were asked for" in capsys.readouterr().err


def test_help_names_every_metric(run_script, capsys):
    assert run_script("evaluate", "--help") == 0
    text = capsys.readouterr().out
    for name in MEASURES:
        assert name in text
