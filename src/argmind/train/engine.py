"""One optimiser step and one evaluation; no files, no clock, no wait for the device."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from argmind.data.base import TrainingData
from argmind.errors import UserError
from argmind.objectives.base import Loss, Objective
from argmind.train.checkpoint import Checkpoint, load_weights, weights_of
from argmind.train.compiling import compiled, recorded, worth_compiling
from argmind.train.config import OptimizerConfig, TrainingConfig
from argmind.train.distributed import World, without_sync
from argmind.train.ema import Ema
from argmind.train.memory import needed, require_room
from argmind.train.metrics import Window
from argmind.train.optimizer import NamedAdamW, lr_at
from argmind.train.seeds import reseed
from argmind.train.work import Work


class Engine:
    """Everything that changes from step to step: weights, optimiser, average, runtime state."""

    def __init__(
        self,
        objective: Objective,
        data: TrainingData,
        training: TrainingConfig,
        optimizer: OptimizerConfig,
        world: World,
    ) -> None:
        self.objective = objective.to(world.device)
        self.data = data
        self.training = training
        self.settings = optimizer
        self.world = world
        self.precision = resolve_precision(training.precision, world.device)
        self.micro_batch = _micro_batch(training, world.size)
        self.window = Window()
        self.bad_in_row = torch.zeros((), device=world.device)
        self._require_all_in_predictor()
        if next(iter(data.evaluation(1, 1)), None) is None:
            raise UserError("the held-out set is empty: hold out more of the data.")
        self._optimizer = NamedAdamW(objective.predictor, optimizer)
        self._parameters = self._optimizer.named()
        self._ema = None
        if training.ema_decay is not None:
            self._ema = Ema(self._parameters, training.ema_decay, training.ema_power)
        self._wrapped = world.wrap(self.objective)
        self._work = Work(self._wrapped, self.precision, world.device)
        self._generator = torch.Generator(world.device)

    def _require_all_in_predictor(self) -> None:
        inside = set(self.objective.predictor.parameters())
        for name, parameter in self.objective.named_parameters():
            if parameter.requires_grad and parameter not in inside:
                raise ValueError(f"'{name}' would not be saved: make it a part of the predictor")

    def prepare(self, say: Callable[[str], None], done_steps: int = 0) -> None:
        """Before the first step: is there room for it, and does compiling it pay?

        Raises:
            UserError: it cannot fit, or it was to be compiled and must not be.
        """
        batch = self._work.here(self.data.batch(0, self.micro_batch))
        steps = self.training.steps - done_steps
        compiles = worth_compiling(self.training.compile, self.world.device, steps)
        self.objective.train()
        self._require_room(batch, compiles)
        if compiles:
            demanded = self.training.compile == "on"
            compiled(self.objective, self._work, batch, self.world, demanded, say)
        if self.training.compile != "off" and self.world.size == 1:
            generator, accumulate = self._generator, self.training.accumulate
            self._work = recorded(self.objective, self._work, batch, generator, accumulate, say)

    def _require_room(self, batch: dict[str, Tensor], compiles: bool) -> None:
        """Raise a :class:`UserError` for a step that cannot fit on the GPU."""
        device = self.world.device
        if device.type != "cuda":
            return
        copies = 4 + (self._ema is not None)  # weights, gradients, two moments
        need = needed(self.objective, batch, self._work, copies)
        if need is not None:
            there = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
            need = need.compiled() if compiles else need
            require_room(need, there, self.micro_batch, self.training.accumulate)

    # -------------------------------------------------------------- one step

    def step(self, step: int) -> None:
        """The ``step``-th optimiser step, counted from 0.

        A non-finite loss or gradient on any process makes all of them leave weights, moments and
        average as they are; the window counts it.
        """
        self.objective.train()
        self._optimizer.set_lr(lr_at(step, self.training.steps, self.settings))
        self._work.zero_gradients()
        try:
            columns, sums = self._accumulate_gradients(step)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"out of GPU memory in a micro-batch of {self.micro_batch} samples: raise "
                "training.accumulate, or choose a smaller training.batch_size or model."
            ) from error
        norm = self._clip()
        good = (torch.isfinite(norm) & torch.isfinite(sums[1])).float()
        bad = 1 - good
        self._optimizer.step_unless(bad)
        if self._ema is not None:
            self._ema.update(step, bad)
        self.bad_in_row = (self.bad_in_row + bad) * bad
        # A product with zero would keep a NaN in the sums.
        kept = torch.where(good.bool(), torch.cat([sums, norm.view(1)]), 0.0)
        counts = torch.stack([good, bad]).to(kept)
        self.window.add([*columns, "grad_norm", "good", "skipped"], torch.cat([kept, counts]))

    def step_flops(self) -> float:
        """Model FLOPs of one optimiser step, all processes together."""
        batch = self.data.batch(0, self.micro_batch)
        micro_batches = self.training.batch_size / self.micro_batch
        return micro_batches * self.objective.training_flops(batch)

    def _accumulate_gradients(self, step: int) -> tuple[list[str], Tensor]:
        accumulate, size = self.training.accumulate, self.world.size
        columns, total = [], torch.zeros(())
        for turn in range(accumulate):
            micro = turn * size + self.world.rank
            first = step * self.training.batch_size + micro * self.micro_batch
            batch = self.data.batch(first, self.micro_batch)
            generator = reseed(self._generator, self.training.seed, step, micro)
            with without_sync(self._wrapped, active=turn < accumulate - 1):
                loss = self._work(batch, generator, accumulate)
            columns, row = weighted_row(loss)
            total = row if turn == 0 else total + row
        return columns, self.world.add_up(total)

    def _clip(self) -> Tensor:
        """Norm of the whole gradient before clipping."""
        parameters = [p for p in self._parameters.values() if p.grad is not None]
        if not parameters:
            raise ValueError("the loss depends on no trainable parameter")
        limit = self.settings.clip_norm
        return torch.nn.utils.clip_grad_norm_(parameters, float("inf") if limit is None else limit)

    # -------------------------------------------------------------- evaluation

    def evaluate(self) -> dict[str, float]:
        """Means over the held-out set, each batch weighted by its predictions.

        The loss comes first, under the objective's name for it. Noise is the same in every
        evaluation. The moving average of the weights is used where there is one.
        """
        self.objective.eval()
        with self._average_applied():
            columns, sums = self._sum_over_held_out()
        self.objective.train()
        values = dict(zip(columns, self.world.add_up(sums).tolist(), strict=True))
        count = values.pop("predictions")
        means = {name: value / count for name, value in values.items()}
        return {self.objective.metric: means.pop("loss"), **means}

    def _sum_over_held_out(self) -> tuple[list[str], Tensor]:
        columns, total = [], torch.zeros(())
        held_out = self.data.evaluation(self.micro_batch, self.training.eval_limit)
        for index, batch in enumerate(held_out):
            mine = index % self.world.size == self.world.rank
            # The first batch goes to everybody: a process without any would not know the columns.
            if index > 0 and not mine:
                continue
            generator = reseed(self._generator, self.training.seed, "evaluation", index)
            with self._work.autocast():
                loss = self.objective.evaluate(self._work.here(batch), generator)
            columns, row = weighted_row(loss)
            row = row if mine else torch.zeros_like(row)
            total = row if index == 0 else total + row
        return columns, total

    @contextmanager
    def _average_applied(self) -> Generator[None]:
        if self._ema is None:
            yield
        else:
            with self._ema.applied():
                yield

    # -------------------------------------------------------------- state

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """What all processes share, by checkpoint file."""
        files = {
            "model": weights_of(self.objective.predictor),
            "optimizer": self._optimizer.tensors(),
        }
        if self._ema is not None:
            files["ema"] = self._ema.tensors()
        return files

    def state(self) -> dict[str, Any]:
        """Counters that go with the tensors; waits for the device."""
        return {"window": self.window.read(), "bad_in_row": int(self.bad_in_row)}

    def load(self, checkpoint: Checkpoint) -> list[str]:
        """Go back to a checkpoint; returns what a reader should know about it."""
        load_weights(self.objective.predictor, checkpoint.tensors("model"))
        self._optimizer.load_tensors(checkpoint.tensors("optimizer"))
        state, device = checkpoint.state, self.world.device
        self.window.load(state["window"], torch.zeros((), dtype=torch.float64, device=device))
        self.bad_in_row.fill_(state["bad_in_row"])
        return [*self._load_average(checkpoint), *self._load_runtime(checkpoint)]

    def _load_average(self, checkpoint: Checkpoint) -> list[str]:
        if self._ema is None:
            return []
        if checkpoint.has("ema"):
            self._ema.load_tensors(checkpoint.tensors("ema"))
            return []
        self._ema = self._ema.restarted()
        return ["the checkpoint has no moving average: it starts from the weights."]

    def _load_runtime(self, checkpoint: Checkpoint) -> list[str]:
        name = runtime_file(self.world.rank)
        if checkpoint.state["world"] != self.world.size:
            return [
                f"saved by {checkpoint.state['world']} processes, continued by "
                f"{self.world.size}: the objective's runtime state starts empty."
            ]
        if checkpoint.has(name):
            self.objective.load_runtime_state(checkpoint.tensors(name))
        return []


def runtime_file(rank: int) -> str:
    """Name of the file with one process's runtime state."""
    return f"objective-rank{rank}"


def weighted_row(loss: Loss) -> tuple[list[str], Tensor]:
    """Column names and ``[count, count * loss, count * metric …]`` of a batch."""
    value = loss.value.detach().double()
    values = [torch.ones_like(value), value, *(m.to(value) for m in loss.metrics.values())]
    return ["predictions", "loss", *loss.metrics], torch.stack(values) * loss.predictions


@contextmanager
def matrix_products(precision: str) -> Generator[None]:
    """Inside the ``with`` block fp32 matrices are multiplied as this precision has it."""
    before = torch.get_float32_matmul_precision()
    if precision == "tf32":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def resolve_precision(name: str, device: torch.device) -> str:
    """ "fp32" or "bf16" for "auto" on this device."""
    if name != "auto":
        return name
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def _micro_batch(training: TrainingConfig, world_size: int) -> int:
    parts = world_size * training.accumulate
    if training.batch_size % parts:
        raise UserError(
            f"training.batch_size ({training.batch_size}) must be a multiple of processes x "
            f"accumulate ({world_size} x {training.accumulate})."
        )
    return training.batch_size // parts
