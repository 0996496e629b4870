"""The README's picture, from the committed results: ``python benchmarks/picture.py``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from argmind.eval.results import Figure as Measured
from argmind.eval.results import read_results

ROOT = Path(__file__).resolve().parent.parent
TASKS = {
    "sudoku": "Sudoku 6 × 6, fewer givens",
    "sudoku9": "Sudoku 9 × 9, fewer givens",
    "dyck": "Dyck words, longer and deeper",
}
#: Whose curves are drawn, and how.
CURVES = {
    "ebt": ("energy model", "#0072b2", "o"),
    "recursive": ("recursive reasoner", "#009e73", "s"),
    "loop": ("loop", "#d55e00", "^"),
}
STEPS = {"T": 4, "2T": 8, "4T": 16, "8T": 32}
_ONE_PASS, _BEST = "#666666", "#0072b2"


def main() -> None:
    """Draw problems solved, harder than in training, against thinking steps."""
    figures = read_results(ROOT / "docs/results/reasoning.json").figures
    picture = Figure(figsize=(9, 3), layout="constrained")
    panels = picture.subplots(1, len(TASKS))
    for axes, (task, title) in zip(panels, TASKS.items(), strict=True):
        draw(axes, figures, f"{task}_hard")
        axes.set(title=title, xlabel="thinking steps", ylim=(-0.02, 1.02))
    panels[0].set_ylabel("solved")
    panels[0].legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 0.05))
    target = ROOT / "docs/images/thinking.svg"
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(target, metadata={"Date": None})


def draw(axes: Axes, figures: Mapping[str, Measured], named: str) -> None:
    """One kind of problem: a curve with its range over seeds for every model that thinks."""
    for model, (label, colour, marker) in CURVES.items():
        found = [figures.get(f"{named}_{model}_{budget}") for budget in STEPS]
        there = [(n, one) for n, one in zip(STEPS.values(), found, strict=True) if one is not None]
        steps = [n for n, _ in there]
        axes.plot(steps, [one.value for _, one in there], color=colour, marker=marker, label=label)
        low, high = ([getattr(one, end) for _, one in there] for end in ("low", "high"))
        axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    best = figures[f"{named}_ebt_4T_best_of_8"]
    axes.plot(
        STEPS["4T"], best.value, "*", color=_BEST, markersize=11, label="energy model, best of 8"
    )
    one_pass = figures[f"{named}_onepass"].value
    axes.axhline(one_pass, color=_ONE_PASS, linestyle="--", linewidth=1, label="one pass")
    axes.set_xscale("log", base=2, subs=[])
    axes.set_xticks(list(STEPS.values()), [str(n) for n in STEPS.values()])
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
