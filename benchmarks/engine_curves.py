"""Do training curves of the fast engine and of the reference lie on each other?

Trains ``text_ebt`` from the same seed on the same batches by both engines, in fp32 and bf16, and
writes ``docs/results/engines.json`` and ``docs/images/engines.svg``. Fast: compiled, replayed as a
CUDA graph, attention by whatever serves best. Reference: as written, attention in plain PyTorch.

    python benchmarks/engine_curves.py --steps 200
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from argmind.train.metrics import Values
from argmind.train.progress import Progress
from jobs import Job, Named, Row, Script, by_name, carry_out, kept_rows, options, over, trained

ATTENTION = "predictor.body.transformer.attention"
ENGINES = {
    "fast": ["training.compile=on", f"{ATTENTION}=auto"],
    "reference": ["training.compile=off", f"{ATTENTION}=reference"],
}
PRECISIONS = ("fp32", "bf16")
COLOURS = {"fast": "#0072b2", "reference": "#d55e00"}


def main() -> None:
    """Train what is missing, then write and draw."""
    parser = options(__doc__, "docs/results/engines.json")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--picture", type=Path, default=Path("docs/images/engines.svg"))
    parser.set_defaults(seeds=1)
    arguments = parser.parse_args()
    jobs = [
        Job(f"{engine}_{precision}", seed)
        for precision in PRECISIONS
        for engine in ENGINES
        for seed in range(arguments.seeds)
    ]
    script = Script(
        jobs,
        work=partial(curve, arguments=arguments),
        figures=figures,
        # Tokenise once, before the processes start.
        prepare=lambda: _recipe("fast_fp32", 0, arguments).data.build(seed=0),
    )
    carry_out(arguments, script)
    if not arguments.one:
        draw(by_name(kept_rows(arguments.out)), arguments.picture)


class _Losses(Progress):
    """Keeps the training loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.notes: list[str] = []

    def log(self, step: int, values: Values) -> None:  # noqa: ARG002
        self.values.append(float(values["loss"] or 0.0))

    def note(self, text: str) -> None:
        self.notes.append(text)


def curve(name: str, seed: int, arguments: argparse.Namespace) -> Row:
    """The training loss of every step."""
    recipe, losses = _recipe(name, seed, arguments), _Losses()
    _, cost = trained(recipe, recipe.data.build(seed=seed), losses)
    return {**cost, "losses": losses.values, "notes": losses.notes}


def _recipe(name: str, seed: int, arguments: argparse.Namespace) -> Any:
    from argmind.recipes.base import customised, find_recipe

    engine, _, precision = name.partition("_")
    settings = [
        f"training.steps={arguments.steps}",
        f"training.precision={precision}",
        f"training.seed={seed}",
        "training.log_every=1",
        "training.eval_every=0",
        "training.checkpoint_every=0",
    ]
    return customised(find_recipe("text_ebt"), None, [*settings, *ENGINES[engine], *arguments.set])


def figures(rows: Mapping[str, list[Row]]) -> Iterator[Named]:
    """How far the two curves of each precision are apart, and how long they took."""
    for precision in PRECISIONS:
        runs = [rows.get(f"{engine}_{precision}", []) for engine in ENGINES]
        apart = [_apart(*pair) for pair in zip(*runs, strict=False)]
        if apart:
            yield f"{precision}_most_apart", over(apart, lambda row: row["most"]), "nats/token"
            yield f"{precision}_mean_apart", over(apart, lambda row: row["mean"]), "nats/token"
    for name, runs in rows.items():
        yield f"{name}_last_loss", over(runs, lambda row: row["losses"][-1]), "nats/token"
        yield f"{name}_training_s", over(runs, lambda row: row["training_s"]), "s"


def _apart(a: Row, b: Row) -> Row:
    gaps = np.abs(np.array(a["losses"]) - np.array(b["losses"]))
    return {"most": float(gaps.max()), "mean": float(gaps.mean())}


def draw(rows: Mapping[str, list[Row]], target: Path) -> None:
    """Both engines' curves, one over the other, for each precision."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(8, 3), layout="constrained")
    for axes, precision in zip(picture.subplots(1, 2, sharey=True), PRECISIONS, strict=True):
        for engine, colour in COLOURS.items():
            for row in rows.get(f"{engine}_{precision}", []):
                style = "-" if engine == "fast" else "--"
                axes.plot(row["losses"], style, color=colour, label=engine)
        axes.set(title=precision, xlabel="training step", ylabel="training loss / nats per token")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main()
