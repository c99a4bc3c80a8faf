"""The file of a policy: what is written comes back; what was changed, cut or made for another program is refused."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from agents.policies import policy as policy_module
from agents.policies.network import KINDS, Layer, PolicyNetwork
from agents.policies.policy import Policy, available, load_policy
from gan_backbones.tensor_file import digest_tensors, read_tensors, write_tensors
from gan_env.knobs import ACTION_TYPES
from tests.agents.deployed import spec, varied


@pytest.fixture
def file(tmp_path):
    """A good file."""
    path = tmp_path / "policy.safetensors"
    varied(training={"suite": "ring", "timesteps": 7}).save(path)
    return path


def rewrite(path, **changes):
    """The same file by the same writer, checksum and all, with other metadata."""
    tensors, metadata = read_tensors(path)
    write_tensors(path, tensors, metadata | changes)


@pytest.mark.parametrize("action_type", ACTION_TYPES)
@pytest.mark.parametrize("knobs", [("lr_g", "lr_d"), ("lr_g", "lr_d", "fm_weight")], ids=len)
def test_what_is_written_comes_back(tmp_path, action_type, knobs):
    made = varied(action_type=action_type, knobs=knobs, groups=("default", "absolute"), training={"seed": 1})
    made.save(tmp_path / "a.safetensors")
    read = load_policy(tmp_path / "a.safetensors")
    assert read.spec == load_policy(str(tmp_path / "a.safetensors")).spec == made.spec and read.name == "a"
    observations = torch.randn(50, made.spec.layers[0].sizes[0]).numpy()
    actions, _ = made.act(observations)
    assert (read.act(observations)[0] == actions).all()
    made.spec.codec().apply(torch.full((50, len(knobs)), -3.0).numpy(), actions)  # raises for what is no action


def test_the_shipped_ones_load_and_are_listed():
    files = sorted(Path(policy_module.__file__).parent.glob("*.safetensors"))
    assert available() == tuple(path.stem for path in files)
    assert all(load_policy(path.stem).name == path.stem and load_policy(path.stem).spec.training for path in files)


def test_unknown_names_and_missing_files_are_told(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="unknown policy 'nothing'; shipped: "):
        load_policy("nothing")
    with pytest.raises(ValueError, match=r"cannot load policy .*nowhere.safetensors': "):
        load_policy(tmp_path / "nowhere.safetensors")
    monkeypatch.setattr(policy_module, "SHIPPED", tmp_path)
    varied().save(tmp_path / "recommended.safetensors")
    varied().save(tmp_path / "another.safetensors")
    assert available() == ("another", "recommended")
    assert load_policy().name == "recommended" and load_policy("another").name == "another"


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"^cannot load policy .*: .+$"):
        load_policy(file)


def test_any_changed_byte_is_refused(file):
    content = file.read_bytes()
    for place in range(0, len(content), 61):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ValueError, match="cannot load policy"):
            load_policy(file)


def test_a_tampered_header_is_refused(file):
    with safe_open(file, "pt") as entry:
        header = dict(entry.metadata())
        tensors = {name: entry.get_tensor(name) for name in entry.keys()}  # noqa: SIM118  # not iterable
    header["json"] = header["json"].replace('"history": 3', '"history": 2')
    save_file(tensors, file, header)
    with pytest.raises(ValueError, match="checksum"):
        load_policy(file)
    header["sha256"] = digest_tensors(tensors, header["json"])
    save_file(tensors, file, header)
    with pytest.raises(ValueError, match="does not take"):
        load_policy(file)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": "gan-balance GAN"}, "it is not a policy"),
        ({"version": 2}, "version 2 of the format; this program reads version 1"),
        ({"version": None}, "version None"),
        ({"bounds": {"lr_g": [0, 1], "lr_d": [0, 1]}}, "its bounds are not those of this program"),
        ({"features": [["real_accuracy", -1, 0, 1, True]]}, "its features are not those of this program"),
        ({"knobs": ["lr_g"]}, "lr_d is missing"),
        ({"knobs": 3}, "not complete"),
        ({"groups": ["default", "quality"]}, "quality proxy"),
        ({"groups": ["default", "mine"]}, "unknown observation group 'mine'"),
        ({"history": 0}, "history must be"),
        ({"history": True}, "history must be"),
        ({"history": 10**9}, "its network does not take"),
        ({"history": 10**30}, "its network does not take"),
        ({"decisions": 2.5}, "decisions must be"),
        ({"moves": [5, 1.5]}, "moves"),
        ({"action_type": "random"}, "unknown action type 'random'"),
        ({"layers": [{"kind": "exec", "sizes": []}]}, "unknown layer 'exec'"),
        ({"layers": [{"kind": "linear", "sizes": [31, "9"]}]}, "sizes of layer"),
        ({"layers": [{"kind": "linear", "sizes": [10**9, 10**9]}]}, "weights do not fit"),
        ({"layers": [{"kind": "lstm", "sizes": [4, 4, 10**8]}]}, "2 tensors are too few"),
        ({"layers": [{"kind": "lstm", "sizes": [4, 4, float("inf")]}]}, "2 tensors are too few"),
        ({"layers": [{"kind": "tanh", "sizes": []}] * 1000}, "2 tensors are too few"),
        ({"layers": [{"kind": "hardtanh", "sizes": [2, -2]}]}, "weights do not fit"),
        ({"layers": [{"kind": "linear"}]}, "not complete"),
        ({"layers": []}, "weights do not fit"),
        ({"seen": []}, "other features"),
        ({"seen": [["real_accuracy", 1, 0]]}, "other features"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_its_reason(file, changes, reason):
    rewrite(file, **changes)
    with pytest.raises(ValueError, match=re.escape(reason)) as refusal:
        load_policy(file)
    assert "\n" not in str(refusal.value)


def test_missing_parts_are_named(file):
    tensors, metadata = read_tensors(file)
    for part in ("knobs", "groups", "history", "action_type", "moves", "decisions", "layers", "seen"):
        write_tensors(file, tensors, {name: value for name, value in metadata.items() if name != part})
        with pytest.raises(ValueError, match=part):
            load_policy(file)


def test_weights_must_be_finite_and_fit():
    made = spec()
    inputs, outputs = made.layers[0].sizes
    good = {"layers.0.weight": torch.zeros(outputs, inputs), "layers.0.bias": torch.zeros(outputs)}
    for wrong, reason in (
        (good | {"layers.0.bias": torch.full((outputs,), torch.nan)}, "finite"),
        (good | {"layers.0.bias": torch.zeros(2)}, "weights do not fit"),
        (good | {"layers.1.bias": torch.zeros(2)}, "weights do not fit"),
    ):
        with pytest.raises(ValueError, match=reason):
            Policy(made, wrong)
    narrow = {"layers.0.weight": torch.zeros(2, inputs), "layers.0.bias": torch.zeros(2)}
    with pytest.raises(ValueError, match="gives 2 numbers, not 9"):
        Policy(spec(layers=(Layer("linear", (inputs, 2)),)), narrow)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_can_be_made_and_keeps_its_size(kind):
    sizes = {"linear": (3, 3), "renorm": (3,), "lstm": (3, 3, 2), "hardtanh": (-2.0, 2.0)}.get(kind, ())
    state = KINDS[kind](*sizes).state_dict()
    network = PolicyNetwork([Layer(kind, sizes)], {f"layers.0.{name}": value for name, value in state.items()})
    values, memory = network(torch.randn(5, 3))
    assert values.shape == (5, 3) and (memory is not None) == (kind == "lstm")
    assert not network(torch.randn(5, 3), memory)[0].requires_grad


def test_the_record_is_plain_json(file):
    _, metadata = read_tensors(file)
    assert metadata["training"] == {"suite": "ring", "timesteps": 7}
    json.dumps(metadata, allow_nan=False)
