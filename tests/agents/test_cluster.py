"""The cluster as Ray has it; marked, and run where Ray is installed. What needs no Ray is tested with workers here."""

import importlib.util
import os
import sys
import types

import numpy as np
import pytest

from agents.cluster import connected
from agents.retries import run_tasks
from gan_env import GanBalanceVectorEnv

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray")
OPTIONS = {"suite": "ring", "updates_per_step": 1, "decisions": 3, "autoreset_mode": "SameStep"}


def test_without_ray_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"needs Ray: python -m pip install 'gan-bal"), connected("local"):
        pass


def test_without_a_cluster_there_is_none():
    with connected(None) as cluster:
        assert cluster is None


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999", "nowhere", ":1", "ray://127.0.0.1:ten"])
def test_no_cluster_at_an_address_is_one_line(address, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))
    with pytest.raises(ValueError, match=r"--cluster (127.+: no Ray cluster answers|takes local, auto or HOST:PORT)"):
        connected(address).__enter__()


@pytest.mark.ray
@needs_ray
def test_populations_and_tasks_survive_the_loss_of_a_worker(tmp_path):
    import ray

    with connected("local") as cluster:
        assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
        with cluster.shards() as workers:
            env = GanBalanceVectorEnv(16, shards=workers, workers=2, **OPTIONS)
            own = GanBalanceVectorEnv(16, workers=1, **OPTIONS)
            np.testing.assert_array_equal(env.reset(seed=5)[0], own.reset(seed=5)[0])
            count = len(env.core.cores)
            for step in range(4):
                for seen, expected in zip(*(one.step(np.full(16, step))[:3] for one in (env, own)), strict=True):
                    np.testing.assert_array_equal(seen, expected)
            ray.kill(env.core.cores[0]._shard.host._actor)
            cut = env.step(np.zeros(16, dtype=int))[3]
            assert cut[::count].all() and cut.sum() == len(cut[::count]) == env.core.restarts and workers.lost == 1
            assert not env.step(np.zeros(16, dtype=int))[3].any()
            env.close()
            own.close()

        def work(job):
            if job == 2 and not (tmp_path / "killed").exists():
                (tmp_path / "killed").touch()
                os.kill(os.getpid(), 9)
            return job * job

        results = []
        lost = run_tasks(
            [1, 2, 3],
            cluster.tasks(work),
            None,
            on_result=lambda job, value: results.append((job, value)),
            on_done=lambda job, problem: None,
            on_stall=lambda left: None,
        )
        assert sorted(results) == [(1, 1), (2, 4), (3, 9)] and lost == 1
