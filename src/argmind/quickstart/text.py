"""The quickstart of text: the English prose that ships with Python."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from argmind.quickstart.base import Domain, Entrant, Study, Trained
from argmind.quickstart.pace import Clock
from argmind.quickstart.screen import Screen
from argmind.quickstart.text_study import TextStudy
from argmind.quickstart.tour import tour
from argmind.recipes.base import Recipe, customised, find_recipe
from argmind.registry import register


@register("quickstart", "text")
def text_quickstart(
    *, minutes: float = 6.0, out: str | Path | None = None, seed: int = 0, silent: bool = False
) -> dict[str, Any]:
    """An EBT and a Transformer++ of equal size learn Python's manual, offline.

    Raises:
        UserError: see :func:`argmind.quickstart.tour.tour`.
    """
    folder = None if out is None else Path(out)
    return tour(TextDomain(), minutes=minutes, out=folder, seed=seed, silent=silent)


@dataclass(frozen=True, kw_only=True)
class TextSizes:
    """What two CPU cores can train in minutes."""

    #: Pairs of bytes where the ``tokenizers`` package is there: more text in every step.
    tokenizer: str = field(
        default_factory=lambda: "bpe:1024" if find_spec("tokenizers") else "byte"
    )
    context_tokens: int = 96
    batch_size: int = 8
    num_layers: int = 3
    num_heads: int = 3
    hidden_dim: int = 96
    lr: float = 6e-3
    sample_tokens: int = 80

    def settings(self, transformer: str) -> list[str]:
        """As settings of a recipe whose transformer stands at this place."""
        return [
            "data.source=python",
            f"data.tokenizer={self.tokenizer}",
            f"data.context_tokens={self.context_tokens}",
            f"training.batch_size={self.batch_size}",
            f"optimizer.lr={self.lr!r}",
            f"{transformer}.num_layers={self.num_layers}",
            f"{transformer}.num_heads={self.num_heads}",
            f"{transformer}.hidden_dim={self.hidden_dim}",
        ]


class TextDomain(Domain):
    """EBT against Transformer++ on Python's manual."""

    name = "text"
    entrants = (
        Entrant(label="EBT", key="ebt"),
        Entrant(
            label="Transformer++",
            key="tpp",
            folder="transformer_pp",
            width="predictor.transformer.feedforward.multiplier",
        ),
    )
    unit = "tokens"

    def __init__(self, sizes: TextSizes | None = None) -> None:
        self.sizes = sizes or TextSizes()

    def recipes(self) -> tuple[Recipe, Recipe]:
        """``text_ebt_calibrated`` and ``text_transformer_pp``, made small."""
        thinker = customised(
            find_recipe("text_ebt_calibrated"),
            None,
            self.sizes.settings("predictor.body.transformer"),
        )
        rival = customised(
            find_recipe("text_transformer_pp"), None, self.sizes.settings("predictor.transformer")
        )
        # The rest of the optimiser and of the batches is the thinker's too: equal terms.
        return thinker, replace(
            rival, data=thinker.data, optimizer=thinker.optimizer, training=thinker.training
        )

    def describe(self, data: Any) -> str:
        """The text, and how it is read."""
        tokens = data.samples_per_epoch * self.sizes.context_tokens
        return (
            f"The manual that ships with Python, read as {self.sizes.tokenizer}: {tokens:,} tokens "
            f"to learn from, {data.evaluation_samples} sequences held out."
        )

    def study(self, trained: Trained, clock: Clock, screen: Screen) -> Study:
        """Measure, sample, and tell."""
        study = TextStudy(trained, self.sizes.sample_tokens, screen)
        return study.run(clock, self.describe(trained.data))
