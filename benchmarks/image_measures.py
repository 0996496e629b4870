"""What a trained image model of ``image_results.py`` is asked on held-out images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from argmind.data.base import Batch
from argmind.data.datasets.images import ImageData
from argmind.eval import probe
from argmind.eval.budgets import Measured, measure
from argmind.eval.distance import Moments, frechet_distance, image_moments
from argmind.eval.feature_net import load_feature_net
from argmind.eval.statistics import Interval, bootstrap_difference, spearman
from argmind.image.pictures import strip, write_png
from argmind.predictors.base import Prediction, Predictor
from argmind.predictors.dit import DiT
from argmind.runs import LoadedRun
from argmind.spaces.image import psnr
from argmind.thinking.budget import Budget
from argmind.train.engine import resolve_precision
from jobs import Row

STEPS = (0, 1, 2, 3, 4, 6, 8, 12)
CANDIDATES = 8
#: Passes of a diffusion model, by sampler.
DIFFUSION_STEPS = {"ddim": (1, 2, 4, 10, 20, 50, 100), "ddpm": (10, 100)}
#: Passes of a regression, each but the first over what the one before made.
PASSES = (1, 2, 3, 4)
NFE = (1, 2, 4, 10, 50)
#: Out of distribution: noise of this many times the trained std.
FACTOR = 2.0
_BATCH = 500
_PICTURES = 6


class Denoising:
    """One denoiser at the trained noise, and at more."""

    def __init__(self, run: LoadedRun, images: int, seed: int) -> None:
        self.run, self.images, self.seed = run, images, seed
        self.trained_steps = run.predictor.trained_steps
        self.precision = resolve_precision(run.recipe.training.precision, run.device)

    def measure(self, pictures: Path | None) -> Row:
        """PSNR at every budget at both levels, and pictures where a place is given."""
        config: Any = self.run.recipe.data
        levels: Row = {}
        for short, std in (("id", config.task.level), ("ood", FACTOR * config.task.level)):
            noisy = replace(config, task=replace(config.task, level=std)).build(seed=self.seed)
            batches = list(noisy.evaluation(_BATCH, self.images))
            levels[short] = self._level(batches)
            if pictures is not None:
                named = pictures.with_stem(f"{pictures.stem}_{short}")
                write_png(named, strip(self._columns(batches[0])))
        found: Row = {"trained_steps": self.trained_steps, "levels": levels}
        if isinstance(self.run.predictor, DiT):
            found["trained_noise_std"] = _noise_range(self.run.predictor)
        return found

    def _level(self, batches: list[Batch]) -> Row:
        rows = {name: self._rows(name, batches) for name in self._series}
        given = [psnr(batch["given"].clamp(-1, 1), batch["clean"]) for batch in batches]
        found: Row = {
            "psnr_given": float(torch.cat(given).mean()),
            "images": sum(len(batch["clean"]) for batch in batches),
            "psnr": {
                name: [_point(*pair) for pair in zip(self._series[name], measured, strict=True)]
                for name, measured in rows.items()
            },
        }
        if "thinking" in rows:
            found |= self._thinking(dict(zip(STEPS, rows["thinking"], strict=True)), batches)
        return found

    @property
    def _series(self) -> dict[str, Sequence[int]]:
        """Numbers of steps to ask for, by way of taking them."""
        predictor = self.run.predictor
        if isinstance(predictor, DiT):
            return dict(DIFFUSION_STEPS)
        return {"thinking": STEPS} if predictor.thinks else {"passes": PASSES}

    def _rows(self, series: str, batches: list[Batch]) -> list[Measured]:
        predictor = self.run.predictor
        if isinstance(predictor, DiT):
            predictor.sampler = series
        asked = cast(Predictor, Reapplied(predictor)) if series == "passes" else predictor
        budgets = [Budget(steps=count) for count in self._series[series]]
        return measure(asked, batches, budgets, seed=self.seed, precision=self.precision)

    def _thinking(self, by_steps: dict[int, Measured], batches: list[Batch]) -> Row:
        """What longer thinking, several starts and energies are worth; intervals over images."""
        trained, budget = by_steps[self.trained_steps], Budget(candidates=CANDIDATES)
        # As many candidates at a time as before.
        few = list(_split(batches, _BATCH // CANDIDATES))
        predictor, precision = self.run.predictor, self.precision
        several = measure(predictor, few, [budget], seed=self.seed, precision=precision)[0]
        gain = _difference(several, trained)
        longer = _difference(by_steps[4 * self.trained_steps], trained)
        result = trained.evaluation
        return {
            "thinking_4x_gain_db": longer.value,
            "thinking_4x_gain_interval": longer,
            "self_verification_gain_db": gain.value,
            "self_verification_gain_interval": gain,
            "energy_error_rank_correlation": spearman(result.energies, result.losses),
        }

    def _columns(self, batch: Batch) -> list[Tensor]:
        """The first held-out images: given, on the way, as answered last, and clean."""
        predictor = self.run.predictor
        few = {name: tensor[:_PICTURES].to(self.run.device) for name, tensor in batch.items()}
        problem, clean = predictor.task(few)
        if isinstance(predictor, DiT):
            predictor.sampler = "ddim"
            answers = [predictor.predict(problem, Budget(steps=n)).output for n in (1, 10, 100)]
        elif predictor.thinks:
            longest = Budget(steps=4 * self.trained_steps, trace=True)
            trace = predictor.predict(problem, longest).trace
            assert trace is not None  # asked for
            answers = [*trace.outputs[1 : self.trained_steps + 1], trace.outputs[-1]]
        else:
            answers = [predictor.predict(problem).output]
        return [few["given"], *answers, clean]


class Reapplied:
    """A model of one pass that is asked again about its own answer, as often as steps say."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._predictor, name)

    def predict(self, problem: Any, budget: Budget, generator: Any) -> Prediction:
        """The last answer; ``nfe`` counts all passes."""
        passes = budget.steps or 1
        prediction = self._predictor.predict(problem, budget, generator)
        for _ in range(passes - 1):
            problem = {**problem, "given": prediction.output}
            prediction = self._predictor.predict(problem, budget, generator)
        return replace(prediction, nfe=prediction.nfe * passes)


def _noise_range(predictor: DiT) -> list[float]:
    """Least and most noise, per unit of data, that a diffusion model is trained on."""
    process = predictor.process
    most = process.most_noise(torch.zeros(1, device=predictor.trunk.condition.device))
    scales = [process.scales(time, most) for time in (0 * most, most)]
    return [float(one.noise / one.data) for one in scales]


def _point(steps: int, one: Measured) -> Row:
    found = one.scores["psnr"]
    return {
        "steps": steps,
        **found._asdict(),
        "nfe": one.nfe,
        "ms_per_image": one.ms_per_prediction,
        "diverged": one.diverged,
    }


def _split(batches: Iterable[Batch], size: int) -> Iterator[Batch]:
    """The same samples in smaller batches."""
    for batch in batches:
        for first in range(0, len(batch["clean"]), size):
            yield {name: tensor[first : first + size] for name, tensor in batch.items()}


def _difference(one: Measured, other: Measured) -> Interval:
    pairs = (row.evaluation.scores["psnr"] for row in (one, other))
    return bootstrap_difference(*pairs, np.random.default_rng(0))


# ---------------------------------------------------------------------- probe


def probed(run: LoadedRun, data: ImageData, train: int, test: int) -> Row:
    """A linear probe of frozen features, on training images for which it is fitted."""
    plain = probe.as_they_are(data.config).build(seed=0)
    return vars(probe.probed(run.predictor, plain, train, test))


# ---------------------------------------------------------------------- generation


class Generating:
    """One generator, judged by how its images are distributed."""

    def __init__(self, run: LoadedRun, data: ImageData, net: Path, samples: int) -> None:
        self.run, self.data, self.samples = run, data, samples
        self.net, _ = load_feature_net(net)
        self.net.to(run.device)
        self.precision = resolve_precision(run.recipe.training.precision, run.device)
        if isinstance(run.predictor, DiT):
            run.predictor.sampler = "ddim"

    def measure(self, pictures: Path | None, seed: int) -> Row:
        """Fréchet distance from held-out images at every number of passes."""
        held_out = self._moments(batch["clean"] for batch in self.data.evaluation(_BATCH))
        count = min(self.samples, self.data.samples_per_epoch)
        real = self._moments([self.data.batch(0, count)["clean"]])
        distances: dict[int, float] = {}
        columns: list[Tensor] = []
        for nfe in NFE:
            made = list(self._made(nfe, seed))
            distances[nfe] = frechet_distance(self._moments(made), held_out)
            columns.append(made[0][:_PICTURES])
        if pictures is not None:
            write_png(pictures, strip(columns))
        return {
            "distance": distances,
            "distance_real": frechet_distance(real, held_out),
            "generated": self.samples,
            "held_out": held_out.count,
        }

    def _moments(self, batches: Iterable[Tensor]) -> Moments:
        return image_moments(self.net, batches)

    def _made(self, nfe: int, seed: int) -> Iterator[Tensor]:
        """Images of all classes in turn, from the same noise whatever ``nfe``."""
        predictor, device = self.run.predictor, self.run.device
        generator = torch.Generator(device).manual_seed(seed)
        if not isinstance(predictor, DiT):
            set_size(predictor, nfe)
        labels = torch.arange(self.samples, device=device) % len(self.data.classes)
        on = self.precision == "bf16"
        for some in labels.split(_BATCH):
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=on):
                made = predictor.predict({"label": some}, Budget(steps=nfe), generator)
            yield made.output.float()


def set_size(predictor: Any, nfe: int) -> None:
    """Steps long enough to get from noise to data in so many, or as the recipe has them.

    With slope λ (ε − x) on the way, moves of sizes that add up to 1 / λ lead there; momentum μ
    makes the k-th move Σ μ^i for i ≤ k times the size.
    """
    config, steepness = predictor.thinker.config, 4.0
    momentum = config.rule.momentum
    moves = sum((1 - momentum ** (step + 1)) / (1 - momentum) for step in range(nfe))
    predictor.thinker.schedule.size = max(config.schedule.size, 1 / (steepness * moves))
