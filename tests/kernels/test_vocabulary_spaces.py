"""Text models learn the same through the chunked vocabulary step as through plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import part_config
from argmind.nn.transformer import TransformerConfig
from argmind.thinking.thinker import ThinkingConfig

Chosen = Callable[[int, int], None]
VOCABULARY = 11
SPACES = ("published", "euclidean", "mirror", "dual")
#: Options, and a start that gets by with them.
VARIANTS = [
    *((space, {}, "amortised") for space in SPACES),
    ("dual", {"candidate_embedding": "own", "readout": "own"}, "noise"),
    ("published", {"candidate_embedding": "token"}, "noise"),
    ("published", {"softmax": "first_step"}, "noise"),
]


def objective(space: str, options: dict[str, Any], start: Any, **learning: Any) -> Any:
    dims = TransformerConfig(num_layers=1, num_heads=2, hidden_dim=8)
    body = part_config("body", "two_stream", transformer=dims)
    config = part_config(
        "predictor", "ebt", space=part_config("space", space, **options), body=body
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = config.build(ThinkingConfig(steps=2, start=start), vocab_size=VOCABULARY).double()
    return part_config("objective", "thinking", **learning).build(model)


def tokens() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {"tokens": torch.randint(0, VOCABULARY, (3, 6), generator=generator)}


def learnt(objective: Any) -> dict[str, Tensor]:
    """The loss and what every weight learns."""
    loss = objective(tokens(), torch.Generator().manual_seed(2))
    loss.value.backward()
    named = objective.predictor.named_parameters()
    gradients = {name: weight.grad for name, weight in named if weight.grad is not None}
    return {"value": loss.value.detach(), **gradients}


@pytest.mark.parametrize("through", ["none", "last", "all"])
@pytest.mark.parametrize(("space", "options", "start"), VARIANTS)
def test_learning_chunked_equals_learning_whole(
    space: str, options: dict[str, Any], start: str, through: str, rows_at_a_time: Chosen
) -> None:
    learning = {"through": through, "loss_on": "all"}
    wanted = learnt(objective(space, options, start, **learning))
    rows_at_a_time(4, VOCABULARY)
    found = learnt(objective(space, options, start, **learning))
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.usefixtures("candidates_begin_aligned")
@pytest.mark.parametrize("state", ["exact", "compact"])
@pytest.mark.parametrize("through", ["none", "all"])
def test_learning_between_aligned_candidates(
    through: str, state: str, rows_at_a_time: Chosen, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning = {"through": through, "loss_on": "all"}
    rows_at_a_time(4, VOCABULARY)
    it = objective("published", {"state": state}, "noise", **learning)
    found = learnt(it)
    assert it.predictor.space.stepped(torch.zeros(3, 1, 6, VOCABULARY)).stride(-2) == 64
    monkeypatch.undo()
    rows_at_a_time(4, VOCABULARY)
    wanted = learnt(objective("published", {"state": state}, "noise", **learning))
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-8, atol=1e-10, msg=name)


def test_cross_entropy_chunked_equals_whole(rows_at_a_time: Chosen) -> None:
    dims = TransformerConfig(num_layers=1, num_heads=2, hidden_dim=8)

    def gradients() -> dict[str, Tensor]:
        config = part_config("predictor", "transformer_pp", transformer=dims)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = config.build(None, vocab_size=VOCABULARY).double()
        return learnt(part_config("objective", "cross_entropy").build(model))

    wanted = gradients()
    rows_at_a_time(4, VOCABULARY)
    found = gradients()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-8, atol=1e-10, msg=name)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("space", ["published", "euclidean"])
def test_compact_candidates(space: str, chunked: bool, rows_at_a_time: Chosen) -> None:
    """They are bfloat16, start from noise of their own, and learn nearly what others learn."""
    if chunked:
        rows_at_a_time(4, VOCABULARY)
    compact = objective(space, {"state": "compact"}, "noise", through="none", loss_on="all")
    model, exact = compact.predictor, objective(space, {}, "noise", through="none", loss_on="all")
    landscape = model.landscape(tokens()["tokens"][:, :-1])
    first = model.thinker.start(landscape, 1, torch.Generator().manual_seed(2))
    assert first.dtype == torch.bfloat16
    exact.predictor.thinker.start = lambda *_: first.double()
    found, wanted = learnt(compact), learnt(exact)
    assert found.keys() == wanted.keys()
    torch.testing.assert_close(found["value"].double(), wanted["value"], rtol=0.02, atol=0.02)
    whole = [torch.cat([x.flatten().double() for x in of.values()]) for of in (found, wanted)]
    assert torch.nn.functional.cosine_similarity(*whole, dim=0) > 0.99
