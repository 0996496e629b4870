"""The other ways a quickstart can go: refused, interrupted, cut short, silent."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from quickstart_tiny import TINY

import argmind
from argmind.api import resume
from argmind.errors import UserError
from argmind.quickstart import text, tour
from argmind.quickstart.base import Study
from argmind.quickstart.screen import Screen
from argmind.quickstart.text import TextDomain, TextSizes
from argmind.registry import find
from argmind.runs import read_recipe
from argmind.train.progress import Progress


class Unstudied(TextDomain):
    """Trains both models and leaves it at that."""

    def __init__(self):
        super().__init__(TINY)

    def study(self, trained, clock, screen):  # noqa: ARG002
        self.trained = trained
        return Study(
            figures={}, shown=lambda _: [], page=lambda _: "<html></html>", next_commands=["one"]
        )


class SignalAt(Progress):
    """Presses Ctrl-C after a step."""

    def __init__(self, step):
        self.step = step

    def advance(self, step):
        if step == self.step:
            signal.raise_signal(signal.SIGINT)


def test_missing_matplotlib_is_said_before_anything_is_done(hurried, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"matplotlib.*pip install 'argmind\[report\]'"):
        hurried()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("minutes", [0.49, 0, -1, float("nan")])
def test_too_few_minutes_are_refused(minutes, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="minutes"):
        find("quickstart", "text")(minutes=minutes, out=None, seed=0, silent=True)
    assert not list(tmp_path.iterdir())


def test_folder_in_use_is_refused_and_left_alone(hurried, tmp_path):
    used = tmp_path / "used"
    used.mkdir()
    (used / "precious").write_text("mine")
    with pytest.raises(UserError, match=r"in use.*another --out"):
        hurried(out=used)
    assert [path.name for path in used.iterdir()] == ["precious"]


def test_a_failure_leaves_no_folder(hurried, monkeypatch, tmp_path):
    monkeypatch.setattr(tour, "fastest_threads", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        hurried(out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_silent_prints_nothing(hurried, capfd):
    result = hurried(Unstudied(), silent=True)
    assert Path(result["report"]).is_file()
    assert capfd.readouterr() == ("", "")


def test_seeds_give_other_weights(hurried):
    first, second = (
        argmind.load(hurried(Unstudied(), seed=seed, silent=True)["run"]) for seed in (0, 1)
    )
    assert str(second.run.folder) == "runs/quickstart-2"
    names = first.predictor.state_dict()
    assert any(not x.equal(names[name]) for name, x in second.predictor.state_dict().items())


def test_a_machine_that_slows_down_gives_both_fewer_steps(hurried, monkeypatch):
    monkeypatch.setattr(tour, "_PATIENCE", 1e-6)
    monkeypatch.setattr(tour, "_PATIENCE_S", 0.0)
    domain = Unstudied()
    hurried(domain, silent=True)
    ours, theirs = domain.trained.thinker, domain.trained.rivals[0]
    assert ours.cut_short
    assert not theirs.cut_short
    assert ours.outcome.steps == theirs.outcome.steps == 1


@pytest.mark.parametrize("which", ["first", "second"])
def test_interrupted_training_can_be_resumed(hurried, monkeypatch, capsys, which):
    signals = iter([SignalAt(3), Progress()] if which == "first" else [Progress(), SignalAt(3)])
    monkeypatch.setattr(Screen, "training", lambda *_: next(signals))
    result = hurried(Unstudied())
    folder = "runs/quickstart" + ("" if which == "first" else "/transformer_pp")
    assert result["next_commands"] == [f"argmind train --resume {folder}"]
    assert f"argmind train --resume {folder}" in capsys.readouterr().out
    assert argmind.load(folder, which="last").run.step == 3
    outcome = resume(folder)
    assert (outcome.reason, outcome.steps) == ("finished", read_recipe(folder)[0].training.steps)


def test_interrupted_measuring_keeps_the_trained_runs(hurried, monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Unstudied, "study", stopped)
    result = hurried(Unstudied())
    assert result["interrupted"].startswith("measuring")
    assert result["next_commands"] == [
        "argmind eval runs/quickstart",
        "argmind eval runs/quickstart/transformer_pp",
    ]
    assert "argmind eval runs/quickstart" in capsys.readouterr().out
    for folder in ("runs/quickstart", "runs/quickstart/transformer_pp"):
        assert argmind.load(folder).run.step > 0


def test_bytes_are_read_where_tokenizers_is_missing(monkeypatch):
    assert TextSizes().tokenizer.startswith("bpe:")
    monkeypatch.setattr(text, "find_spec", lambda _: None)
    assert TextSizes().tokenizer == "byte"
