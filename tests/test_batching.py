"""Batches of a stream: order, what is held, and what a bad item costs."""

import numpy as np
import pytest

from dld_spotter.batching import LOOK_AHEAD, each_or_error, in_batches


def run(kinds, batch_size):
    """(batches, most items held) of items that are (place, kind); every outcome is checked."""
    taken, given, batches, held = 0, 0, [], 0

    def source():
        nonlocal taken
        for item in enumerate(kinds):
            taken += 1
            yield item

    def process(items):
        nonlocal held
        held = max(held, taken - given)
        batches.append(items)
        return [place * 10 for place, _ in items]

    for item, outcome in in_batches(source(), process, lambda item: item[1], batch_size):
        assert item == (given, kinds[given]) and outcome == given * 10
        given += 1
    assert given == len(kinds)
    return batches, held


@pytest.mark.parametrize("batch_size", [1, 2, 4, 7])
def test_every_item_once_in_order_in_batches_of_one_kind_with_little_held(batch_size):
    rng = np.random.default_rng(0)
    for _ in range(50):
        kinds = rng.integers(0, rng.integers(1, 5), rng.integers(0, 60)).tolist()
        batches, held = run(kinds, batch_size)
        assert all(1 <= len(batch) <= batch_size for batch in batches)
        if batch_size > 1:
            assert all(len({kind for _, kind in batch}) == 1 for batch in batches)
        assert held <= (LOOK_AHEAD * batch_size if batch_size > 1 else 1)


def test_batches_are_filled_from_what_is_ahead():
    batches, _ = run([0, 1] * 8, 4)
    assert [len(batch) for batch in batches] == [4] * 4


def test_a_result_is_given_before_the_next_item_is_read():
    read = []
    stream = in_batches(iter("abc"), lambda items: [read.append(item) or item for item in items], lambda item: 0, 1)
    assert next(stream) == ("a", "a") and read == ["a"]


@pytest.mark.parametrize("bad", [[], [3], [0, 1], [2, 5, 6], list(range(8))])
def test_a_bad_item_costs_one_item(bad):
    def process(items):
        if failing := [item for item in items if item in bad]:
            raise RuntimeError(f"item {failing[0]}")
        return [item * 10 for item in items]

    outcomes = each_or_error(process, range(8))
    for item, outcome in enumerate(outcomes):
        assert str(outcome) == f"item {item}" if item in bad else outcome == item * 10
    assert each_or_error(process, []) == []


def test_too_large_a_batch_is_read_in_smaller_ones():
    sizes = []

    def process(items):
        sizes.append(len(items))
        if len(items) > 2:
            raise MemoryError
        return list(items)

    assert each_or_error(process, list(range(8))) == list(range(8))
    assert sizes == [8, 4, 2, 2, 4, 2, 2]


def test_an_interrupt_is_no_error_of_an_item():
    def process(items):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        each_or_error(process, [1, 2])
