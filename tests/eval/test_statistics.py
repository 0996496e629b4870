"""Statistics against closed forms, brute force and properties."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argmind.eval.statistics import (
    Interval,
    auroc,
    auroc_within,
    bits_per_byte,
    bootstrap,
    bootstrap_difference,
    bootstrap_mean,
    over_seeds,
    perplexity,
    ranks,
    share,
    spearman,
    verdict,
)

few_levels = st.lists(st.integers(-4, 4), min_size=2, max_size=30)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_interval_covers_the_true_mean_about_95_times_in_100():
    covered = 0
    for trial in range(400):
        values = rng(trial).normal(2.0, 1.0, size=(60, 3))
        interval = bootstrap_mean(values, rng(1000 + trial), resamples=300)
        covered += interval.low <= 2.0 <= interval.high
    assert 0.9 <= covered / 400 <= 0.98


def test_whole_sequences_are_resampled():
    """Copies of a prediction inside its sequence add no knowledge, so the range must not shrink."""
    one = rng(1).normal(size=(50, 1))
    single = bootstrap_mean(one, rng(2))
    copied = bootstrap_mean(np.repeat(one, 20, axis=1), rng(2))
    assert copied == pytest.approx(single)


def test_the_range_has_the_width_of_the_normal_theory():
    values = rng(3).normal(size=(400, 5))
    interval = bootstrap_mean(values, rng(4), resamples=4000)
    half = 1.96 * values.mean(1).std(ddof=1) / math.sqrt(400)
    assert interval.high - interval.value == pytest.approx(half, rel=0.1)
    assert interval.value - interval.low == pytest.approx(half, rel=0.1)


def test_two_rows_have_exactly_the_distribution_of_all_resamples():
    interval = bootstrap_mean([[0.0], [1.0]], rng(), resamples=4000, confidence=0.4)
    assert interval == Interval(0.5, 0.5, 0.5)  # 0 and 1 come a quarter of the time each
    assert bootstrap_mean([[0.0], [1.0]], rng(), resamples=4000) == Interval(0.5, 0.0, 1.0)


def test_masked_places_count_for_nothing():
    values = np.array([[1.0, 2.0, np.nan], [3.0, np.inf, -np.inf], [np.nan, np.nan, np.nan]])
    mask = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    interval = bootstrap_mean(values, rng(), mask)
    assert interval == Interval(2.0, 1.5, 3.0)  # (1+2)/2 alone, all three, 3 alone


def test_same_seed_same_interval_and_other_seed_another():
    values = rng(5).normal(size=(30, 4))
    assert bootstrap_mean(values, rng(6)) == bootstrap_mean(values, rng(6))
    assert bootstrap_mean(values, rng(6)) != bootstrap_mean(values, rng(7))


def test_pairing_removes_what_both_models_share():
    difficulty = rng(8).normal(0, 5, size=(40, 8))
    first = difficulty + rng(9).normal(0, 0.01, size=difficulty.shape)
    interval = bootstrap_difference(first, difficulty + 0.1, rng(10))
    assert verdict(interval, 0.0) == "better"
    assert verdict(bootstrap_mean(first, rng(10)), float((difficulty + 0.1).mean())) == (
        "no difference beyond the interval"
    )
    swapped = bootstrap_difference(difficulty + 0.1, first, rng(10))
    assert swapped == pytest.approx((-interval.value, -interval.high, -interval.low))


def test_a_masked_difference_may_meet_infinities():
    values = np.array([[1.0, np.inf], [2.0, np.inf]])
    interval = bootstrap_difference(values, values, rng(), mask=[[1, 0], [1, 0]])
    assert interval == Interval(0.0, 0.0, 0.0)


@pytest.mark.parametrize("values", [[[1.0, 2.0]], [[1.0], [np.inf]], [[1.0], [np.nan]]])
def test_no_range_from_one_sequence_or_non_finite_values(values):
    interval = bootstrap_mean(values, rng())
    assert interval.low is None
    assert interval.high is None
    assert interval.value == pytest.approx(np.mean(values), nan_ok=True)


@pytest.mark.parametrize(
    ("values", "mask", "message"),
    [
        ([], None, "no values"),
        ([[1.0]], [[False]], "no values"),
        ([[1.0, 2.0]], [[True]], "shape"),
    ],
)
def test_nothing_to_average_is_an_error(values, mask, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(values, rng(), mask)


def test_pairs_must_be_pairs():
    with pytest.raises(ValueError, match="equal shapes"):
        bootstrap_difference([[1.0]], [[1.0, 2.0]], rng())
    with pytest.raises(ValueError, match="pairs"):
        spearman([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="same rows"):
        bootstrap(spearman, [1, 2], [1, 2, 3], generator=rng())


def test_any_statistic_can_be_bootstrapped_by_rows():
    losses = rng(11).normal(size=(40, 6))
    energies = losses + rng(12).normal(size=losses.shape)
    interval = bootstrap(spearman, energies, losses, generator=rng(13), resamples=300)
    assert interval.low < interval.value == spearman(energies, losses) < interval.high


def test_an_undefined_resample_gives_no_range():
    interval = bootstrap(spearman, [1.0, 2.0], [1.0, 2.0], generator=rng(), resamples=50)
    assert interval == Interval(1.0)


def brute_ranks(values: list[int]) -> list[float]:
    """Mean place over all ways to sort the ties: those below, plus half of the other equals."""
    return [1 + sum(b < a for b in values) + (sum(b == a for b in values) - 1) / 2 for a in values]


@given(few_levels)
def test_ranks_equal_brute_force(values):
    assert ranks(values).tolist() == brute_ranks(values)


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=30))
def test_spearman_is_pearson_of_ranks(pairs):
    first, second = (list(side) for side in zip(*pairs, strict=True))
    found = spearman(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert math.isnan(found)
        return
    expected = np.corrcoef(brute_ranks(first), brute_ranks(second))[0, 1]
    assert found == pytest.approx(expected, abs=1e-12)
    assert spearman(second, first) == pytest.approx(found)
    assert spearman([-a for a in first], second) == pytest.approx(-found)
    assert spearman(np.exp(first), second) == pytest.approx(found)  # only the order matters


@given(st.permutations(range(7)))
def test_spearman_without_ties_is_the_textbook_formula(order):
    squares = sum((a - b) ** 2 for a, b in enumerate(order))
    assert spearman(range(7), order) == pytest.approx(1 - 6 * squares / (7 * (49 - 1)))


def test_spearman_is_undefined_rather_than_zero():
    assert math.isnan(spearman([1.0, np.nan, 2.0], [1, 2, 3]))
    assert math.isnan(spearman([1.0], [2.0]))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=25))
def test_auroc_counts_pairs(cases):
    above = [score for score, positive in cases if positive]
    below = [score for score, positive in cases if not positive]
    found = auroc([score for score, _ in cases], [positive for _, positive in cases])
    if not above or not below:
        assert math.isnan(found)
        return
    wins = [(a > b) + 0.5 * (a == b) for a, b in itertools.product(above, below)]
    assert found == pytest.approx(sum(wins) / len(wins))


def test_auroc_within_columns_is_blind_to_what_columns_tell():
    scores = np.array([[1.0, 8, 5], [3, 8, 5], [2, 9, 5]])
    positive = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 0]], bool)
    assert auroc_within(scores, positive) == pytest.approx((2 * 1 + 2 * 0) / 4)
    alike = np.broadcast_to(scores[:1], scores.shape)
    assert auroc_within(alike, positive) == 0.5
    assert auroc(alike, positive) > 0.5
    assert math.isnan(auroc_within(scores[:, 2], positive[:, 2]))


def test_perplexity_is_the_exponential_of_the_mean():
    losses = np.array([0.0, math.log(16.0)])
    assert perplexity(losses.mean()) == pytest.approx(4.0)  # the mean of exponentials is 8.5
    assert perplexity(1e4) == math.inf


def test_bits_per_byte():
    assert bits_per_byte(math.log(2) * 8, 4.0) == pytest.approx(2.0)
    for impossible in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="bytes_per_token"):
            bits_per_byte(1.0, impossible)


@settings(max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=6))
def test_over_seeds_is_the_mean_and_the_spread(values):
    interval = over_seeds(values)
    assert (interval.low, interval.high) == (min(values), max(values))
    assert interval.value == pytest.approx(sum(values) / len(values), abs=1e-6)


def test_one_seed_has_no_spread():
    assert over_seeds([2.5]) == Interval(2.5)
    assert over_seeds([1.0, math.inf]) == Interval(math.inf)
    with pytest.raises(ValueError, match="no seeds"):
        over_seeds([])


def test_an_interval_in_another_unit():
    assert Interval(1.0, 0.0, 2.0).map(lambda nats: nats * 10) == Interval(10.0, 0.0, 20.0)
    assert Interval(1.0).map(math.exp) == Interval(math.e)


@pytest.mark.parametrize(
    ("interval", "reference", "words"),
    [
        (Interval(1.0, 0.9, 1.1), 1.2, "better"),
        (Interval(1.0, 0.9, 1.1), 0.8, "worse"),
        (Interval(1.0, 0.9, 1.1), 1.1, "no difference beyond the interval"),
        (Interval(1.0), 5.0, "not decided (no interval)"),
        (Interval(1.0, 0.9, 1.1), math.nan, "not decided (no interval)"),
    ],
)
def test_verdict(interval, reference, words):
    assert verdict(interval, reference) == words


def test_the_score_interval_of_a_share_solves_its_equation():
    """Its ends are the p that a share of k in n is just 1.96 standard errors from."""
    for good, count in ((0, 50), (7, 50), (50, 50), (1, 3)):
        found = share(np.arange(count) < good)
        assert found.value == good / count
        assert 0 <= found.low <= found.value <= found.high <= 1
        for end in (found.low, found.high):
            if end not in (0.0, 1.0) and end != found.value:
                error = math.sqrt(end * (1 - end) / count)
                assert abs(found.value - end) == pytest.approx(1.959964 * error, rel=1e-9)
        assert found.high - found.low > 0.05
    with pytest.raises(ValueError, match="no entries"):
        share([])
