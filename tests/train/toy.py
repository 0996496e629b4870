"""A tiny thinking model, its data and a trainer around it; also run as a process of its own.

``python toy.py JOB...`` trains once for every JSON object given, see :func:`run_job`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from argmind.objectives.base import Loss, Objective
from argmind.train.config import OptimizerConfig, TrainingConfig
from argmind.train.progress import PlainProgress, Progress
from argmind.train.trainer import Trainer, TrainOutcome

WIDTH = 4


class StepSize(nn.Module):
    lr_factor = 3.0

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(0.3))


class ToyPredictor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.inner = nn.Linear(2 * WIDTH, 8)
        self.head = nn.Linear(8, 1, bias=False)
        self.step_size = StepSize()
        with torch.no_grad():
            for weight in self.parameters():
                if weight.ndim:
                    weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5)

    def energy(self, context: Tensor, candidate: Tensor) -> Tensor:
        return self.head(torch.tanh(self.inner(torch.cat([context, candidate], -1)))).squeeze(-1)


class ToyObjective(Objective):
    """Two thinking steps from noise or from the last answers; can be made to fail on purpose.

    ``poison`` maps a sample number to "loss" or "gradient", which is then not a number.
    """

    def __init__(self, replay: bool = False, poison: dict[int, str] | None = None) -> None:
        super().__init__()
        self.predictor = ToyPredictor()
        self.replay = replay
        self.poison = poison or {}
        self.buffer: Tensor | None = None

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> Loss:
        context, target = batch["context"], batch["target"]
        candidate = torch.randn(target.shape, generator=generator, device=target.device)
        if self.replay and self.training and self.buffer is not None:
            candidate = candidate * 0.1 + self.buffer
        for _ in range(2):
            candidate = candidate.requires_grad_()
            energy = self.predictor.energy(context, candidate).sum()
            (slope,) = torch.autograd.grad(energy, candidate, create_graph=True)
            candidate = candidate - self.predictor.step_size.value * slope
        if self.replay and self.training:
            self.buffer = candidate.detach().clone()
        value = (candidate - target).square().mean() + self._poison(batch)
        return Loss(value, {"move": slope.detach().abs().mean()}, len(target))

    def _poison(self, batch: dict[str, Tensor]) -> Tensor:
        weight = self.predictor.head.weight[0, 0]
        if not self.poison:
            return weight * 0
        kinds = {self.poison.get(sample) for sample in batch["sample"].tolist()}
        if "loss" in kinds:
            return weight * torch.nan
        # The value 0, and the gradient 0 * inf.
        return (weight * 0).sqrt() if "gradient" in kinds else weight * 0

    def training_flops(self, batch: dict[str, Tensor]) -> float:
        return 6.0 * len(batch["sample"]) * sum(p.numel() for p in self.predictor.parameters())

    def runtime_state(self) -> dict[str, Tensor]:
        return {} if self.buffer is None else {"buffer": self.buffer}

    def load_runtime_state(self, state: dict[str, Tensor]) -> None:
        self.buffer = state["buffer"].to(self.predictor.head.weight.device, copy=True)


class ToyData:
    samples_per_epoch = 1000

    def __init__(self, fingerprint: str = "toy", held_out: int = 10) -> None:
        self.fingerprint = fingerprint
        self.held_out = held_out

    def _rows(self, samples: range) -> dict[str, Tensor]:
        rows = [
            torch.randn(WIDTH, generator=torch.Generator().manual_seed(sample + 1))
            for sample in samples
        ]
        context = torch.stack(rows)
        return {
            "context": context,
            "target": context.flip(-1) * 0.5,
            "sample": torch.tensor(list(samples)),
        }

    def batch(self, first: int, count: int) -> dict[str, Tensor]:
        return self._rows(range(first, first + count))

    def evaluation(self, batch_size: int, limit: int | None = None) -> Iterator[dict[str, Tensor]]:
        end = self.held_out if limit is None else min(limit, self.held_out)
        for first in range(0, end, batch_size):
            yield self._rows(range(10**6 + first, 10**6 + min(first + batch_size, end)))

    def save_assets(self, folder: Path) -> None:
        (folder / "asset.txt").write_text("from the data\n")


class StopAt(Progress):
    """Asks the trainer to stop after a step, and remembers what it was told."""

    def __init__(self, step: int | None = None) -> None:
        self.step = step
        self.trainer: Trainer | None = None
        self.notes: list[str] = []
        self.evaluations: list[tuple[int, bool]] = []

    def advance(self, step: int) -> None:
        if step == self.step and self.trainer is not None:
            self.trainer.stop()

    def evaluated(self, step: int, values: Any, is_best: bool) -> None:  # noqa: ARG002
        self.evaluations.append((step, is_best))

    def note(self, text: str) -> None:
        self.notes.append(text)


def make_trainer(
    run_dir: Path | str,
    objective: ToyObjective | None = None,
    data: Any = None,
    progress: Progress | None = None,
    optimizer: dict[str, Any] | None = None,
    **training: Any,
) -> Trainer:
    settings = {
        "steps": 10,
        "batch_size": 4,
        "log_every": 1,
        "eval_every": 4,
        "checkpoint_every": 4,
        "device": "cpu",
        **training,
    }
    return Trainer(
        objective or ToyObjective(),
        data or ToyData(),
        TrainingConfig(**settings),
        OptimizerConfig(**{"lr": 0.02, "warmup_steps": 2, **(optimizer or {})}),
        run_dir,
        recipe={"name": "toy"},
        on_progress=progress,
    )


def fit_until(run_dir: Path | str, step: int | None, resume: bool = False, **more: Any) -> StopAt:
    """Train up to a step (None: to the end); returns the progress it reported to."""
    progress = StopAt(step)
    progress.trainer = make_trainer(run_dir, progress=progress, **more)
    progress.trainer.fit(resume=resume)
    return progress


class StoppingData(ToyData):
    """Asks one rank's trainer to stop, or lets time pass, as a step begins."""

    trainer: Trainer | None = None

    def __init__(self, rank: int, at_batch: int, delay_s: float) -> None:
        super().__init__()
        self.mine = os.environ.get("RANK", "0") == str(rank)
        self.at_batch, self.delay_s, self.batches = at_batch, delay_s, 0

    def batch(self, first: int, count: int) -> dict[str, Tensor]:
        time.sleep(self.delay_s)
        self.batches += 1
        if self.mine and self.batches == self.at_batch and self.trainer is not None:
            self.trainer.stop()
        return super().batch(first, count)


def run_job(
    run_dir: str,
    resume: bool = False,
    replay: bool = False,
    poison: dict[str, str] | None = None,
    stop_rank: int = 0,
    stop_at_batch: int = 0,
    delay_s: float = 0.0,
    **training: Any,
) -> TrainOutcome:
    """Train once; everything is given as plain JSON."""
    data = StoppingData(stop_rank, stop_at_batch, delay_s)
    objective = ToyObjective(replay, {int(k): v for k, v in (poison or {}).items()})
    trainer = make_trainer(run_dir, objective, data, PlainProgress(), **training)
    data.trainer = trainer
    return trainer.fit(resume=resume)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for job in sys.argv[1:]:
        outcome = run_job(**json.loads(job))
        print(json.dumps({"steps": outcome.steps, "reason": outcome.reason}), flush=True)
