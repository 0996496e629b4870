"""Figures of ``docs/results/speed.json`` from what the cases of ``speed.py`` found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs import Named, Row

RIVAL = "text_transformer_pp"


def figures(rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """All figures of the cases that are there."""
    for case, (row,) in rows.items():
        if case.startswith("decode_"):
            yield from _decoded(case, row)
        elif case.startswith("gradients_"):
            engine = case.removeprefix("gradients_")
            for name in ("worst_error", "median_error", "worst_cosine", "median_cosine"):
                yield _named(f"gradient_{engine}_{name}", row["agreement"][name], "1")
        elif case == "cpu_quickstart":
            yield _named("cpu_quickstart_ratio", row["ratios"][case], "1")
        else:
            yield from _trained(case, row)


def _trained(case: str, row: Row) -> Iterator[Named]:
    by_model = {one["model"]: one for one in row["rows"]}
    theirs = by_model.pop(RIVAL, None)
    (ours,) = by_model.values()
    yield _named(f"{case}_ms", ours["ms"], "ms", ours["status"])
    reason = ours.get("peak_gib_reason") or ours["status"]
    yield _named(f"{case}_gib", ours["peak_gib"], "GiB", reason)
    floors = [ours[name] for name in ("flop_floor_ms", "byte_floor_ms") if ours[name] is not None]
    yield _named(f"{case}_floor_ms", max(floors, default=None), "ms", ours["status"])
    if theirs is not None:
        yield _named(f"{case}_tpp_ms", theirs["ms"], "ms", theirs["status"])
        ratio = row["ratios"].get("train")
        yield _named(f"{case}_ratio", ratio, "1", "one of the two did not fit")


def _decoded(case: str, row: Row) -> Iterator[Named]:
    for name in ("ratio", "scored_ratio", "16_candidates_ratio"):
        found = row["ratios"].get(name)
        named = _named(f"{case}_{name}", found, "1", "one of the two did not fit")
        yield named
        if (case, name) == ("decode_b1", "16_candidates_ratio"):
            yield "decode_16_candidates_ratio", *named[1:]
    for one in row["rows"]:
        kind = "tpp" if one["model"] == RIVAL else f"{one.get('candidates')}_candidates"
        scored = "_scored" if one.get("scored") and one.get("candidates") == 1 else ""
        yield _named(f"{case}_{kind}{scored}_ms", one["ms"], "ms", one["status"])


def _named(name: str, value: Any, unit: str, reason: str = "") -> Named:
    from argmind.eval.results import Figure

    if value is None:
        return name, Figure(value=None, unit=unit, reason=reason), unit
    if isinstance(value, dict):
        return name, Figure(**value, unit=unit), unit
    return name, Figure(value=value, unit=unit), unit
