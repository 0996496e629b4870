"""Tiny checkpoints in the layout of the public training code (Lightning ``.ckpt``)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

VOCABULARY, WIDTH, LAYERS, HEADS, LANDSCAPES = 7, 8, 2, 2, 2


def shapes(flags: dict[str, Any], vocabulary: int = VOCABULARY) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of the public model that these flags describe."""
    width, ebt_type = flags["embedding_dim"], flags["ebt_type"]
    hidden = int(width * (flags["ffn_dim_multiplier"] or 1))
    adaptive = ebt_type in ("adaln", "adaln_zero")
    names: dict[str, tuple[int, ...]] = {
        "alpha": (),
        "langevin_dynamics_noise_std": (),
        "embeddings.weight": (vocabulary, width),
    }
    if not flags["vocab_to_embed_uses_prob_dist"]:
        names["vocab_to_embed.weight"] = (width, vocabulary)
    for layer in range(flags["num_transformer_blocks"]):
        prefix = f"transformer.layers.{layer}"
        for part in ("wq", "wk", "wv", "wo"):
            names[f"{prefix}.attention.{part}.weight"] = (width, width)
        names[f"{prefix}.feed_forward.w1.weight"] = (hidden, width)
        names[f"{prefix}.feed_forward.w2.weight"] = (width, hidden)
        names[f"{prefix}.feed_forward.w3.weight"] = (hidden, width)
        names[f"{prefix}.attention_norm.weight"] = (width,)
        names[f"{prefix}.ffn_norm.weight"] = (width,)
        if adaptive:
            names[f"{prefix}.adaLN_modulation.1.weight"] = (6 * width, width)
            names[f"{prefix}.adaLN_modulation.1.bias"] = (6 * width,)
    names["transformer.norm.weight"] = (width,)
    if ebt_type != "default":
        names["transformer.time_embeddings.weight"] = (flags["mcmc_num_steps"], width)
    if adaptive:
        names["transformer.final_layer.linear.weight"] = (1, width)
        names["transformer.final_layer.adaLN_modulation.1.weight"] = (2 * width, width)
        names["transformer.final_layer.adaLN_modulation.1.bias"] = (2 * width,)
    else:
        names["transformer.final_layer.weight"] = (1, width)
    return names


def s1_flags(ebt_type: str = "time_embed", **changes: Any) -> dict[str, Any]:
    """The ``hyper_parameters`` of a tiny System 1 model."""
    flags: dict[str, Any] = {
        "model_name": "ebt",
        "modality": "NLP",
        "model_size": "",
        "execution_mode": "pretrain",
        "tokenizer": "EleutherAI/gpt-neox-20b",
        "context_length": 16,
        "embedding_dim": WIDTH,
        "num_transformer_blocks": LAYERS,
        "multiheaded_attention_heads": HEADS,
        "ffn_dim_multiplier": None,
        "weight_initialization_method": "xavier",
        "weight_initialization_gain": 1.0,
        "ebt_type": ebt_type,
        "ebt_norm": "rms",
        "ebt_act_func": "silu",
        "denoising_initial_condition": "random_noise",
        "gaussian_random_noise_scaling": 1.0,
        "normalize_initial_condition": True,
        "normalize_initial_condition_only_first_step": False,
        "vocab_to_embed_uses_prob_dist": False,
        "num_modality_processing_mlp_layers": 1,
        "learnable_process_memory": False,
        "mcmc_num_steps": LANDSCAPES,
        "mcmc_step_size": 2.0,
        "mcmc_step_size_learnable": True,
        "mcmc_step_size_lr_multiplier": 1500.0,
        "randomize_mcmc_step_size_scale": 1.0,
        "randomize_mcmc_num_steps": 0,
        "randomize_mcmc_num_steps_min": 0,
        "randomize_mcmc_num_steps_final_landscape": False,
        "langevin_dynamics_noise": 0.0,
        "langevin_dynamics_noise_learnable": False,
        "no_mcmc_detach": False,
        "truncate_mcmc": False,
        "mcmc_replay_buffer": False,
        "mcmc_replay_buffer_size": 192,
        "mcmc_replay_buffer_sample_bs_percent": 0.5,
        "clamp_futures_grad": False,
        "clamp_futures_grad_max_change": 9.0,
        "absolute_clamp": 0.0,
        "sharpen_predicted_distribution": 0.0,
        "soften_target_prob_dist": 0.0,
        "reconstruction_coeff": 1.0,
        "contrastive_loss": False,
        "contrastive_loss_coeff": 0.0005,
        "batch_size_per_device": 2,
        "peak_learning_rate": 0.0012,
        "weight_decay": 0.01,
    }
    return _changed(flags, changes)


def s2_flags(ebt_type: str = "time_embed", **changes: Any) -> dict[str, Any]:
    """The ``hyper_parameters`` of a tiny System 2 model: one landscape, 2 or 3 steps, noise."""
    flags = s1_flags(
        ebt_type,
        mcmc_num_steps=1,
        mcmc_step_size_learnable=False,
        randomize_mcmc_step_size_scale=2.0,
        randomize_mcmc_num_steps=2,
        randomize_mcmc_num_steps_min=2,
        langevin_dynamics_noise=3.0,
        no_mcmc_detach=True,
        truncate_mcmc=True,
        mcmc_replay_buffer=True,
    )
    return _changed(flags, changes)


def _changed(flags: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    if unknown := changes.keys() - flags.keys():
        raise KeyError(f"no such flag: {sorted(unknown)}")
    return {**flags, **changes}


def random_weights(
    flags: dict[str, Any],
    seed: int,
    vocabulary: int = VOCABULARY,
    dtype: torch.dtype = torch.float64,
) -> dict[str, Tensor]:
    """Random values for every weight (norms near 1, matrices of about unit gain)."""
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, Tensor] = {}
    for name, shape in shapes(flags, vocabulary).items():
        value = torch.randn(shape, generator=generator, dtype=torch.float64)
        if name == "alpha":
            value = torch.tensor(float(flags["mcmc_step_size"]))
        elif name == "langevin_dynamics_noise_std":
            value = torch.tensor(float(flags["langevin_dynamics_noise"]))
        elif name.endswith("norm.weight"):
            value = 1 + 0.2 * value
        elif name.endswith("bias"):
            value = 0.3 * value
        elif "embeddings" not in name:
            value = value / math.sqrt(shape[-1])
        weights[name] = value.to(dtype)
    return weights


def write_checkpoint(
    path: Path,
    flags: dict[str, Any],
    seed: int = 0,
    vocabulary: int = VOCABULARY,
    dtype: torch.dtype = torch.float32,
    global_step: int = 100,
) -> dict[str, Tensor]:
    """Write a ``.ckpt`` with random weights; returns them without the prefix ``model.``."""
    weights = random_weights(flags, seed, vocabulary, dtype)
    torch.save(
        {
            "epoch": 0,
            "global_step": global_step,
            "pytorch-lightning_version": "2.4.0",
            "state_dict": {f"model.{name}": value for name, value in weights.items()},
            "loops": {},
            "callbacks": {},
            "optimizer_states": [],
            "lr_schedulers": [],
            "hyper_parameters": dict(flags),
        },
        path,
    )
    return weights


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Change what a checkpoint holds, in place."""
    stored: dict[str, Any] = torch.load(path, weights_only=True)
    change(stored)
    torch.save(stored, path)
    return path


def with_flags(path: Path, **flags: Any) -> Path:
    """Change some of a checkpoint's ``hyper_parameters``, in place."""
    return rewrite(path, lambda stored: stored["hyper_parameters"].update(flags))
