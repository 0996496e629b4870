"""The loop: bad steps, evaluation, best, the run folder, what is written and said."""

import io
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from argmind.errors import UserError
from argmind.train.checkpoint import CheckpointStore
from argmind.train.config import OptimizerConfig, TrainingConfig
from argmind.train.distributed import World
from argmind.train.engine import Engine
from argmind.train.progress import PlainProgress, Progress, RichProgress, progress_for
from argmind.train.runfolder import RunFolder
from argmind.train.throughput import Stopwatch, peak_flops

from .toy import StopAt, ToyData, ToyObjective, fit_until, make_trainer


def lines(run: Path, split: str | None = None, name: str = "metrics.jsonl") -> list[dict]:
    found = [json.loads(line) for line in (run / name).read_text().splitlines()]
    return [line for line in found if split in (None, line.get("split"))]


def state_of(run: Path, step: int) -> dict[str, torch.Tensor]:
    found = CheckpointStore(run / "checkpoints").load(step)
    return {
        f"{name}/{k}": v
        for name in ("model", "optimizer", "ema")
        for k, v in found.tensors(name).items()
    }


# ------------------------------------------------------------------ steps that go wrong


@pytest.mark.parametrize("kind", ["loss", "gradient"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_non_finite_step_reaches_nothing_and_the_run_goes_on(tmp_path, kind, accumulate):
    # Sample 9 lies in the third step.
    fit_until(
        tmp_path,
        None,
        objective=ToyObjective(poison={9: kind}),
        steps=5,
        accumulate=accumulate,
        checkpoint_every=1,
        keep=9,
        ema_decay=0.9,
    )
    before, after, later = (state_of(tmp_path, step) for step in (2, 3, 4))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(after["model/head.weight"], later["model/head.weight"])
    assert not torch.equal(after["ema/head.weight"], later["ema/head.weight"])
    train = lines(tmp_path, "train")
    assert [line["skipped"] for line in train] == [0, 0, 1, 1, 1]
    assert train[2]["grad_norm"] is None
    assert all(math.isfinite(line["grad_norm"]) for line in train if line["step"] != 3)
    if kind == "loss":
        assert train[2]["loss"] is None


def test_bad_steps_do_not_spoil_the_mean_of_the_window(tmp_path):
    fit_until(tmp_path, None, objective=ToyObjective(poison={9: "loss"}), steps=5, log_every=5)
    (line,) = lines(tmp_path, "train")
    assert math.isfinite(line["loss"])
    assert line["skipped"] == 1


def test_too_many_bad_steps_in_a_row_stop_the_run(tmp_path):
    poison = {sample: "gradient" for sample in (8, 12, 13, 20, 24, 28)}
    settings = {"max_bad_steps": 3, "checkpoint_every": 5, "steps": 12, "eval_every": 0}
    with pytest.raises(UserError, match=r"last 3 steps \(up to step 8\).*step-00000005") as caught:
        fit_until(tmp_path, None, objective=ToyObjective(poison=poison), **settings)
    assert "--resume" in str(caught.value)
    assert CheckpointStore(tmp_path / "checkpoints").latest().step == 5


def test_bad_steps_in_a_row_are_counted_across_a_resume(tmp_path):
    poison = {sample: "loss" for sample in (16, 20, 24)}
    settings = {"max_bad_steps": 3, "objective": ToyObjective(poison=poison)}
    fit_until(tmp_path, 6, **settings)
    with pytest.raises(UserError, match="up to step 7"):
        fit_until(tmp_path, None, resume=True, **settings)


def test_gradients_are_clipped_to_the_norm(tmp_path):
    free = Engine(*engine_parts(tmp_path, clip_norm=None))
    tight = Engine(*engine_parts(tmp_path, clip_norm=1e-3))
    for engine in (free, tight):
        engine.step(0)
    grads = [p.grad for p in tight.objective.parameters() if p.grad is not None]
    assert torch.nn.utils.get_total_norm(grads) == pytest.approx(1e-3, rel=1e-3)
    assert free.window.read()["grad_norm"] == tight.window.read()["grad_norm"] > 1e-3


def engine_parts(tmp_path, **optimizer):
    from argmind.train.distributed import World

    trainer = make_trainer(tmp_path, optimizer=optimizer)
    world = World(device=torch.device("cpu"))
    return trainer.objective, trainer.data, trainer.training, trainer.optimizer, world


def test_weights_outside_the_predictor_are_a_bug_that_is_said(tmp_path):
    objective = ToyObjective()
    objective.extra = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"'extra\.weight' would not be saved"):
        make_trainer(tmp_path, objective).fit()


# ------------------------------------------------------------------ evaluation


def test_evaluation_is_the_mean_over_predictions(tmp_path):
    # 10 held-out samples in batches of 4: the last one has only 2.
    fit_until(tmp_path, None, objective=ToyObjective(), steps=1)
    (line,) = lines(tmp_path, "evaluation")
    objective, data = ToyObjective(), ToyData()
    weights = CheckpointStore(tmp_path / "checkpoints").latest().tensors("model")
    objective.predictor.load_state_dict(weights)
    objective.eval()
    from argmind.train.seeds import seed_for

    total = 0.0
    for index, batch in enumerate(data.evaluation(4)):
        generator = torch.Generator().manual_seed(seed_for(0, "evaluation", index))
        loss = objective(batch, generator)
        total += loss.value.item() * loss.predictions
    assert line["loss"] == pytest.approx(total / 10, rel=1e-6)


def test_evaluation_uses_the_average_and_gives_the_weights_back(tmp_path):
    settings = {"steps": 6, "eval_every": 3}
    fit_until(tmp_path / "plain", None, **settings)
    fit_until(tmp_path / "ema", None, ema_decay=0.9, **settings)
    plain, ema = (CheckpointStore(tmp_path / n / "checkpoints").latest() for n in ("plain", "ema"))
    assert torch.equal(plain.tensors("model")["head.weight"], ema.tensors("model")["head.weight"])
    losses = [lines(tmp_path / name, "evaluation")[-1]["loss"] for name in ("plain", "ema")]
    assert losses[0] != losses[1]


def test_evaluation_leaves_training_untouched(tmp_path):
    fit_until(tmp_path / "often", None, objective=ToyObjective(replay=True), eval_every=1)
    fit_until(tmp_path / "never", None, objective=ToyObjective(replay=True), eval_every=0)
    for name in ("model", "objective-rank0"):
        often, never = (
            CheckpointStore(tmp_path / run / "checkpoints").latest().tensors(name)
            for run in ("often", "never")
        )
        assert all(torch.equal(often[key], never[key]) for key in often)


def test_the_best_is_saved_recorded_and_kept(tmp_path, monkeypatch):
    nats = iter([3.0, 1.0, 2.0, float("nan"), 1.5])
    monkeypatch.setattr(Engine, "evaluate", lambda _: {"nats": next(nats)})
    progress = fit_until(tmp_path, None, eval_every=2, checkpoint_every=3, keep=1)
    assert progress.evaluations == [(2, True), (4, True), (6, False), (8, False), (10, False)]
    run = RunFolder(tmp_path)
    assert run.best_step() == 4
    assert json.loads((tmp_path / "best.json").read_text()) == {
        "step": 4,
        "metric": "nats",
        "value": 1.0,
    }
    assert run.store.steps() == [10, 4]
    assert lines(tmp_path, "evaluation")[3]["nats"] is None


def test_an_empty_held_out_set_is_refused_before_training(tmp_path):
    with pytest.raises(UserError, match="held-out set is empty"):
        make_trainer(tmp_path / "run", data=ToyData(held_out=0)).fit()
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------ the run folder


def test_a_run_folder_with_checkpoints_is_not_overwritten(tmp_path):
    fit_until(tmp_path, None)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"}
    with pytest.raises(UserError, match=f"argmind train --resume {tmp_path}"):
        fit_until(tmp_path, None)
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"}
    assert after == before


def test_a_run_that_died_before_its_first_checkpoint_can_start_again(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "split": "train"}\n')
    (tmp_path / "timing.jsonl").write_text('{"step": 1}\n{"st')
    fit_until(tmp_path, None)
    assert [line["step"] for line in lines(tmp_path, "train")] == list(range(1, 11))
    assert [line["step"] for line in lines(tmp_path, name="timing.jsonl")] == list(range(1, 11))


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_in_use_is_refused(tmp_path, resume):
    if resume:
        fit_until(tmp_path, 5)
    with (
        RunFolder(tmp_path).locked(),
        pytest.raises(UserError, match=r"in use by process \d+"),
    ):
        fit_until(tmp_path, None, resume=resume)
    fit_until(tmp_path, None, resume=resume)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write run folder.*choose another place"):
        make_trainer(tmp_path / "file/run").fit()


def test_files_of_a_run(tmp_path):
    outcome = make_trainer(tmp_path / "run").fit()
    assert {path.name for path in outcome.run_dir.iterdir()} == {
        ".lock",
        "asset.txt",
        "best.json",
        "checkpoints",
        "metrics.jsonl",
        "recipe.json",
        "timing.jsonl",
    }
    assert json.loads((outcome.run_dir / "recipe.json").read_text()) == {"name": "toy"}
    assert outcome.checkpoint.is_dir()
    assert (outcome.reason, outcome.steps) == ("finished", 10)
    first = lines(outcome.run_dir, "train")[0]
    assert list(first) == [
        "step",
        "split",
        "loss",
        "grad_norm",
        "lr",
        "predictions",
        "skipped",
        "move",
    ]
    assert first["predictions"] == 4


def test_times_go_on_over_a_resume_and_stay_out_of_the_metrics(tmp_path):
    fit_until(tmp_path, 5)
    fit_until(tmp_path, None, resume=True)
    timing = lines(tmp_path, name="timing.jsonl")
    assert [line["step"] for line in timing] == list(range(1, 11))
    elapsed = [line["elapsed_s"] for line in timing]
    assert elapsed == sorted(elapsed)
    assert elapsed[0] > 0
    assert not any("_s" in key for line in lines(tmp_path) for key in line)


def test_the_deadline_saves_and_says_how_to_go_on(tmp_path):
    outcome = make_trainer(tmp_path, stop_after_minutes=1e-9).fit()
    assert (outcome.reason, outcome.steps) == ("deadline", 1)
    assert "argmind train --resume" in outcome.summary()
    assert CheckpointStore(tmp_path / "checkpoints").latest().step == 1


def test_a_full_disk_while_saving_names_the_last_good_one(tmp_path, monkeypatch):
    from argmind.train import checkpoint

    write = checkpoint.write_synced

    def failing(path, content):
        if path.parent.name.startswith("step-00000008"):
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(checkpoint, "write_synced", failing)
    with pytest.raises(UserError, match=r"No space left.*last good checkpoint is .*00000004"):
        make_trainer(tmp_path).fit()
    monkeypatch.undo()
    assert RunFolder(tmp_path).store.steps() == [4]
    fit_until(tmp_path, None, resume=True)


# ------------------------------------------------------------------ TensorBoard


def test_tensorboard_absent_is_said_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match=r"argmind\[tensorboard\]"):
        make_trainer(tmp_path / "run", tensorboard=True).fit()
    assert not (tmp_path / "run").exists()


def test_tensorboard_gets_the_same_figures(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    make_trainer(tmp_path, tensorboard=True, steps=3).fit()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    shown = {event.step: event.value for event in events.Scalars("train/loss")}
    written = {line["step"]: line["loss"] for line in lines(tmp_path, "train")}
    assert shown == pytest.approx(written, rel=1e-6)


# ------------------------------------------------------------------ precision, speed, progress


def test_bf16_trains_with_fp32_weights(tmp_path):
    fit_until(tmp_path / "bf16", None, precision="bf16")
    fit_until(tmp_path / "fp32", None)
    tensors = [
        CheckpointStore(tmp_path / name / "checkpoints").latest().tensors("model")["head.weight"]
        for name in ("bf16", "fp32")
    ]
    assert tensors[0].dtype == torch.float32
    assert not torch.equal(*tensors)
    assert torch.allclose(*tensors, atol=0.05)


@pytest.mark.parametrize(("precision", "inside"), [("tf32", "high"), ("fp32", "highest")])
def test_matrix_products_have_the_precision_of_the_run_while_it_lasts(tmp_path, precision, inside):
    seen = []

    class Watch(Progress):
        def advance(self, step):  # noqa: ARG002
            seen.append(torch.get_float32_matmul_precision())

    make_trainer(tmp_path, progress=Watch(), precision=precision, steps=2).fit()
    assert seen == [inside, inside]
    assert torch.get_float32_matmul_precision() == "highest"


def test_speed_and_utilisation(monkeypatch):
    from argmind.train import throughput

    clock = iter([0.0, 2.0, 3.0, 5.0, 7.0])
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(throughput, "peak_flops", lambda *_: 1000.0)
    watch = Stopwatch(lambda: 600.0, torch.device("cpu"), "bf16", devices=2)
    expected = {"elapsed_s": 2.0, "predictions_per_s": 10.0, "flops_utilisation": 0.6}
    assert watch.lap(20, steps=4) == pytest.approx(expected)
    with watch.paused():  # from 3 s to 5 s
        pass
    assert watch.lap(30, steps=1)["elapsed_s"] == pytest.approx(5.0)


def test_the_flops_of_a_step_are_those_of_all_its_micro_batches():
    class Counted(ToyObjective):
        def training_flops(self, batch):
            return 10.0 * len(batch["target"]) + 1  # one more for each micro-batch

    training = TrainingConfig(steps=1, batch_size=4, accumulate=2, device="cpu")
    world = World(device=torch.device("cpu"))
    engine = Engine(Counted(), ToyData(), training, OptimizerConfig(), world)
    assert engine.step_flops() == 42.0


def test_peaks_of_known_devices(monkeypatch):
    gpu = torch.device("cuda", 0)
    for name, peak in [("NVIDIA H200", 989e12), ("NVIDIA L4", 121e12), ("Other", None)]:
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _, name=name: name)
        assert peak_flops(gpu, "bf16") == peak
    assert peak_flops(gpu, "fp32") is None
    assert peak_flops(torch.device("cpu"), "bf16") is None


def test_plain_progress_says_it_in_lines(tmp_path):
    stream = io.StringIO()
    progress = PlainProgress("tokens", stream)
    make_trainer(tmp_path, ToyObjective(poison={9: "loss"}), progress=progress).fit()
    text = stream.getvalue()
    assert "tokens/s" in text
    assert "step 3/10: loss not finite" in text
    assert "1 steps skipped" in text
    assert "step 10/10: held-out" in text
    assert "finished 10 steps, best held-out" in text


def test_rich_progress_shows_bar_evaluations_and_end(tmp_path):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=160)
    make_trainer(tmp_path, progress=RichProgress("tokens", console)).fit()
    text = stream.getvalue()
    assert "10/10" in text
    assert "held-out" in text
    assert "finished 10 steps" in text


def test_lines_when_not_a_terminal_and_silence_on_request(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert type(progress_for()) is PlainProgress
    assert type(progress_for(silent=True)) is Progress
    assert isinstance(StopAt(), Progress)
