"""The loaders: the stream of samples depends on the seed alone, and settings that cannot work say so."""

# ruff: noqa: NPY002 (Detectron2's augmentations draw from the global generator)

import itertools
import os
import random
import signal
import warnings

import cv2
import numpy as np
import pytest
import torch
import toy
from detectron2.utils import comm

from dld_spotter.data.loader import (
    SeededBatchSampler,
    build_text_test_loader,
    build_text_train_loader,
    load_training_records,
    random_state_of,
)


@pytest.fixture(scope="module")
def toy_set(tmp_path_factory):
    """Five drawn images, the first with a don't-care word, the last without words."""
    folder = tmp_path_factory.mktemp("toy")
    json_file, image_root = toy.write_toy_dataset(folder, 5, dont_care=True, wordless=True)
    return ["loader_toy", image_root, json_file]


def toy_cfg(toy_set, *opts):
    return toy.tiny_cfg(
        "DATASETS.CUSTOM", [toy_set], "DATASETS.TRAIN", ("loader_toy",), "SOLVER.IMS_PER_BATCH", 2, "SEED", 5, *opts
    )


def take(iterable, number) -> list:
    return list(itertools.islice(iterable, number))


def assert_same_samples(first: list[dict], second: list[dict]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one["file_name"] == other["file_name"]
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["instances"].gt_masks.tensor, other["instances"].gt_masks.tensor)
        assert torch.equal(one["instances"].gt_text, other["instances"].gt_text)
        assert torch.equal(one["instances"].gt_ignore, other["instances"].gt_ignore)


def flat(batches) -> list:
    return list(itertools.chain.from_iterable(batches))


def test_stream_is_one_permutation_after_another():
    stream = flat(take(SeededBatchSampler(5, 0, 2), 25))
    indices, draws = zip(*stream, strict=True)
    assert draws == tuple(range(50))
    epochs = [indices[i : i + 5] for i in range(0, 50, 5)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len(set(epochs)) > 5, "the order changes from epoch to epoch"
    assert stream != flat(take(SeededBatchSampler(5, 1, 2), 25))
    assert flat(take(SeededBatchSampler(1, 0, 3), 2)) == [(0, n) for n in range(6)]


@pytest.mark.parametrize("start_iter", [1, 4, 1000])
def test_stream_after_a_restart(start_iter):
    whole = take(SeededBatchSampler(7, 3, 4), start_iter + 6)
    assert take(SeededBatchSampler(7, 3, 4, start_iter=start_iter), 6) == whole[start_iter:]


@pytest.mark.parametrize("world_size", [2, 3, 6])
def test_processes_share_each_iteration(world_size):
    whole = take(SeededBatchSampler(7, 3, 6, start_iter=2), 8)
    shares = [
        take(SeededBatchSampler(7, 3, 6, rank=rank, world_size=world_size, start_iter=2), 8)
        for rank in range(world_size)
    ]
    assert [flat(parts) for parts in zip(*shares, strict=True)] == whole
    assert {len(batch) for share in shares for batch in share} == {6 // world_size}


def test_unequal_shares_are_refused():
    with pytest.raises(ValueError, match="SOLVER.IMS_PER_BATCH is 4.*multiple of 3"):
        SeededBatchSampler(7, 3, 4, world_size=3)


def test_loader_restarts_exactly(toy_set):
    cfg = toy_cfg(toy_set)
    whole = take(build_text_train_loader(cfg), 6)
    assert all(len(batch) == 2 for batch in whole)
    assert_same_samples(flat(take(build_text_train_loader(cfg, start_iter=4), 2)), flat(whole[4:]))
    images = [sample["image"] for sample in flat(whole)]
    assert not any(a.shape == b.shape and torch.equal(a, b) for a, b in itertools.combinations(images, 2))
    other_seed = flat(take(build_text_train_loader(toy_cfg(toy_set, "SEED", 6)), 6))
    assert any(a["image"].shape != b["image"].shape for a, b in zip(flat(whole), other_seed, strict=True))


def blur_a_large_image(record: dict) -> dict:
    """Large enough for OpenCV to use its threads."""
    return {"sum": int(cv2.GaussianBlur(np.ones((2000, 2000, 3), np.uint8), (31, 31), 5).sum())}


@pytest.mark.parametrize("training", [True, False])
def test_workers_start_after_opencv_has_used_its_threads(toy_set, training):
    """A hang, if the loader does nothing about it: the threads do not survive the fork of a worker."""
    cfg = toy_cfg(toy_set, "DATALOADER.NUM_WORKERS", 1)
    cv2.setNumThreads(4)
    blur_a_large_image({})
    if training:
        loader = build_text_train_loader(cfg, blur_a_large_image)
    else:
        loader = build_text_test_loader(cfg, "loader_toy", blur_a_large_image)

    def give_up(*_):
        raise TimeoutError("the worker waits for ever")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    try:
        assert take(loader, 1)[0][0]["sum"] == 2000 * 2000 * 3
    finally:
        signal.alarm(0)


def test_workers_change_nothing(toy_set):
    alone = take(build_text_train_loader(toy_cfg(toy_set)), 5)
    helped = take(build_text_train_loader(toy_cfg(toy_set, "DATALOADER.NUM_WORKERS", 2)), 5)
    assert_same_samples(flat(alone), flat(helped))


def test_there_are_no_more_workers_than_processors(toy_set, monkeypatch):
    cfg = toy_cfg(toy_set, "DATALOADER.NUM_WORKERS", 4)
    for processors, workers in ((2, 2), (8, 4)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, processors=processors: set(range(processors)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # PyTorch warns of more
            loaders = build_text_train_loader(cfg), build_text_test_loader(cfg, "loader_toy")
        assert [loader.num_workers for loader in loaders] == [workers, workers]


def test_workers_where_the_system_tells_no_affinity(toy_set, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # macOS and Windows
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert build_text_train_loader(toy_cfg(toy_set, "DATALOADER.NUM_WORKERS", 4)).num_workers == 2


def test_processes_change_nothing(toy_set, monkeypatch):
    cfg = toy_cfg(toy_set)
    alone = take(build_text_train_loader(cfg), 4)
    shares = []
    for rank in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(comm, "get_rank", lambda rank=rank: rank)
            patch.setattr(comm, "get_world_size", lambda: 2)
            shares.append(take(build_text_train_loader(cfg), 4))
    assert_same_samples(flat(flat(pair) for pair in zip(*shares, strict=True)), flat(alone))


def test_a_mapper_may_use_any_generator_and_disturbs_none(toy_set):
    def mapper(record):
        return random.random(), np.random.rand(), torch.rand(()).item()

    state = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    first = flat(take(build_text_train_loader(toy_cfg(toy_set), mapper), 3))
    assert random.getstate() == state[0]
    assert np.array_equal(np.random.get_state()[1], state[1])
    assert torch.equal(torch.get_rng_state(), state[2])

    random.seed(77), np.random.seed(77), torch.manual_seed(77)
    assert flat(take(build_text_train_loader(toy_cfg(toy_set), mapper), 3)) == first
    assert len(set(flat(first))) == 18, "every draw of every generator is its own"


def test_random_state_comes_back_after_an_error():
    state = torch.get_rng_state()
    with pytest.raises(KeyError), random_state_of((1, 2)):
        torch.rand(3)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), state)


def test_without_a_seed_each_loader_draws_its_own(toy_set):
    cfg = toy_cfg(toy_set, "SEED", -1)
    first, second = (flat(take(build_text_train_loader(cfg), 3)) for _ in range(2))
    assert any(a["image"].shape != b["image"].shape for a, b in zip(first, second, strict=True))


def test_images_without_words_are_filtered_if_asked(toy_set):
    for filtered, number in ((True, 4), (False, 5)):
        cfg = toy_cfg(toy_set, "DATALOADER.FILTER_EMPTY_ANNOTATIONS", filtered)
        assert len({sample["image_id"] for sample in flat(take(build_text_train_loader(cfg), 5))}) == number


def test_words_that_cannot_be_read_do_not_keep_an_image(toy_set):
    cfg = toy_cfg(toy_set, "MODEL.TEXT.MAX_LENGTH", 1, "INPUT.TEXT.UNKNOWN", "detect")
    assert len(next(iter(build_text_train_loader(cfg)))) == 2
    cfg.INPUT.TEXT.UNKNOWN = "ignore"
    with pytest.raises(ValueError, match="no image to train on.*FILTER_EMPTY_ANNOTATIONS"):
        build_text_train_loader(cfg)


def test_data_sets_are_joined(toy_set, tmp_path):
    json_file, image_root = toy.write_toy_dataset(tmp_path, 2, seed=9)
    cfg = toy_cfg([*toy_set], "DATASETS.CUSTOM", [toy_set, ["second_toy", image_root, json_file]])
    cfg.DATASETS.TRAIN = ("loader_toy", "second_toy")
    files = {sample["file_name"] for sample in flat(take(build_text_train_loader(cfg), 3))}
    assert len(files) == 6 and sum(str(tmp_path) in name for name in files) == 2


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("DATASETS.TRAIN", (), "DATASETS.TRAIN is empty"),
        ("DATASETS.TRAIN", ("nowhere",), "'nowhere' is not registered"),
        ("DATALOADER.SAMPLER_TRAIN", "RepeatFactorTrainingSampler", "DATALOADER.SAMPLER_TRAIN"),
    ],
)
def test_settings_that_cannot_work(toy_set, key, value, message):
    with pytest.raises(ValueError, match=message):
        load_training_records(toy_cfg(toy_set, key, value))


def test_test_loader_keeps_the_order(toy_set):
    cfg = toy_cfg(toy_set)
    batches = list(build_text_test_loader(cfg, "loader_toy"))
    assert [[sample["image_id"] for sample in batch] for batch in batches] == [[1], [2], [3], [4], [5]]
    assert all("instances" not in sample for sample in flat(batches))
    pairs = list(build_text_test_loader(cfg, "loader_toy", batch_size=2, keep_annotations=True))
    assert [len(batch) for batch in pairs] == [2, 2, 1]
    assert [len(sample["instances"]) for sample in flat(pairs)] == [3, 2, 2, 2, 0]
    with pytest.raises(ValueError, match="'nowhere' is not registered"):
        build_text_test_loader(cfg, "nowhere")
