"""What is put in place out of a file: taken where it could have been written by an honest run, else named."""

import math

import numpy as np
import pytest
import torch

from agents.checkpoint import Checkpoint, naming
from agents.latent_gans import GanRow, GanSizes, GanTrainer
from agents.restoring import Each, MisfitError, require_finite, require_like, require_optimizer, restoring
from gan_backbones.data import DataSet

EXAMPLE = {
    "count": 3,
    "rate": 0.5,
    "on": True,
    "name": "x",
    "unknown": None,
    "weights": torch.zeros(2, 3),
    "rows": np.zeros((2, 4), np.float32),
    "pair": (1, 0.5),
    "log": Each({"at": 0, "value": 0.0}),
    "of any content": {},
    "of any shape": np.zeros(0, np.int64),
}


def like(**changes):
    right = {"count": 7, "rate": 2, "on": False, "name": "y", "unknown": [1], "weights": torch.ones(2, 3)}
    right |= {"rows": np.ones((2, 4), np.float32), "pair": (2, np.float32(1)), "of any content": {1: 2}}
    right |= {"of any shape": np.zeros((2, 3), np.int64)}
    return right | {"log": [{"at": 1, "value": math.nan}] * 3} | changes


def test_what_is_built_alike_is_taken():
    require_like(like(), EXAMPLE)
    require_like(like(weights=torch.nn.Parameter(torch.ones(2, 3))), EXAMPLE)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"count": 1.5}, "count"),
        ({"count": True}, "count"),
        ({"count": "3"}, "count"),
        ({"rate": "abc"}, "rate"),
        ({"rate": None}, "rate"),
        ({"on": 1}, "on"),
        ({"name": None}, "name"),
        ({"weights": torch.zeros(1, 3)}, "weights"),
        ({"weights": torch.zeros(2, 3, dtype=torch.float64)}, "weights"),
        ({"weights": [0.0]}, "weights"),
        ({"rows": np.zeros((2, 4))}, "rows"),
        ({"rows": np.zeros((1, 4), np.float32)}, "rows"),
        ({"pair": [1, 0.5]}, "pair"),
        ({"pair": (1, "x")}, "pair'][1"),
        ({"log": 3}, "log"),
        ({"log": [{"at": 1, "value": 0.0}, {"at": 1}]}, "log'][1"),
        ({"log": [{"at": 1, "value": "x"}]}, "log'][0"),
        ({"of any content": []}, "of any content"),
        ({"of any shape": np.zeros(3)}, "of any shape"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_built_otherwise_is_named(changes, place):
    with pytest.raises(MisfitError) as caught:
        require_like(like(**changes), EXAMPLE)
    assert place in str(caught.value)
    for tree in (None, [], 3, "x", {}):
        with pytest.raises(MisfitError):
            require_like(tree, EXAMPLE)


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("hold", [float, np.float32, lambda x: torch.tensor([0.0, x]), lambda x: [{"a": (x,)}]])
def test_numbers_that_are_not_finite_are_named(number, hold):
    require_finite({"a": [hold(1.0), None, "nan", 2**70]}, "it")
    with pytest.raises(MisfitError, match=r"it\['a'\]"):
        require_finite({"a": hold(number)}, "it")


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_an_optimizer_s_state_has_to_let_it_step(kind):
    module = torch.nn.Linear(2, 3)
    fresh = kind(module.parameters(), lr=1e-3)
    module(torch.ones(1, 2)).sum().backward()
    stepped = kind(module.parameters(), lr=1e-3)
    stepped.step()
    for state in (fresh.state_dict(), stepped.state_dict()):
        require_optimizer(fresh, state, "it")

    def spoilt(change):
        state = stepped.state_dict()
        state = state | {"state": {index: dict(own) for index, own in state["state"].items()}}
        change(state)
        return state

    moment = next(name for name in stepped.state_dict()["state"][0] if name != "step")
    for change in (
        lambda state: state["state"][0].pop(moment),
        lambda state: state["state"][0].update({moment: torch.zeros(1)}),
        lambda state: state["state"][1].update({moment: torch.full((3,), math.nan)}),
        lambda state: state["state"].update({5: state["state"][0]}),
        lambda state: state.update({"param_groups": []}),
        lambda state: state.update({"param_groups": [state["param_groups"][0] | {"lr": "fast"}]}),
    ):
        with pytest.raises(MisfitError), restoring():
            require_optimizer(fresh, spoilt(change), "it")


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("a\nb"), AttributeError(), IndexError(), RuntimeError("c")])
def test_what_goes_wrong_is_one_line_with_the_checkpoint_s_path(tmp_path, error):
    saved = Checkpoint(3, {}, tmp_path / "step-3")
    told = rf"step-3 does not fit this run: {type(error).__name__}"
    with pytest.raises(ValueError, match=told) as caught, naming(saved), restoring():
        raise error
    assert "\n" not in str(caught.value)
    with pytest.raises(KeyError), naming(saved):  # what is no restoring is not hidden
        raise KeyError("x")


def test_weights_that_are_not_finite_belong_to_gans_that_diverged():
    pixels = torch.randint(256, (24, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    data = DataSet("noise", pixels, {}, {}, None)
    sizes = GanSizes(latent_size=4, width=2, batch_size=4, updates=2)
    trainer = GanTrainer([GanRow(data, 0), GanRow(data, 1)], sizes)
    trainer.train(progress=False)
    state = trainer.get_state()
    trainer.set_state(state)
    state["population"]["tensors"][0][1, 3] = math.nan
    with pytest.raises(MisfitError, match="GAN 1 has weights that are not finite"):
        trainer.set_state(state)
    state["records"][1]["diverged"] = True
    trainer.set_state(state)
    other = DataSet("noise", pixels.flip(0), {}, {}, None)
    with pytest.raises(MisfitError, match="other data"):
        GanTrainer([GanRow(other, 0), GanRow(other, 1)], sizes).set_state(state)
    trainer.close()
