"""The quickstart of video from end to end, in seconds."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from quickstart_tiny import TINY_CLIPS, run_tiny

from argmind.cli._parser import parse
from argmind.errors import UserError
from argmind.eval.results import read_results
from argmind.eval.rollout import roll_out
from argmind.quickstart import tour
from argmind.quickstart.base import Domain
from argmind.quickstart.video import VideoDomain
from argmind.registry import find
from argmind.runs import load_run
from argmind.train.runfolder import RunFolder

RUNS = ("", "transformer_pp")
STEPS = [0, 1, 2, 4, 8]


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> subprocess.CompletedProcess[str]:
    return run_tiny("video", tmp_path_factory.mktemp("video"))


@pytest.fixture(scope="module")
def folder(done) -> Path:
    return Path(done.args[-1])


@pytest.fixture(scope="module")
def results(folder):
    return read_results(folder / "results.json")


@pytest.fixture(scope="module")
def clips(results):
    data = VideoDomain(TINY_CLIPS).recipes()[0].data.build(seed=0)
    return list(data.evaluation(16, results.extra["held_out_clips"]))


@pytest.fixture(scope="module")
def held_out(clips):
    return torch.cat([batch["frames"] for batch in clips])


@pytest.fixture(scope="module")
def random(clips):
    return torch.cat([batch["random"] for batch in clips])


def test_it_ends_well_and_leaves_two_equal_runs(done, folder, results):
    assert done.returncode == 0, done.stderr
    counts = [load_run(folder / name).parameters for name in RUNS]
    assert abs(counts[1] - counts[0]) <= 0.02 * counts[0]
    assert counts == [results.figures[f"{key}_parameters"].value for key in ("ebt", "tpp")]
    first, second = (RunFolder(folder / name).store.latest().state for name in RUNS)
    for key in ("step", "data_fingerprint"):
        assert first[key] == second[key]
    assert not [*folder.rglob("*.part"), *folder.rglob("*.tmp*")]


def test_next_frame_errors_are_mean_squares(folder, results, held_out):
    change = held_out.diff(dim=1)
    for name, key in zip(RUNS, ("ebt", "tpp"), strict=True):
        predictor = load_run(folder / name, which="last").predictor
        output = predictor.predict({"frames": held_out[:, :-1]}).output
        error = float((output - change).square().mean())
        assert results.figures[f"next_frame_error_{key}"].value == pytest.approx(error, rel=1e-3)
    still = float(change.square().mean())
    assert results.figures["next_frame_error_still"].value == pytest.approx(still, rel=1e-5)


def test_roll_outs_begin_where_nothing_is_left_to_chance(folder, results, held_out, random):
    given = results.extra["frames_given_to_rollouts"]
    held_out = held_out[~random[:, given - 1 :].any(1)]
    assert len(held_out) == results.extra["clips_rolled_out"]
    count = TINY_CLIPS.frames - given
    predictor = load_run(folder, which="last").predictor
    made = roll_out(predictor, held_out[:, :given], count, window=TINY_CLIPS.frames).frames
    errors = (made - held_out[:, given:]).square().mean((0, 2, 3, 4))
    told = results.figures["rollout_error_ebt_by_horizon"].value
    assert told == pytest.approx(errors.tolist(), rel=1e-3)


def test_figures_are_complete_and_consistent(results):
    figures, extra = results.figures, results.extra
    assert extra["steps_of_ebt_by_step"] == STEPS
    by_step = figures["next_frame_error_ebt_by_step"].value
    assert by_step == tuple(row["error"]["value"] for row in extra["budgets"])
    trained = by_step[STEPS.index(extra["trained_steps"])]
    assert figures["next_frame_error_ebt"].value == trained
    gap = trained - figures["next_frame_error_tpp"].value
    assert figures["ebt_minus_tpp"].value == pytest.approx(gap, abs=1e-9)
    assert 0 <= figures["energy_turn_auroc"].value <= 1
    assert 0 <= figures["energy_turn_auroc_same_frame"].value <= 1
    assert -1 <= figures["energy_error_rank_correlation"].value <= 1


def test_the_report_is_sound_and_moves(folder, results, checked):
    page = (folder / "report.html").read_text()
    found = checked(page)
    assert found.faults == []
    later = TINY_CLIPS.frames - results.extra["frames_given_to_rollouts"]
    assert found.tags["img"] == 3 * 4 + 3 * later
    assert page.count("data:image/gif;base64,") == 3 * 4
    assert found.tags["svg"] == 1 + 3 + 2 + 2
    assert "by clip and frame" in found.words


def test_the_terminal_tells_the_table_and_what_to_do_next(done):
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for steps in STEPS:
        assert any(line.startswith(f"EBT {steps} 0.") for line in lines)
    assert any(line.startswith("nothing changes –") for line in lines)
    commands = lines[-3:]
    assert [shlex.split(command)[1] for command in commands] == ["train", "train", "quickstart"]
    for command in commands:
        assert parse(shlex.split(command)[1:]) is not None
    assert "clips/s" in done.stderr


@pytest.mark.parametrize("package", ["sklearn", "PIL"])
def test_missing_packages_are_said_before_anything_is_done(monkeypatch, tmp_path, package):
    monkeypatch.chdir(tmp_path)
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"pip install 'argmind\[image\]'"):
        find("quickstart", "video")(out=None, seed=0, silent=True)
    assert not list(tmp_path.iterdir())


def test_interrupted_measuring_names_no_verb_that_cannot_read_clips(hurried, monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(VideoDomain, "study", stopped)
    domain: Domain = VideoDomain(TINY_CLIPS)
    monkeypatch.setattr(tour, "_EVALUATIONS", 1)
    result = hurried(domain)
    assert result["next_commands"] == []
    told = capsys.readouterr().out
    assert "argmind eval" not in told
    assert "Take the whole tour again: argmind quickstart --domain video" in " ".join(told.split())
