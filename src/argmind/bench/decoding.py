"""Decoding, measured: time per new token with a cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from argmind.bench.ceilings import Ceilings
from argmind.bench.floors import decoding_bytes
from argmind.bench.rows import Row
from argmind.bench.subject import Setting, estimated
from argmind.bench.timing import Peak, in_turns, is_out_of_memory
from argmind.predictors.base import Predictor
from argmind.predictors.decoding import Decoding, decoder_for
from argmind.recipes.base import Recipe
from argmind.thinking.budget import Budget


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How many tokens are written after the context, and how each is thought about."""

    new_tokens: int = 128
    candidates: int = 1
    steps: int | None = None
    #: The energy of one candidate's answer is one more pass, and chooses nothing.
    score: bool = False

    def budget(self) -> Budget:
        """As a budget; several candidates are always scored."""
        return Budget(
            steps=self.steps,
            candidates=self.candidates,
            score=self.score or self.candidates > 1,
        )


class DecodingWork:
    """One model writing the likeliest tokens, as fast as it can."""

    def __init__(self, setting: Setting, recipe: Recipe, asked: Asked) -> None:
        self.setting, self.recipe, self.asked = setting, recipe, asked
        self.device = setting.torch_device
        self.peak = Peak(self.device)
        model = setting.model(recipe).eval()
        self.parameters = sum(weight.numel() for weight in model.parameters())
        self.budget = asked.budget() if model.thinks else Budget(score=asked.score)
        on_gpu = self.device.type == "cuda"
        compiled = on_gpu if setting.compiled == "auto" else setting.compiled == "on"
        # Compiled blocks need fixed shapes.
        self._how = Decoding(
            static="on" if compiled else "auto",
            compiled="on" if compiled else "off",
            precision="bf16" if setting.precision == "bf16" else "fp32",
        )
        capacity = setting.context_tokens + asked.new_tokens
        self.decoder = decoder_for(model, self.budget, capacity, self._how)
        self._generators = [torch.Generator(self.device) for _ in range(setting.batch_size)]
        self._prompt = setting.tokens(setting.context_tokens)
        self._chosen: Tensor | None = None

    @property
    def model(self) -> Predictor:
        """The model that decodes."""
        return self.decoder.predictor

    def begin(self) -> None:
        """Encode the prompt and write the first token."""
        self.decoder.begin(self._prompt)
        self._take()

    def token(self) -> None:
        """Write one token more for every sequence."""
        assert self._chosen is not None
        self.decoder.extend(self._chosen)
        self._take()

    def write(self) -> None:
        """All tokens but the first."""
        for _ in range(self.asked.new_tokens - 1):
            self.token()

    def text(self) -> None:
        """Prompt and all tokens."""
        self.begin()
        self.write()

    def _take(self) -> None:
        output = self.decoder.predict(self._generators).output
        self._chosen = output[:, -1].argmax(-1)

    def row(self, ceilings: Ceilings, times: list[float], peak_bytes: int | None) -> Row:
        """What was measured of one token."""
        setting, asked = self.setting, self.asked
        length = setting.context_tokens + asked.new_tokens // 2
        steps = self.recipe.thinking.steps if asked.steps is None else asked.steps
        last = self.model.prediction_flops(length, self.budget)
        flops = last - self.model.prediction_flops(length - 1, self.budget)
        details: dict[str, Any] = {
            "new_tokens": asked.new_tokens,
            "candidates": self.budget.candidates if self.model.thinks else 1,
            "steps": steps if self.model.thinks else 0,
            "scored": self.budget.score,
            "decoder": type(self.decoder).__name__,
            "compiled": self._how.compiled == "on",
        }
        return Row.of(
            what="decode",
            model=self.recipe.name,
            times=times,
            predictions=setting.batch_size,
            flops=setting.batch_size * flops,
            moved_bytes=decoding_bytes(
                self.model, setting.batch_size, length, self.budget, steps, setting.precision
            ),
            peak_bytes=peak_bytes,
            ceilings=ceilings,
            parameters=self.parameters,
            details=details,
        )


def measure_decoding(
    setting: Setting, subjects: list[tuple[Recipe, Asked]], ceilings: Ceilings
) -> tuple[list[Row], list[list[float]]]:
    """A row for every subject, their texts written in turns; and the ms per token of each round.

    Raises:
        UserError: the weights alone do not fit.
    """
    rows: list[Row] = []
    works: dict[str, DecodingWork] = {}
    peaks: dict[str, int | None] = {}
    for index, (recipe, asked) in enumerate(subjects):
        estimate = estimated(setting, recipe)
        try:
            work = DecodingWork(setting, recipe, asked)
            # The first text: it compiles, and what a graph uses is set aside when it is captured.
            peaks[str(index)] = work.peak.of(work.text)
            works[str(index)] = work
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            rows.append(
                Row.out_of_memory("decode", recipe.name, f"{estimate.weight_bytes / 2**30:.1f} GiB")
            )

    def written(work: DecodingWork) -> Any:
        return work.write

    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(setting.repeats):
        for work in works.values():
            work.begin()
            if work.asked.new_tokens > 1:
                work.token()  # captures, where a graph is used
        with setting.alone():
            round_ms = in_turns(
                {name: written(work) for name, work in works.items()}, 1, setting.torch_device
            )
        for name, work in works.items():
            times[name].append(round_ms[name][0] / max(1, work.asked.new_tokens - 1))
    for name, work in works.items():
        rows.append(work.row(ceilings, times[name], peaks[name]))
    return rows, list(times.values())
