"""The order of samples: exact epochs, and the same for every layout and after every restart."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argmind.data.order import epoch_order, sample_at

seeds = st.integers(-(2**70), 2**70)


@given(seed=seeds, epoch=st.integers(0, 10**6), samples=st.integers(1, 2000))
def test_every_epoch_is_an_exact_permutation(seed, epoch, samples):
    order = sample_at(seed, np.arange(epoch * samples, (epoch + 1) * samples), samples)
    assert np.array_equal(np.sort(order), np.arange(samples))


@given(
    seed=seeds,
    samples=st.integers(1, 300),
    world=st.integers(1, 8),
    accumulate=st.integers(1, 4),
    micro=st.integers(1, 5),
)
def test_slices_of_any_layout_make_up_the_epochs(seed, samples, world, accumulate, micro):
    batch = world * accumulate * micro
    steps = -(-2 * samples // batch)  # enough to cross into the third epoch
    by_rank = {rank: [] for rank in range(world)}
    for step in range(steps):
        for part in range(accumulate):
            for rank in range(world):
                first = step * batch + (part * world + rank) * micro
                by_rank[rank].append(sample_at(seed, np.arange(first, first + micro), samples))
    seen = Counter(
        np.concatenate([piece for parts in by_rank.values() for piece in parts]).tolist()
    )
    whole = Counter(sample_at(seed, np.arange(steps * batch), samples).tolist())
    assert seen == whole
    epochs = steps * batch // samples
    assert all(epochs <= seen[sample] <= epochs + 1 for sample in range(samples))


@given(
    seed=seeds,
    samples=st.integers(1, 500),
    index=st.lists(st.integers(0, 10**7), max_size=50),
)
def test_position_by_position_equals_all_at_once(seed, samples, index):
    together = sample_at(seed, index, samples)
    epoch_order.cache_clear()
    alone = [int(sample_at(seed, position, samples)) for position in reversed(index)]
    assert together.tolist() == alone[::-1]


def test_a_new_process_continues_the_order():
    code = (
        "import numpy as np; from argmind.data.order import sample_at;"
        "print(sample_at(7, np.arange(90, 120), 37).tolist())"
    )
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert fresh.stdout.strip() == str(sample_at(7, np.arange(120), 37)[90:].tolist())


def test_the_order_is_pinned():
    """A change here would send every resumed run over other data."""
    assert sample_at(0, np.arange(8), 8).tolist() == [7, 6, 2, 4, 0, 3, 1, 5]
    assert sample_at(1, np.arange(8, 16), 8).tolist() == [2, 4, 0, 6, 7, 1, 3, 5]


def test_epochs_and_seeds_differ_and_every_place_is_reached():
    orders = np.array([epoch_order(seed, epoch, 10) for seed in range(60) for epoch in range(60)])
    assert len({tuple(order) for order in orders.tolist()}) > 3500
    counts = np.array([np.bincount(orders[:, place], minlength=10) for place in range(10)])
    # 3600 draws: each sample at each place 360 times on average, standard deviation 18.
    assert abs(counts - 360).max() < 5 * 18


def test_the_kept_permutation_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        epoch_order(0, 0, 5)[0] = 3


@pytest.mark.parametrize(("index", "samples"), [([0], 0), ([-1], 5)])
def test_impossible_questions_are_refused(index, samples):
    with pytest.raises(ValueError, match="order"):
        sample_at(0, index, samples)
