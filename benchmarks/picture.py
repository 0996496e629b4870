"""The README's picture, from the committed quickstart: ``python benchmarks/picture.py``."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from argmind.eval.results import Results, read_results

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Draw the two models' held-out loss, and the energy, against thinking steps."""
    results = read_results(ROOT / "docs/results/quickstart.json")
    picture = Figure(figsize=(8, 3), layout="constrained")
    loss, energy = picture.subplots(1, 2)
    draw(loss, results, "ebt_nats_by_step", "held-out loss / nats per token")
    rival = results.figures["tpp_nats"]
    loss.axhline(rival.value, color="#666666", linestyle="--", label="Transformer++")
    draw(energy, results, "ebt_energy_by_step", "energy")
    loss.legend(frameon=False)
    target = ROOT / "docs/images/thinking.svg"
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(target, metadata={"Date": None})


def draw(axes: Axes, results: Results, name: str, label: str) -> None:
    """One series over thinking steps with its band."""
    steps, series = results.extra["steps_of_ebt_nats_by_step"], results.figures[name]
    axes.plot(steps, series.value, color="#0072b2", marker="o", label="energy model")
    axes.fill_between(steps, series.low, series.high, color="#0072b2", alpha=0.15, linewidth=0)
    axes.set(xlabel="thinking steps", ylabel=label)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
