"""The README's picture, from the committed results: ``python benchmarks/picture.py``."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from argmind.eval.results import read_results

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Draw held-out loss against thinking steps."""
    figures = read_results(ROOT / "docs/results/text.json").figures
    start, steps = figures["amortised_nats_start"], figures["ebt_nats_by_step"]
    rival, trained = figures["tpp_nats"], int(figures["trained_steps"].value)
    values = [start.value, *steps.value]
    low, high = [start.low, *steps.low], [start.high, *steps.high]
    picture = Figure(figsize=(7, 3.2), layout="constrained")
    axes = picture.add_subplot()
    axes.axhline(rival.value, color="#666666", linestyle="--", label="Transformer++")
    axes.axhspan(rival.low, rival.high, color="#666666", alpha=0.12, linewidth=0)
    axes.plot(range(len(values)), values, color="#0072b2", marker="o", label="energy model")
    axes.fill_between(range(len(values)), low, high, color="#0072b2", alpha=0.15, linewidth=0)
    axes.axvline(trained, color="#999999", linewidth=0.8, linestyle=":")
    axes.text(trained + 0.1, axes.get_ylim()[1], "trained", va="top", color="#666666", fontsize=8)
    axes.set(xlabel="thinking steps", ylabel="held-out loss / nats per token")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    target = ROOT / "docs/images/thinking.svg"
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main()
