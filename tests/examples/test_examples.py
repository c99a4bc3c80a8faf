"""The files that other codebases read."""

import ast
import importlib.util
import re
import sys
from pathlib import Path

import gymnasium as gym
import pytest

from agents.presets import ALGORITHMS, get_preset
from gan_env import SUITE_IDS

EXAMPLES = Path(__file__).parents[2] / "examples"

# --- RL Baselines3 Zoo -------------------------------------------------------------------------------------------


def read_settings(path):
    """The first block of a settings file: name -> value."""
    block = path.read_text().split("\n\n")[0]
    found = re.findall(r"^  (\w+): (?:!!float )?['\"]?([^'\"\n]*)['\"]?$", block, re.MULTILINE)
    return {name: ast.literal_eval(value) if value[0].isdigit() else value for name, value in found}


@pytest.mark.parametrize("path", sorted((EXAMPLES / "rl_zoo3").glob("*.yml")), ids=lambda path: path.stem)
def test_settings_for_the_zoo_are_those_of_the_presets(path):
    settings, preset = read_settings(path), get_preset(path.stem, "ring")
    fewer = preset.num_envs // settings["n_envs"]
    expected = {"n_timesteps": preset.total_timesteps, "policy": ALGORITHMS[path.stem].policy} | preset.algorithm
    expected["policy_kwargs"] = f"dict(net_arch={preset.algorithm['policy_kwargs']['net_arch']})"
    if path.stem == "dqn":
        expected["gradient_steps"] //= fewer  # as many for each transition
    else:
        expected["n_steps"] *= fewer  # as many transitions in a rollout
    assert settings == expected | {"n_envs": 8}
    assert re.findall(r"^(\S+):", path.read_text(), re.MULTILINE)[0] in SUITE_IDS


# --- CleanRL -----------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
import gymnasium as gym
import numpy as np
from helper_of_the_codebase import WORD

if __name__ == "__main__":
    make = lambda: gym.wrappers.RecordEpisodeStatistics(gym.make(sys.argv[1], decisions=3, updates_per_step=1))
    envs = gym.vector.SyncVectorEnv([make, make])
    before, _ = envs.reset(seed=0)
    print(WORD, type(envs.single_action_space).__name__, before.shape)
    total = np.zeros(2)
    for step in range(7):
        after, rewards, terminated, truncated, infos = envs.step(np.zeros(2, dtype=int))
        total += rewards
        if "final_info" in infos:
            for index, info in enumerate(infos["final_info"]):
                last = infos["final_observation"][index]
                same = abs(info["episode"]["r"] - total[index]) < 1e-4
                print(step, same, info["episode"]["l"], (last != after[index]).any())
            total[:] = 0
    envs.close()
"""


@pytest.fixture
def run_cleanrl(monkeypatch):
    """run_cleanrl(*arguments) runs the example's main; what it replaces is put back."""
    spec = importlib.util.spec_from_file_location("cleanrl_example", EXAMPLES / "cleanrl.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(gym.vector, "SyncVectorEnv", gym.vector.SyncVectorEnv)
            patch.setattr(sys, "path", list(sys.path))
            patch.setattr(sys, "argv", ["cleanrl.py", *arguments])
            module.main()

    return run


def test_a_script_for_the_former_gymnasium_sees_its_returns(run_cleanrl, capsys, tmp_path):
    (tmp_path / "cleanrl").mkdir()
    (tmp_path / "cleanrl" / "script.py").write_text(SCRIPT)
    (tmp_path / "helper_of_the_codebase.py").write_text("WORD = 'found'")
    run_cleanrl(str(tmp_path / "cleanrl" / "script.py"), "gan_env:GanBalanceEnv-ring-v0")
    first, *episodes = capsys.readouterr().out.splitlines()
    assert first.startswith("found Discrete (2, ")
    # Reset within the step that ends an episode of 3: the ends are steps 2 and 5.
    assert episodes == ["2 True 3 True"] * 2 + ["5 True 3 True"] * 2


@pytest.mark.parametrize("arguments", [(), ("nowhere.py",)])
def test_a_missing_script_is_told_in_one_line(run_cleanrl, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        run_cleanrl(*arguments)
    assert stop.value.code == 2 and capsys.readouterr().err.count("\n") == 1
