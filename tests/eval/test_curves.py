"""Curves read back from a run folder, and what they say at equal cost."""

import json
import math

import numpy as np
import pytest

from argmind.eval.curves import HeldOutCurve, largest_common, read_curve


def write(folder, metrics, timing):
    for name, lines in (("metrics.jsonl", metrics), ("timing.jsonl", timing)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_curve_joins_metrics_and_timing(tmp_path):
    metrics = [
        {"step": 10, "split": "train", "nats": 9.0},
        {"step": 10, "split": "evaluation", "nats": 3.0},
        {"step": 15, "split": "evaluation", "nats": None},
        {"step": 20, "split": "evaluation", "nats": 2.0},
    ]
    timing = [{"step": 8, "elapsed_s": 4.0}, {"step": 16, "elapsed_s": 10.0}]
    write(tmp_path, metrics, [*timing, {"step": 20, "elapsed_s": 12.0}])
    curve = read_curve(tmp_path, "nats", data_per_step=100, flops_per_step=1e6)
    assert curve.values.tolist() == [3.0, 2.0]
    assert curve.data.tolist() == [1000, 2000]
    assert curve.flops.tolist() == [1e7, 2e7]
    assert curve.seconds.tolist() == [4.0 + 6.0 * 2 / 8, 12.0]


def test_a_folder_without_files_has_an_empty_curve(tmp_path):
    curve = read_curve(tmp_path, "nats", 1, 1)
    assert len(curve.values) == 0
    assert largest_common([curve, curve], "data") is None


def curve(costs):
    steps = np.array(costs, float)
    return HeldOutCurve(values=5 - np.log(steps), data=steps, flops=steps, seconds=steps)


def test_between_points_it_is_linear_in_the_logarithm():
    assert curve([10, 1000]).at("data", 100) == pytest.approx(5 - math.log(100))
    assert curve([10, 1000]).at("data", 10) == pytest.approx(5 - math.log(10))


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [([10, 50], [20, 40], 40), ([10, 20], [15, 90], 20), ([10, 20], [30, 90], None)],
)
def test_largest_common_cost(first, second, place):
    assert largest_common([curve(first), curve(second)], "flops") == place


def test_unknown_seconds_are_not_common():
    known = curve([10, 20])
    unknown = HeldOutCurve(known.values, known.data, known.flops, known.seconds * math.nan)
    assert largest_common([known, unknown], "seconds") is None
    assert largest_common([known, unknown], "data") == 20
