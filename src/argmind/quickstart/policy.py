"""The quickstart of robot policies: a point that goes round a bar, left or right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from argmind.data.base import optional_module
from argmind.quickstart.base import Domain, Entrant, Study, Trained
from argmind.quickstart.pace import Clock
from argmind.quickstart.policy_demonstrations import demonstrated_routes, demonstrations
from argmind.quickstart.policy_study import PolicyStudy
from argmind.quickstart.screen import Screen
from argmind.quickstart.tour import tour
from argmind.recipes.base import Recipe, customised, find_recipe
from argmind.registry import register

_FEEDFORWARD = "predictor.transformer.feedforward.multiplier"


@register("quickstart", "policy")
def policy_quickstart(
    *, minutes: float = 6.0, out: str | Path | None = None, seed: int = 0, silent: bool = False
) -> dict[str, Any]:
    """EBT-Policy, Diffusion Policy and regression of equal size learn from the same demonstrations.

    Raises:
        UserError: see :func:`argmind.quickstart.tour.tour`.
    """
    folder = None if out is None else Path(out)
    return tour(PolicyDomain(), minutes=minutes, out=folder, seed=seed, silent=silent)


@dataclass(frozen=True, kw_only=True)
class PolicySizes:
    """What two CPU cores can train in minutes."""

    demonstrations: int = 100
    batch_size: int = 32
    num_layers: int = 2
    num_heads: int = 4
    hidden_dim: int = 64
    lr: float = 2e-3
    #: Of the energy model's training: what of the recipe is dearest.
    starts: int = 4
    scout_steps: int = 1
    thinking_steps: int = 2
    #: Episodes that every way of asking is measured on, at least and at most.
    episodes: tuple[int, int] = (20, 100)

    def settings(self, transformer: str) -> list[str]:
        """As settings of a recipe whose transformer stands at this place."""
        return [
            f"training.batch_size={self.batch_size}",
            f"optimizer.lr={self.lr!r}",
            f"{transformer}.num_layers={self.num_layers}",
            f"{transformer}.num_heads={self.num_heads}",
            f"{transformer}.hidden_dim={self.hidden_dim}",
        ]

    def thinking(self) -> list[str]:
        """As settings of the energy model's recipe."""
        return [
            f"objective.starts={self.starts}",
            f"objective.scout_steps={self.scout_steps}",
            f"thinking.steps={self.thinking_steps}",
        ]


class PolicyDomain(Domain):
    """EBT-Policy against Diffusion Policy and regression where there are two ways round."""

    name = "policy"
    entrants = (
        Entrant(label="EBT-Policy", key="ebt"),
        Entrant(label="Diffusion Policy", key="dp", folder="diffusion", width=_FEEDFORWARD),
        Entrant(label="Regression", key="bc", folder="regression", width=_FEEDFORWARD),
    )
    unit = "chunks"
    evaluated = False
    most_epochs = 1000
    equal = "time"

    def __init__(self, sizes: PolicySizes | None = None) -> None:
        self.sizes = sizes or PolicySizes()

    def require(self) -> None:
        """Refuse where files of demonstrations or pictures are out of reach."""
        optional_module("pyarrow.parquet", "the files of demonstrations", "policy")
        optional_module("PIL.Image", "pictures in the quickstart's report", "image")

    def recipes(self) -> tuple[Recipe, ...]:
        """``policy_point_ebt``, ``…_diffusion`` and ``…_regression``, made small."""
        folder = demonstrations(self.sizes.demonstrations)
        thinker, *rivals = (
            customised(find_recipe(f"policy_point_{name}"), None, self.sizes.settings(place))
            for name, place in (
                ("ebt", "predictor.body.transformer"),
                ("diffusion", "predictor.transformer"),
                ("regression", "predictor.transformer"),
            )
        )
        thinker = customised(thinker, None, [f"data.source='{folder}'", *self.sizes.thinking()])
        # Weight decay and clipping are each recipe's own, as published; all else is equal.
        terms: dict[str, Any] = {"data": thinker.data, "training": thinker.training}
        return (thinker, *(replace(rival, **terms) for rival in rivals))

    def describe(self, data: Any) -> str:
        """The task and its demonstrations."""
        return (
            "A point is pushed round a bar to a goal: the average of the two ways runs into the "
            f"bar. {self.sizes.demonstrations} demonstrations by a controller that goes left or "
            f"right as a coin says, in {data.samples_per_epoch:,} chunks of "
            f"{data.config.chunk} actions."
        )

    def study(self, trained: Trained, clock: Clock, screen: Screen) -> Study:
        """Let them act, picture, and tell."""
        routes = demonstrated_routes(Path(trained.data.config.source))
        study = PolicyStudy(trained, screen, routes, self.sizes.episodes)
        return study.run(clock, self.describe(trained.data))
