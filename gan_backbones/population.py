"""GanPopulation: N GANs of one architecture trained as one. The only GAN trainer of this project."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from gan_backbones.backbone import PAIR_KNOBS, GanPair
from gan_backbones.cuda_graph import GraphedWork
from gan_backbones.lane import PACE_START, Lane, Noise, Player
from gan_backbones.losses import LOSSES
from gan_backbones.memory import plan_training
from gan_backbones.optim import ADAM_BETAS
from gan_backbones.precision import check_precision, computing
from gan_backbones.regularisers import REGULARISERS, GradientRegulariser
from gan_backbones.threads import available_cores, keep_freed_memory
from gan_backbones.train_stats import TrainStats

if TYPE_CHECKING:  # the sources of data need packages that a training loop elsewhere does without
    from gan_backbones.data import DataSet

OPTIONAL_KNOBS = ("fake_weight", "update_ratio", "stage", *(term.knob for term in REGULARISERS.values()))
"""What a population can be asked to take beside the two rates."""
STRATEGIES = ("auto", "looped", "stacked")

_T = TypeVar("_T")


@dataclass(frozen=True)
class ReplicaSetup:
    """What makes one row: its seed, its data and Adam's betas."""

    seed: int
    data: DataSet
    betas: tuple[float, float] = ADAM_BETAS


class GanPopulation:
    """N generators and discriminators of one architecture, data shape and batch size, with their optimizers.

    Parameters
    ----------
    build_pair: makes one plain, uninitialised pair; called once.
    size: number N of rows, at least 1.
    batch_size: real samples (and as many generated ones) per update.
    loss: a name in ``LOSSES``.
    knobs: names in ``OPTIONAL_KNOBS`` beside the two rates: the weight of a regulariser, which then exists, the weight
        of the fake term in the discriminator's loss, the discriminator's steps per step of the generator, and the
        stage of networks that grow. Those in ``PAIR_KNOBS`` need a pair that takes them.
    strategy: ``"stacked"`` (a leading replica axis), ``"looped"`` (one row at a time) or ``"auto"`` (stacked where
        the pair allows it). They compute the same numbers up to rounding.
    workers: threads, each with one thread of torch's own; by default one per core on a CPU and one on a GPU.
    device, dtype: of all tensors; ``float64`` is for tests.
    precision: of the products in training, a name in ``PRECISIONS``.
    cuda_graph: on a GPU, whether a stacked population replays each call of :meth:`update` as one CUDA graph.

    Rows are independent: what a row does depends on its own setup alone. A row holds nothing useful before the first
    :meth:`reset`. Divergence is reported, never repaired. More rows than the device's free memory holds raise
    :class:`~gan_backbones.memory.NotEnoughMemoryError` before anything is allocated.
    """

    def __init__(
        self,
        build_pair: Callable[[], GanPair],
        size: int,
        *,
        batch_size: int,
        loss: str = "nonsaturating",
        knobs: Sequence[str] = (),
        strategy: str = "auto",
        workers: int | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        precision: str = "float32",
        cuda_graph: bool = True,
    ) -> None:
        if size < 1 or batch_size < 1:
            raise ValueError(f"size and batch_size must be at least 1, not {size} and {batch_size}")
        if strategy not in STRATEGIES:
            raise ValueError(f"unknown strategy {strategy!r}; known: {', '.join(STRATEGIES)}")
        if loss not in LOSSES:
            raise ValueError(f"unknown loss {loss!r}; known: {', '.join(LOSSES)}")
        if unknown := sorted(set(knobs) - set(OPTIONAL_KNOBS)):
            raise ValueError(f"unknown knob {unknown[0]!r}; known: {', '.join(OPTIONAL_KNOBS)}")
        self.size = size
        self.batch_size = batch_size
        self.device = torch.device(device)
        self.dtype = dtype
        self._pair = build_pair()
        self.latent_size = self._pair.latent_size
        for name in knobs:
            if name in PAIR_KNOBS and name not in self._pair.knobs:
                raise ValueError(f"these networks are not made for knob {name!r}; those of backbone 'mspg' are")
        if strategy == "auto":
            strategy = "stacked" if self._pair.stackable else "looped"
        if strategy == "stacked" and not self._pair.stackable:
            raise ValueError("this pair has layers without a replica axis; use strategy 'looped'")
        self.strategy = strategy
        terms = [term for term in REGULARISERS.values() if term.knob in knobs]
        self._draws_mix = any(isinstance(term, GradientRegulariser) and term.at == "between" for term in terms)
        self.knob_names = ("lr_g", "lr_d", *knobs)
        check_precision(precision, self.device, dtype)
        self._precision = precision
        if workers is None:
            workers = available_cores() if self.device.type == "cpu" else 1
        self._workers = max(1, min(workers, size))
        self._executor: ThreadPoolExecutor | None = None
        looped = strategy == "looped"
        self._make_lane = functools.partial(Lane, loss=LOSSES[loss], regularisers=terms, stacked=not looped)
        self.memory = plan_training(
            self._pair, self._make_lane, loss, batch_size, self.knob_names, dtype, self._workers if looped else None
        )
        """Bytes that training takes, by the number of rows."""
        self.memory.require(size, self.device)

        self._generator = Player.zeros(self._pair.generator, size, self.device, dtype)
        self._discriminator = Player.zeros(self._pair.discriminator, size, self.device, dtype)
        self._betas = torch.zeros(size, 2, device=self.device, dtype=dtype)
        self._pace = torch.full((size, 2), PACE_START, device=self.device, dtype=dtype)
        # Training and sampling draw from generators of their own, so that looking changes nothing.
        self._train_rng = [torch.Generator(self.device) for _ in range(size)]
        self._sample_rng = [torch.Generator(self.device) for _ in range(size)]
        self._data: list[DataSet | None] = [None] * size
        self._pool = torch.empty(0)
        self._sample_shape: tuple[int, ...] = ()
        self._pool_start: dict[str, int] = {}

        lane_count = size if looped else self._workers
        edges = [round(index * size / lane_count) for index in range(lane_count + 1)]
        self._lane = functools.lru_cache(maxsize=None)(
            lambda start, stop: self._make_lane(slice(start, stop), self._generator, self._discriminator)
        )
        self._lanes = [self._lane(start, stop) for start, stop in itertools.pairwise(edges)]
        graphed = cuda_graph and self.device.type == "cuda" and not looped
        self._graphs = {lane: GraphedWork(functools.partial(self._graph_work, lane)) for lane in self._lanes if graphed}

    def reset(self, indices: Sequence[int], setups: Sequence[ReplicaSetup]) -> None:
        """Re-seed and re-initialise the rows ``indices`` in place, the i-th by ``setups[i]``.

        All other rows stay bit for bit as they are. Raises ``ValueError`` when the data's shape or kind differs from
        what is there already.
        """
        if len(indices) != len(setups):
            raise ValueError(f"{len(indices)} rows but {len(setups)} setups")
        for setup in setups:  # a misfit is refused before any row has changed
            self._admit(setup.data)
        for row, setup in zip(indices, setups, strict=True):
            initial = torch.Generator().manual_seed(setup.seed)
            networks = self._pair.drawn(initial)
            for player, network in zip((self._generator, self._discriminator), networks, strict=True):
                player.parameters.write_row(row, network)
                for tensor in player.adam.tensors():
                    tensor[row] = 0
            self._betas[row] = torch.tensor(setup.betas, dtype=torch.float64)
            self._pace[row] = PACE_START
            for offset, rng in enumerate((self._train_rng[row], self._sample_rng[row])):
                rng.manual_seed(int(torch.randint(2**62, (), generator=initial)) + offset)
            self._data[row] = setup.data

    def update(self, knobs: Mapping[str, Tensor], steps: int, active: Tensor | None = None) -> TrainStats:
        """Make ``steps`` GAN updates in every active row.

        ``knobs`` maps each of :attr:`knob_names` to an ``(N,)`` tensor. Where the boolean ``(N,)`` mask ``active`` is
        false, a row stays bit for bit untouched, its random generators included, and its statistics are zero.
        """
        if set(knobs) != set(self.knob_names):
            raise ValueError(f"knobs must be {', '.join(self.knob_names)}, not {', '.join(knobs)}")
        if steps < 1:
            raise ValueError(f"steps must be at least 1, not {steps}")
        if any(data is None for data in self._data):
            raise RuntimeError("every row needs a reset before the first update")
        values = {name: value.to(self.device, self.dtype) for name, value in knobs.items()}
        mask = torch.ones(self.size, dtype=torch.bool) if active is None else active.cpu()
        parts = self._map_lanes(lambda lane: self._update_lane(lane, values, steps, mask[lane.rows].tolist()))
        return TrainStats(
            **{
                field.name: torch.cat([getattr(part, field.name) for part in parts])
                for field in dataclasses.fields(TrainStats)
            }
        )

    def _update_lane(self, lane: Lane, knobs: Mapping[str, Tensor], steps: int, active: list[bool]) -> TrainStats:
        own = {name: value[lane.rows] for name, value in knobs.items()}
        betas = self._betas[lane.rows]
        if not any(active):
            zero = torch.zeros_like(own["lr_g"])
            fields = [field.name for field in dataclasses.fields(TrainStats) if field.name != "diverged"]
            return TrainStats(**dict.fromkeys(fields, zero), diverged=zero.bool())
        idle = [lane.rows.start + offset for offset, on in enumerate(active) if not on]
        tensors = self._state_tensors()
        kept = [tensor[idle] for tensor in tensors] if idle else []
        if "stage" in own:  # part of the state, so that samples are taken at it, too
            for player in (self._generator, self._discriminator):
                player.parameters.buffers["stage"][lane.rows] = own["stage"]
        noise = self._draw(lane, steps, active)
        with computing(self._precision, self.device):
            if lane in self._graphs:
                inputs = own | {name: tensor for name, tensor in vars(noise).items() if tensor is not None}
                stats = TrainStats(**self._graphs[lane](inputs, self._pool.data_ptr()))
            else:
                stats = lane.update(own, betas, self._pace[lane.rows], noise, self._pool)
        for tensor, rows in zip(tensors, kept, strict=False):
            tensor[idle] = rows
        if idle:
            on = torch.tensor(active, device=self.device)
            stats = TrainStats(
                **{
                    field.name: torch.where(on, value, torch.zeros_like(value))
                    for field in dataclasses.fields(TrainStats)
                    if (value := getattr(stats, field.name)) is not None
                }
            )
        return stats

    def _graph_work(self, lane: Lane, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """:meth:`Lane.update` on named tensors, as a CUDA graph takes and gives them."""
        noise = Noise(inputs["latents"], inputs["indices"], inputs.get("mix"))
        knobs = {name: inputs[name] for name in self.knob_names}
        return vars(lane.update(knobs, self._betas[lane.rows], self._pace[lane.rows], noise, self._pool))

    def _draw(self, lane: Lane, steps: int, active: list[bool]) -> Noise:
        shape = (steps, self.batch_size)
        latents = torch.zeros(lane.count, *shape, self.latent_size, device=self.device, dtype=self.dtype)
        indices = torch.zeros(lane.count, *shape, device=self.device, dtype=torch.int64)
        mix = torch.zeros(lane.count, *shape, device=self.device, dtype=self.dtype) if self._draws_mix else None
        for offset, row in enumerate(range(lane.rows.start, lane.rows.stop)):
            data, rng = self._data[row], self._train_rng[row]
            if active[offset] and data is not None:
                latents[offset].normal_(generator=rng)
                indices[offset].random_(0, len(data.samples), generator=rng)
                indices[offset] += self._pool_start[data.fingerprint]
                if mix is not None:
                    mix[offset].uniform_(generator=rng)
        return Noise(latents, indices, mix)

    def draw_latents(self, count: int, rows: Sequence[int] | None = None) -> Tensor:
        """``(rows, count, latent_size)`` standard normal numbers from each row's sampling generator; all by default."""
        chosen = range(self.size) if rows is None else rows
        latents = torch.empty(len(chosen), count, self.latent_size, device=self.device, dtype=self.dtype)
        for latent, row in zip(latents, chosen, strict=True):
            latent.normal_(generator=self._sample_rng[row])
        return latents

    def sample(self, count: int, latents: Tensor | None = None) -> Tensor:
        """``(N, count, *sample_shape)``, images in [-1, 1]; evaluation mode, no effect on training.

        ``latents`` is ``(N, count, latent_size)``; by default fresh ones from each row's sampling generator.
        """
        return self.evaluate(lambda samples, rows: samples, self.draw_latents(count) if latents is None else latents)

    def evaluate(
        self, measure: Callable[[Tensor, range], Tensor], latents: Tensor, rows: Sequence[int] | None = None
    ) -> Tensor:
        """``measure`` of the samples of ``rows`` (all by default), computed by the workers beside each other.

        ``latents`` is ``(rows, count, latent_size)``; ``measure`` maps samples ``(n, count, *sample_shape)`` of some
        rows, and the numbers of these rows, to ``(n, ...)``; the results are joined to ``(rows, ...)``.
        """
        if rows is None:
            return torch.cat(self._map_lanes(lambda lane: measure(lane.sample(latents[lane.rows]), lane.range)))
        lanes = [self._lane(row, row + 1) for row in rows]
        place = {lane.rows.start: index for index, lane in enumerate(lanes)}

        def work(lane: Lane) -> Tensor:
            index = place[lane.rows.start]
            return measure(lane.sample(latents[index : index + 1]), lane.range)

        return torch.cat(self._map_lanes(work, lanes))

    def discriminate(self, samples: Tensor) -> Tensor:
        """Logits ``(N, count)`` of each row's discriminator for ``samples`` ``(N, count, *sample_shape)``."""
        return torch.cat(self._map_lanes(lambda lane: lane.discriminate(samples[lane.rows])))

    def networks(self, row: int) -> tuple[nn.Module, nn.Module]:
        """A row's generator and discriminator as plain modules in evaluation mode, to look at and not to train.

        Their parameters and buffers are views of the row: they follow its training.
        """
        players = (self._generator.parameters, self._discriminator.parameters)
        generator, discriminator = (one.bind(slice(row, row + 1), stacked=False).eval() for one in players)
        return generator, discriminator

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on, random generators included; tensors are copies."""
        return {
            "tensors": [tensor.clone() for tensor in self._state_tensors()],
            "train_rng": [rng.get_state() for rng in self._train_rng],
            "sample_rng": [rng.get_state() for rng in self._sample_rng],
            "data": [None if data is None else data.fingerprint for data in self._data],
        }

    def load_state_dict(self, state: Mapping[str, Any], data: Mapping[str, DataSet]) -> None:
        """Restore :meth:`state_dict`; ``data`` holds the data sets by fingerprint, else ``ValueError``."""
        if missing := set(state["data"]) - {None, *data}:
            raise ValueError(f"it was trained on other data than these: fingerprint {missing.pop()}")
        for tensor, saved in zip(self._state_tensors(), state["tensors"], strict=True):
            tensor.copy_(saved)
        rngs = [*self._train_rng, *self._sample_rng]
        for rng, rng_state in zip(rngs, [*state["train_rng"], *state["sample_rng"]], strict=True):
            rng.set_state(rng_state)
        self._data = [data.get(fingerprint) for fingerprint in state["data"]]
        for data_set in filter(None, self._data):
            self._admit(data_set)

    def finite(self) -> Tensor:
        """``(N,)``: whether all weights of a row are finite."""
        return self._generator.parameters.finite() & self._discriminator.parameters.finite()

    def close(self) -> None:
        """Stop the worker threads; a later call starts them again."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None

    def _state_tensors(self) -> list[Tensor]:
        return [*self._generator.tensors(), *self._discriminator.tensors(), self._betas, self._pace]

    def _admit(self, data: DataSet) -> None:
        """Put the samples of ``data`` into the pool that all rows draw from, once."""
        if data.fingerprint in self._pool_start:
            return
        samples = data.samples.to(self.device)
        if self._pool_start:
            if samples.shape[1:] != self._pool.shape[1:] or samples.dtype != self._pool.dtype:
                raise ValueError(
                    f"data set {data.name!r} has samples of shape {data.sample_shape}; "
                    f"this population holds {self._sample_shape}"
                )
            samples = torch.cat([self._pool, samples])
        self._pool_start[data.fingerprint] = len(self._pool) if self._pool_start else 0
        self._pool = samples
        self._sample_shape = data.sample_shape

    def _map_lanes(self, work: Callable[[Lane], _T], lanes: Sequence[Lane] | None = None) -> list[_T]:
        lanes = self._lanes if lanes is None else lanes
        if self.device.type != "cpu":
            return [work(lane) for lane in lanes]
        if self._executor is None:
            keep_freed_memory()
            # Even one worker gets a thread of its own: torch's thread count is set there and nowhere else.
            self._executor = ThreadPoolExecutor(self._workers, "gan-lane", lambda: torch.set_num_threads(1))
        return list(self._executor.map(work, lanes))
