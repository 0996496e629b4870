"""What the public code's flags (``hyper_parameters`` of its checkpoints) mean here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from argmind.config import from_dict
from argmind.errors import UserError
from argmind.objectives.thinking import ThinkingObjective
from argmind.predictors.ebt import EBT
from argmind.registry import find
from argmind.thinking.schedules.learned import SMALLEST_SIZE
from argmind.thinking.thinker import ThinkingConfig

#: Flags with one value that can be converted.
ONLY: dict[str, Any] = {
    "model_name": "ebt",
    "modality": "NLP",
    "ebt_norm": "rms",
    "ebt_act_func": "silu",
    "num_modality_processing_mlp_layers": 1,
    "learnable_process_memory": False,
    "normalize_initial_condition": True,
    "clamp_futures_grad": False,
    "absolute_clamp": 0.0,
    "sharpen_predicted_distribution": 0.0,
}

#: Flags of training alone that are left out, with the value that means "not used".
LEFT_OUT: dict[str, Any] = {
    "contrastive_loss": False,
    "soften_target_prob_dist": 0.0,
    "reconstruction_coeff": 1.0,
}

#: The public code ignores targets with the tokenizer's end-of-text id; this tokenizer's is 0.
NEOX_TOKENIZER, NEOX_END_OF_TEXT = "EleutherAI/gpt-neox-20b", 0


@dataclass(frozen=True, kw_only=True)
class PublishedFlags:
    """The flags that decide what a text checkpoint computes, under their public names.

    Older checkpoints lack newer flags; those have the default that the public parser gives them.
    """

    embedding_dim: int
    num_transformer_blocks: int
    multiheaded_attention_heads: int
    ebt_type: Literal["default", "time_embed", "adaln", "adaln_zero"]
    mcmc_num_steps: int
    mcmc_step_size: float
    normalize_initial_condition: bool
    context_length: int | None = None
    tokenizer: str = NEOX_TOKENIZER
    ffn_dim_multiplier: float | None = None
    denoising_initial_condition: Literal["random_noise", "zeros"] = "random_noise"
    gaussian_random_noise_scaling: float = 1.0
    normalize_initial_condition_only_first_step: bool = False
    vocab_to_embed_uses_prob_dist: bool = False
    mcmc_step_size_learnable: bool = False
    mcmc_step_size_lr_multiplier: float = 5000.0
    randomize_mcmc_step_size_scale: float = 1.0
    randomize_mcmc_num_steps: int = 0
    randomize_mcmc_num_steps_min: int = 0
    randomize_mcmc_num_steps_final_landscape: bool = False
    langevin_dynamics_noise: float = 0.0
    langevin_dynamics_noise_learnable: bool = False
    no_mcmc_detach: bool = False
    truncate_mcmc: bool = False
    mcmc_replay_buffer: bool = False
    mcmc_replay_buffer_size: int = 192
    mcmc_replay_buffer_sample_bs_percent: float = 0.5


def read_flags(plain: Mapping[str, Any]) -> PublishedFlags:
    """The flags that matter, checked.

    Raises:
        UserError: a flag is missing, has the wrong type, or asks for what argmind does not have.
    """
    for name, value in ONLY.items():
        if name in plain and plain[name] != value:
            raise UserError(
                f"hyper_parameters: {name}={plain[name]!r} cannot be converted; "
                f"only {name}={value!r} can."
            )
    known = {item.name for item in fields(PublishedFlags)}
    given = {name: value for name, value in plain.items() if name in known}
    return from_dict(PublishedFlags, given, "hyper_parameters")


def predictor_config(flags: PublishedFlags) -> EBT.Config:
    """The model that these flags describe."""
    width = flags.embedding_dim
    # The landscape's index decides, not the step's: with one landscape every step is the first.
    once = flags.normalize_initial_condition_only_first_step and flags.mcmc_num_steps > 1
    space = {
        "kind": "published",
        "candidate_embedding": "token" if flags.vocab_to_embed_uses_prob_dist else "own",
        "softmax": "first_step" if once else "each_step",
        "ignore_id": NEOX_END_OF_TEXT,
    }
    transformer = {
        "num_layers": flags.num_transformer_blocks,
        "num_heads": flags.multiheaded_attention_heads,
        "hidden_dim": width,
        "feedforward": {"kind": "swiglu", "multiplier": _hidden(flags) / max(1, width)},
    }
    body = {
        "kind": "two_stream",
        "transformer": transformer,
        "conditioning": "none" if flags.ebt_type == "default" else flags.ebt_type,
        "head": "linear",
    }
    return from_dict(EBT.Config, {"space": space, "body": body}, "hyper_parameters")


def _hidden(flags: PublishedFlags) -> int:
    """The feed-forward width, rounded as the public code rounds it."""
    return int(flags.embedding_dim * (flags.ffn_dim_multiplier or 1))


def thinking_config(flags: PublishedFlags, alpha: float, noise_std: float) -> ThinkingConfig:
    """How a model with these flags thinks; ``alpha``, ``noise_std``: as they stand in its weights.

    The number of steps is the one of the public evaluation: the most that training can draw.
    """
    schedule: dict[str, Any] = {"kind": "constant", "size": max(alpha, SMALLEST_SIZE)}
    if flags.mcmc_step_size_learnable:
        factor = flags.mcmc_step_size_lr_multiplier
        schedule = {"kind": "learned", "size": flags.mcmc_step_size, "lr_factor": factor}
    scale = flags.randomize_mcmc_step_size_scale
    if scale != 1:
        schedule = {"kind": "randomised", "base": schedule, "scale": scale}
    rule: dict[str, Any] = {"kind": "gradient"}
    if flags.langevin_dynamics_noise:
        rule = {"kind": "langevin", "noise_std": max(noise_std, 1e-6)}
    thinking = {
        "steps": flags.mcmc_num_steps + flags.randomize_mcmc_num_steps,
        "start": "noise" if flags.denoising_initial_condition == "random_noise" else "zeros",
        "start_noise_std": flags.gaussian_random_noise_scaling,
        "rule": rule,
        "schedule": schedule,
        "landscapes": flags.mcmc_num_steps,
    }
    return from_dict(ThinkingConfig, thinking, "hyper_parameters")


def objective_config(flags: PublishedFlags) -> ThinkingObjective.Config:
    """How a model with these flags was trained: ``s1``, ``s2``, or what lies between them."""
    through = "none"
    if flags.no_mcmc_detach:
        through = "last" if flags.truncate_mcmc else "all"
    loss_on = "last" if flags.truncate_mcmc else "all"
    kind = {("none", "all"): "s1", ("last", "last"): "s2"}.get((through, loss_on), "thinking")
    fewest = None
    if flags.randomize_mcmc_num_steps:
        fewest = flags.mcmc_num_steps - 1 + max(1, flags.randomize_mcmc_num_steps_min)
    objective = {
        "through": through,
        "loss_on": loss_on,
        "fewest_steps": fewest,
        "replay_samples": flags.mcmc_replay_buffer_size if flags.mcmc_replay_buffer else 0,
    }
    return from_dict(find("objective", kind).Config, objective, "hyper_parameters")


def notes(plain: Mapping[str, Any], flags: PublishedFlags) -> list[str]:
    """What a user should know that the configs cannot say."""
    found = [
        f"{name}={plain[name]!r} is left out; it matters to training only."
        for name, unused in LEFT_OUT.items()
        if name in plain and plain[name] != unused
    ]
    if flags.tokenizer != NEOX_TOKENIZER:
        found.append(
            f"tokenizer={flags.tokenizer!r}: the public code ignores targets with its end-of-text "
            f"id, which the checkpoint does not hold; space.ignore_id is {NEOX_END_OF_TEXT}."
        )
    if flags.langevin_dynamics_noise:
        found.append(
            f"langevin_dynamics_noise={flags.langevin_dynamics_noise}: the public code keeps this "
            "noise when it evaluates; argmind thinks without it unless a budget is noisy."
        )
    if flags.langevin_dynamics_noise and flags.langevin_dynamics_noise_learnable:
        found.append("langevin_dynamics_noise_learnable=True: the noise stays as it was learned.")
    several = flags.mcmc_num_steps > 1 and flags.randomize_mcmc_num_steps > 0
    if several and not flags.randomize_mcmc_num_steps_final_landscape:
        found.append(
            "randomize_mcmc_num_steps: the public code repeats every landscape in training; "
            "argmind repeats the last one, as both do in evaluation."
        )
    share = flags.mcmc_replay_buffer_sample_bs_percent
    if flags.mcmc_replay_buffer and share != 0.5:
        found.append(
            f"mcmc_replay_buffer_sample_bs_percent={share}: argmind adds half a batch of replayed "
            "samples."
        )
    return found
