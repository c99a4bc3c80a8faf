"""A balancer that was interrupted and goes on."""

import io

import numpy as np
import pytest
import torch
from torch import optim

from agents.balancer import Balancer
from agents.policies.network import Layer
from agents.policies.policy import Policy
from tests.agents.deployed import Loop, always, run, spec, varied


@pytest.mark.parametrize("make", [optim.Adam, optim.SGD], ids=["adam", "sgd"])
@pytest.mark.parametrize("beside_scheduler", [False, True])
@pytest.mark.parametrize(("total", "stop"), [(20, 7), (20, 3), (100, 39)], ids=str)
def test_a_run_that_was_interrupted_goes_on_as_if_it_was_not(make, beside_scheduler, total, stop):
    policy = varied(seed=3)
    loop = Loop(make)
    balancer = Balancer(policy).attach(*loop.optimizers, total_updates=total, beside_scheduler=beside_scheduler)
    run(balancer, loop, stop)
    file = io.BytesIO()
    networks = (loop.generator, loop.discriminator)
    state = [one.state_dict() for one in (balancer, *loop.optimizers, *networks)]
    torch.save([*state, loop.rng.get_state()], file)
    whole = run(balancer, loop, total - stop)

    file.seek(0)
    *state, rng = torch.load(file, weights_only=True)
    fresh = Loop(make, lr_g=3e-3)
    resumed = Balancer(policy).attach(*fresh.optimizers, total_updates=total, beside_scheduler=beside_scheduler)
    for one, saved in zip((resumed, *fresh.optimizers, fresh.generator, fresh.discriminator), state, strict=True):
        one.load_state_dict(saved)
    fresh.rng.set_state(rng)
    assert run(resumed, fresh, total - stop) == whole
    assert fresh.rates == loop.rates and len(set(whole)) > 2
    assert np.array_equal(resumed.observation, balancer.observation)


@pytest.mark.parametrize("rate", [float, torch.tensor], ids=["float", "tensor"])
@pytest.mark.parametrize("start", [5e-5, 2e-4, 1e-3])
def test_a_run_that_has_reached_its_bounds_goes_on(rate, start):
    def attached(loop):
        policy = always([1.0, -1.0], action_type="continuous")
        bounds = dict.fromkeys(("lr_g", "lr_d"), (1e-5, 1e-3))
        return Balancer(policy).attach(*loop.optimizers, total_updates=200, decisions=20, bounds=bounds)

    loops = [Loop(lr_g=rate(start), lr_d=rate(start), foreach=False) for _ in range(2)]
    balancer = attached(loops[0])
    at_bounds = run(balancer, loops[0], 100)[-1]
    assert at_bounds == pytest.approx((1e-3, 1e-5))
    for one, saved in zip(loops[1].optimizers, loops[0].optimizers, strict=True):
        one.load_state_dict(saved.state_dict())
    resumed = attached(loops[1])
    resumed.load_state_dict(balancer.state_dict())
    assert run(resumed, loops[1], 100) == run(balancer, loops[0], 100) == [at_bounds] * 100
    assert loops[1].rates == loops[0].rates


def attached(policy=None, **options):
    return Balancer(policy or varied(seed=3)).attach(*Loop().optimizers, **{"total_updates": 20} | options)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"total_updates": 21}, "total_updates 20, not 21"),
        ({"decisions": 4}, "decisions 5, not 4"),
        ({"policy": varied(seed=4)}, "policy "),
        ({"policy": varied(seed=3, moves=(1.2, 3.0))}, "policy "),
        ({"bounds": {"lr_g": (1e-4, 1e-2)}}, "log10_bounds "),
        ({"beside_scheduler": True}, "beside_scheduler False, not True"),
        ({"center_logits": True}, "center_logits False, not True"),
    ],
)
def test_the_state_of_another_balancer_is_refused(changes, reason):
    state = attached().state_dict()
    attached().load_state_dict(state)
    other = attached(**changes)
    before = other.state_dict()
    with pytest.raises(ValueError, match=f"^the state is of a balancer attached with {reason}") as refusal:
        other.load_state_dict(state)
    assert "\n" not in str(refusal.value) and other.state_dict()["optimizers"] == before["optimizers"]


def test_the_same_policy_from_its_file_goes_on(tmp_path):
    policy = varied(seed=3, training={"moves": [1, 2.5], "suite": "ring"})
    policy.save(tmp_path / "policy.safetensors")
    balancer, resumed = attached(policy), attached(Balancer.load(tmp_path / "policy.safetensors").policy)
    resumed.load_state_dict(balancer.state_dict())
    assert resumed.knobs == balancer.knobs


def test_a_loss_that_was_not_finite_is_remembered():
    balancer, resumed = attached(decisions=2), attached(decisions=2)
    logits = torch.zeros(4), torch.zeros(4)
    balancer.update(torch.tensor(torch.nan), 0.0, *logits)
    resumed.load_state_dict(balancer.state_dict())
    for _ in range(8):
        resumed.update(0.0, 0.0, *logits)
    with pytest.warns(UserWarning, match="not finite"):
        resumed.update(0.0, 0.0, *logits)
    assert resumed.holding


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_state_that_was_loaded_onto_a_device_goes_on():
    inputs = spec().layers[0].sizes[0]
    lstm = torch.nn.LSTM(inputs, 9)
    policy = Policy(
        spec(layers=(Layer("lstm", (inputs, 9, 1)),)),
        {f"layers.0.{name}": value for name, value in lstm.state_dict().items()},
    )
    loop = Loop()
    balancer = Balancer(policy).attach(*loop.optimizers, total_updates=20)
    run(balancer, loop, 7)
    file = io.BytesIO()
    torch.save(balancer.state_dict(), file)
    file.seek(0)
    balancer.load_state_dict(torch.load(file, weights_only=True, map_location="cuda"))
    assert len(run(balancer, loop, 13)) == 13
