"""Thinking with real energy models: budgets, starts, stops with rows left out, divergence."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from argmind.config import from_dict, part_config
from argmind.errors import UserError
from argmind.nn.transformer import TransformerConfig
from argmind.predictors.ebt import EBT
from argmind.thinking.budget import Budget
from argmind.thinking.thinker import ThinkingConfig

VOCABULARY, BATCH, LENGTH = 11, 3, 5
PLATEAU = part_config("stop", "plateau", tolerance=0.05)


def model(space: str = "dual", conditioning: str = "candidate", **thinking: Any) -> EBT:
    dims = TransformerConfig(num_layers=2, num_heads=2, hidden_dim=8)
    head = part_config("head", "bilinear", pull=0.5)  # without a pull a descent may have no end
    told = part_config("conditioning", conditioning)
    body = part_config("body", "two_stream", transformer=dims, conditioning=told, head=head)
    config = part_config("predictor", "ebt", space=part_config("space", space), body=body)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = config.build(
            ThinkingConfig(**{"steps": 2, **thinking}), vocab_size=VOCABULARY
        ).double()
    return built.eval()


def tokens() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, VOCABULARY, (BATCH, LENGTH), generator=generator)


class Watched:
    """Counts the candidate rows that an energy model sees."""

    def __init__(self, ebt: EBT, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        whole = ebt.body.energy

        def energy(state: Any, embedding: Any, step: int) -> Tensor:
            self.rows.append(embedding.input[..., 0].numel())
            return whole(state, embedding, step)

        monkeypatch.setattr(ebt.body, "energy", energy)


# ---------------------------------------------------------------------- stops


@pytest.mark.parametrize("conditioning", ["candidate", "time_embed", "adaln"])
@pytest.mark.parametrize("space", ["dual", "mirror", "published"])
@pytest.mark.parametrize("accept_lower", [False, True])
def test_leaving_rows_out_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, space: str, conditioning: str, accept_lower: bool
) -> None:
    ebt = model(space, conditioning, landscapes=3)
    stop = part_config("stop", "plateau", tolerance=0.5 if space == "dual" else 0.05)
    budget = Budget(steps=20, candidates=2, stop=stop, accept_lower=accept_lower, trace=True)
    watched = Watched(ebt, monkeypatch)
    first = torch.tensor([0, 2, 0])
    narrow = ebt.predict(tokens(), budget, first=first)
    assert min(watched.rows) < max(watched.rows), "nothing was left out"
    monkeypatch.setattr(type(ebt.body), "narrow", lambda *_: None)
    whole = ebt.predict(tokens(), budget, first=first)
    for name in ("output", "energy", "steps", "nfe"):
        torch.testing.assert_close(getattr(narrow, name), getattr(whole, name))
    assert narrow.trace is not None
    assert whole.trace is not None
    for a, b in zip(narrow.trace.energies, whole.trace.energies, strict=True):
        torch.testing.assert_close(a, b)


def test_easy_tokens_cost_less(monkeypatch: pytest.MonkeyPatch) -> None:
    ebt = model()
    watched = Watched(ebt, monkeypatch)
    got = ebt.predict(tokens(), Budget(steps=40, stop=PLATEAU))
    assert len(got.steps.unique()) > 1
    assert (got.nfe <= 40).all()
    assert sum(watched.rows) < 0.8 * BATCH * LENGTH * len(watched.rows)


@pytest.mark.parametrize("candidates", [1, 3])
def test_nfe_counts_every_candidate(monkeypatch: pytest.MonkeyPatch, candidates: int) -> None:
    ebt = model()
    watched = Watched(ebt, monkeypatch)
    got = ebt.predict(tokens(), Budget(steps=4, candidates=candidates))
    assert got.nfe.unique().tolist() == [4 * candidates]
    assert got.steps.unique().tolist() == [4]
    scoring = BATCH * LENGTH * candidates
    assert sum(watched.rows) == int(got.nfe.sum()) + scoring


# ---------------------------------------------------------------------- budgets and starts


@pytest.mark.parametrize(
    "plain",
    [
        {"steps": -1},
        {"candidates": 0},
        {"deadline_s": 0.0},
        {"deadline_s": -1.0},
        {"deadline_s": math.nan},
        {"select": "worst"},
        {"stop": "plateu"},
        {"stop": {"kind": "plateau", "tolerance": -1}},
        {"stop": {"kind": "gradient_norm", "tolerance": -1}},
        {"step": 3},
        {"steps": 2.5},
    ],
)
def test_senseless_budgets_are_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        from_dict(Budget, plain)


@pytest.mark.parametrize(
    "plain",
    [{"steps": 0}, {"start": "random"}, {"start_noise_std": -1}, {"landscapes": 0}, {"rule": "x"}],
)
def test_senseless_thinking_is_refused(plain: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        from_dict(ThinkingConfig, plain)


def test_a_budget_thinks_as_trained_unless_told() -> None:
    ebt = model(steps=3)
    assert ebt.predict(tokens()).steps.unique().tolist() == [3]


def test_no_steps_give_the_first_guess() -> None:
    ebt = model()
    got = ebt.predict(tokens(), Budget(steps=0))
    with torch.no_grad():
        hidden = ebt.body.hidden(ebt.encode(tokens()))
        assert hidden is not None
        torch.testing.assert_close(got.output, ebt.space.decode(ebt.space.amortised(hidden)))
    assert not got.nfe.any()


@pytest.mark.parametrize("start", ["noise", "zeros"])
def test_no_steps_without_a_first_guess_are_refused(start: Any) -> None:
    ebt = model(start=start)
    with pytest.raises(UserError, match=r"--steps 1 or more, or train with thinking\.start"):
        ebt.predict(tokens(), Budget(steps=0))
    assert ebt.predict(tokens(), Budget(steps=1, deadline_s=1e-9)).steps.unique().tolist() == [1]


def test_a_given_start_may_be_scored_as_it_is() -> None:
    ebt = model(start="given")
    with pytest.raises(UserError, match="given"):
        ebt.predict(tokens())
    with torch.no_grad():
        landscape = ebt.landscape(tokens())
        y = torch.ones(BATCH, 1, LENGTH, 8, dtype=torch.float64)
        got = ebt.thinker.think(landscape, Budget(steps=0), start=y)
    assert torch.equal(got.candidate, y)


def test_starts() -> None:
    shape = (BATCH, 4, LENGTH, 8)
    seeded = torch.Generator().manual_seed(3)
    with torch.no_grad():
        noise = model(start="noise", start_noise_std=2.0)
        y = noise.thinker.start(noise.landscape(tokens()), 4, seeded)
        want = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        torch.testing.assert_close(y, 2.0 * want)
        zeros = model(start="zeros", start_noise_std=0.1)
        assert not zeros.thinker.start(zeros.landscape(tokens()), 1, None).any()
        several = zeros.thinker.start(zeros.landscape(tokens()), 4, seeded)
        assert not several[:, :1].any()
        assert 0 < several[:, 1:].std() < 0.2
        guess = model(start_noise_std=0.1)
        several = guess.thinker.start(guess.landscape(tokens()), 4, seeded)
        one = guess.thinker.start(guess.landscape(tokens()), 1, None)
        assert torch.equal(several[:, :1], one)
        assert 0 < (several[:, 1:] - one).std() < 0.2


def test_predicting_without_a_generator_is_repeatable() -> None:
    ebt = model(start="noise")
    first = ebt.predict(tokens(), Budget(candidates=3)).output
    state = torch.get_rng_state()
    assert torch.equal(first, ebt.predict(tokens(), Budget(candidates=3)).output)
    assert torch.equal(state, torch.get_rng_state())


# ---------------------------------------------------------------------- selection


@pytest.mark.parametrize("select", ["min_energy", "max_drop"])
def test_the_kept_candidate_is_the_best_of_those_alone(select: Any) -> None:
    ebt = model(start="noise")
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        landscape = ebt.landscape(tokens())
        starts = ebt.thinker.start(landscape, 4, torch.Generator().manual_seed(5))
        each = [
            ebt.thinker.think(landscape, Budget(steps=3), start=starts[:, n : n + 1])
            for n in range(4)
        ]
    final = torch.cat([thought.energies[-1] for thought in each], dim=1)
    begun = torch.cat([thought.energies[0] for thought in each], dim=1)
    best = (final if select == "min_energy" else final - begun).argmin(1)
    # The same draws, all candidates together.
    got = ebt.predict(tokens(), Budget(steps=3, candidates=4, select=select), generator)
    torch.testing.assert_close(got.energy, final.gather(1, best[:, None])[:, 0])
    assert len(best.unique()) > 1


# ---------------------------------------------------------------------- divergence


def test_weights_that_are_not_numbers_are_flagged() -> None:
    ebt = model()
    with torch.no_grad():
        ebt.body.head.linear.weight.fill_(float("nan"))  # type: ignore[union-attr, operator]
    got = ebt.predict(tokens(), Budget(steps=3, candidates=2))
    assert got.diverged.all()
    assert got.output.isfinite().all(), "the start was finite"


def test_a_diverged_candidate_is_never_the_answer() -> None:
    ebt = model()
    with torch.no_grad():
        landscape = ebt.landscape(tokens())
        starts = ebt.thinker.start(landscape, 3, torch.Generator())
        starts[:, 0] = float("inf")
        starts[:, 2] = float("nan")
        got = ebt.thinker.think(landscape, Budget(steps=2, candidates=3), start=starts)
    assert torch.equal(got.diverged[0, :, 0], torch.tensor([True, False, True]))
    from argmind.thinking.select import choose

    assert (choose(got, "min_energy") == 1).all()
    assert (choose(got, "max_drop") == 1).all()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    exponent=st.floats(-30, 38),
    space=st.sampled_from(["dual", "mirror", "published", "euclidean"]),
    stop=st.sampled_from(["fixed", "plateau"]),
    accept_lower=st.booleans(),
)
def test_any_step_size_ends_finite_or_flagged(
    exponent: float, space: str, stop: str, accept_lower: bool
) -> None:
    size = part_config("schedule", "constant", size=10.0**exponent)
    ebt = model(space, schedule=size, start="noise").float()
    budget = Budget(steps=4, stop=part_config("stop", stop), accept_lower=accept_lower)
    got = ebt.predict(tokens(), budget)
    assert got.candidate.isfinite().all()
    sound = ~got.diverged
    assert got.energy[sound].isfinite().all()
    assert got.output[sound].isfinite().all()


def test_an_answer_that_cannot_be_read_is_flagged() -> None:
    ebt = model("mirror").float()
    with torch.no_grad():
        ebt.space.embedding.weight.mul_(1e30)  # type: ignore[union-attr, operator]
    huge = ebt.predict(tokens(), Budget(steps=1))
    assert (huge.output.isfinite().all(-1) | huge.diverged).all()
