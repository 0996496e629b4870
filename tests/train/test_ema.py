"""The moving average of the weights: its ramp, its files, and who uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from argmind.config import from_dict, to_dict
from argmind.errors import UserError
from argmind.runs import load_run
from argmind.train.checkpoint import CheckpointStore
from argmind.train.config import TrainingConfig
from argmind.train.ema import Ema, decay_at

from .toy import ToyObjective, fit_until

POWER = {"ema_decay": 0.9999, "ema_power": 0.75}
#: Climbs slowly enough for an average of a few steps to stay apart from the weights.
SLOW = {"ema_decay": 0.9, "ema_power": 2.0}


def ema_of(run: Path) -> dict[str, torch.Tensor]:
    return CheckpointStore(run / "checkpoints").latest().tensors("ema")


def good() -> torch.Tensor:
    return torch.tensor(0.0)


# ---------------------------------------------------------------------- the ramp


def test_decay_of_the_published_ramp():
    """Values of ``diffusers`` EMAModel(inv_gamma=1, power=0.75, max_value=0.9999)."""
    expected = {0: 0.0, 1: 0.405396, 9: 0.822172, 99: 0.968377, 9_999: 0.999, 10**6: 0.9999}
    for step, decay in expected.items():
        assert decay_at(step, 0.9999, 0.75) == pytest.approx(decay, abs=1e-6)


def test_decay_climbs_to_its_limit_and_no_further():
    for power in (None, 0.75, 2.0):
        decays = [decay_at(step, 0.95, power) for step in range(400)]
        assert decays == sorted(decays)
        assert 0 <= decays[0] < 0.5
        assert decays[-1] == 0.95


def test_the_average_is_the_weighted_sum_of_all_weights_so_far():
    weights = {"a": nn.Parameter(torch.zeros(3)), "b": nn.Parameter(torch.zeros(2, 2).double())}
    ema = Ema(weights, decay=0.9999, power=0.75)
    expected = {name: weight.detach().clone() for name, weight in weights.items()}
    generator = torch.Generator().manual_seed(0)
    for step in range(20):
        for name, weight in weights.items():
            weight.data.normal_(generator=generator)
            decay = decay_at(step, 0.9999, 0.75)
            expected[name] = decay * expected[name] + (1 - decay) * weight.detach()
        ema.update(step, good())
    for name, average in ema.tensors().items():
        assert average.dtype == weights[name].dtype
        torch.testing.assert_close(average, expected[name])


def test_a_bad_step_leaves_every_bit_of_the_average():
    weights = {"a": nn.Parameter(torch.randn(5, generator=torch.Generator().manual_seed(1)))}
    ema = Ema(weights, decay=0.9, power=0.75)
    ema.update(0, good())
    weights["a"].data.mul_(3)
    before = ema.tensors()["a"].clone()
    ema.update(1, torch.tensor(1.0))
    assert torch.equal(ema.tensors()["a"], before)
    ema.update(1, good())
    assert not torch.equal(ema.tensors()["a"], before)


def test_weights_come_back_even_when_the_block_fails():
    weight = nn.Parameter(torch.ones(2))
    ema = Ema({"w": weight}, decay=0.9)
    weight.data.fill_(5.0)
    place = weight.data_ptr()
    seen = []

    def fail_inside() -> None:
        with ema.applied():
            seen.extend(weight.tolist())
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert seen == [1.0, 1.0]
    assert weight.tolist() == [5.0, 5.0]
    assert weight.data_ptr() == place  # a recorded step goes on writing there


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ema_decay": 0.9, "ema_power": 0.0}, "ema_power must be above 0"),
        ({"ema_power": 0.75}, "ema_power needs an ema_decay"),
    ],
)
def test_settings_that_make_no_average_are_refused(settings, said):
    with pytest.raises(UserError, match=said):
        from_dict(TrainingConfig, settings)


def test_settings_are_written_and_read():
    config = TrainingConfig(**POWER)
    assert from_dict(TrainingConfig, json.loads(json.dumps(to_dict(config)))) == config


# ---------------------------------------------------------------------- files and runs


def test_resumed_equals_continuous_as_bytes(tmp_path):
    settings = {"steps": 12, "checkpoint_every": 100, **SLOW}
    fit_until(tmp_path / "whole", None, **settings)
    fit_until(tmp_path / "halves", 5, **settings)
    fit_until(tmp_path / "halves", None, resume=True, **settings)
    last = "checkpoints/step-00000012"
    for name in ("ema.safetensors", "model.safetensors", "state.json"):
        assert (tmp_path / "whole" / last / name).read_bytes() == (
            tmp_path / "halves" / last / name
        ).read_bytes()
    model = CheckpointStore(tmp_path / "whole/checkpoints").latest().tensors("model")
    ema = ema_of(tmp_path / "whole")
    assert any(not torch.equal(ema[name], model[name]) for name in ema)


def test_a_forgotten_step_count_would_be_seen(tmp_path, monkeypatch):
    """The ramp goes on where it stood: one that began anew would give other averages."""
    fit_until(tmp_path / "whole", None, steps=12, **SLOW)
    fit_until(tmp_path / "halves", 5, steps=12, **SLOW)
    update = Ema.update
    monkeypatch.setattr(Ema, "update", lambda self, step, bad: update(self, step - 5, bad))
    fit_until(tmp_path / "halves", None, resume=True, steps=12, **SLOW)
    whole, halves = ema_of(tmp_path / "whole"), ema_of(tmp_path / "halves")
    assert any(not torch.equal(whole[name], halves[name]) for name in whole)


def test_an_average_switched_on_later_begins_from_the_weights(tmp_path):
    fit_until(tmp_path, 5)
    resumed = fit_until(tmp_path, 6, resume=True, **SLOW)
    assert any("no moving average" in note for note in resumed.notes)
    store = CheckpointStore(tmp_path / "checkpoints")
    before, after = store.load(5).tensors("model"), store.load(6)
    keep = decay_at(5, SLOW["ema_decay"], SLOW["ema_power"])
    for name, average in after.tensors("ema").items():
        expected = keep * before[name] + (1 - keep) * after.tensors("model")[name]
        torch.testing.assert_close(average, expected)


def test_a_bad_step_leaves_the_average_of_a_run(tmp_path):
    """Samples 8 to 11 make step 2, whose gradient is not a number."""
    poisoned = ToyObjective(poison={8: "gradient"})
    fit_until(tmp_path, None, objective=poisoned, steps=3, checkpoint_every=1, keep=9, **SLOW)
    store = CheckpointStore(tmp_path / "checkpoints")
    second, third = (store.load(step).tensors("ema") for step in (2, 3))
    assert all(torch.equal(second[name], third[name]) for name in second)


def test_a_loaded_run_answers_with_the_average(tmp_path):
    from argmind.api import run_recipe
    from argmind.recipes.base import customised, find_recipe

    settings = [
        *("predictor.transformer.num_layers=1", "predictor.transformer.num_heads=1"),
        *("predictor.transformer.hidden_dim=8", "training.device=cpu", "training.compile=off"),
        *("training.ema_decay=0.9", "training.ema_power=2", "training.eval_limit=2"),
        *("training.steps=3", "training.batch_size=2", "data.context_tokens=8"),
    ]
    recipe = customised(find_recipe("text_transformer_pp"), None, settings)
    run_recipe(recipe, tmp_path / "run", texts=["some words to learn from, " * 40])
    checkpoint = CheckpointStore(tmp_path / "run/checkpoints").latest()
    for averaged, name in ((True, "ema"), (False, "model")):
        loaded = load_run(tmp_path / "run", which="last", device="cpu", ema=averaged)
        weights = dict(loaded.predictor.named_parameters())
        for key, wanted in checkpoint.tensors(name).items():
            assert torch.equal(weights[key], wanted)
    model, ema = checkpoint.tensors("model"), checkpoint.tensors("ema")
    assert any(not torch.equal(model[key], ema[key]) for key in ema)
