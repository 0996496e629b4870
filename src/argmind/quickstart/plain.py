"""What the quickstarts' findings say alike."""

from __future__ import annotations

import math

from argmind.eval.statistics import Interval
from argmind.quickstart.base import Trained


def plain_interval(interval: Interval | None) -> dict[str, float | None] | None:
    """As JSON data; nothing where there is none, or it is not finite."""
    if interval is None or not math.isfinite(interval.value):
        return None
    return dict(interval._asdict())


def unequal_compute(trained: Trained) -> str:
    """What training the thinker took beside its rivals, and whether it was cut short."""
    thinker = trained.thinker
    told = [
        f"{thinker.training_flops / rival.training_flops:.1f} times the FLOPs and "
        f"{thinker.training_s / rival.training_s:.1f} times the seconds of {rival.label}"
        for rival in trained.rivals
    ]
    learnt = "which could have learned from more data, or been larger, in that time"
    said = (
        f"Equal data is not equal compute: training {thinker.label} took {' and '.join(told)}, "
        f"{learnt}."
    )
    if thinker.cut_short:
        others = " and ".join(rival.label for rival in trained.rivals)
        said += (
            f" The machine became slower along the way: {thinker.label} was stopped after "
            f"{thinker.outcome.steps} of {thinker.recipe.training.steps} steps, before its "
            f"learning rate had come down, while {others} ended the schedule. That is unfair to "
            f"{thinker.label}."
        )
    return said


def cut_short(trained: Trained) -> list[str]:
    """Whom a machine that became slower stopped before the end, a sentence for each."""
    return [
        f"The machine became slower along the way: {one.label} was stopped after "
        f"{one.outcome.steps} of {one.recipe.training.steps} steps, before its learning rate "
        "had come down, which is unfair to it."
        for one in trained.contenders
        if one.cut_short
    ]
