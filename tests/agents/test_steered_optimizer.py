"""Rates set from outside, updates measured: against what the optimizers do."""

import functools

import pytest
import torch
from torch import optim
from torch._subclasses.fake_tensor import FakeTensorMode

from agents.steered_optimizer import SteeredOptimizer

OPTIMIZERS = {
    "adam": optim.Adam,
    "adam, other betas and eps": functools.partial(optim.Adam, betas=(0.0, 0.9), eps=1e-4),
    "adam, L2": functools.partial(optim.Adam, weight_decay=0.1),
    "amsgrad": functools.partial(optim.Adam, amsgrad=True),
    "adamw": functools.partial(optim.AdamW, weight_decay=0.1),
    "capturable": functools.partial(optim.Adam, foreach=False),
    "rmsprop": optim.RMSprop,
    "rmsprop, momentum": functools.partial(optim.RMSprop, momentum=0.9, centered=True),
    "sgd": optim.SGD,
    "sgd, nesterov": functools.partial(optim.SGD, momentum=0.9, nesterov=True),
    "nadam": optim.NAdam,
}
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


def weights_of(optimizer):
    return torch.cat([p.detach().flatten() for group in optimizer.param_groups for p in group["params"]]).clone()


@pytest.fixture
def problem():
    """problem(make, **options) -> an optimizer of two groups of different rates, and a function that makes a step."""

    def build(make, dtype=torch.float64, **options):
        rng = torch.Generator().manual_seed(0)
        parameters = [torch.nn.Parameter(torch.randn(shape, generator=rng).to(dtype)) for shape in ((3, 4), (4,), (2,))]
        optimizer = make(
            [{"params": parameters[:2]}, {"params": parameters[2:], "lr": 3e-3}],
            lr=1e-2,
            **options,
        )

        def step():
            optimizer.zero_grad()
            sum(((p - torch.randn(p.shape, generator=rng)) ** 2).sum() for p in parameters).backward()
            optimizer.step()

        return optimizer, step

    return build


@every_optimizer
@pytest.mark.parametrize("beside_scheduler", [False, True])
def test_the_measured_step_is_the_one_made(problem, make, beside_scheduler):
    optimizer, step = problem(make)
    steered = SteeredOptimizer(optimizer, beside_scheduler=beside_scheduler)
    assert steered.norms()[0] == 0
    steered.watching = True
    steered.set_factor(0.3)
    for _ in range(4):
        before = weights_of(optimizer)
        step()
        after = weights_of(optimizer)
        moved, weight = steered.norms().tolist()
        assert weight == pytest.approx(after.norm().item())
        # AdamW's decay is that of the weights before the step.
        assert moved == pytest.approx((after - before).norm().item(), rel=1e-2 if "weight_decay" in str(make) else 1e-6)


@every_optimizer
def test_a_factor_does_what_a_scheduler_would(problem, make):
    optimizer, step = problem(make)
    other, other_step = problem(make)
    steered = SteeredOptimizer(optimizer)
    for factor in (1.0, 0.5, 4.0):
        steered.set_factor(factor)
        for group, rate in zip(other.param_groups, (1e-2, 3e-3), strict=True):
            group["lr"] = rate * factor
        step()
        other_step()
        assert torch.allclose(weights_of(optimizer), weights_of(other), rtol=1e-12)
        assert steered.rates == pytest.approx([1e-2 * factor, 3e-3 * factor])
        assert [group["lr"] for group in optimizer.param_groups] == steered.rates


@every_optimizer
def test_a_group_that_is_added_is_steered_from_what_it_has(problem, make):
    optimizer, step = problem(make)
    steered = SteeredOptimizer(optimizer)
    steered.set_factor(0.5)
    added = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer.add_param_group({"params": [added], "lr": 2e-3})
    added.grad = torch.ones_like(added)
    step()
    assert optimizer.param_groups[2]["lr"] == 2e-3 and steered.norms().isfinite().all()
    steered.set_factor(2.0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([2e-2, 6e-3, 8e-3])
    fresh = SteeredOptimizer(optimizer)
    fresh.load_state_dict(steered.state_dict())
    assert fresh.rates == steered.rates == [group["lr"] for group in optimizer.param_groups]


def test_a_group_that_is_added_with_the_shared_tensor_keeps_it(problem):
    optimizer, _ = problem(functools.partial(optim.Adam, foreach=False))
    shared = torch.tensor(1e-2)
    for one in (optimizer.defaults, optimizer.param_groups[0]):
        one["lr"] = shared
    steered = SteeredOptimizer(optimizer)
    steered.set_factor(0.5)
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(3))]})
    steered.set_factor(2.0)
    assert optimizer.param_groups[2]["lr"] is shared
    assert [float(group["lr"]) for group in optimizer.param_groups] == pytest.approx([2e-2, 6e-3, 2e-2])


def test_a_group_that_is_added_beside_a_scheduler_has_the_schedulers_rate(problem):
    optimizer, _ = problem(optim.SGD)
    steered = SteeredOptimizer(optimizer, beside_scheduler=True)
    steered.set_factor(0.5)
    added = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer.add_param_group({"params": [added], "lr": 0.1})
    assert steered.base_rates == [1e-2, 3e-3, 0.1]
    added.grad = torch.ones_like(added)
    optimizer.step()
    assert float(added.detach()) == pytest.approx(1 - 0.5 * 0.1) and optimizer.param_groups[2]["lr"] == 0.1


@pytest.mark.parametrize(
    "schedule",
    [
        functools.partial(optim.lr_scheduler.ExponentialLR, gamma=0.7),
        functools.partial(optim.lr_scheduler.CosineAnnealingLR, T_max=6),
        functools.partial(optim.lr_scheduler.LambdaLR, lr_lambda=lambda step: step / 6),
    ],
)
def test_beside_a_scheduler_the_factor_is_multiplied_and_never_seen(problem, schedule):
    optimizer, step = problem(optim.SGD)
    alone, alone_step = problem(optim.SGD)
    mine, theirs = schedule(optimizer), schedule(alone)
    steered = SteeredOptimizer(optimizer, beside_scheduler=True)
    assert steered.base_rates == [1e-2, 3e-3], "the schedule's own start, though LambdaLR begins at 0"
    for factor in (1.0, 2.0, 2.0, 0.25, 3.0):
        steered.set_factor(factor)
        before = weights_of(optimizer)
        with torch.no_grad():
            for a, b in zip(*(one.param_groups for one in (optimizer, alone)), strict=True):
                for p, q in zip(a["params"], b["params"], strict=True):
                    q.copy_(p)
        step()
        alone_step()
        moved, expected = weights_of(optimizer) - before, weights_of(alone) - before
        assert torch.allclose(moved, factor * expected, rtol=1e-9, atol=1e-15)
        mine.step()
        theirs.step()
        assert mine.get_last_lr() == theirs.get_last_lr() == [group["lr"] for group in optimizer.param_groups]


def test_a_step_that_fails_leaves_the_schedulers_rate(problem):
    optimizer, _ = problem(optim.SGD)
    steered = SteeredOptimizer(optimizer, beside_scheduler=True)
    steered.set_factor(8.0)

    def fail():
        raise RuntimeError

    for _ in range(3):
        with pytest.raises(RuntimeError):
            optimizer.step(fail)
    optimizer.step()
    assert [group["lr"] for group in optimizer.param_groups] == [1e-2, 3e-3]
    steered.release()
    assert not optimizer._optimizer_step_pre_hooks and not optimizer._optimizer_step_post_hooks


@pytest.mark.parametrize("beside_scheduler", [False, True])
def test_a_rate_that_is_a_tensor_stays_the_same_one(problem, beside_scheduler):
    optimizer, step = problem(functools.partial(optim.Adam, foreach=False))
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"])
    rates = [group["lr"] for group in optimizer.param_groups]
    steered = SteeredOptimizer(optimizer, beside_scheduler=beside_scheduler)
    steered.set_factor(0.1)
    before = weights_of(optimizer)
    step()
    assert steered.norms()[0].item() == pytest.approx((weights_of(optimizer) - before).norm().item(), rel=1e-5)
    assert all(group["lr"] is rate for group, rate in zip(optimizer.param_groups, rates, strict=True))
    assert [float(rate) for rate in rates] == pytest.approx([1e-2, 3e-3] if beside_scheduler else [1e-3, 3e-4])


def test_only_watched_steps_of_other_classes_are_measured(problem):
    optimizer, step = problem(optim.SGD)
    steered = SteeredOptimizer(optimizer)
    step()
    assert steered.norms()[0] == 0
    steered.watching = True
    step()
    measured = steered.norms()[0]
    steered.watching = False
    step()
    assert steered.norms()[0] == measured > 0


def test_a_step_that_is_long_past_is_shown_as_at_the_present_factor(problem):
    optimizer, step = problem(optim.SGD)
    steered = SteeredOptimizer(optimizer)
    steered.watching = True
    steered.set_factor(4.0)
    step()
    measured = steered.norms()[0].item()
    steered.set_factor(0.5)
    assert steered.norms()[0].item() == pytest.approx(measured / 8) and steered.steps == 1


def test_moments_on_a_device_are_not_mixed_with_copies_from_the_host():
    optimizer = optim.Adam([torch.nn.Parameter(torch.zeros(3))])
    steered = SteeredOptimizer(optimizer)
    with FakeTensorMode():
        parameter = torch.nn.Parameter(torch.empty(3, device="cuda"))
        moments = {name: torch.empty(3, device="cuda") for name in ("exp_avg", "exp_avg_sq")}
    optimizer.param_groups[0]["params"] = [parameter]
    optimizer.state[parameter] = {"step": torch.tensor(5.0)} | moments
    assert steered._step_of(optimizer.param_groups[0], parameter).device.type == "cuda"


def test_half_precision_is_measured_in_float32(problem):
    optimizer, step = problem(optim.SGD, dtype=torch.bfloat16)
    steered = SteeredOptimizer(optimizer)
    steered.watching = True
    step()
    assert steered.norms().dtype is torch.float32 and steered.norms().isfinite().all()


def test_a_state_goes_to_another_optimizer(problem):
    (first, step), (second, _) = problem(optim.SGD), problem(optim.SGD)
    steered, fresh = SteeredOptimizer(first), SteeredOptimizer(second)
    steered.watching = True
    steered.set_factor(2.0)
    step()
    fresh.load_state_dict(steered.state_dict())
    assert fresh.rates == steered.rates == [group["lr"] for group in second.param_groups]
    assert fresh.norms()[0] == steered.norms()[0]
    one = SteeredOptimizer(optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1))
    with pytest.raises(ValueError, match="2 parameter groups, not 1"):
        one.load_state_dict(steered.state_dict())
