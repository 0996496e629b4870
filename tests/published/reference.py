"""The published text algorithm (arXiv 2507.02092), restated slowly and literally.

Nothing here is shared with the library and nothing is batched: candidate i of a sequence is scored
by running an ordinary causal transformer over (step token), tokens 0..i, candidate, and reading its
last row. Weights are one flat dict under the names of the public checkpoints. Use float64.

Shapes: B batch, S positions, V vocabulary, D width, T steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from .transformer import Weights, block, read_out

EBT_TYPES = ("default", "time_embed", "adaln", "adaln_zero")


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the weights do not say; each field names the public flag it stands for."""

    layers: int  # num_transformer_blocks
    heads: int  # multiheaded_attention_heads
    ebt_type: str = "default"  # ebt_type
    landscapes: int = 2  # mcmc_num_steps
    softmax: Literal["each", "first", "never"] = "each"  # normalize_initial_condition(_only_…)
    embedding: Literal["own", "token"] = "own"  # vocab_to_embed_uses_prob_dist
    detach: bool = True  # not no_mcmc_detach
    graph: Literal["all", "last", "none"] = "all"  # "last" = truncate_mcmc; "none" is a mutation
    random_steps: int = 0  # randomize_mcmc_num_steps
    gradient_clamp: float | None = None  # clamp_futures_grad_max_change, when clamp_futures_grad
    absolute_clamp: float = 0.0  # absolute_clamp, 0 = off
    sharpen: float = 0.0  # sharpen_predicted_distribution, 0 = off
    smoothing: float = 0.0  # soften_target_prob_dist
    pad: int = 0  # the tokenizer's end-of-text id


class Thought(NamedTuple):
    """What happened at each of T steps; every list has T entries."""

    points: list[Tensor]  # (B, S, V): what was embedded and differentiated at
    energies: list[Tensor]  # (B, S): at the points, so before the move
    gradients: list[Tensor]  # (B, S, V): of the summed energies, with respect to the points
    candidates: list[Tensor]  # (B, S, V): after the move; logits to the loss and the next step


def read_config(flags: Mapping[str, Any]) -> Config:
    """The config that a public checkpoint's ``hyper_parameters`` describe."""
    softmax: Literal["each", "first", "never"] = "never"
    if flags["normalize_initial_condition"]:
        softmax = "first" if flags["normalize_initial_condition_only_first_step"] else "each"
    return Config(
        layers=flags["num_transformer_blocks"],
        heads=flags["multiheaded_attention_heads"],
        ebt_type=flags["ebt_type"],
        landscapes=flags["mcmc_num_steps"],
        softmax=softmax,
        embedding="token" if flags["vocab_to_embed_uses_prob_dist"] else "own",
        detach=not flags["no_mcmc_detach"],
        graph="last" if flags["truncate_mcmc"] else "all",
        random_steps=flags["randomize_mcmc_num_steps"],
        gradient_clamp=(
            flags["clamp_futures_grad_max_change"] if flags["clamp_futures_grad"] else None
        ),
        absolute_clamp=flags["absolute_clamp"],
        sharpen=flags["sharpen_predicted_distribution"],
        smoothing=flags["soften_target_prob_dist"],
    )


# Energies


def energy(
    weights: Weights, config: Config, context: Tensor, point: Tensor, landscape: int
) -> Tensor:
    """The energy (0-d) of one candidate, embedded from point (V,), after context (n,) token ids."""
    embeddings = weights["embeddings.weight"]
    rows = [embeddings[token] for token in context.tolist()]
    if config.embedding == "token":
        rows.append(point @ embeddings)
    else:
        rows.append(weights["vocab_to_embed.weight"] @ point)
    condition = None
    if config.ebt_type != "default":
        step = weights["transformer.time_embeddings.weight"][landscape]
        if config.ebt_type == "time_embed":
            rows.insert(0, step)
        else:
            condition = step
    for layer in range(config.layers):
        rows = block(weights, config.heads, layer, rows, condition)
    return read_out(weights, rows[-1], condition)


def energies(
    weights: Weights, config: Config, tokens: Tensor, points: Tensor, landscape: int = 0
) -> Tensor:
    """Energies (B, S) of points (B, S, V) after tokens (B, S): candidate i sees tokens 0..i."""
    return torch.stack(
        [
            torch.stack(
                [
                    energy(weights, config, row[: i + 1], point[i], landscape)
                    for i in range(len(row))
                ]
            )
            for row, point in zip(tokens, points, strict=True)
        ]
    )


# Thinking


def step_size(weights: Weights) -> Tensor:
    """α, at least 1e-4."""
    return torch.clamp(weights["alpha"], min=1e-4)


def random_step_size(weights: Weights, scale: float, uniform: Tensor) -> Tensor:
    """α between α/scale and α·scale at the fractions ``uniform`` (B, S), one for all steps."""
    alpha = step_size(weights)
    return alpha / scale + uniform * (alpha * scale - alpha / scale)


def evaluation_landscapes(config: Config) -> list[int]:
    """One step a landscape; with random step counts, the most that training can draw on the last.

    Repeat the last entry to think longer than trained.
    """
    last = config.landscapes - 1
    return [*range(last), *[last] * (config.random_steps + 1)]


def think(
    weights: Weights,
    config: Config,
    tokens: Tensor,
    start: Tensor,
    noise: Sequence[Tensor] | None = None,
    step_sizes: Tensor | None = None,
    landscapes: Sequence[int] | None = None,
) -> Thought:
    """Descend from start (B, S, V) after tokens (B, S), one step for each entry of landscapes.

    Each step: p = softmax(candidate + noise); candidate = p - step size · ∂(Σ energies)/∂p.

    Args:
        noise: T standard normal draws (B, S, V), scaled by ``langevin_dynamics_noise_std``.
        step_sizes: (B, S), the same at every step; without it the clamped ``alpha``.
        landscapes: by default 0, 1, ... once each.
    """
    schedule = list(range(config.landscapes)) if landscapes is None else list(landscapes)
    sizes = step_size(weights) if step_sizes is None else step_sizes.unsqueeze(-1)
    thought = Thought([], [], [], [])
    candidate = start
    for k, landscape in enumerate(schedule):
        if config.detach or not candidate.requires_grad:
            candidate = candidate.detach().requires_grad_()
        point = candidate
        if noise is not None:
            std = torch.clamp(weights["langevin_dynamics_noise_std"], min=1e-6)
            point = point + noise[k] * std
        if config.softmax == "each" or (config.softmax == "first" and landscape == 0):
            point = torch.softmax(point, dim=-1)
        costs = energies(weights, config, tokens, point, landscape)
        (gradient,) = torch.autograd.grad(costs.sum(), point, create_graph=True)
        last = k == len(schedule) - 1
        if config.graph == "none" or (config.graph == "last" and not last):
            gradient = gradient.detach()
        candidate = move(weights, config, point, gradient, sizes)
        for trace, value in zip(thought, (point, costs, gradient, candidate), strict=True):
            trace.append(value)
    return thought


def move(
    weights: Weights, config: Config, point: Tensor, gradient: Tensor, sizes: Tensor
) -> Tensor:
    """point - sizes · gradient, with the clamps and the temperature that the config asks for."""
    if config.gradient_clamp is not None:
        bound = config.gradient_clamp / weights["alpha"]  # neither clamped nor randomised
        gradient = torch.clamp(gradient, min=-bound, max=bound)
    candidate = point - sizes * gradient
    if config.absolute_clamp:
        candidate = torch.clamp(candidate, min=-config.absolute_clamp, max=config.absolute_clamp)
    if config.sharpen:
        candidate = candidate / config.sharpen
    return candidate


# Losses


def cross_entropy(logits: Tensor, targets: Tensor, pad: int, smoothing: float = 0.0) -> Tensor:
    """Mean over the targets (B, S) that are not padding of -log softmax(logits)[target]."""
    losses: list[Tensor] = []
    for row, target_row in zip(logits, targets, strict=True):
        for values, target in zip(row, target_row.tolist(), strict=True):
            if target != pad:
                log_p = values - torch.logsumexp(values, dim=0)
                losses.append(-(1 - smoothing) * log_p[target] - smoothing * log_p.mean())
    return torch.stack(losses).mean()


def step_losses(
    weights: Weights,
    config: Config,
    tokens: Tensor,
    start: Tensor,
    noise: Sequence[Tensor] | None = None,
    step_sizes: Tensor | None = None,
    landscapes: Sequence[int] | None = None,
) -> list[Tensor]:
    """Cross-entropy of the candidates after each of T steps; tokens are (B, S + 1).

    Label smoothing fades from ``config.smoothing`` at the first step to 0 at the last.
    """
    context, targets = tokens[:, :-1], tokens[:, 1:]
    thought = think(weights, config, context, start, noise, step_sizes, landscapes)
    last = len(thought.candidates) - 1
    return [
        cross_entropy(
            candidate, targets, config.pad, config.smoothing * (last - k) / last if last else 0.0
        )
        for k, candidate in enumerate(thought.candidates)
    ]


def loss_s1(
    weights: Weights,
    config: Config,
    tokens: Tensor,
    start: Tensor,
    noise: Sequence[Tensor] | None = None,
    step_sizes: Tensor | None = None,
    landscapes: Sequence[int] | None = None,
) -> Tensor:
    """Mean of the cross-entropies after every step; published with detach=True, graph="all"."""
    losses = step_losses(weights, config, tokens, start, noise, step_sizes, landscapes)
    return torch.stack(losses).mean()


def loss_s2(
    weights: Weights,
    config: Config,
    tokens: Tensor,
    start: Tensor,
    noise: Sequence[Tensor] | None = None,
    step_sizes: Tensor | None = None,
    landscapes: Sequence[int] | None = None,
) -> Tensor:
    """Cross-entropy after the last step; published with detach=False, graph="last"."""
    return step_losses(weights, config, tokens, start, noise, step_sizes, landscapes)[-1]
