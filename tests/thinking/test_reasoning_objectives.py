"""What the objectives of reasoning problems teach, and what they carry from step to step."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import part_config
from argmind.nn.bidirectional import BidirectionalConfig
from argmind.objectives.under_way import UnderWay
from argmind.predictors.base import Predictor
from argmind.thinking.budget import Budget
from argmind.thinking.thinker import ThinkingConfig

INPUTS = {"tokens": 6, "places": (6,), "symbols": 4, "given_symbols": 5}
NUMBERS = {"tokens": 6, "places": (6,), "numbers": 3, "given_numbers": 2}
SMALL = BidirectionalConfig(num_layers=1, num_heads=2, hidden_dim=16)


def batch(count: int = 8, seed: int = 0) -> dict[str, Tensor]:
    """The answer to a cell is the symbol given in the cell before it; the first is known."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 4, (count, 6), generator=generator)
    known = torch.zeros(count, 6, dtype=torch.bool)
    known[:, ::2] = True
    target[:, 1::2] = target[:, ::2]
    return {
        "given": torch.where(known, target, 4),
        "target": target,
        "known": known,
        "places": torch.arange(6).expand(count, 6)[..., None],
        "difficulty": torch.zeros(count),
    }


def built(name: str, steps: int = 3, inputs: dict | None = None, **options) -> Predictor:
    torch.manual_seed(0)
    thinking = ThinkingConfig(steps=steps, start="zeros")
    config = part_config("predictor", name, **options)
    return config.build(thinking, **(inputs or INPUTS)).double()


def energy_model(steps: int = 3, **space) -> Predictor:
    return built(
        "ebt",
        steps,
        space=part_config("space", "grid", **space),
        body=part_config(
            "body", "bidirectional", transformer=SMALL, head=part_config("head", "bilinear")
        ),
    )


def learns(objective, steps: int, lr: float = 1e-2) -> tuple[float, float]:
    """Held-out loss before and after some training."""
    held = batch(seed=1_000_000)
    generator = torch.Generator()
    objective.eval()
    before = objective.evaluate(held, generator.manual_seed(0)).value.item()
    optimizer = torch.optim.Adam(objective.predictor.parameters(), lr=lr)
    objective.train()
    for step in range(steps):
        optimizer.zero_grad()
        objective(batch(16, seed=step), generator.manual_seed(step)).value.backward()
        optimizer.step()
    objective.eval()
    return before, objective.evaluate(held, generator.manual_seed(0)).value.item()


@pytest.mark.parametrize(
    ("objective", "predictor"),
    [
        ("thinking", energy_model),
        ("improvement", energy_model),
        ("progressive", energy_model),
        ("carried", energy_model),
        ("supervised", lambda: built("one_pass", transformer=SMALL)),
        ("supervised", lambda: built("looped", transformer=SMALL)),
        ("deep_supervision", lambda: built("recursive", transformer=SMALL, thoughts=1, cycles=2)),
    ],
)
def test_every_objective_learns_a_simple_rule(objective, predictor) -> None:
    made = part_config("objective", objective).build(predictor())
    before, after = learns(made, 40)
    assert after < 0.85 * before


@pytest.mark.parametrize("name", ["annealed", "answer_diffusion"])
def test_models_of_noise_learn_to_tell_it(name: str) -> None:
    if name == "annealed":
        body = part_config("body", "bidirectional", transformer=SMALL, landscapes="told")
        predictor, objective = built(name, body=body, levels=4), "ired"
    else:
        predictor, objective = built(name, transformer=SMALL), name
    made = part_config("objective", objective).build(predictor).train()
    optimizer = torch.optim.Adam(predictor.parameters(), lr=1e-2)
    values = []
    for step in range(80):
        optimizer.zero_grad()
        loss = made(batch(16, seed=step), torch.Generator().manual_seed(step))
        loss.value.backward()
        optimizer.step()
        values.append(loss.value.item())
    assert sum(values[-20:]) < 0.8 * sum(values[:20])


@pytest.mark.parametrize("inputs", [INPUTS, NUMBERS])
def test_a_model_that_tells_the_answer_is_sampled_to_it(inputs: dict) -> None:
    """Where the network knows the answer, the walk ends there, whatever it began with."""
    predictor = built("answer_diffusion", inputs=inputs, transformer=SMALL)
    asked = batch()
    target = asked["target"]
    if inputs is NUMBERS:
        generator = torch.Generator().manual_seed(0)
        asked["given"] = torch.randn(8, 6, 2, generator=generator, dtype=torch.float64)
        asked["target"] = target = 0.3 * asked["given"].mean(-1, keepdim=True).expand(8, 6, 3)
        said = target
    else:
        said = 20.0 * torch.nn.functional.one_hot(target, 4).double()
    predictor.say = lambda x, time, problem: said[:, None].expand_as(x)  # noqa: ARG005
    problem, target = predictor.task(asked)
    got = predictor.predict(problem, Budget(candidates=2))
    assert (predictor.loss(got.output, target) < 1e-4).all()
    objective = part_config("objective", "answer_diffusion").build(predictor)
    predictor.say = lambda x, time, problem: said.expand_as(x)  # noqa: ARG005
    told = objective(asked, torch.Generator().manual_seed(0))
    assert told.value < 1e-4
    assert "clean_error" in told.metrics


@pytest.mark.parametrize("target", ["clean", "epsilon", "velocity"])
def test_only_what_tells_the_answer_weighs_symbols(target: str) -> None:
    sampler = "euler" if target == "velocity" else "ddim"
    options = {"transformer": SMALL, "target": target, "sampler": sampler}
    predictor = built("answer_diffusion", **options)
    problem, _ = predictor.task(batch())
    x, time = torch.randn(8, 6, 4).double(), torch.full((8,), 0.5).double()
    sums = predictor.tell(x, time, problem).sum(-1)
    # Probabilities p as 2 p − 1: over four symbols they add up to −2.
    assert torch.allclose(sums, torch.full_like(sums, -2.0)) == (target == "clean")
    assert built("answer_diffusion", inputs=NUMBERS, **options).weighs is False


# ---------------------------------------------------------------------- drawn numbers of turns


def looped(**options):
    predictor = built("looped", steps=3, transformer=SMALL)
    return part_config("objective", "supervised", **options).build(predictor).train()


@pytest.mark.parametrize("loss_on", ["all", "last"])
def test_turns_drawn_for_problems_are_like_those_drawn_for_batches(loss_on: str) -> None:
    """Both teach the same on average over draws."""
    each = {}
    for drawn_for in ("batch", "problem"):
        objective = looped(loss_on=loss_on, fewest_turns=1, drawn_for=drawn_for)
        draws = [torch.Generator().manual_seed(seed) for seed in range(100)]
        with torch.no_grad():
            each[drawn_for] = torch.stack([objective(batch(), draw).value for draw in draws])
        assert objective.repeats == (drawn_for == "problem")
    torch.testing.assert_close(each["batch"].mean(), each["problem"].mean(), rtol=0.02, atol=0)
    assert each["problem"].std() < each["batch"].std()


def test_without_a_draw_all_turns_count_alike() -> None:
    objective, generator = looped(), torch.Generator()
    problem, target = objective.predictor.task(batch())
    turns = objective.predictor.turns(problem, 3)
    losses = [objective.predictor.loss(turn.output, target).mean() for turn in turns]
    torch.testing.assert_close(objective(batch(), generator).value, sum(losses) / 3)
    last = looped(loss_on="last")(batch(), generator).value
    torch.testing.assert_close(last, losses[-1])


def test_what_a_recursion_is_given_is_as_large_as_what_it_carries() -> None:
    dim = 64
    wide = BidirectionalConfig(num_layers=1, num_heads=2, hidden_dim=dim)
    predictor = built("recursive", transformer=wide)
    rows = predictor.rows(predictor.task(batch())[0])
    assert 0.5 < rows.std() < 3


# ---------------------------------------------------------------------- deep supervision


def deep(steps: int = 3, **options):
    predictor = built("recursive", steps, transformer=SMALL, thoughts=1, cycles=2)
    return part_config("objective", "deep_supervision", **options).build(predictor).train()


def test_a_trial_carries_nothing() -> None:
    objective = deep(steps=3, explore=0.0)
    generator = torch.Generator().manual_seed(0)
    objective.trial(batch(), generator)
    assert not objective.runtime_state()
    objective(batch(), generator)
    carried = {name: x.clone() for name, x in objective.runtime_state().items()}
    objective.trial(batch(seed=1), generator)
    for name, x in objective.runtime_state().items():
        assert torch.equal(x, carried[name])


def test_problems_stay_until_they_are_halted() -> None:
    objective = deep(steps=3, explore=0.0)
    first, generator = batch(seed=0), torch.Generator().manual_seed(0)
    for step in range(3):
        objective(batch(seed=step), generator)
        state = objective.runtime_state()
        assert torch.equal(state["given"], first["given"])
        assert (state["done"] == step + 1).all()
    assert state["halted"].all(), "after thinking.steps segments at the latest"
    objective(batch(seed=9), generator)
    assert torch.equal(objective.runtime_state()["given"], batch(seed=9)["given"])
    assert (objective.runtime_state()["done"] == 1).all()


def test_a_model_that_is_sure_goes_on_to_the_next_problem() -> None:
    objective = deep(steps=5, explore=0.0)
    with torch.no_grad():
        objective.predictor.halt.bias.fill_(50.0)
    objective(batch(seed=0), torch.Generator().manual_seed(0))
    assert objective.runtime_state()["halted"].all()
    patient = deep(steps=50, explore=1.0)
    with torch.no_grad():
        patient.predictor.halt.bias.fill_(50.0)
    patient(batch(seed=0), torch.Generator().manual_seed(0))
    assert not patient.runtime_state()["halted"].any()


def test_with_nothing_to_go_on_with_all_problems_start_over() -> None:
    objective, generator = deep(steps=5, explore=0.0), torch.Generator().manual_seed(0)
    objective(batch(seed=0), generator)
    objective.load_runtime_state({})
    objective(batch(seed=1), generator)
    assert torch.equal(objective.runtime_state()["given"], batch(seed=1)["given"])
    assert (objective.runtime_state()["done"] == 1).all()


def test_what_is_under_way_stays_where_it_is_in_memory() -> None:
    under_way = UnderWay()
    under_way.keep({"x": torch.zeros(4)})
    place = under_way.rows["x"].data_ptr()
    under_way.keep({"x": torch.ones(4)})
    assert under_way.rows["x"].data_ptr() == place
    under_way.keep({"x": torch.zeros(3)})
    assert not under_way.suits({"x": torch.zeros(4)})
    kept = under_way.rows["x"]
    under_way.keep({"x": 2 * torch.ones(4)})
    assert under_way.rows["x"].data_ptr() == place
    assert kept.tolist() == [0, 0, 0]


def test_a_later_segment_goes_on_from_the_latents_of_the_one_before() -> None:
    objective = deep(steps=3, explore=0.0)
    same, generator = batch(seed=0), torch.Generator().manual_seed(0)
    losses = [objective(same, generator).metrics["loss"] for _ in range(3)]
    problem, target = objective.predictor.task(same)
    turns = objective.predictor.turns(problem, 3)
    for loss, turn in zip(losses, turns, strict=True):
        torch.testing.assert_close(objective.predictor.loss(turn.output, target).mean(), loss)


def test_only_the_last_cycle_is_differentiated() -> None:
    predictor = built("recursive", transformer=SMALL, thoughts=1, cycles=3)
    problem, _ = predictor.task(batch())
    rows = predictor.rows(problem).detach().requires_grad_()
    latents = predictor.segment(rows, predictor.begin(rows))
    (whole,) = torch.autograd.grad(latents.answer.square().sum(), rows)
    start = predictor.begin(rows)
    with torch.no_grad():
        told = predictor.told(rows)
        for _ in range(2):
            start = predictor._cycle(rows, start, told)
    last = predictor._cycle(rows, start, predictor.told(rows))
    (alone,) = torch.autograd.grad(last.answer.square().sum(), rows)
    torch.testing.assert_close(whole, alone)


# ---------------------------------------------------------------------- the energy model's


def test_steps_grow_as_training_goes_on() -> None:
    predictor = energy_model(steps=4)
    objective = part_config("objective", "progressive", over_batches=8).build(predictor).train()
    counts = []
    for step in range(10):
        counts.append(objective._steps(torch.Generator()))
        objective(batch(seed=step), torch.Generator())
    assert counts[0] == 1
    assert counts[-1] == 4
    assert counts == sorted(counts)
    assert set(counts) == {1, 2, 3, 4}
    resumed = part_config("objective", "progressive", over_batches=8).build(predictor)
    resumed.load_runtime_state(objective.runtime_state())
    assert resumed._steps(torch.Generator()) == 4
    resumed.eval()
    resumed(batch(), torch.Generator())
    assert resumed.runtime_state()["seen"] == 10


def carried(**options) -> Any:
    return part_config("objective", "carried", **options).build(energy_model(steps=1)).train()


def gradients(value: Tensor, predictor: Predictor) -> list[Tensor]:
    return list(torch.autograd.grad(value, list(predictor.parameters()), allow_unused=True))


def test_thoughts_go_on_in_the_next_batch() -> None:
    objective, generator = carried(longest=1000), torch.Generator().manual_seed(0)
    first, second = batch(seed=1), batch(seed=2)
    objective(first, generator)
    under_way = objective.runtime_state()["carried_candidate"].clone()
    value = objective(second, generator).value
    model = objective.predictor
    problem, target = model.task(first)  # its problems stay: they have many steps left
    landscape = model.landscape(problem)
    torch.testing.assert_close(
        under_way, model.thinker.think(landscape, Budget(steps=1)).candidate.detach()
    )
    size = model.thinker.sizes(landscape, under_way, None, noisy=False)(0)
    taken = model.thinker.train_step(landscape, under_way, None, 0, size, True, None)
    expected = model.space.loss(taken.candidate, target).mean()
    torch.testing.assert_close(value, expected)
    for found, wanted in zip(gradients(value, model), gradients(expected, model), strict=True):
        assert (found is None) == (wanted is None)
        if found is not None:
            torch.testing.assert_close(found, wanted)


def test_problems_that_had_their_steps_make_room() -> None:
    objective, generator = carried(longest=1), torch.Generator().manual_seed(0)
    plain = part_config("objective", "thinking").build(objective.predictor).train()
    for seed in range(3):
        fresh = batch(seed=seed)
        found, wanted = objective(fresh, generator), plain(fresh, generator)
        torch.testing.assert_close(found.value, wanted.value)
    objective = carried(longest=3)
    seen = set()
    for seed in range(12):
        objective(batch(seed=seed), generator)
        seen |= {row.numpy().tobytes() for row in objective.runtime_state()["given"]}
    assert len(seen) > 3 * 8


def test_a_carried_candidate_that_is_no_number_starts_over() -> None:
    objective, generator = carried(longest=1000), torch.Generator().manual_seed(0)
    objective(batch(seed=1), generator)
    state = {name: rows.clone() for name, rows in objective.runtime_state().items()}
    state["carried_candidate"][3] = torch.nan
    objective.load_runtime_state(state)
    loss = objective(batch(seed=2), generator).value
    assert loss.isfinite()
    given = objective.runtime_state()["given"]
    assert torch.equal(given[3], batch(seed=2)["given"][3])
    assert torch.equal(given[:3], batch(seed=1)["given"][:3])


def test_what_is_carried_is_kept_and_left_alone() -> None:
    generator = torch.Generator()
    objective, resumed = carried(), carried()
    objective(batch(seed=1), generator.manual_seed(1))
    resumed.load_runtime_state(objective.runtime_state())
    one = objective(batch(seed=2), generator.manual_seed(2)).value
    two = resumed(batch(seed=2), generator.manual_seed(2)).value
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    before = {name: rows.clone() for name, rows in objective.runtime_state().items()}
    objective.eval()(batch(seed=3), generator)
    objective.train()
    objective.trial(batch(seed=3), generator)
    for name, rows in objective.runtime_state().items():
        assert torch.equal(rows, before[name])
    objective(batch(5, seed=4), generator)  # batches of another size start over
    assert len(objective.runtime_state()["given"]) == 5
    objective.load_runtime_state({})
    assert (objective.runtime_state()["carried_left"] == 0).all()


def test_improvement_asks_every_step_to_leave_less() -> None:
    predictor, generator = energy_model(), torch.Generator()

    def value(**options) -> float:
        objective = part_config("objective", "improvement", **options).build(predictor)
        return objective.train()(batch(), generator).value.item()

    plain = part_config("objective", "thinking", loss_on="all").build(predictor)
    base = plain.train()(batch(), generator).value.item()
    assert value(improvement_weight=0.0) == pytest.approx(base)
    problem, target = predictor.task(batch())
    trace = predictor.predict(problem, Budget(trace=True)).trace
    assert trace is not None
    losses = [predictor.loss(output, target) for output in trace.outputs]
    missing = [(after - 0.25 * before).clamp(min=0).mean() for before, after in pairwise(losses)]
    want = base + 2.0 * (sum(missing) / len(missing)).item()
    assert value(improvement_weight=2.0, kept=0.25) == pytest.approx(want)


# ---------------------------------------------------------------------- annealed landscapes


def annealed(**options):
    body = part_config("body", "bidirectional", transformer=SMALL, landscapes="told")
    return built("annealed", body=body, **options)


def test_levels_go_from_noise_to_data() -> None:
    predictor = annealed(levels=5)
    scales = [predictor.scales(level) for level in range(5)]
    data, noise = zip(*scales, strict=True)
    assert list(data) == sorted(data)
    assert list(noise) == sorted(noise, reverse=True)
    assert data[0] < 0.1
    assert noise[-1] < 0.5
    assert all(a * a + s * s == pytest.approx(1) for a, s in scales)


def test_an_exact_slope_leads_to_the_answer() -> None:
    """Where ∇E is the noise between candidate and answer, the descent ends at the answer."""
    predictor = annealed(levels=6)
    problem, target = predictor.task(batch())
    answer = predictor.space.ideal(batch()["target"])[:, None]
    tokens = answer.shape[-2]

    class Exact(type(predictor.body)):  # type: ignore[misc]
        def energy(self, state, embedding, step):  # noqa: ARG002
            data, noise = predictor.scales(step)
            told = (embedding.pair - data * answer) / noise
            return noise * 0.5 * told.square().sum((-1, -2)) / tokens

    predictor.body.__class__ = Exact
    got = predictor.predict(problem, Budget(steps=12))
    assert (predictor.scores(got.output, target)["solved"] == 1).all()
    torch.testing.assert_close(got.candidate, answer[:, 0], rtol=0, atol=1e-3)


def test_a_wrong_answer_is_near_and_wrong() -> None:
    objective = part_config("objective", "ired").build(annealed())
    _, target = objective.predictor.task(batch())
    answer = objective.predictor.space.ideal(target)[:, None]
    wrong = objective._corrupted(target, answer, answer, torch.Generator().manual_seed(0))
    changed = (wrong != answer).any(-1)[:, 0]
    asked = ~batch()["known"]
    assert (changed.sum(1) >= 1).all()
    assert not changed[~asked].any()
    assert changed.sum() < asked.sum()


@pytest.mark.parametrize(
    ("kind", "name", "options", "message"),
    [
        ("predictor", "annealed", {"levels": 1}, "levels must be at least 2"),
        ("predictor", "annealed", {"clip": 0.0}, "clip must be positive"),
        ("predictor", "looped", {"pre_layers": -1}, "pre_layers may not be negative"),
        ("predictor", "recursive", {"cycles": 0}, "cycles must be at least 1"),
        ("predictor", "answer_diffusion", {"sampler": "euler"}, "is sampled by"),
        ("objective", "ired", {"corrupted_share": 0.0}, "corrupted_share must lie"),
        ("objective", "improvement", {"kept": 1.5}, "kept must lie"),
        ("objective", "progressive", {"fewest_steps": 2}, "leave it out"),
        ("objective", "carried", {"at_once": 9}, "at most longest"),
        ("objective", "carried", {"fewest_steps": 2}, "leave out"),
        ("objective", "deep_supervision", {"explore": 2.0}, "explore must lie"),
        ("objective", "supervised", {"fewest_turns": 0}, "fewest_turns must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(kind, name, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        part_config(kind, name, **options)


def test_annealed_landscapes_need_their_form() -> None:
    with pytest.raises(ValueError, match="geometry=relaxed"):
        part_config("predictor", "annealed", space=part_config("space", "grid"))
    with pytest.raises(ValueError, match="landscapes=told"):
        part_config("predictor", "annealed", body=part_config("body", "bidirectional"))
