"""Training one agent and choosing among its policies: the one way, whoever asks for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol, runtime_checkable

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from agents.checkpoint import Checkpoint, Checkpoints, fingerprints
from agents.evaluation import Evaluator
from agents.imitation import Classroom, aggregate, imitate
from agents.interruption import Interruption
from agents.learner_state import ResumeLearning, learner_state
from agents.predictors import Predictor
from agents.presets import ALGORITHMS
from agents.restoring import Each, MisfitError, require_like
from agents.sb3 import ChooseByValidation, build_model, make_training_env
from agents.tree_file import Tree
from agents.vec_env import SB3VecEnv
from gan_env import EnvConfig, GanInstance
from gan_env.knobs import NAMING_VALUES
from gan_env.observation import columns_of, parse_groups
from gan_env.quality import cached_data
from gan_env.shards import PROCESSES, Shards

LESSONS = 2
"""After the first, where a student does not see the rates, which its teacher sees."""
OF_THE_MACHINE = ("cache_dir", "progress")
"""Options of the environment that change nothing."""


@runtime_checkable
class Resumable(Protocol):
    """A callback whose state belongs into a checkpoint."""

    def get_state(self) -> Tree: ...

    def set_state(self, state: Any) -> None: ...


@dataclass(frozen=True)
class Trial:
    """A policy on the validation instances."""

    timesteps: int
    """Environment steps that it had learned from."""
    updates: int
    """GAN updates made until then, this trial's own included."""
    grade: float
    """Its :func:`~agents.evaluation.typical_grade`; lower is better."""


class PolicyTraining:
    """An algorithm, its training environments, and the evaluator that its policies are tried by.

    ``shards`` says who may hold the GANs outside of this process. Raises ``ValueError`` in one line for options that do
    not fit; nothing has been written by then.
    """

    def __init__(
        self,
        algorithm: str,
        config: EnvConfig,
        num_envs: int,
        seed: int,
        options: Mapping[str, Any],
        shards: Shards = PROCESSES,
    ) -> None:
        self._options = dict(options)
        self.env = make_training_env(num_envs, dataclasses.asdict(config), shards)
        self.env.seed(seed)
        self.model: BaseAlgorithm = build_model(algorithm, self.env, seed, options)
        self._lesson_env: SB3VecEnv | None = None
        """Where the policy learns from a teacher that sees more; made before anything is computed, as processes are to
        be, and gone when learning by trial begins."""
        shown = _as_teachers_see(config)
        if ALGORITHMS[algorithm].taught and shown != config:
            self._lesson_env = make_training_env(num_envs, dataclasses.asdict(shown), shards)
            self._lesson_env.seed(seed + num_envs)
        suite = config.resolved_suite()
        self.validation: Sequence[GanInstance] = suite.instances("validation")
        self.evaluator = Evaluator(config, min(num_envs, len(self.validation)), shards)
        self.updates_per_step = _updates_per_step(config, num_envs)
        """GAN updates of one environment step, on average over the environments."""
        self.updates = 0
        """GAN updates made so far, in training and validation."""
        self.kinds = len(suite.kinds("train"))
        """Kinds of GAN: row i of the environments is of kind i modulo their number."""
        self._taught = False
        self._decisions = suite.tasks[0].decisions
        self._episode = _episode(config)

    @property
    def stride(self) -> int:
        """Environment steps between two moments at which training can end."""
        rollout = self.model.n_steps if isinstance(self.model, OnPolicyAlgorithm) else 1
        return self.env.num_envs * rollout

    def imitate(
        self, build_teacher: Callable[[EnvConfig], Predictor], on_update: Callable[[int], None] | None = None
    ) -> None:
        """Let the policy begin as a teacher, which is built for the environments of this training, except that it sees
        the knobs' values; ``on_update`` is told the GAN updates.

        A lesson takes as many decisions as an episode has on average, in each environment. Where the policy does not
        see the rates, it gets :data:`LESSONS` more, in which it acts itself.
        """
        assert isinstance(self.model, OnPolicyAlgorithm)

        def count() -> None:
            made = round(self.updates_per_step * self.env.num_envs)
            self.updates += made
            if on_update is not None:
                on_update(made)

        own = self.model.get_env()
        assert own is not None
        config = _as_teachers_see(self.evaluator.config)
        columns = columns_of(config.observer().names, self.evaluator.config.observer().names)
        room = Classroom(self.model, build_teacher(config), self._lesson_env or own, columns)
        lesson = room.watch(self._episode, count)
        imitate(self.model, lesson)
        for _ in range(1, _lessons(self.evaluator.config)):
            lesson = aggregate(lesson, room.watch(self._episode, count, student=True))
            imitate(self.model, lesson)
        self._end_lessons()
        self._taught = True

    def _end_lessons(self) -> None:
        if self._lesson_env is not None:
            self._lesson_env.close()
            self._lesson_env = None

    def settings(self, total_timesteps: int, validations: int) -> dict[str, Any]:
        """What a checkpoint of :meth:`learn` must agree with, for :class:`~agents.checkpoint.Checkpoints`."""
        config = self.evaluator.config
        environment = dataclasses.asdict(config)
        data = [
            cached_data(task.data, task.resolution, config.cache_dir, config.progress)
            for task in config.resolved_suite().all_tasks()
        ]
        return (
            fingerprints(data)
            | {
                "algorithm": type(self.model).__name__,
                "algorithm options": self._options,
                "environments": self.env.num_envs,
                "seed": self.model.seed,
                "timesteps": total_timesteps,
                "validations": validations,
            }
            | {f"option {name}": value for name, value in environment.items() if name not in OF_THE_MACHINE}
        )

    def learn(
        self,
        total_timesteps: int,
        validations: int,
        best_path: Path,
        *,
        callbacks: Sequence[BaseCallback] = (),
        outputs: Sequence[KVWriter] = (),
        on_update: Callable[[int], None] | None = None,
        checkpoints: Checkpoints | None = None,
        saved: Checkpoint | None = None,
        interruption: Interruption | None = None,
    ) -> list[Trial]:
        """Train; the model is left with the policy that did best on :attr:`validation`, a copy of it in ``best_path``.

        The last policy is tried at the end of training, the others of ``validations`` at even distances in its second
        half; the first of these is the policy as it was taught, where it was. ``on_update`` is told the GAN updates as
        they are made.

        ``checkpoints`` are saved where a rollout begins and at the end; training goes on from ``saved``, one of them,
        as if it had never stopped. Callbacks with a state, :class:`Resumable`, get theirs back. A signal in
        ``interruption`` ends training where the next rollout begins, by ``Interrupted``.
        """
        self._end_lessons()
        tree: Tree = None if saved is None else saved.tree
        if saved is not None:
            require_like(tree, {"callbacks": [], "updates": 0, "spent": Each(0), "learner": {}})
        spent: dict[int, int] = {}

        def count(updates: int) -> None:
            self.updates += updates
            if on_update is not None:
                on_update(updates)

        def validated(updates: int) -> None:
            count(updates)
            spent[self.model.num_timesteps] = self.updates

        at = [round(total_timesteps * (0.5 + 0.5 * index / validations)) for index in range(1, validations)]
        if self._taught and at:
            at[0] = 1  # the first step comes before the first change of the policy
        choose = ChooseByValidation(self.evaluator, self.validation, at, best_path, validated)
        steps = _CountUpdates(self.updates_per_step * self.env.num_envs, count)
        resumable = [one for one in [*callbacks, choose] if isinstance(one, Resumable)]

        def state() -> Tree:
            return {
                "callbacks": [one.get_state() for one in resumable],
                "updates": self.updates,
                "spent": spent,
                "learner": learner_state(self.model),
            }

        def restore() -> None:
            for one, own in zip(resumable, tree["callbacks"], strict=True):
                one.set_state(own)
            count(tree["updates"])
            spent.update(tree["spent"])
            if not spent.keys() >= {step for step, _, _ in choose.history}:
                raise MisfitError("it does not tell what every trial has cost")

        def boundary() -> None:
            if checkpoints is not None:
                checkpoints.offer(self.model.num_timesteps, state, interruption)
            elif interruption is not None:
                interruption.check()

        resume = ResumeLearning(tree and tree["learner"], restore, boundary)
        self.model.set_logger(Logger(None, list(outputs)))
        self.model.learn(
            total_timesteps,
            callback=[resume, *callbacks, steps, choose],
            # Counted in episodes where experience is replayed, in rollouts elsewhere.
            log_interval=self._decisions if isinstance(self.model, OffPolicyAlgorithm) else 1,
        )
        if checkpoints is not None:
            checkpoints.save(self.model.num_timesteps, state)
        return [Trial(step, spent[step], grade) for step, grade, _ in choose.history]

    def close(self) -> None:
        self._end_lessons()
        self.evaluator.close()
        self.env.close()


def lesson_updates(config: EnvConfig, num_envs: int) -> int:
    """GAN updates of :meth:`PolicyTraining.imitate`."""
    return _lessons(config) * _episode(config) * round(_updates_per_step(config, num_envs) * num_envs)


def _updates_per_step(config: EnvConfig, num_envs: int) -> float:
    """Of ``num_envs`` environments, row i being of kind i modulo the number of kinds."""
    kinds = config.resolved_suite().kinds("train")
    return fmean(kinds[row % len(kinds)].updates_per_step for row in range(num_envs))


def _lessons(config: EnvConfig) -> int:
    return 1 + LESSONS * (_as_teachers_see(config) != config)


def _episode(config: EnvConfig) -> int:
    """Decisions of an episode, on average over the kinds of GAN."""
    return round(fmean(task.decisions for task in config.resolved_suite().kinds("train")))


def _as_teachers_see(config: EnvConfig) -> EnvConfig:
    """The environment with the knobs' values in its observation, unless actions name them."""
    shown = parse_groups(config.observation)
    if config.action_type in NAMING_VALUES or "absolute" in shown:
        return config
    return dataclasses.replace(config, observation="+".join((*shown, "absolute")))


class _CountUpdates(BaseCallback):
    """Tells of the GAN updates of every step of the environments."""

    def __init__(self, updates: float, tell: Callable[[int], None]) -> None:
        super().__init__()
        self._updates, self._tell = round(updates), tell

    def _on_step(self) -> bool:
        self._tell(self._updates)
        return True
