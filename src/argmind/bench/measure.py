"""One measurement: a recipe and its rival, training and decoding."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch.profiler import ProfilerActivity, profile

from argmind.bench import ceilings as limits
from argmind.bench.ceilings import Ceilings
from argmind.bench.decoding import Asked, DecodingWork, measure_decoding
from argmind.bench.rows import Row
from argmind.bench.subject import Setting, estimated
from argmind.bench.timing import ratio
from argmind.bench.training import Training, measure_training
from argmind.errors import UserError
from argmind.eval.provenance import machine_description
from argmind.eval.statistics import Interval
from argmind.recipes.base import Recipe


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured; ``None`` ceilings are measured too."""

    setting: Setting
    recipe: str = "text_ebt"
    rival: str | None = "text_transformer_pp"
    what: Literal["train", "decode", "both"] = "both"
    steps: int | None = None
    candidates: int = 1
    new_tokens: int = 128
    settings: tuple[str, ...] = ()
    flops_per_s: float | None = None
    bytes_per_s: float | None = None
    profile: Path | None = None

    def recipes(self) -> list[Recipe]:
        """The recipe, and its rival if there is one."""
        steps = [] if self.steps is None else [f"thinking.steps={self.steps}"]
        found = [self.setting.recipe(self.recipe, [*steps, *self.settings])]
        if self.rival is not None:
            found.append(self.setting.recipe(self.rival))
            if found[0].name == found[1].name:
                raise UserError(
                    f"'{self.rival}' beside itself says nothing: choose another --rival, or none."
                )
        return found


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What was found."""

    options: Options
    names: list[str]
    ceilings: Ceilings
    rows: list[Row] = field(default_factory=list)
    #: Of recipe to rival, by kind of work.
    ratios: dict[str, Interval] = field(default_factory=dict)

    @property
    def device(self) -> str:
        """The device by name."""
        device = self.options.setting.torch_device
        if device.type == "cuda":
            return torch.cuda.get_device_name(device)
        return f"CPU, {torch.get_num_threads()} threads"

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        setting = self.options.setting
        return {
            "device": self.device,
            "machine": machine_description(),
            "precision": setting.precision,
            "size": setting.size,
            "context_tokens": setting.context_tokens,
            "batch_size": setting.batch_size,
            "vocab_size": setting.vocab_size,
            "repeats": setting.repeats,
            "ceilings": {
                "tflops_per_s": self.ceilings.flops_per_s / 1e12,
                "gb_per_s": self.ceilings.bytes_per_s / 1e9,
            },
            "rows": [row.plain() for row in self.rows],
            "ratios": {what: interval._asdict() for what, interval in self.ratios.items()},
        }


def measure(options: Options) -> Measurement:
    """Measure all that the options ask for.

    Raises:
        UserError: sizes or options that cannot be, before anything is built.
    """
    recipes = options.recipes()
    for recipe in recipes:
        estimated(options.setting, recipe)
    _require_writable(options.profile)
    names = [recipe.name for recipe in recipes]
    found = Measurement(options=options, names=names, ceilings=_ceilings(options))
    if options.what != "decode":
        rows, times = measure_training(options.setting, recipes, found.ceilings)
        found.rows.extend(rows)
        if len(times) == len(recipes) == 2:
            found.ratios["train"] = ratio(*(times[name] for name in names))
    if options.what != "train":
        asked = Asked(
            new_tokens=options.new_tokens, candidates=options.candidates, steps=options.steps
        )
        subjects = [(recipe, asked) for recipe in recipes]
        rows, written = measure_decoding(options.setting, subjects, found.ceilings)
        found.rows.extend(rows)
        if len(written) == len(recipes) == 2:
            found.ratios["decode"] = ratio(*written)
    if options.profile is not None:
        _trace(options, recipes[0], options.profile)
    return found


def _ceilings(options: Options) -> Ceilings:
    if options.flops_per_s is not None and options.bytes_per_s is not None:
        return Ceilings(options.flops_per_s, options.bytes_per_s)
    here = limits.measured(options.setting.torch_device, options.setting.precision)
    return Ceilings(
        options.flops_per_s or here.flops_per_s, options.bytes_per_s or here.bytes_per_s
    )


def _require_writable(path: Path | None) -> None:
    """Raise before the measurement rather than after it."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}.") from error


def _trace(options: Options, recipe: Recipe, path: Path) -> None:
    """One training step, or a few tokens, of the recipe under the profiler."""
    work: Any
    if options.what == "decode":
        decoding = DecodingWork(options.setting, recipe, Asked(new_tokens=4))
        decoding.begin()
        decoding.write()
        decoding.begin()
        work = decoding.write
    else:
        work = Training(options.setting, recipe).step
        for _ in range(2):
            work()
    activities = [ProfilerActivity.CPU]
    if options.setting.torch_device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as trace:
        work()
        if options.setting.torch_device.type == "cuda":
            torch.cuda.synchronize()
    trace.export_chrome_trace(str(path))
