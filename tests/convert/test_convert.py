"""Checkpoints of the public code in our words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from argmind.convert import build_ebt, read_published
from argmind.thinking.budget import Budget
from published import make_checkpoint
from published.make_checkpoint import rewrite, with_flags

Stored = dict[str, Any]


def test_s1_in_our_words(checkpoint: Path) -> None:
    found = read_published(checkpoint)
    space, body = found.predictor_config.space, found.predictor_config.body
    schedule, objective = found.thinking.schedule, found.objective_config
    assert (space.part_name, space.candidate_embedding, space.ignore_id) == ("published", "own", 0)
    assert (body.conditioning.part_name, body.head.part_name) == ("time_embed", "linear")
    assert (found.thinking.steps, found.thinking.landscapes, found.thinking.start) == (
        2,
        2,
        "noise",
    )
    assert (schedule.part_name, schedule.size, schedule.lr_factor) == ("learned", 2.0, 1500.0)
    assert found.thinking.rule.part_name == "gradient"
    assert (objective.part_name, objective.through, objective.loss_on) == ("s1", "none", "all")
    assert (objective.fewest_steps, objective.replay_samples) == (None, 0)
    assert (found.vocab_size, found.context_length) == (make_checkpoint.VOCABULARY, 16)
    assert found.tokenizer == "EleutherAI/gpt-neox-20b"
    assert found.notes == []


def test_s2_in_our_words(tmp_path: Path) -> None:
    path = tmp_path / "s2.ckpt"
    make_checkpoint.write_checkpoint(path, make_checkpoint.s2_flags())
    found = read_published(path)
    schedule, objective = found.thinking.schedule, found.objective_config
    assert (found.thinking.steps, found.thinking.landscapes) == (3, 1)
    assert (schedule.part_name, schedule.scale, schedule.distribution) == (
        "randomised",
        2.0,
        "uniform",
    )
    assert (schedule.base.part_name, schedule.base.size) == ("constant", 2.0)
    assert (found.thinking.rule.part_name, found.thinking.rule.noise_std) == ("langevin", 3.0)
    assert (objective.part_name, objective.through, objective.loss_on) == ("s2", "last", "last")
    assert (objective.fewest_steps, objective.replay_samples) == (2, 192)
    assert "keeps this noise when it evaluates" in found.notes[0]


@pytest.mark.parametrize("ebt_type", ["default", "time_embed", "adaln", "adaln_zero"])
def test_the_model_holds_exactly_the_stored_weights_and_predicts(
    tmp_path: Path, ebt_type: str
) -> None:
    path = tmp_path / "tiny.ckpt"
    flags = make_checkpoint.s1_flags(ebt_type, mcmc_step_size=500.0)
    stored = make_checkpoint.write_checkpoint(path, flags, seed=3)
    model = build_ebt(read_published(path))
    told = sorted(value.flatten().tolist() for value in stored.values())
    noise = stored["langevin_dynamics_noise_std"].flatten().tolist()
    told.remove(noise)  # not a weight here
    assert sorted(value.flatten().tolist() for value in model.state_dict().values()) == told
    assert all(parameter.requires_grad for parameter in model.parameters())
    generator = torch.Generator().manual_seed(0)
    prediction = model.predict(torch.ones(1, 4, dtype=torch.long), Budget(), generator)
    assert prediction.output.shape == (1, 4, make_checkpoint.VOCABULARY)
    assert bool(prediction.output.isfinite().all())


def test_reading_draws_no_random_numbers(checkpoint: Path) -> None:
    before = torch.get_rng_state()
    build_ebt(read_published(checkpoint))
    assert torch.equal(torch.get_rng_state(), before)


def test_compiled_models_and_metrics_of_the_training_loop(checkpoint: Path) -> None:
    plain = read_published(checkpoint).state_dict

    def compile_it(stored: Stored) -> None:
        names = stored["state_dict"]
        for name in list(names):
            names[name.replace("model.", "model._orig_mod.")] = names.pop(name)
        names["torchmetrics_dict.train_accuracy.tp"] = torch.zeros(3)

    compiled = read_published(rewrite(checkpoint, compile_it)).state_dict
    assert compiled.keys() == plain.keys()
    assert all(torch.equal(compiled[name], plain[name]) for name in plain)


def test_a_fixed_step_size_is_the_stored_one_clamped(tmp_path: Path) -> None:
    path = tmp_path / "tiny.ckpt"
    make_checkpoint.write_checkpoint(path, make_checkpoint.s1_flags(mcmc_step_size_learnable=False))

    def shrink(stored: Stored) -> None:
        stored["state_dict"]["model.alpha"] = torch.tensor(-3.0)

    assert read_published(path).thinking.schedule.size == 2.0
    assert read_published(rewrite(path, shrink)).thinking.schedule.size == 1e-4


def test_flags_that_older_checkpoints_lack_have_the_public_defaults(checkpoint: Path) -> None:
    def age(stored: Stored) -> None:
        for name in ("learnable_process_memory", "randomize_mcmc_num_steps_min", "ebt_act_func"):
            del stored["hyper_parameters"][name]

    before = read_published(checkpoint)
    after = read_published(rewrite(checkpoint, age))
    assert after.thinking == before.thinking
    assert after.predictor_config == before.predictor_config


@pytest.mark.parametrize(
    ("detach", "truncate", "expected"),
    [
        (True, False, ("s1", "none", "all")),
        (True, True, ("thinking", "none", "last")),
        (False, True, ("s2", "last", "last")),
        (False, False, ("thinking", "all", "all")),
    ],
)
def test_objective_of_each_pair_of_flags(
    checkpoint: Path, detach: bool, truncate: bool, expected: tuple[str, str, str]
) -> None:
    with_flags(checkpoint, no_mcmc_detach=not detach, truncate_mcmc=truncate)
    objective = read_published(checkpoint).objective_config
    assert (objective.part_name, objective.through, objective.loss_on) == expected


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"contrastive_loss": True}, "contrastive_loss=True"),
        ({"soften_target_prob_dist": 0.1}, "soften_target_prob_dist=0.1"),
        ({"tokenizer": "gpt2"}, "space.ignore_id"),
        ({"randomize_mcmc_num_steps": 2}, "repeats every landscape"),
        (
            {"langevin_dynamics_noise": 1.0, "langevin_dynamics_noise_learnable": True},
            "stays as it was learned",
        ),
        (
            {"mcmc_replay_buffer": True, "mcmc_replay_buffer_sample_bs_percent": 0.25},
            "mcmc_replay_buffer_sample_bs_percent=0.25",
        ),
    ],
)
def test_what_the_configs_cannot_say_is_noted(
    checkpoint: Path, flags: dict[str, Any], said: str
) -> None:
    assert any(said in note for note in read_published(with_flags(checkpoint, **flags)).notes)
