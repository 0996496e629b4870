"""The problems and models of ``reasoning_results.py``: what is trained on what, and how large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from argmind.config import part_config
from argmind.quickstart.parameters import count_parameters, matched
from argmind.recipes.base import Recipe, customised, find_recipe
from argmind.recipes.reasoning import with_problem

#: Recipes by the names that figures have.
MODELS = {
    "ebt": "ebt",
    "loop": "looped",
    "onepass": "one_pass",
    "recursive": "recursive",
    "diffusion": "diffusion",
    "ired": "annealed",
    "tpp": "transformer_pp",
}
EBT = "ebt"
#: Writes its answers out as text, where problems have such a form.
TEXT = "tpp"
#: Made for puzzles, and asked nothing else.
RECURSIVE = "recursive"
#: Of a model without energy, what is widened until it has the energy model's parameters.
_WIDTH = "feedforward.multiplier"
#: Settings of rivals whose own are for long trainings, or are slow on a GPU.
_IN_SHORT_RUNS = {
    # Fewer passes a step, and a problem is left sooner for another: more steps, more problems.
    RECURSIVE: (
        "predictor.thoughts=2",
        "predictor.cycles=2",
        "thinking.steps=4",
        "training.ema_decay=0.995",
    ),
    # A step that is the same every time is replayed.
    "loop": ("objective.drawn_for=problem",),
}
#: Answers that are numbers lie within ± this; diffusion cuts its estimates there.
_LARGEST_NUMBER = 8.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """One kind of problem."""

    problem: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    numbers: bool = False
    as_text: bool = False
    puzzle: bool = False
    batch_size: int = 128
    #: Seconds of training, in those of the command line.
    share: float = 1.0
    #: Settings of the energy model.
    ebt: tuple[str, ...] = ()

    def data(self, problems: int) -> Any:
        """The data config, with so many held-out problems of each split."""
        own = {"eval_puzzles": problems} if self.problem == "sudoku" else {}
        problem = part_config("problem", self.problem, **self.settings, **own)
        return part_config("dataset", "reasoning", problem=problem, eval_samples=problems)


#: Settles where the model agrees with the candidate, and foretells the squared error.
_QUADRATIC = ("predictor.body.head.kind=quadratic",)
_BILINEAR = ("predictor.body.head.kind=bilinear",)
#: Every thought from the same start, on all tasks alike; noisy ones are a variant.
_SAME_START = "objective.noisy_starts=0.0"
#: All steps of a thought in every batch, as they were learnt first.
_UNROLLED = ("objective.kind=thinking", "objective.loss_on=all")
#: One step solves most of these: more of them are learnt from the start.
_SHORT = ("objective.longest=4",)
#: Sums larger than any in training take more steps than those.
_LONG = ("objective.longest=16",)
TASKS = {
    "sudoku": Task(problem="sudoku", puzzle=True, share=3.0),
    "sudoku9": Task(problem="sudoku", puzzle=True, settings={"side": 9}, share=3.0),
    "inverse": Task(problem="inverse", numbers=True, ebt=_QUADRATIC),
    "completion": Task(problem="completion", numbers=True),
    "sum": Task(problem="vector_sum", numbers=True, ebt=_LONG),
    "path": Task(problem="shortest_path", batch_size=64, share=2.0),
    "connectivity": Task(problem="connectivity", batch_size=64, share=2.0),
    "sorting": Task(problem="sorting", ebt=_SHORT),
    "addition": Task(problem="addition", as_text=True, ebt=_SHORT),
    "multiplication": Task(problem="multiplication", as_text=True, ebt=_SHORT),
    "dyck": Task(problem="dyck", as_text=True, ebt=_SHORT),
}

#: Energy models with one thing changed, by task: what that thing is good for.
VARIANTS = {
    "sudoku": {
        "unrolled": _UNROLLED,
        "unrolled_apart": (*_UNROLLED, "objective.through=none"),
        "longest_4": ("objective.longest=4",),
        "longest_16": ("objective.longest=16",),
        "euclidean": ("predictor.space.geometry=euclidean",),
        "quadratic": _QUADRATIC,
        "noisy_starts": ("objective.noisy_starts=0.5",),
        "two_at_once": ("objective.at_once=2",),
    },
    "inverse": {"bilinear": _BILINEAR},
    "completion": {"quadratic": _QUADRATIC},
    "sum": {"quadratic": _QUADRATIC},
}


def variants_of(task: str) -> list[str]:
    """Models of a task that are variants of the energy model."""
    return [f"{EBT}_{name}" for name in VARIANTS.get(task, {})]


def split_name(name: str) -> tuple[str, str]:
    """Task and model of a job."""
    task, _, model = name.partition("_")
    return task, model


def chosen_recipe(name: str, seed: int, arguments: Any) -> Recipe:
    """The recipe of a job, not yet of equal size as the others."""
    task_name, model = split_name(name)
    task = TASKS[task_name]
    recipe = find_recipe(f"reasoning_sudoku_{MODELS[model.partition('_')[0]]}")
    data = task.data(arguments.problems)
    answers = "numbers" if task.numbers else "symbols"
    recipe = replace(with_problem(recipe, data.problem, answers), data=data)
    transformer = transformer_of(recipe)
    layers = {RECURSIVE: min(2, arguments.layers)}.get(model, arguments.layers)
    settings = [
        f"{transformer}.num_layers={layers}",
        f"{transformer}.num_heads={arguments.heads}",
        f"{transformer}.hidden_dim={arguments.dim}",
        f"optimizer.lr={arguments.lr!r}",
        f"training.seed={seed}",
        f"training.steps={arguments.steps or 1000}",
        f"training.batch_size={arguments.batch_size or task.batch_size}",
        "training.eval_every=0",
        "training.checkpoint_every=0",
        "training.eval_limit=128",
        "training.log_every=20",
        # Small models, short runs: a step is replayed, but compiling it would outlast the training.
        "training.compile=replay",
        "training.precision=fp32",
        *_of_model(task_name, model, task),
        *arguments.set,
    ]
    return replace(customised(recipe, None, settings), name=name)


def _of_model(name: str, model: str, task: Task) -> tuple[str, ...]:
    kind, _, variant = model.partition("_")
    if kind == EBT:
        return (_SAME_START, *task.ebt, *(VARIANTS[name][variant] if variant else ()))
    if model in _IN_SHORT_RUNS:
        return _IN_SHORT_RUNS[model]
    if task.numbers and model in ("diffusion", "ired"):
        return (f"predictor.clip={_LARGEST_NUMBER}",)
    return ()


def transformer_of(recipe: Recipe) -> str:
    """Where a recipe has its transformer."""
    has_body = hasattr(recipe.predictor, "body")
    return "predictor.body.transformer" if has_body else "predictor.transformer"


def equal_recipe(name: str, seed: int, arguments: Any, inputs: Mapping[str, Any]) -> Recipe:
    """The recipe, widened to the parameters of the energy model on the same problems.

    One that cannot be is left as it is; figures tell the parameters of all.
    """
    task, model = split_name(name)
    recipe = chosen_recipe(name, seed, arguments)
    if model.startswith(EBT):
        return recipe
    wanted = count_parameters(chosen_recipe(f"{task}_{EBT}", seed, arguments), inputs)
    try:
        return matched(recipe, f"{transformer_of(recipe)}.{_WIDTH}", wanted, inputs)
    except ValueError:
        return recipe
