"""Loaders whose stream of samples depends on the seed alone: not on workers, processes or a restart."""

import contextlib
import logging
import os
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode as CN
from detectron2.data import DatasetCatalog, DatasetFromList, build_detection_test_loader
from detectron2.data.build import trivial_batch_collator, worker_init_reset_seed
from detectron2.utils import comm
from detectron2.utils.serialize import PicklableWrapper
from torch.utils.data import DataLoader, Dataset, Sampler

from dld_spotter.data.dataset_mapper import Role, TextDatasetMapper, WordPolicy, report_unreadable
from dld_spotter.data.text_json import register_custom, require_dataset

logger = logging.getLogger(__name__)


def build_text_train_loader(cfg: CN, mapper: Callable[[dict], dict] | None = None, start_iter: int = 0) -> DataLoader:
    """An endless loader over the training sets, joined; each batch is a list of mapped records.

    With SEED in the config, iteration i gives the same batch in every run: after a restart with ``start_iter`` i, with
    any number of workers, and, over all processes together, with any number of processes. A negative SEED
    draws one at random. DATALOADER.ASPECT_RATIO_GROUPING has no effect, since the random crop decides the aspect ratio.

    Args:
        cfg: with DATASETS.TRAIN, SOLVER.IMS_PER_BATCH, DATALOADER and SEED.
        mapper: takes a record; by default a TextDatasetMapper.
        start_iter: the iteration that the first batch is for.

    Raises:
        ValueError: no usable image, or a setting that cannot be followed; the message says what to do.
    """
    register_custom(cfg)
    records = load_training_records(cfg)
    seed = cfg.SEED if cfg.SEED >= 0 else comm.shared_random_seed()
    sampler = SeededBatchSampler(
        len(records),
        seed,
        cfg.SOLVER.IMS_PER_BATCH,
        rank=comm.get_rank(),
        world_size=comm.get_world_size(),
        start_iter=start_iter,
    )
    mapper = TextDatasetMapper(cfg, is_train=True) if mapper is None else mapper
    workers = _make_workers_possible(cfg.DATALOADER.NUM_WORKERS)
    return DataLoader(
        SeededDataset(DatasetFromList(records, copy=False), mapper, seed),
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=trivial_batch_collator,
        worker_init_fn=worker_init_reset_seed,
        # Else the loader would draw from the global generator.
        generator=torch.Generator().manual_seed(seed),
    )


def build_text_test_loader(
    cfg: CN,
    dataset_name: str,
    mapper: Callable[[dict], dict] | None = None,
    *,
    batch_size: int = 1,
    keep_annotations: bool = False,
) -> DataLoader:
    """A loader over one data set in its order, each process taking its share.

    Args:
        cfg: of the model that reads the images.
        dataset_name: a registered data set.
        mapper: takes a record; by default a TextDatasetMapper.
        batch_size: images a batch.
        keep_annotations: whether the batches hold "instances" targets (to read ground-truth boxes).
    """
    register_custom(cfg)
    require_dataset(dataset_name)
    if mapper is None:
        mapper = TextDatasetMapper(cfg, is_train=False, keep_annotations=keep_annotations)
    workers = _make_workers_possible(cfg.DATALOADER.NUM_WORKERS)
    return build_detection_test_loader(
        DatasetCatalog.get(dataset_name),
        mapper=mapper,
        batch_size=batch_size,
        num_workers=workers,
    )


def build_record_loader(records: Sequence[dict], batches: Sequence[Sequence[int]], workers: int = 0) -> DataLoader:
    """A loader of these batches of indices, each a list of records; indexing ``records`` reads and maps an image."""
    workers = _make_workers_possible(workers)
    # A generator of its own: else the loader would draw from the global one.
    options: dict[str, Any] = {
        "batch_sampler": batches,
        "num_workers": workers,
        "collate_fn": trivial_batch_collator,
        "generator": torch.Generator(),
    }
    return DataLoader(records, **options)  # type: ignore[arg-type]  # any sequence will do


def load_training_records(cfg: CN) -> list[dict]:
    """The records of DATASETS.TRAIN, one set after the other; words that cannot be read are reported once a set.

    With DATALOADER.FILTER_EMPTY_ANNOTATIONS, images without a cared-for word are left out.
    """
    if not cfg.DATASETS.TRAIN:
        raise ValueError("DATASETS.TRAIN is empty; name the data sets to train on.")
    if cfg.DATALOADER.SAMPLER_TRAIN != "TrainingSampler":
        raise ValueError(
            f"DATALOADER.SAMPLER_TRAIN is '{cfg.DATALOADER.SAMPLER_TRAIN}', but the text loader only knows "
            "'TrainingSampler'; to repeat a data set, name it more than once in DATASETS.TRAIN."
        )
    policy = WordPolicy.from_config(cfg)
    records = []
    for name in cfg.DATASETS.TRAIN:
        require_dataset(name)
        loaded = DatasetCatalog.get(name)
        report_unreadable(name, loaded, policy)
        if cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
            usable = [record for record in loaded if _has_word(record, policy)]
            logger.info("%s: %d of %d images have a word to learn from.", name, len(usable), len(loaded))
            loaded = usable
        records += loaded
    if not records:
        raise ValueError(
            f"DATASETS.TRAIN {tuple(cfg.DATASETS.TRAIN)} has no image to train on: every image lacks a word, or its "
            f"words are don't care or cannot be read (INPUT.TEXT.UNKNOWN '{policy.unknown}'). Look at them with "
            "tools/prepare_dataset.py --check; DATALOADER.FILTER_EMPTY_ANNOTATIONS False trains without words, too."
        )
    return records


def _has_word(record: dict, policy: WordPolicy) -> bool:
    return any(policy.role(annotation) is not Role.IGNORE for annotation in record["annotations"])


class SeededBatchSampler(Sampler):
    """Batches of (index, draw) of an endless shuffled stream, of which each process takes its share.

    The stream is one permutation of the data after another, permutation e made from (seed, e). Its element number n,
    the draw, belongs to iteration n // total_batch_size; processes take consecutive shares of each iteration.

    Args:
        size: records in the data.
        seed: of the whole run, the same in every process.
        total_batch_size: images an iteration, over all processes.
        rank, world_size: this process, and the number of processes.
        start_iter: the iteration to begin with.
    """

    def __init__(
        self, size: int, seed: int, total_batch_size: int, *, rank: int = 0, world_size: int = 1, start_iter: int = 0
    ):
        if total_batch_size <= 0 or total_batch_size % world_size:
            raise ValueError(
                f"SOLVER.IMS_PER_BATCH is {total_batch_size}, which {world_size} processes cannot share equally; "
                f"use a multiple of {world_size}."
            )
        self.size, self.seed = size, seed
        self.total_batch_size, self.batch_size = total_batch_size, total_batch_size // world_size
        self.rank, self.start_iter = rank, start_iter

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        first = self.start_iter * self.total_batch_size + self.rank * self.batch_size
        epoch, order = -1, np.empty(0, dtype=int)
        while True:
            batch = []
            for draw in range(first, first + self.batch_size):
                if draw // self.size != epoch:
                    epoch = draw // self.size
                    order = np.random.default_rng([self.seed, epoch]).permutation(self.size)
                batch.append((int(order[draw % self.size]), draw))
            yield batch
            first += self.total_batch_size


class SeededDataset(Dataset):
    """Mapped records, each with randomness of its own draw; the process's random state is left as it was.

    Args:
        records: a data set of dicts.
        mapper: takes a record.
        seed: of the whole run.
    """

    def __init__(self, records: Sequence[dict] | Dataset, mapper: Callable[[dict], dict], seed: int):
        self.records, self.seed = records, seed
        self.mapper = PicklableWrapper(mapper)

    def __len__(self) -> int:
        return len(self.records)  # type: ignore[arg-type]  # torch leaves it out of Dataset

    def __getitem__(self, item: tuple[int, int]) -> dict:
        index, draw = item
        with random_state_of((self.seed, draw)):
            return self.mapper(self.records[index])


@contextlib.contextmanager
def random_state_of(key: tuple[int, ...]) -> Iterator[None]:
    """Inside, the global generators of Python, NumPy and torch (CPU) start from ``key``.

    Afterwards they go on from where they were before.
    """
    python, numpy, torch_cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    seeds = np.random.SeedSequence(key).generate_state(3)
    random.seed(int(seeds[0]))
    np.random.seed(seeds[1])  # noqa: NPY002 (Detectron2's augmentations draw from it)
    # Not torch.manual_seed, which would seed the GPUs too.
    torch.default_generator.manual_seed(int(seeds[2]))
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(torch_cpu)


def _make_workers_possible(asked: int) -> int:
    """Let workers be forked, and say how many there shall be: at most one for each processor.

    They inherit one thread of OpenCV's: its threads do not survive a fork, and a worker that sets their number waits
    for them for ever. How many workers there are changes no sample.
    """
    # Those that this process may use, where the system tells.
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(asked, processors)
    if workers > 0:
        cv2.setNumThreads(1)
    return workers
