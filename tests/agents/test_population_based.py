"""Population-based training: copies, selection, the best member's record."""

import numpy as np
import pytest

from agents.evaluation import Evaluator, with_rates
from agents.population_based import PopulationBasedTraining
from gan_env import EnvConfig

CONFIG = EnvConfig(
    suite="ring", updates_per_step=4, decisions=8, knobs=("lr_g", "lr_d"), action_type="continuous", workers=1
)
LARGE = np.log10(CONFIG.moves[1])


def play(count=3, members=4, rows=8, own_start=False, **changes):
    """Records, GAN updates and what was told at the end, of some test instances."""
    updates, ended = [], []
    population = PopulationBasedTraining(CONFIG, members, 0, rows=rows, own_start=own_start)
    instances = with_rates(CONFIG.resolved_suite().instances("test")[:count], 1e-3, 1e-3)

    def on_end(index, core, row):
        ended.append((index, core.instances[row].seed, float(core.infos([row])["fid_proxy"][0])))

    return instances, population.play(instances, updates.append, on_end), updates, ended


def test_a_member_s_record_is_a_whole_episode_within_the_bounds():
    instances, records, updates, ended = play()
    assert sum(updates) == 3 * 4 * 8 * 4, "instances, members, decisions, updates of each"
    assert [index for index, *_ in ended] == [0, 1, 2]
    for instance, record, (_, seed, proxy) in zip(instances, records, ended, strict=True):
        assert record.instance == instance and seed == instance.seed
        assert record.decisions == len(record.actions) == len(record.log10_knobs) == 8 and not record.failed
        assert record.final_proxy == proxy and 0 < record.final < 10
        path = np.vstack([[-3, -3], record.log10_knobs])
        assert np.abs(np.diff(path, axis=0)).max() <= LARGE + 1e-6


def test_the_record_is_what_its_actions_do():
    """A copy goes on with its donor's weights: the actions of its line, played alone, give the same GAN."""
    instances, records, *_ = play()
    for instance, record in zip(instances, records, strict=True):
        script = iter(record.actions)

        class Line:
            def predict(self, observation, state=None, episode_start=None, deterministic=False, script=script):
                return np.array([next(script)], np.float32), None

        evaluator = Evaluator(CONFIG, 1)
        (alone,) = evaluator.evaluate(Line(), [instance])
        evaluator.close()
        np.testing.assert_allclose(alone.log10_knobs, record.log10_knobs, atol=1e-6)
        assert alone.final_proxy == pytest.approx(record.final_proxy, rel=1e-2)
        assert alone.episode_return == pytest.approx(record.episode_return, abs=1e-2)


def test_the_best_of_many_is_better_than_the_best_of_few():
    finals = {members: np.mean([one.final_proxy for one in play(members=members)[1]]) for members in (2, 8)}
    assert finals[8] < finals[2]


def test_members_may_start_where_they_head_for():
    _, records, *_ = play(own_start=True)
    for record in records:
        start = np.log10([record.instance.lr_g, record.instance.lr_d])
        np.testing.assert_allclose(record.log10_knobs[0], start, atol=1e-6)
        assert record.log10_knobs[0] != (-3, -3)


def test_results_repeat():
    assert play()[1] == play()[1]


def test_what_does_not_fit_is_told():
    with pytest.raises(ValueError, match="at least 2 members, not 1"):
        PopulationBasedTraining(CONFIG, 1, 0, rows=8, own_start=False)
    with pytest.raises(ValueError, match="continuous actions on the two rates"):
        PopulationBasedTraining(EnvConfig(suite="ring", workers=1), 2, 0, rows=8, own_start=False)
