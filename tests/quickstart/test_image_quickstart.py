"""The quickstart of images from end to end, in seconds."""

from __future__ import annotations

import inspect
import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from quickstart_tiny import run_tiny

from argmind import registry
from argmind.cli import main
from argmind.cli._parser import parse
from argmind.errors import UserError
from argmind.eval.results import read_results
from argmind.image.run import load_image_run
from argmind.quickstart.image import ImageDomain, ImageSizes, image_quickstart
from argmind.quickstart.parameters import count_parameters, matched
from argmind.registry import find
from argmind.train.runfolder import RunFolder

RUNS = ("", "dit", "regression")
EBT_STEPS = [0, 1, 2, 3, 4, 8, 12]
DIT_STEPS = [1, 2, 4, 10, 50, 100]


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> subprocess.CompletedProcess[str]:
    return run_tiny("image", tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def folder(done) -> Path:
    return Path(done.args[-1])


@pytest.fixture(scope="module")
def results(folder):
    return read_results(folder / "results.json")


def test_it_ends_well_and_leaves_three_runs(done, folder):
    assert done.returncode == 0, done.stderr
    for name in RUNS:
        run = load_image_run(folder / name, which="last")
        answer = run.denoise(torch.zeros(2, 1, 8, 8), level=0.5)
        assert answer.output.isfinite().all()
    assert not [*folder.rglob("*.part"), *folder.rglob("*.tmp*")]


def test_all_have_equally_many_parameters_and_saw_the_same(folder, results):
    counts = [load_image_run(folder / name).run.parameters for name in RUNS]
    assert max(abs(count - counts[0]) for count in counts) <= 0.02 * counts[0]
    told = [results.figures[f"{key}_parameters"].value for key in ("ebt", "dit", "regression")]
    assert told == counts
    states = [RunFolder(folder / name).store.latest().state for name in RUNS]
    for key in ("step", "data_fingerprint", "totals"):
        assert len({json.dumps(state[key]) for state in states}) == 1


def test_figures_are_complete_and_consistent(results):
    figures, extra = results.figures, results.extra
    trained: int = extra["trained_steps"]
    assert trained in EBT_STEPS
    assert 4 * trained in EBT_STEPS
    for short in ("id", "ood"):
        rows = [row for row in extra["budgets"] if row["level"] == short]
        single = {
            (row["model"], row["steps"]): row["psnr"] for row in rows if row["candidates"] == 1
        }
        assert [steps for model, steps in single if model == "EBT"] == EBT_STEPS
        assert [steps for model, steps in single if model == "DiT"] == DIT_STEPS
        assert figures[f"psnr_{short}_ebt"].value == single["EBT", trained]["value"]
        assert figures[f"psnr_{short}_ebt"].low == single["EBT", trained]["low"]
        best = max(single["DiT", steps]["value"] for steps in DIT_STEPS)
        assert figures[f"psnr_{short}_dit"].value == best
        assert figures[f"psnr_{short}_regression"].value == single["Regression", None]["value"]
        by_step = tuple(single["EBT", steps]["value"] for steps in EBT_STEPS)
        assert figures[f"psnr_{short}_ebt_by_step"].value == by_step
        gap = single["EBT", trained]["value"] - best
        assert figures[f"psnr_{short}_ebt_minus_dit"].value == pytest.approx(gap, abs=1e-9)
        assert len(figures[f"psnr_{short}_verification_gain"].value) == 2
        assert -1 <= figures[f"energy_error_rank_correlation_{short}"].value <= 1
    assert figures["nfe_ebt"].value == trained
    assert figures["nfe_dit"].value in DIT_STEPS
    assert figures["nfe_regression"].value == 1
    ood = figures["psnr_ood_ebt_by_step"].value
    gain = figures["thinking_4x_gain_db_ood"].value
    long, short = (ood[EBT_STEPS.index(steps)] for steps in (4 * trained, trained))
    assert gain == pytest.approx(long - short, abs=1e-9)
    assert figures["psnr_id_given"].value > figures["psnr_ood_given"].value + 3
    assert results.seeds == (0,)
    assert extra["noise_std"] == {"id": 0.5, "ood": 1.0}


def test_figures_agree_with_a_direct_measurement(folder, results):
    run = load_image_run(folder, which="last")
    config = run.run.recipe.data
    noisier = replace(config, task=replace(config.task, level=1.0)).build(seed=0)
    count = results.extra["held_out_images"]
    psnr = []
    for batch in noisier.evaluation(32, count):
        output = run.predict(batch).output
        error = (output - batch["clean"]).square().flatten(1).mean(1)
        psnr.append(10 * torch.log10(4 / error))
    mean = float(torch.cat(psnr).double().mean())
    assert results.figures["psnr_ood_ebt"].value == pytest.approx(mean, abs=1e-4)


def test_the_report_is_sound_and_pictured(folder, results, checked):
    found = checked((folder / "report.html").read_text())
    assert found.faults == []
    # Six digits at two noise levels: noisy, every step and four times as many, clean, three of
    # DiT, regression.
    assert found.tags["img"] == 2 * 6 * (1 + results.extra["trained_steps"] + 1 + 1 + 3 + 1)
    assert found.tags["svg"] == 2 + 3 + 4
    for words in ("PSNR at 2× the trained noise", "DiT learns every noise level", "one seed"):
        assert words in found.words


def test_the_terminal_tells_the_table_and_what_to_do_next(done):
    lines = done.stdout.splitlines()
    for steps in EBT_STEPS:
        assert any(f"EBT {steps} × 1" in " ".join(line.split()) for line in lines)
    commands = [line.strip() for line in lines[-3:]]
    assert [shlex.split(command)[1] for command in commands] == ["denoise", "eval", "train"]
    for command in commands:
        assert parse(shlex.split(command)[1:]) is not None
    assert "images/s" in done.stderr
    assert "images/s" not in done.stdout


@pytest.mark.parametrize(("package", "says"), [("sklearn", "digits"), ("PIL", "pictures")])
def test_missing_packages_are_said_before_anything_is_done(monkeypatch, tmp_path, package, says):
    monkeypatch.chdir(tmp_path)
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"{says}.*pip install 'argmind\[image\]'"):
        find("quickstart", "image")(out=None, seed=0, silent=True)
    assert not list(tmp_path.iterdir())


def test_minutes_are_the_domain_s_own_unless_given(monkeypatch):
    asked = []
    monkeypatch.setattr(registry, "find", lambda *_: lambda **given: asked.append(given) or {})
    for words in ([], ["--minutes", "2"]):
        assert main(["quickstart", "--domain", "image", "--json", *words]) == 0
    assert "minutes" not in asked[0]
    assert asked[1]["minutes"] == 2
    assert inspect.signature(image_quickstart).parameters["minutes"].default == 5


@pytest.mark.parametrize("sizes", [ImageSizes(), ImageSizes(hidden_dim=96, patch=2)])
def test_rivals_are_matched_and_share_what_is_no_part_of_the_model(sizes):
    domain = ImageDomain(sizes)
    thinker, *rivals = domain.recipes()
    inputs = {"image_size": 8, "channels": 1, "classes": 10}
    target = count_parameters(thinker, inputs)
    for entrant, rival in zip(domain.entrants[1:], rivals, strict=True):
        wide = matched(rival, entrant.width, target, inputs)
        assert abs(count_parameters(wide, inputs) - target) <= 0.02 * target
        assert (wide.data, wide.optimizer) == (thinker.data, thinker.optimizer)
        assert replace(wide.training, ema_decay=None) == thinker.training


def test_the_models_meet_the_same_problems():
    """Out of distribution the same images have the same noise, larger."""
    data = ImageDomain().recipes()[0].data
    noisier = replace(data, task=replace(data.task, level=1.0))
    first, second = (next(iter(one.build(seed=1).evaluation(8))) for one in (data, noisier))
    np.testing.assert_array_equal(first["clean"], second["clean"])
    noise = [batch["given"] - batch["clean"] for batch in (first, second)]
    np.testing.assert_allclose(2 * noise[0], noise[1], atol=1e-5)
