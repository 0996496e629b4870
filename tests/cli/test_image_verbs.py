"""The verbs on images: train, eval, compare, denoise and sample, with every kind of model."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from .conftest import cli, ok, process, refused
from .small_runs import IMAGE_RUNS as RUNS
from .small_runs import IMAGES as SMALL


@pytest.fixture(scope="session")
def run(image_run):
    return image_run


def picture(path, size=8, mode="L", seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


# Train ----------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_every_image_recipe_trains(name, run):
    described = json.loads((run(name) / "recipe.json").read_text())
    assert described["inputs"] == {"image_size": 8, "channels": 1, "classes": 10}
    assert (run(name) / "classes.json").is_file()


def test_training_on_a_folder_with_damaged_files(tmp_path):
    for number in range(12):
        kind = tmp_path / "photos" / ("cat" if number % 2 else "dog")
        kind.mkdir(parents=True, exist_ok=True)
        picture(kind / f"{number}.png", size=9, mode="RGB", seed=number)
    (tmp_path / "photos" / "cat" / "0broken.png").write_bytes(b"no image")
    recipe, settings = RUNS["regression"]
    words = ["train", recipe, "--data", "photos", "--steps", 2, "--device", "cpu", "--out", "run"]
    words += ["--set", *SMALL, *settings, "data.image_size=8", "training.batch_size=4"]
    said = refused(*words)
    assert "0broken.png: no image that can be read" in said
    assert "--skip-bad" in said
    assert "9x9, where images of 8x8 are needed" in refused(*words, "--skip-bad")
    assert not (tmp_path / "run").exists()
    done = cli(*words, "data.fit=crop", "--skip-bad")
    assert done.code == 0, done.err
    assert "note: photos: 1 of 13 images left out as damaged: photos/cat/0broken.png" in done.err
    assert "images/s" in done.err
    assert "argmind denoise run --held-out" in done.out
    found = ok("eval", "run", "--limit", 4)
    assert found["images"] == 1


def test_an_interrupted_run_goes_on(run, tmp_path):
    import shutil

    folder = shutil.copytree(run("regression"), tmp_path / "run")
    plain = ok("train", "--resume", folder, "--steps", 8)
    assert plain["steps"] == 8
    words = ["train", "--resume", folder, "--steps", 9, "--set", "data.task.level=0.9"]
    assert "the data is not that of the run" in refused(*words)


# Eval, compare --------------------------------------------------------------


@pytest.mark.parametrize("name", ["ebt", "dit", "regression", "inpaint"])
def test_eval(name, run):
    found = ok("eval", run(name), "--steps", 1, 2, "--limit", 6)
    assert found["images"] == 6
    thinks = name in ("ebt", "dit")
    assert [row["steps"] for row in found["rows"]] == ([1, 2] if thinks else [0])
    for row in found["rows"]:
        assert row["psnr"]["low"] <= row["psnr"]["value"] <= row["psnr"]["high"]
        assert row["diverged"] == 0
    assert "PSNR/dB" in cli("eval", run(name), "--limit", 4).out


def test_eval_at_another_noise_than_trained(run):
    words = ["eval", run("regression"), "--limit", 20]
    trained, same, harder = (
        ok(*words, *more)
        for more in ([], ["--set", "data.task.level=0.5"], ["--set", "data.task.level=1.5"])
    )
    assert trained["rows"][0]["psnr"] == same["rows"][0]["psnr"]
    assert harder["rows"][0]["psnr"]["high"] < trained["rows"][0]["psnr"]["low"]
    assert "level=1.5" in harder["data"]
    said = refused(*words, "--set", "training.seed=1")
    assert "only data.task may be changed here, such as data.task.level=1.0" in said
    assert "Did you mean 'data.task.level'" in refused(*words, "--set", "data.task.levl=1")


def test_eval_on_other_images(run, tmp_path):
    (tmp_path / "other").mkdir()
    for number in range(3):
        picture(tmp_path / "other" / f"{number}.png", seed=number)
    found = ok("eval", run("ebt"), "--data", "other")
    assert found["images"] == 3
    picture(tmp_path / "other" / "3.png", size=9)
    assert "3.png is 9x9" in refused("eval", run("ebt"), "--data", "other")


def test_compare(run, ebt):
    found = ok("compare", run("regression"), run("ebt"), run("dit"), "--limit", 8)
    assert [one["run"] for one in found["runs"]] == [
        str(run(n)) for n in ("regression", "ebt", "dit")
    ]
    assert "verdict" not in found["runs"][0]["rows"][0]
    for one in found["runs"][1:]:
        row = one["rows"][0]
        against = row["psnr"]["value"] - found["runs"][0]["rows"][0]["psnr"]["value"]
        assert row["psnr_difference"]["value"] == pytest.approx(against, abs=1e-4)
        assert one["images_seen"] == 40
    assert found["equal_data"]["at"] == 40
    assert "against first" in cli("compare", run("regression"), run("ebt"), "--limit", 4).out
    assert "compare runs of one kind" in refused("compare", run("ebt"), ebt)


def test_compare_at_equal_cost(run):
    """At equal data what was measured, signs turned for verdicts; FLOPs have none in common."""
    plain, ebt = str(run("regression")), str(run("ebt"))
    found = ok("compare", plain, ebt, "--limit", 8)
    equal, row = found["equal_data"], found["runs"][1]["rows"][0]
    assert (equal["from"], equal["at"]) == ("measured", 40)
    assert equal["psnr"] == {one["run"]: one["rows"][0]["psnr"]["value"] for one in found["runs"]}
    assert equal["difference"] == {ebt: row["psnr_difference"]}
    low, high = row["psnr_difference"]["low"], row["psnr_difference"]["high"]
    told = "better" if low > 0 else "worse" if high < 0 else "no difference beyond the interval"
    assert equal["verdict"] == {ebt: told}
    assert row["verdict"] == told
    assert found["equal_flops"] == {"at": None}
    assert any("no FLOPs in common" in note for note in found["notes"])
    assert found["equal_parameters"]["ratio"][ebt] == pytest.approx(
        found["runs"][1]["parameters"] / found["runs"][0]["parameters"]
    )
    shown = cli("compare", plain, ebt, "--limit", 8).out
    assert all(word in shown for word in ("equal", "FLOPs", "parameters", "×"))
    other = ok("compare", plain, run("inpaint"), "--limit", 4)
    assert not any(key in other for key in ("equal_data", "equal_flops", "equal_time"))
    assert "nothing is said about equal data" in " ".join(other["notes"])


def test_classifiers_are_judged_by_how_often_they_are_right(run):
    found = ok("eval", run("classifier"), "--limit", 8)
    assert 0 <= found["rows"][0]["accuracy"]["value"] <= 1
    assert "psnr" not in found["rows"][0]
    assert "accuracy" in cli("eval", run("classifier"), "--limit", 4).out
    twice = ok("compare", run("classifier"), run("classifier"), "--limit", 8)
    assert twice["runs"][1]["rows"][0]["accuracy_difference"]["value"] == 0
    said = refused("compare", run("ebt"), run("classifier"))
    assert "is judged by its psnr and" in said
    assert "by its accuracy: compare runs that answer alike" in said
    said = refused("compare", run("classifier"), run("ebt"))
    assert "does not answer what the first run is asked" in said


# Denoise --------------------------------------------------------------------


def written(answer) -> np.ndarray:
    return np.asarray(Image.open(answer["output"]))


@pytest.mark.parametrize("name", ["ebt", "dit", "regression"])
def test_denoise_files(name, run, tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "more").mkdir()
    picture(tmp_path / "more" / "a.png", seed=1)
    found = ok("denoise", run(name), "a.png", "more", "--out", "clean", "--noise", 0.3)
    assert [one["output"] for one in found["images"]] == [
        "clean/a-denoised.png",
        "clean/a-2-denoised.png",
    ]
    for one in found["images"]:
        assert written(one).shape == (8, 8)
        assert one["level"] == pytest.approx(0.3)
        assert not one["diverged"]
        assert one["nfe"] >= 1
        assert 5 < one["psnr_given"] < 40
    plain = cli("denoise", run(name), "a.png").out
    assert "denoised/a-denoised.png" in plain


@pytest.mark.parametrize("name", ["ebt", "dit"])
def test_the_strip_has_a_column_for_every_step(name, run):
    words = ["denoise", run(name), "--held-out", 3, "--steps", 4, "--trace", "deep/strip.png"]
    found = ok(*words)
    strip = Image.open("deep/strip.png")
    # 4 steps, their start, and the clean image; 8x8 enlarged to 64, with gaps of 2.
    assert strip.size == (6 * 66 - 2, 3 * 66 - 2)
    assert [one["steps"] for one in found["images"]] == [4, 4, 4]
    assert all(len(one["energies"]) == 5 for one in found["images"])


def test_noise_that_nobody_tells_is_estimated(run):
    clean = np.full((64, 64), 128, dtype=np.uint8)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 25.5, clean.shape), 0, 255)
    Image.fromarray(noisy.astype(np.uint8)).resize((8, 8), Image.Resampling.NEAREST).save("n.png")
    told = ok("denoise", run("dit"), "n.png", "--level", 0.4)["images"][0]["level"]
    guessed = ok("denoise", run("dit"), "n.png")["images"][0]["level"]
    assert told == pytest.approx(0.4)
    assert 0.08 < guessed < 0.4  # 0.2 in truth, from few pixels


@pytest.mark.parametrize("name", ["ebt", "dit"])
def test_an_image_does_not_depend_on_its_neighbours(name, run, tmp_path):
    for number in range(3):
        picture(tmp_path / f"{number}.png", seed=number)
    words = ["denoise", run(name), "0.png", "1.png", "2.png", "--noise", 0.5, "--candidates", 2]
    whole = [written(one) for one in ok(*words)["images"]]
    parts = [written(one) for one in ok(*words, "--batch-size", 1)["images"]]
    for one, other in zip(whole, parts, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
    other = [written(one) for one in ok(*words, "--seed", 5)["images"]]
    assert any((one != two).any() for one, two in zip(whole, other, strict=True))


def test_an_inpainting_run_fills_in(run):
    found = ok("denoise", run("inpaint"), "--held-out", 2, "--trace", "strip.png")
    assert all(one["psnr"] > 0 for one in found["images"])
    assert "leave out the noise" in refused(
        "denoise", run("inpaint"), "--held-out", 2, "--noise", 1
    )


def test_denoise_as_a_process(run, tmp_path):
    picture(tmp_path / "a.png")
    done = process("denoise", run("ebt"), "a.png", "--steps", 2, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.json["images"][0]["output"] == "denoised/a-denoised.png"
    done = process("denoise", run("ebt"), "nowhere.jpg", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: no such file: nowhere.jpg.\n"


def test_bad_images(run, tmp_path):
    picture(tmp_path / "wide.png", size=12)
    picture(tmp_path / "good.png")
    picture(tmp_path / "colour.png", mode="RGB")
    (tmp_path / "broken.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    (tmp_path / "empty").mkdir()
    words = ["denoise", run("regression")]
    assert "wide.png is 12x12, where images of 8x8" in refused(*words, "wide.png")
    assert "has colours, where data.channels=1" in refused(*words, "colour.png")
    assert "broken.png: no image that can be read" in refused(*words, "good.png", "broken.png")
    assert "no usable file in the folder" in refused(*words, "empty")
    assert not (tmp_path / "denoised").exists()
    assert len(ok(*words, "wide.png", "--fit", "crop")["images"]) == 1
    assert len(ok(*words, "colour.png", "--convert")["images"]) == 1
    found = ok(*words, ".", "--fit", "pad", "--convert", "--skip-bad")
    assert len(found["skipped"]) == 1
    assert "broken.png" in found["skipped"][0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{ebt}"], "say which images"),
        (["{ebt}", "a.png", "--held-out", "2"], "say which images"),
        (["{ebt}", "a.png", "--noise", "-1"], "--noise is a std, at least 0, got -1.0"),
        (["{ebt}", "a.png", "--noise", "nan"], "--noise is a std"),
        (["{ebt}", "a.png", "--noise", "1", "--level", "1"], "leave out --level"),
        (["{ebt}", "a.png", "--fit", "corp"], "Did you mean 'crop'?"),
        (["{dit}", "a.png", "--steps", "0"], "ask for --steps 1 or more"),
        (["{draws_dit}", "--held-out", "2"], "learnt no noise of its own: add --noise STD"),
        (["{draws}", "a.png"], "was trained to draw images out of nothing: use `argmind sample`"),
        (["{ebt}", "a.png", "--out", "a.png/b"], "cannot write folder a.png/b"),
    ],
)
def test_what_denoise_refuses(words, said, run, tmp_path):
    picture(tmp_path / "a.png")
    names = {name: run(name) for name in ("ebt", "dit", "draws", "draws_dit")}
    assert said in refused("denoise", *(word.format(**names) for word in words))


def test_verbs_for_text_and_for_images(run, ebt):
    assert "is a run on text, which takes no images" in refused("denoise", ebt, "a.png")
    assert "is a run on text, which takes no images" in refused("sample", ebt)
    for verb in ("generate", "think"):
        said = refused(verb, run("ebt"), "--prompt", "x")
        assert "is a run on images, which reads no text" in said
    assert "this is a run on text" in refused("eval", ebt, "--set", "data.task.level=1")


# Sample ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["draws", "draws_dit", "dit"])
def test_sample(name, run):
    told = name != "dit"
    words = ["--class", 3, "--class", 7] if told else []
    found = ok("sample", run(name), *words, "--count", 2, "--trace", "strip.png")
    names = ["3", "3", "7", "7"] if told else [None, None]
    assert [one["class"] for one in found["images"]] == names
    assert len({one["output"] for one in found["images"]}) == len(names)
    assert all(written(one).shape == (8, 8) for one in found["images"])
    again = ok("sample", run(name), *words, "--count", 2, "--out", "again", "--batch-size", 1)
    pairs = zip(found["images"], again["images"], strict=True)
    assert all(np.abs(written(a).astype(int) - written(b)).max() <= 1 for a, b in pairs)
    assert (written(found["images"][0]) != written(found["images"][1])).any()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{draws}", "--class", "cat"], "unknown class 'cat'. Known: 0, 1, 2"),
        (["{draws}", "--class", "10"], "unknown class '10'"),
        (["{draws}", "--count", "0"], "must be at least 1"),
        (["{draws}", "--steps", "0"], "ask for --steps 1 or more"),
        (["{ebt}"], "needs an image to start from: use `argmind denoise`"),
        (["{regression}"], "needs an image to start from"),
        (["{dit}", "--class", "3"], "was not told the classes of its images"),
    ],
)
def test_what_sample_refuses(words, said, run):
    names = {name: run(name) for name in ("ebt", "dit", "draws", "regression")}
    assert said in refused("sample", *(word.format(**names) for word in words))


@pytest.mark.parametrize("name", ["draws", "draws_dit"])
def test_sample_of_images_without_classes(name, tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(12):
        picture(tmp_path / "photos" / f"{number}.png", seed=number)
    recipe, settings = RUNS[name]
    words = ["train", recipe, "--data", "photos", "--steps", 2, "--device", "cpu", "--out", "run"]
    done = cli(*words, "--set", *SMALL, *settings, "training.batch_size=4")
    assert done.code == 0, done.err
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["inputs"]["classes"] == 0
    found = ok("sample", "run", "--count", 2)
    assert [one["class"] for one in found["images"]] == [None, None]
    assert all(written(one).shape == (8, 8) for one in found["images"])
    assert "the images have no classes" in refused("sample", "run", "--class", "3")


def test_sample_as_a_process(run, tmp_path):
    words = ["--class", "4", "--count", "1", "--json"]
    done = process("sample", run("draws"), *words, cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.json["images"][0]["output"] == "samples/sample-4.png"


# From Python ----------------------------------------------------------------


def test_a_loaded_run(run):
    import argmind

    loaded = argmind.load(run("ebt"), device="cpu")
    pixels = np.random.default_rng(0).random((2, 8, 8))
    said = loaded.denoise(pixels, steps=2, level=0.5)
    assert said.output.shape == (2, 1, 8, 8)
    assert said.energy.shape == said.steps.shape == said.nfe.shape == (2,)
    assert said.nfe.tolist() == [2, 2]
    with pytest.raises(argmind.UserError, match="NaN or infinite"):
        loaded.denoise(pixels * np.nan)
    with pytest.raises(argmind.UserError, match="budget"):
        loaded.denoise(pixels, stpes=2)
    with pytest.raises(argmind.UserError, match=r"takes images of \(1, 8, 8\), got \(1, 4, 4\)"):
        loaded.denoise(torch.zeros(2, 1, 4, 4))
    with pytest.raises(argmind.UserError, match="64 values of the given images are NaN"):
        loaded.denoise(torch.full((1, 1, 8, 8), torch.nan))
    drawn = argmind.load(run("draws"), device="cpu").sample(["3", 4], steps=2)
    assert drawn.output.shape == (2, 1, 8, 8)
