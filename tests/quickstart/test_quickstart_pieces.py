"""The pieces of a quickstart: folder, equal parameters, planning, measurements."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from quickstart_tiny import TINY

from argmind.assembly import build_predictor
from argmind.errors import UserError
from argmind.eval.evaluate import evaluate
from argmind.eval.stopping import plateau_stop
from argmind.predictors.base import Trace
from argmind.quickstart import pace
from argmind.quickstart.folder import claimed
from argmind.quickstart.pace import Clock, Pace, fastest_threads, threads_restored
from argmind.quickstart.parameters import count_parameters, matched
from argmind.quickstart.text import TextDomain
from argmind.quickstart.tour import steps_within
from argmind.text.measure import entropies, passage
from argmind.text.run import load_text_run
from argmind.thinking.budget import Budget


def test_the_first_free_folder_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = []
    for _ in range(3):
        with claimed(None) as folder:
            (folder / "recipe.json").write_text("{}")
        names.append(str(folder))
    assert names == ["runs/quickstart", "runs/quickstart-2", "runs/quickstart-3"]


def test_two_at_once_get_two_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with claimed(None) as first, claimed(None) as second:
        assert first != second
    assert not list((tmp_path / "runs").iterdir())


def test_an_empty_folder_is_taken_and_a_file_is_not(tmp_path):
    (tmp_path / "empty").mkdir()
    with claimed(tmp_path / "empty") as folder:
        assert folder == tmp_path / "empty"
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="in use"), claimed(tmp_path / "file"):
        pass
    with pytest.raises(UserError, match="cannot write"), claimed(tmp_path / "file" / "below"):
        pass


@pytest.mark.parametrize(("width", "layers", "vocabulary"), [(16, 1, 257), (64, 3, 700)])
def test_the_rival_is_widened_until_parameters_are_equal(width, layers, vocabulary):
    domain = TextDomain(replace(TINY, hidden_dim=width, num_layers=layers))
    recipe, rival = domain.recipes()
    inputs = {"vocab_size": vocabulary}
    target = count_parameters(recipe, inputs)
    assert count_parameters(rival, inputs) < 0.98 * target
    wider = matched(rival, domain.entrants[1].width, target, inputs)
    assert abs(count_parameters(wider, inputs) - target) <= 0.02 * target
    assert wider.data == rival.data


def test_parameters_out_of_reach_are_an_error():
    domain = TextDomain(TINY)
    with pytest.raises(ValueError, match="does not give"):
        matched(domain.recipes()[1], domain.entrants[1].width, 10, {"vocab_size": 257})


def test_both_models_share_what_is_no_part_of_the_model():
    recipe, rival = TextDomain(TINY).recipes()
    for name in ("data", "optimizer", "training"):
        assert getattr(recipe, name) == getattr(rival, name)


@pytest.mark.parametrize("training_s", [-5.0, 0.0, 3.0, 40.0, 1e4])
def test_the_plan_fits_the_time(training_s):
    paces = [Pace(0.4, 0.3), Pace(0.05, 0.1)]
    steps = steps_within(training_s, paces, most=5000)
    planned_s = sum(pace.seconds(steps, evaluations=10) for pace in paces)
    assert 8 <= steps <= 5000
    assert planned_s <= training_s or steps == 8
    assert planned_s > training_s - 0.45 or steps == 5000  # none of the time is wasted


def test_the_clock_keeps_time_for_what_follows_training():
    clock = Clock(6)
    assert 200 < clock.training_s < clock.study_s < 0.9 * 360
    assert clock.study_s - clock.training_s == pytest.approx(0.2 * 360, abs=0.1)
    with clock.phase("nothing"):
        pass
    assert 0 <= clock.phases_s["nothing"] < 1


@pytest.mark.parametrize(
    ("took_s", "best"),
    [
        ({1: 0.02, 2: 0.012, 4: 0.03, 6: 0.001}, 2),  # from four on they are in each other's way
        ({1: 0.02, 2: 0.01, 4: 0.006, 6: 0.003}, 6),
        ({1: 0.005, 2: 0.2, 4: 0.2, 6: 0.2}, 1),  # busy cores
    ],
)
def test_the_fastest_number_of_threads_is_used(monkeypatch, took_s, best):
    tried, now_s = [], [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now_s[0])

    def work():
        tried.append(torch.get_num_threads())
        now_s[0] += took_s[tried[-1]]

    with threads_restored():
        torch.set_num_threads(6)
        with threads_restored():
            assert fastest_threads(work) == torch.get_num_threads() == best
        assert torch.get_num_threads() == 6
    if best == 1:
        assert tried.count(2) == 1  # hopeless at once


@pytest.fixture(scope="module")
def held_out():
    recipe = TextDomain(TINY).recipes()[0]
    return list(recipe.data.build(seed=0).evaluation(4, 8))


def test_entropy_of_the_rival_is_what_it_says_of_itself(held_out):
    recipe = TextDomain(TINY).recipes()[1]
    predictor = build_predictor(recipe, {"vocab_size": 257})
    told = evaluate(predictor, held_out, Budget()).energies
    assert torch.allclose(
        torch.from_numpy(entropies(predictor, held_out, Budget())), torch.from_numpy(told)
    )


class Descending:
    """Stands for a model whose first step changes the energy by these amounts."""

    def __init__(self, changes):
        start = torch.arange(float(len(changes)))
        self.trace = Trace([], [start, start - torch.tensor(changes)])

    def predict(self, context, budget):  # noqa: ARG002
        assert budget.steps == 1
        assert budget.trace
        return self


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_plateau_fits_the_scale_of_the_energy(scale):
    changes = [scale * change for change in (1.0, -2.0, 3.0, float("nan"))]
    stop = plateau_stop(Descending(changes), torch.zeros(1, 4))
    assert stop.tolerance == pytest.approx(0.1 * 2 * scale, rel=1e-2)


def test_energies_that_are_not_finite_give_no_plateau():
    assert plateau_stop(Descending([float("nan"), float("inf")]), torch.zeros(1, 2)).tolerance == 0


def test_a_passage_tells_what_evaluation_measures(toured, held_out):
    run = load_text_run(toured.run)
    window = held_out[0]["tokens"][1]
    budget = Budget(steps=2)
    told = passage(run, window, budget)
    measured = evaluate(run.predictor, [{"tokens": window[None]}], budget)
    assert [token.loss for token in told] == pytest.approx(measured.losses[0].tolist(), abs=1e-5)
    assert [token.energy for token in told] == pytest.approx(
        measured.energies[0].tolist(), abs=1e-4
    )
    assert "".join(token.text for token in told) == "".join(
        run.tokenizer.decode([index]) for index in window[1:].tolist()
    )
    for token in told:
        chances = [chance for _, chance in token.top]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) <= 1 + 1e-6
