"""The energy of chunks: its published size, what it looks at, and that this is read once."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from argmind.config import part_config
from argmind.energy.policy import PolicyConfig
from argmind.errors import UserError
from argmind.nn.observation.image import ImageEncoder, places
from argmind.nn.observed import CrossAttention
from argmind.thinking.budget import Budget
from argmind.thinking.thinker import ThinkingConfig

from .chunks import ACTION, CHUNK, body_of, demonstrations, generator, policy


def count(*modules: nn.Module) -> int:
    return sum(weight.numel() for module in modules for weight in module.parameters())


def test_it_has_the_published_size() -> None:
    """5.41 M weights in the energy network, about 3.2 M that read the observations."""
    space, body = part_config("space", "actions"), part_config("body", "policy")
    model = part_config("predictor", "ebt", space=space, body=body).build(
        ThinkingConfig(start="noise"),
        action_size=2,
        chunk=16,
        frames=2,
        observations={"state": (20,)},
    )
    energy = count(model.body.transformer, model.body.head, model.space.candidate)
    assert energy == pytest.approx(5.41e6, rel=0.005)
    assert count(model.body.observed, model.space.observation) == pytest.approx(3.21e6, rel=0.02)
    assert len(model.body.transformer.layers) == len(model.body.observed.transformer.layers) == 8


def test_an_energy_is_the_mean_over_actions_and_their_numbers() -> None:
    model = policy().double()
    problem, _ = model.task(demonstrations(2, generator()))
    state = model.encode(problem)
    y = torch.randn(2, 3, CHUNK, ACTION, generator=generator(), dtype=torch.float64)
    seen = model.space.embed(y)
    hidden = body_of(model).transformer(seen.input, state.seen)
    numbers = body_of(model).head.numbers(hidden)
    assert numbers.shape == (2, 3, CHUNK, ACTION)
    torch.testing.assert_close(model.body.energy(state, seen, 0), numbers.mean((-2, -1)))
    assert torch.equal(model.body.energy(state, seen, 0), model.body.energy(state, seen, 7))


def test_cross_attention_is_attention() -> None:
    config = PolicyConfig(num_heads=2, hidden_dim=8)
    layer = CrossAttention(config)
    x, observed = torch.randn(3, 2, 5, 8), torch.randn(3, 2, 8)
    got = layer(x, layer.keys_values(observed))
    keys, values = layer.wkv(observed).chunk(2, dim=-1)
    for problem in range(3):
        for row in range(2):
            heads = []
            for head in (slice(0, 4), slice(4, 8)):
                q = layer.q_norm(layer.wq(x[problem, row])[:, head])
                k = layer.k_norm(keys[problem][:, head])
                shares = (q @ k.T / math.sqrt(4)).softmax(-1)
                heads.append(shares @ values[problem][:, head])
            want = layer.wo(torch.cat(heads, dim=-1))
            torch.testing.assert_close(got[problem, row], want, rtol=1e-4, atol=1e-5)


def test_what_was_observed_is_read_once() -> None:
    """Neither more steps nor more candidates read frames, or find keys, again."""
    read = {"frames": 0, "keys": 0}
    model = policy(layers=2)

    def counting(name: str, module: nn.Module) -> None:
        def count(*_: object) -> None:
            read[name] += 1

        module.register_forward_hook(count)

    counting("frames", body_of(model).observed)
    for block in body_of(model).transformer.blocks:
        counting("keys", block.cross.wkv)
    problem, _ = model.task(demonstrations(2, generator()))
    model.predict(problem, Budget(steps=5, candidates=3), generator())
    assert read == {"frames": 1, "keys": 2}


def test_learning_reaches_what_reads_the_frames() -> None:
    """Their keys are constants while a step is learnt; their gradients are handed on after."""
    whole, parts = policy(), policy()
    batch = demonstrations(4, generator())
    for model, through in ((whole, "all"), (parts, "none")):
        objective = part_config("objective", "thinking", through=through, loss_on="all")
        model.thinker.config = ThinkingConfig(steps=1, start="noise")
        objective.build(model)(batch, generator(3)).value.backward()
    for (name, one), other in zip(whole.named_parameters(), parts.parameters(), strict=True):
        assert one.grad is not None, name
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-7, msg=name)


def test_earlier_frames_do_not_see_later_ones() -> None:
    model = policy()
    rows = torch.randn(1, 2, 16)
    later = rows.clone()
    later[:, 1] += 1
    before, after = body_of(model).observed(rows), body_of(model).observed(later)
    torch.testing.assert_close(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_frames_are_told_apart_by_learned_positions() -> None:
    body = body_of(policy())
    assert torch.equal(body.observed.positions, torch.zeros(2, 16))
    rows = torch.randn(1, 1, 16).expand(1, 2, 16)
    plain = body.observed(rows)
    torch.testing.assert_close(plain[:, 0], plain[:, 1])
    with torch.no_grad():
        body.observed.positions[1] += 1
    assert not torch.allclose(*body.observed(rows).unbind(1))


def test_a_chunk_has_no_positions_to_ask_for() -> None:
    with pytest.raises(ValueError, match="whole problems"):
        policy().body.encode(torch.zeros(1, 2, 16), after=torch.zeros(1, 1))


# ---------------------------------------------------------------------- pictures


def test_places_are_where_features_are_seen() -> None:
    x = torch.zeros(1, 2, 5, 5)
    x[0, 0, 0, 4] = 100.0  # top right
    x[0, 1, 4, 2] = 100.0  # bottom middle
    torch.testing.assert_close(places(x), torch.tensor([[-1.0, 1.0, 1.0, 0.0]]))


@pytest.mark.parametrize("observed", [("image",), ("image", "state")])
def test_pictures_are_read_with_the_state_if_there_is_one(observed: tuple[str, ...]) -> None:
    shapes = {"image": (3, 12, 10), "state": (4,)}
    problem = {name: torch.randn(2, 2, *shapes[name]) for name in shapes}
    config = part_config("observation", "image", channels=(16, 32))
    encoder = config.build(8, {name: shapes[name] for name in observed})
    assert isinstance(encoder, ImageEncoder)
    rows = encoder(problem)
    assert rows.shape == (2, 2, 8)
    changed = encoder({**problem, "state": problem["state"] + 1})
    assert torch.equal(rows, changed) == ("state" not in observed)
    groups = [norm.num_groups for norm in encoder.modules() if isinstance(norm, nn.GroupNorm)]
    assert groups == [1, 1, 1, 2, 2, 2]


def test_averaged_weights_of_pictures_are_all_there_is() -> None:
    """No running statistics: an average of weights is a model."""
    encoder = part_config("observation", "image").build(8, {"image": (3, 16, 16)})
    assert not list(encoder.buffers())
    picture: dict[str, Tensor] = {"image": torch.randn(2, 2, 3, 16, 16)}
    assert torch.equal(encoder.train()(picture), encoder.eval()(picture))


def test_pictures_too_small_to_have_places_are_refused() -> None:
    with pytest.raises(UserError, match="pictures of 8×9 have one place left after 3 halvings"):
        part_config("observation", "image").build(8, {"image": (3, 8, 9)})


def test_what_reads_pictures_has_channels() -> None:
    with pytest.raises(ValueError, match="channels must be numbers above 0"):
        part_config("observation", "image", channels=())
