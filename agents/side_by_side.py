"""Results of many jobs from fresh processes of one thread each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

import torch
from tqdm import tqdm

from gan_backbones.threads import available_cores

T = TypeVar("T")


def side_by_side(
    work: Callable[..., T], jobs: Sequence[tuple[Any, ...]], label: str, processes: int | None = None
) -> Iterator[tuple[int, T]]:
    """``work(*job)`` of every job, as they end: the job's place among ``jobs``, and the result.

    So many ``processes``, by default one for each core, are started anew and know what can be imported. ``label`` names
    the progress bar. What a job raises is raised here; jobs that have not begun then are called off.
    """
    workers = max(1, min(processes or available_cores(), len(jobs)))
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as executor:
        places = {executor.submit(work, *job): place for place, job in enumerate(jobs)}
        try:
            for future in tqdm(as_completed(places), label, len(jobs), disable=None, dynamic_ncols=True):
                yield places[future], future.result()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
