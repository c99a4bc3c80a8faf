"""Nothing that a file says is ever run: read from the sources, and tried with payloads in every kind of file."""

import ast
import contextlib
import io
import pickle
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.balancer import Balancer
from agents.policies.policy import load_policy
from agents.presets import ALGORITHMS
from agents.ral.images import load_weights, save_weights
from agents.trained import load_run
from agents.tree_file import read_tree, write_tree
from gan_backbones import load_gan
from gan_backbones.data import load_data
from gan_backbones.data.cache import load_entry, save_entry
from gan_backbones.metrics.inception import InceptionV3
from gan_backbones.metrics.perceptual import Lpips
from gan_env.frozen_gan import frozen_gan
from tests.agents.deployed import varied
from tests.planted import FORMS, Payload

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    file.relative_to(ROOT)
    for room in ("gan_backbones", "gan_env", "agents", "scripts", "examples", "docs")
    for file in (ROOT / room).rglob("*.py")
)
UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
PIPES = {Path("gan_env/shards.py")}
"""Where a process reads what its own child wrote into an anonymous pipe."""
LEARNERS = {algorithm.cls.__name__ for algorithm in ALGORITHMS.values()} | {"cls", "BaseAlgorithm", "VecNormalize"}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "__import__",
    "os.system",
    "os.popen",
    "torch.jit.load",
    "torch.hub.load",
    "yaml.load",
    "yaml.unsafe_load",
    "pandas.read_pickle",
    "pd.read_pickle",
    "load_from_zip_file",
    "load_from_pkl",
}
EVERYWHERE = {"0.0.0.0", "::", "*"}


def offences(source, pipe=False):
    """What in a source could run code from a file or let strangers in; one phrase each."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            if isinstance(node, ast.Constant) and node.value == "0.0.0.0":
                found.append("binds everywhere")
            continue
        name, options = ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}
        module, _, function = name.rpartition(".")
        if module in UNPICKLERS and function in ("load", "loads", "Unpickler", "open") and not pipe:
            found.append(f"{name} unpickles")
        if name == "torch.load" and options.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if options.get("allow_pickle", "False") != "False":
            found.append(f"{name} with allow_pickle")
        if options.get("shell", "False") != "False":
            found.append(f"{name} with a shell")
        if name in FORBIDDEN_CALLS or function in FORBIDDEN_CALLS - {"eval", "exec", "load"}:
            found.append(name)
        if function == "load" and module.rpartition(".")[2] in LEARNERS:
            found.append(f"{name} unpickles")
        if function == "bind" and any(repr(host) in ast.unparse(node) for host in ("", *EVERYWHERE)):
            found.append("binds everywhere")
    return found


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(file)",
        "pickle.loads(data)",
        "dill.load(file)",
        "joblib.load(path)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, map_location='cpu')",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "eval(text)",
        "exec(text)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "PPO.load(path)",
        "ALGORITHMS[name].cls.load(path)",
        "load_from_zip_file(path)",
        "socket.bind(('', 80))",
        "server.bind(('0.0.0.0', 80))",
        "serve(host='0.0.0.0')",
    ],
)
def test_the_reader_of_sources_finds(line):
    assert offences(line)


@pytest.mark.parametrize(
    "line", ["torch.load(path, weights_only=True)", "np.load(path)", "json.loads(text)", "module.eval()", "load(x)"]
)
def test_the_reader_of_sources_lets_pass(line):
    assert not offences(line)


@pytest.mark.parametrize("file", SOURCES, ids=str)
def test_no_source_runs_what_a_file_says(file):
    assert offences((ROOT / file).read_text(), pipe=file in PIPES) == []


def read_run(path):
    (path.parent / "config.json").write_text(RUN_CONFIG)
    load_run(path.parent)


def read_config(path):
    load_run(path.parent)


def read_stage(path):
    load_weights(path, torch.nn.Linear(2, 2))


def read_cache(path):
    """A cache refuses nothing: it warns and does without."""
    with pytest.warns(UserWarning, match="damaged"):
        assert load_entry(path) is None
    raise ValueError("was not used")


def read_images(path):
    with pytest.warns(UserWarning, match="broken"):
        load_data(f"folder:{path.parent}", progress=False)


RUN_CONFIG = (
    '{"options": {"algo": "ppo"}, "environment": {"suite": "ring"}, "algorithm": {"policy_kwargs": {"net_arch": [4]}}}'
)
READERS = {
    "policy.zip": read_run,
    "config.json": read_config,
    "policy.safetensors": load_policy,
    "deployed.safetensors": Balancer.load,
    "gan.safetensors": load_gan,
    "frozen.safetensors": lambda path: frozen_gan(path, torch.device("cpu")),
    "vqvae.safetensors": read_stage,
    "step-1.safetensors": read_tree,
    "faces.safetensors": read_cache,
    "inception.pt": InceptionV3,
    "alexnet-owt-7be5be79.pth": Lpips,
    "picture.png": read_images,
}
"""By the name of a file that users give each other: who reads it."""


@pytest.mark.parametrize("form", FORMS)
def test_the_payload_would_run(tmp_path, form):
    marker = tmp_path / "marker"
    content = FORMS[form](Payload(marker))
    if form in ("torch", "torch, in a dictionary", "torch, before 1.6"):
        torch.load(io.BytesIO(content), weights_only=False)
    elif form == "numpy":
        np.load(io.BytesIO(content), allow_pickle=True)["samples"]
    elif form in ("stable-baselines3", "zip with a pickle"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            member = io.BytesIO(archive.read("policy.pth"))
        with contextlib.suppress(RuntimeError):  # after the payload has run
            torch.load(member, weights_only=False)
    else:
        pickle.loads(content)
    assert marker.exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", READERS)
def test_a_planted_payload_never_runs(tmp_path, name, form):
    marker, path = tmp_path / "marker", tmp_path / "files" / name
    path.parent.mkdir()
    path.write_bytes(FORMS[form](Payload(marker)))
    with pytest.raises(ValueError, match=r"\w") as caught:
        READERS[name](path)
    assert not marker.exists() and "\n" not in str(caught.value)


def whole_files(folder, checkpoint):
    """A right file of each kind that is covered by a checksum, and its reader."""
    save_weights(folder / "stage.safetensors", torch.nn.Linear(2, 2))
    write_tree(folder / "tree.safetensors", {"a": torch.arange(5), "b": [1.5, "x"]}, {"step": 3})
    save_entry(folder / "entry.safetensors", {"a": torch.arange(9.0)}, {"seed": 1})
    varied().save(folder / "policy.safetensors")
    return {
        checkpoint: load_gan,
        folder / "policy.safetensors": load_policy,
        folder / "stage.safetensors": read_stage,
        folder / "tree.safetensors": read_tree,
        folder / "entry.safetensors": read_cache,
    }


def test_a_changed_byte_is_refused(tmp_path, checkpoint):
    rng = random.Random(0)
    for original, read in whole_files(tmp_path, checkpoint).items():
        content, path = original.read_bytes(), tmp_path / f"changed-{original.name}"
        for _ in range(40):
            changed = bytearray(content)
            changed[rng.randrange(len(changed))] ^= rng.randrange(1, 256)
            path.write_bytes(changed)
            with pytest.raises(ValueError, match=r"\w"):
                read(path)
