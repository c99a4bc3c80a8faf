"""Adam with one value of every hyperparameter per row, against PyTorch's."""

import math

import pytest
import torch

from gan_backbones.optim import EPSILON, AdamState, adam_step

RATES = torch.tensor([1e-3, 3e-2, 0.0, 1.0], dtype=torch.float64)
BETAS = torch.tensor([[0.5, 0.999], [0.9, 0.99], [0.5, 0.9], [0.0, 0.95]], dtype=torch.float64)
SIZE = 6


def run(steps, rng):
    """Twenty steps of ours beside one PyTorch optimizer per row; gradients of very different sizes."""
    parameters = torch.randn(len(RATES), SIZE, generator=rng, dtype=torch.float64)
    state = AdamState.zeros_like(parameters)
    rows = [torch.nn.Parameter(row.clone()) for row in parameters]
    optimizers = [
        torch.optim.Adam([row], lr=float(rate), betas=tuple(betas.tolist()), eps=EPSILON)
        for row, rate, betas in zip(rows, RATES, BETAS, strict=True)
    ]
    scales = torch.logspace(-9, 3, SIZE, dtype=torch.float64)
    for _ in range(steps):
        gradients = scales * torch.randn(len(RATES), SIZE, generator=rng, dtype=torch.float64)
        adam_step(parameters, gradients, state, RATES, BETAS)
        for row, optimizer, gradient in zip(rows, optimizers, gradients, strict=True):
            row.grad = gradient.clone()
            optimizer.step()
    return parameters, state, rows


@pytest.mark.parametrize("steps", [1, 20])
def test_adam_equals_torch_row_by_row(steps, rng):
    parameters, state, rows = run(steps, rng)
    torch.testing.assert_close(parameters, torch.stack([row.detach() for row in rows]), rtol=1e-12, atol=1e-12)
    assert state.steps.tolist() == [steps] * len(RATES)


def test_rates_may_change_between_steps(rng):
    parameters = torch.zeros(1, SIZE, dtype=torch.float64)
    state, row = AdamState.zeros_like(parameters), torch.nn.Parameter(torch.zeros(SIZE, dtype=torch.float64))
    optimizer = torch.optim.Adam([row], lr=1.0, betas=(0.5, 0.999))
    for rate in (1e-1, 1e-4, 0.0, 1e-2):
        gradient = torch.randn(SIZE, generator=rng, dtype=torch.float64)
        adam_step(parameters, gradient[None], state, torch.tensor([rate], dtype=torch.float64), BETAS[:1])
        optimizer.param_groups[0]["lr"] = rate
        row.grad = gradient
        optimizer.step()
    torch.testing.assert_close(parameters[0], row.detach(), rtol=1e-12, atol=1e-12)


def test_direction_is_the_update_over_the_rate(rng):
    """What the optimizer would repeat: the step that was just made, at a rate of one."""
    parameters, state, _ = run(5, rng)
    before = parameters.clone()
    gradients = torch.randn(len(RATES), SIZE, generator=rng, dtype=torch.float64)
    adam_step(parameters, gradients, state, RATES, BETAS)
    moving = RATES > 0
    made = (before - parameters)[moving] / RATES[moving, None]
    torch.testing.assert_close(state.direction(BETAS)[moving], made, rtol=1e-9, atol=1e-9)


def test_the_first_direction_is_the_sign_of_the_gradient():
    gradients = torch.tensor([[2.0, -0.5, 1e-3, 0.0]], dtype=torch.float64)
    state = AdamState.zeros_like(torch.zeros_like(gradients))
    assert torch.equal(state.direction(BETAS[:1]), torch.zeros_like(gradients)), "zero before the first step"
    adam_step(torch.zeros_like(gradients), gradients, state, RATES[:1], BETAS[:1])
    expected = gradients / (gradients.abs() + EPSILON)
    torch.testing.assert_close(state.direction(BETAS[:1]), expected, rtol=1e-12, atol=1e-12)


def test_direction_changes_nothing(rng):
    _, state, _ = run(3, rng)
    before = [tensor.clone() for tensor in state.tensors()]
    state.direction(BETAS)
    assert all(torch.equal(a, b) for a, b in zip(before, state.tensors(), strict=True))


def test_rows_are_views(rng):
    parameters, state, _ = run(2, rng)
    untouched = [tensor[[0, 3]].clone() for tensor in state.tensors()]
    part = slice(1, 3)
    adam_step(parameters[part], torch.ones(2, SIZE, dtype=torch.float64), state.rows(part), RATES[part], BETAS[part])
    assert state.steps.tolist() == [2, 3, 3, 2]
    assert all(torch.equal(a, b[[0, 3]]) for a, b in zip(untouched, state.tensors(), strict=True))


def test_single_precision_stays_close(rng):
    parameters = torch.randn(2, SIZE, generator=rng)
    exact, gradients = parameters.double(), torch.randn(300, 2, SIZE, generator=rng)
    state, exact_state = AdamState.zeros_like(parameters), AdamState.zeros_like(exact)
    for gradient in gradients:
        adam_step(parameters, gradient, state, RATES[:2].float(), BETAS[:2].float())
        adam_step(exact, gradient.double(), exact_state, RATES[:2], BETAS[:2])
    assert math.isclose(float(parameters.norm()), float(exact.norm()), rel_tol=1e-4)
    torch.testing.assert_close(parameters.double(), exact, rtol=1e-3, atol=1e-3)
