"""The figures of ``image_results.py`` from the rows of its jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jobs import Named, Row, over

FEATURES, CLASSIFIER = "features", "classifier"
EBT, DIT, REGRESSION = "denoise_ebt", "denoise_dit", "denoise_regression"
GENERATORS = ("generate_ebt", "generate_dit")
TIME = "_equal_time"
EQUAL_TIME = (f"{DIT}{TIME}", f"{REGRESSION}{TIME}")


def figures(rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """Means and ranges over seeds; curves as lists."""
    for short in ("id", "ood"):
        yield from _level_figures(rows, short)
    ours = rows.get(EBT, [])
    if ours:
        yield from _own_figures(ours)
        yield from _against_dit(ours, rows)
    for row in rows.get(DIT, [])[:1]:
        yield "dit_trained_noise_std", row["trained_noise_std"], "least and most, data in [-1, 1]"
    names = {EBT: "ebt", DIT: "dit", REGRESSION: "regression", CLASSIFIER: "supervised"}
    for name, key in names.items():
        if name in rows:
            yield f"probe_{key}", over(rows[name], lambda row: row["probe"]["accuracy"]), "1"
    for name in GENERATORS:
        if name in rows:
            yield from _generated(rows[name], name)
    for name, runs in rows.items():
        yield from _costs(name, runs)


def _level_figures(rows: Mapping[str, list[Row]], short: str) -> Iterator[Named]:
    """PSNR of all denoisers at one noise level."""
    if EBT in rows:
        given = over(rows[EBT], lambda row: row["levels"][short]["psnr_given"])
        yield f"psnr_{short}_given", given, "dB"
    for name, runs in rows.items():
        if "levels" in runs[0]:
            yield from _denoiser_figures(name, runs, short)
    yield from _gains(rows, short)


def _denoiser_figures(name: str, runs: Sequence[Row], short: str) -> Iterator[Named]:
    """Curves of one denoiser, and the point of it that counts."""
    key = name.removeprefix("denoise_")
    series = {one: _curve(runs, short, one) for one in runs[0]["levels"][short]["psnr"]}
    for one, curve in series.items():
        named = key if name == EBT else f"{key}_{one}"
        yield f"psnr_{short}_{named}_by_step", [point.psnr for point in curve], "dB"
        if short == "id":
            steps = [float(point.steps) for point in curve]
            yield f"psnr_{named}_steps", steps, "steps"
    chosen = _chosen(runs[0], series)
    yield f"psnr_{short}_{key}", chosen.psnr, "dB"
    level = "" if short == "id" else f"_{short}"
    yield f"nfe_{key}{level}", chosen.steps, "evaluations/image"
    yield f"ms_per_image_{key}{level}", chosen.ms, "ms"


class Point(NamedTuple):
    """One budget of a denoiser, over seeds."""

    steps: int
    psnr: Any
    ms: Any


def _chosen(row: Row, series: Mapping[str, list[Point]]) -> Point:
    """As trained; of a diffusion model what is best of all its samplers and steps."""
    if "thinking" in series:
        return next(one for one in series["thinking"] if one.steps == row["trained_steps"])
    if "passes" in series:
        return series["passes"][0]
    every = [point for curve in series.values() for point in curve]
    return max(every, key=lambda point: (point.psnr.value, -point.steps))


def _curve(runs: Sequence[Row], short: str, series: str) -> list[Point]:
    """All budgets of a series."""

    def mean(place: int, key: str) -> Any:
        return over(runs, lambda row: row["levels"][short]["psnr"][series][place][key])

    points = runs[0]["levels"][short]["psnr"][series]
    return [
        Point(point["steps"], mean(place, "value"), mean(place, "ms_per_image"))
        for place, point in enumerate(points)
    ]


def _gains(rows: Mapping[str, list[Row]], short: str) -> Iterator[Named]:
    """What the energy model is ahead by, seed by seed."""
    ours = {row["seed"]: _as_trained(row, short) for row in rows.get(EBT, [])}
    for name in (DIT, REGRESSION, *EQUAL_TIME):
        both = [row for row in rows.get(name, []) if row["seed"] in ours]
        if both:
            gain = over(both, lambda row: ours[row["seed"]] - _best(row, short))
            yield f"ebt_minus_{name.removeprefix('denoise_')}_db_{short}", gain, "dB"


def _as_trained(row: Row, short: str) -> float:
    points = row["levels"][short]["psnr"]["thinking"]
    return next(one["value"] for one in points if one["steps"] == row["trained_steps"])


def _best(row: Row, short: str) -> float:
    every = row["levels"][short]["psnr"]
    if "passes" in every:
        return every["passes"][0]["value"]
    return max(point["value"] for points in every.values() for point in points)


def _own_figures(ours: Sequence[Row]) -> Iterator[Named]:
    """What only a model that thinks has."""
    for short in ("id", "ood"):
        for name, key, unit in (
            ("thinking_4x_gain_db", "thinking_4x_gain_db", "dB"),
            ("self_verification_8_gain_db", "self_verification_gain_db", "dB"),
            ("energy_error_rank_correlation", "energy_error_rank_correlation", "1"),
        ):
            found = over(ours, lambda row, key=key, short=short: row["levels"][short][key])
            yield f"{name}_{short}", found, unit


def _against_dit(ours: Sequence[Row], rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """Passes for the best answer, and how far probes are from a supervised one."""
    dit = rows.get(DIT, [])
    if dit:
        series = {one: _curve(dit, "id", one) for one in dit[0]["levels"]["id"]["psnr"]}
        ratio = ours[0]["trained_steps"] / _chosen(dit[0], series).steps
        yield "nfe_ratio", ratio, "1"
    told = rows.get(CLASSIFIER, [])
    if dit and told:
        ceiling, theirs, mine = (
            over(runs, lambda row: row["probe"]["accuracy"]).value for runs in (told, dit, ours)
        )
        # At or above the ceiling there is no gap to compare with.
        if mine < ceiling:
            yield "probe_gap_ratio", (ceiling - theirs) / (ceiling - mine), "1"


def _generated(runs: Sequence[Row], name: str) -> Iterator[Named]:
    nfe = list(runs[0]["distance"])
    curve = [over(runs, lambda row, count=count: row["distance"][count]) for count in nfe]
    yield f"{name}_distance_by_nfe", curve, "Fréchet distance"
    yield f"{name}_nfe", [float(count) for count in nfe], "evaluations/image"
    yield "generate_distance_real", runs[0]["distance_real"], "Fréchet distance"


def _costs(name: str, runs: Sequence[Row]) -> Iterator[Named]:
    for key, unit in {
        "training_s": "s",
        "training_flops": "FLOP",
        "parameters": "parameters",
        "samples": "images",
        "accuracy": "1",
    }.items():
        if key in runs[0]:
            yield f"{name}_{key}", over(runs, lambda row, key=key: row[key]), unit
