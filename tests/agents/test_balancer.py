"""The balancer in ordinary training loops."""

import copy
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import optim

from agents.balancer import Balancer
from agents.balancer_plan import Plan, knob_limits
from gan_env.knobs import RATE_KNOBS
from tests.agents.deployed import Loop, always, run, varied

ROOT = Path(__file__).parents[2]

UP_G, DOWN_D = 1, 6  # "lr_g up 1.5" and "lr_d down 1.5"


def test_it_decides_at_even_distances_and_moves_the_rates():
    loop = Loop()
    balancer = Balancer(always(UP_G)).attach(*loop.optimizers, total_updates=10)
    assert loop.rates == pytest.approx((1.5e-3, 1e-3)), "the first decision comes before the first update"
    trace = run(balancer, loop, 14)
    expected = [1e-3 * 1.5 ** (1 + min(update // 2, 4)) for update in range(1, 15)]
    assert [lr_g for lr_g, _ in trace] == pytest.approx(expected)
    assert loop.rates == pytest.approx(tuple(balancer.knobs.values())) and loop.rates[0] == pytest.approx(expected[-1])


@pytest.mark.parametrize(("total", "decisions"), [(10, 5), (7, 3), (100, 25), (2500, 2500), (5, 1)])
def test_all_decisions_are_made_at_distances_that_differ_by_one_at_most(total, decisions):
    plan = Plan(total, decisions)
    due = [plan.due(decision) for decision in range(decisions)]
    gaps = np.diff([*due, total])
    assert due[0] == 0 and plan.due(decisions) == total
    assert gaps.min() >= 1 and gaps.max() - gaps.min() <= 1


def test_by_default_it_decides_as_its_file_says_or_after_every_update():
    loop = Loop()
    assert Balancer(varied(decisions=5)).attach(*loop.optimizers, total_updates=100)._plan.decisions == 5
    assert Balancer(varied(decisions=5)).attach(*loop.optimizers, total_updates=3)._plan.decisions == 3


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"total_updates": 0}, "total_updates must be"),
        ({"total_updates": 2.5}, "total_updates must be"),
        ({"total_updates": 4, "decisions": 5}, "5 decisions need as many updates"),
        ({"total_updates": 9, "decisions": 0}, "decisions must be"),
        ({"total_updates": 9, "warmup_updates": -1}, "warmup_updates must be"),
        ({"total_updates": 9, "bounds": {"lr_x": (0, 1)}}, "does not turn 'lr_x'"),
        ({"total_updates": 9, "bounds": {"lr_g": (1e-4, 1)}}, "bounds of lr_g must lie in"),
        ({"total_updates": 9, "bounds": {"lr_g": (1e-5, 1e-4)}}, "lr_g starts at 0.001, outside its bounds"),
        ({"total_updates": 9, "weights": {"fm_weight": 1.0}}, "does not turn 'fm_weight'"),
    ],
)
def test_what_makes_no_sense_is_refused(options, reason):
    loop = Loop(optim.SGD)
    with pytest.raises(ValueError, match=reason):
        Balancer(always(0)).attach(*loop.optimizers, **options)
    assert loop.rates == (1e-3, 1e-3) and not loop.optimizer_g._optimizer_step_pre_hooks


@pytest.mark.parametrize(("bound", "missed"), [(1e-5, -1), (1e-3, 1)])
def test_a_start_that_misses_a_bound_by_rounding_is_taken_as_the_bound(bound, missed):
    def start(share):
        given = dict.fromkeys(RATE_KNOBS, bound * (1 + missed * share))
        return 10 ** knob_limits(RATE_KNOBS, given, dict.fromkeys(RATE_KNOBS, (1e-5, 1e-3)))[0][0]

    assert start(5e-7) == pytest.approx([bound, bound], rel=1e-12)
    with pytest.raises(ValueError, match="outside its bounds"):
        start(1e-5)


def test_one_optimizer_for_both_and_updates_before_attaching_are_refused():
    loop, balancer = Loop(), Balancer(always(0))
    with pytest.raises(ValueError, match="an optimizer each"):
        balancer.attach(loop.optimizer_g, loop.optimizer_g, total_updates=9)
    with pytest.raises(RuntimeError, match="attach"):
        balancer.update(*loop.step())
    balancer.attach(*loop.optimizers, total_updates=9)
    with pytest.raises(ValueError, match="logits must be a tensor"):
        balancer.update(0.0, 0.0, [1.0], torch.zeros(3))


def test_bounds_are_respected():
    loop = Loop()
    bounds = {"lr_g": (5e-4, 2e-3)}
    balancer = Balancer(always(UP_G)).attach(*loop.optimizers, total_updates=10, bounds=bounds)
    run(balancer, loop, 10)
    assert loop.rates == pytest.approx((2e-3, 1e-3))
    balancer = Balancer(always([1.0, -1.0], action_type="continuous", decisions=40))
    run(balancer.attach(*loop.optimizers, total_updates=40), loop, 40)
    assert loop.rates == pytest.approx((1e-1, 1e-6)), "those of the knobs"


def test_during_the_warm_up_the_policy_looks_on():
    loop = Loop()
    balancer = Balancer(always(UP_G)).attach(*loop.optimizers, total_updates=10, warmup_updates=3)
    trace = run(balancer, loop, 10)
    assert [lr_g for lr_g, _ in trace[:3]] == pytest.approx([1e-3] * 3) and trace[3][0] == pytest.approx(1.5e-3)
    names = balancer._observer.names
    assert balancer.observation[names.index("loss_d[2]")] != 0, "the history was filled"


def test_other_knobs_are_said_and_not_done():
    loop = Loop()
    policy = always(9, knobs=("lr_g", "lr_d", "fm_weight"))  # fm_weight up 1.5
    balancer = Balancer(policy).attach(*loop.optimizers, total_updates=10, weights={"fm_weight": 0.2})
    assert balancer.knobs == pytest.approx({"lr_g": 1e-3, "lr_d": 1e-3, "fm_weight": 0.3})


def test_groups_keep_their_ratios():
    loop = Loop()
    first, *rest = loop.generator.parameters()
    loop.optimizer_g = optim.Adam([{"params": [first], "lr": 1e-3}, {"params": rest, "lr": 2e-3}])
    Balancer(always(UP_G)).attach(*loop.optimizers, total_updates=10)
    assert [group["lr"] for group in loop.optimizer_g.param_groups] == pytest.approx([1.5e-3, 3e-3])


def test_losses_of_any_form_look_alike():
    """What is trained is not what is seen: the canonical losses of the logits are."""
    loop = Loop()
    one, other = (Balancer(varied()).attach(*copy.deepcopy(loop).optimizers, total_updates=5) for _ in range(2))
    logits = torch.randn(16, 1), torch.randn(16, 1)
    one.update(torch.tensor(0.3), torch.tensor(0.7), *logits)
    other.update(-123.0, 55.0, logits[0].reshape(4, 4), logits[1].reshape(2, 8))
    assert np.array_equal(one.observation, other.observation)


def test_gradient_accumulation_sees_the_same_logits():
    torch.manual_seed(0)
    whole, parts = Loop(), Loop()
    one = Balancer(varied(history=1)).attach(*whole.optimizers, total_updates=10)
    four = Balancer(varied(history=1)).attach(*parts.optimizers, total_updates=40)
    for _ in range(2):
        real, fake = torch.randn(16), torch.randn(16)
        one.update(0.0, 0.0, real, fake)
        for index in range(4):
            four.update(0.0, 0.0, real[4 * index :][:4], fake[4 * index :][:4])
    np.testing.assert_allclose(one.observation, four.observation, atol=1e-6)
    assert one.knobs == pytest.approx(four.knobs)


def test_it_works_under_autocast_and_with_a_scaler_that_skips_steps():
    loop, balancer = Loop(lr_g=1e-2), Balancer(always(UP_G))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14, growth_interval=3)
    balancer.attach(*loop.optimizers, total_updates=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for update in range(10):
            with torch.autocast("cpu", torch.bfloat16):
                fake = loop.generator(torch.randn(8, 2))
                real_logits, fake_logits = loop.discriminator(torch.randn(8, 2)), loop.discriminator(fake.detach())
                loss_d = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
            loop.optimizer_d.zero_grad()
            scaler.scale(loss_d).backward()
            if update == 1:
                next(loop.discriminator.parameters()).grad.fill_(math.inf)  # the scaler skips this step
            scaler.step(loop.optimizer_d)
            with torch.autocast("cpu", torch.bfloat16):
                loss_g = F.softplus(-loop.discriminator(fake)).mean()
            loop.optimizer_g.zero_grad()
            scaler.scale(loss_g).backward()
            scaler.step(loop.optimizer_g)
            scaler.update()
            assert real_logits.dtype is torch.bfloat16
            balancer.update(loss_g, loss_d, real_logits, fake_logits)
    assert not balancer.holding and loop.rates[0] == pytest.approx(1e-2 * 1.5**5)
    assert np.isfinite(balancer.observation).all()


def tell(balancer, *arguments, times):
    for _ in range(times):
        balancer.update(*arguments)


def seen_in_training(real_logit):
    """A policy that has seen this range of one feature."""
    policy = varied()
    seen = dict(policy.spec.seen) | {"real_logit": real_logit}
    return type(policy)(policy.spec.__class__(**vars(policy.spec) | {"seen": seen}), policy.network.state_dict())


def test_beyond_its_bounds_a_feature_is_as_strange_as_at_them():
    loop = Loop()
    balancer = Balancer(seen_in_training((-1.0, 7.0))).attach(*loop.optimizers, total_updates=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell(balancer, 0.0, 0.0, torch.full((4,), 100.0), torch.zeros(4), times=4)
    assert not balancer.holding


def test_strange_features_are_told_in_one_line_and_hold_the_knobs():
    loop = Loop()
    balancer = Balancer(seen_in_training((-1.0, 1.0))).attach(*loop.optimizers, total_updates=20, decisions=10)
    run(balancer, loop, 2)
    before = balancer.knobs
    with pytest.warns(UserWarning, match=r"^update 4: real_logit is 20 \(in training -1 to 1\); .* holds") as told:
        tell(balancer, 0.0, 0.0, torch.full((4,), 100.0), torch.zeros(4), times=4)
    assert len(told) == 1 and balancer.holding and balancer.knobs == before
    assert Path(told[0].filename) == Path(__file__), "it points at the caller's line"
    run(balancer, loop, 2)
    assert not balancer.holding
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell(balancer, 0.0, 0.0, torch.full((4,), 100.0), torch.zeros(4), times=2)
    assert balancer.holding, "it is told once"
    with pytest.warns(UserWarning, match=r"^update 12: a .* not finite; the balancer holds"):
        tell(balancer, math.nan, 0.0, torch.full((4,), 100.0), torch.zeros(4), times=2)
    run(balancer, loop, 2)
    with pytest.warns(UserWarning, match=r"^update 16: a .* not finite; the balancer holds"):
        tell(balancer, math.nan, 0.0, torch.zeros(4), torch.zeros(4), times=2)


def test_what_does_not_come_from_the_gan_is_never_strange():
    policy = varied()
    narrow = dict(policy.spec.seen) | dict.fromkeys(("lr_g_relative", "lr_d_relative", "budget_left"), (0.9, 0.9))
    spec = type(policy.spec)(**vars(policy.spec) | {"seen": narrow})
    loop = Loop()
    balancer = Balancer(type(policy)(spec, policy.network.state_dict())).attach(*loop.optimizers, total_updates=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(balancer, loop, 10)
    assert not balancer.holding


@pytest.mark.parametrize("where", ["logit", "loss", "weight"])
def test_what_is_not_finite_holds_the_knobs(where):
    loop = Loop()
    balancer = Balancer(always(UP_G)).attach(*loop.optimizers, total_updates=10)
    before = balancer.knobs
    loss_g, loss_d, real, fake = loop.step()
    if where == "weight":
        next(loop.generator.parameters()).data[0] = math.nan
    real = real * math.inf if where == "logit" else real
    loss_g = loss_g * math.nan if where == "loss" else loss_g
    with pytest.warns(UserWarning, match="not finite") as told:
        tell(balancer, loss_g, loss_d, real, fake, times=4)
    assert len(told) == 1 and balancer.knobs == before and np.isfinite(balancer.observation).all()


@pytest.mark.parametrize("form", [float, torch.tensor], ids=["number", "tensor"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_loss_of_every_update_is_watched(form, bad):
    loop = Loop()
    balancer = Balancer(always(UP_G)).attach(*loop.optimizers, total_updates=100, decisions=2)
    arguments = torch.zeros(4), torch.zeros(4)
    balancer.update(form(0.5), form(bad), *arguments)
    with pytest.warns(UserWarning, match="not finite"):
        tell(balancer, form(0.5), form(0.5), *arguments, times=49)
    assert balancer.holding and loop.rates[0] == pytest.approx(1.5e-3)
    balancer.attach(*loop.optimizers, total_updates=4, decisions=4)
    with pytest.warns(UserWarning, match="not finite"):
        tell(balancer, form(bad), form(0.5), *arguments, times=1)
    tell(balancer, form(0.5), form(0.5), *arguments, times=1)
    assert not balancer.holding, "it is forgotten at the next decision"


def shifted(offset, **options):
    """Observations after each update of a critic whose scores are all this much higher."""
    loop = Loop()
    balancer = Balancer(varied()).attach(*loop.optimizers, total_updates=40, decisions=10, **options)
    seen = []
    for index in range(40):
        loss_g, loss_d, real, fake = loop.step()
        balancer.update(loss_g, loss_d, real + offset, fake[: 8 + index % 8] + offset)
        seen.append(balancer.observation)
    return np.stack(seen)


def test_centred_logits_have_no_zero_of_their_own():
    np.testing.assert_allclose(shifted(50.0, center_logits=True), shifted(0.0, center_logits=True), atol=1e-4)
    assert np.abs(shifted(50.0) - shifted(0.0)).max() > 1


def test_detached_it_leaves_everything_alone():
    loop = Loop(optim.SGD)
    balancer = Balancer(always(UP_G)).attach(*loop.optimizers, total_updates=10)
    balancer.detach()
    assert loop.rates == pytest.approx((1.5e-3, 1e-3))
    assert not any(one._optimizer_step_pre_hooks or one._optimizer_step_post_hooks for one in loop.optimizers)
    with pytest.raises(RuntimeError, match="attach"):
        balancer.update(*loop.step())
