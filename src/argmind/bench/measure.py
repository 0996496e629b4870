"""One measurement: a recipe and its rival, training and decoding."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch.profiler import ProfilerActivity, profile

from argmind.bench import ceilings as limits
from argmind.bench.answering import Answering, measure_answering
from argmind.bench.ceilings import Ceilings
from argmind.bench.decoding import Asked, DecodingWork, measure_decoding
from argmind.bench.rows import Row
from argmind.bench.subject import Setting, estimated, reads_text
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
    #: "usual": that of the recipe's kind of data; None: measured by itself.
    rival: str | None = "usual"
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
        found = self.setting.recipe(self.recipe, [*steps, *self.settings])
        if self.rival is None:
            return [found]
        rival = self.setting.recipe(usual_rival(found) if self.rival == "usual" else self.rival)
        if found.name == rival.name:
            raise UserError(
                f"'{rival.name}' beside itself says nothing: choose another --rival, or none."
            )
        if found.data.part_name != rival.data.part_name:
            raise UserError(
                f"'{found.name}' reads {found.data.part_name} and '{rival.name}' "
                f"{rival.data.part_name}: choose a --rival for the same data, or none."
            )
        return [found, replace(rival, data=found.data)]


def usual_rival(recipe: Recipe) -> str:
    """The recipe that others of its kind are measured against."""
    if recipe.data.part_name == "demonstrations":
        return f"{recipe.name.rpartition('_')[0]}_diffusion"
    return _RIVALS[recipe.data.part_name]


_RIVALS = {
    "text": "text_transformer_pp",
    "images": "image_denoise_dit",
    "clips": "video_transformer_pp",
    "reasoning": "reasoning_sudoku_looped",
}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What was found."""

    options: Options
    names: list[str]
    #: What kind of data the models read.
    reads: str
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
            "reads": self.reads,
            "context_tokens": setting.context_tokens if self.reads == "text" else None,
            "batch_size": setting.batch_size,
            "vocab_size": setting.vocab_size if self.reads == "text" else None,
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
    for recipe in filter(reads_text, recipes):
        estimated(options.setting, recipe)
    _require_writable(options.profile)
    names = [recipe.name for recipe in recipes]
    reads = recipes[0].data.part_name
    found = Measurement(options=options, names=names, reads=reads, ceilings=_ceilings(options))
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
        what, measured = _use(recipes[0])
        rows, taken = measured(options.setting, subjects, found.ceilings)
        found.rows.extend(rows)
        if len(taken) == len(recipes) == 2:
            found.ratios[what] = ratio(*taken)
    if options.profile is not None:
        _trace(options, recipes[0], options.profile)
    return found


def _use(recipe: Recipe) -> tuple[str, Any]:
    """What using a model of such data is called, and how it is measured."""
    return ("decode", measure_decoding) if reads_text(recipe) else ("predict", measure_answering)


def _ceilings(options: Options) -> Ceilings:
    if options.flops_per_s is not None and options.bytes_per_s is not None:
        return Ceilings(options.flops_per_s, options.bytes_per_s)
    with options.setting.alone():
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
    if options.what == "decode" and not reads_text(recipe):
        work = Answering(options.setting, recipe, Asked(steps=options.steps)).answer
        work()
    elif options.what == "decode":
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
