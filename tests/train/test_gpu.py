"""The same promises on a GPU, in bf16."""

from functools import partial
from pathlib import Path

import pytest
import torch

from argmind.config import part_config
from argmind.nn.bidirectional import BidirectionalConfig
from argmind.thinking.thinker import ThinkingConfig
from argmind.train.checkpoint import CheckpointStore
from argmind.train.compiling import recorded
from argmind.train.distributed import World
from argmind.train.engine import Engine
from argmind.train.selftest import compiled_gradients
from argmind.train.work import Recorded, Work

from .test_compiling import batch, objective
from .toy import ToyObjective, fit_until, make_trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

SETTINGS = {"device": "cuda", "ema_decay": 0.9, "accumulate": 2, "steps": 12}


def test_resumed_equals_continuous_as_bytes(tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    fit_until(whole, None, objective=ToyObjective(replay=True), **SETTINGS)
    fit_until(halves, 7, objective=ToyObjective(replay=True), **SETTINGS)
    fit_until(halves, None, True, objective=ToyObjective(replay=True), **SETTINGS)
    last = Path("checkpoints/step-00000012")
    for path in (whole / last).iterdir():
        assert path.read_bytes() == (halves / last / path.name).read_bytes(), path.name


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_non_finite_step_reaches_nothing(tmp_path, kind):
    poisoned = ToyObjective(poison={9: kind})
    fit_until(tmp_path, None, objective=poisoned, checkpoint_every=1, keep=99, **SETTINGS)
    store = CheckpointStore(tmp_path / "checkpoints")
    for name in ("model", "optimizer", "ema"):
        before, after = store.load(2).tensors(name), store.load(3).tensors(name)
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_step_never_waits_for_the_device(tmp_path):
    trainer = make_trainer(tmp_path, **SETTINGS)
    engine = Engine(
        ToyObjective(),
        trainer.data,
        trainer.training,
        trainer.optimizer,
        World(device=torch.device("cuda", 0)),
    )
    assert engine.precision == "bf16"
    engine.step(0)  # the first one allocates
    torch.cuda.set_sync_debug_mode("error")
    try:
        engine.step(1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def gradients(work, weights):
    generator = torch.Generator("cuda").manual_seed(7)
    work.zero_gradients()
    loss = work(batch(), generator, 1)
    return loss.value.item(), [None if w.grad is None else w.grad.clone() for w in weights]


@pytest.mark.parametrize("kind", ["cross_entropy", "thinking", "s1"])
def test_a_recorded_step_is_the_step(kind):
    it = objective(kind).cuda()
    weights = list(it.parameters())
    plain = gradients(Work(it, "bf16", torch.device("cuda", 0)), weights)
    graph = Recorded(it, "bf16", torch.device("cuda", 0))
    generator = torch.Generator("cuda")
    graph.record(batch(), generator, 1)
    for _ in range(2):  # gradients are added to those that are there
        generator.manual_seed(7)
        loss = graph(batch(), generator, 1)
    assert loss.value.item() == pytest.approx(plain[0], rel=1e-3)
    for weight, once in zip(weights, plain[1], strict=True):
        torch.testing.assert_close(weight.grad, 2 * once, rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize("kind", ["thinking", "s1"])
def test_a_thinking_step_survives_the_whole_compiler(kind):
    it = objective(kind, steps=1).cuda()
    torch._dynamo.reset()
    for stage in it.stages:
        stage.compile()
    work = Work(it, "fp32", torch.device("cuda", 0))
    assert compiled_gradients(it, work.here(batch()), work).passed


def thoughts(seed):
    draw = torch.Generator().manual_seed(seed)
    return {"tokens": torch.randint(0, 5, (4, 6), generator=draw)}


def recursive():
    """Deep supervision of a recursive reasoner on six cells."""
    trunk = BidirectionalConfig(num_layers=1, num_heads=2, hidden_dim=16)
    predictor = part_config("predictor", "recursive", transformer=trunk, thoughts=1, cycles=2)
    torch.manual_seed(0)
    inputs = {"tokens": 6, "places": (6,), "symbols": 4, "given_symbols": 5}
    built = predictor.build(ThinkingConfig(steps=3), **inputs)
    return part_config("objective", "deep_supervision").build(built).train()


def cells(seed):
    draw = torch.Generator().manual_seed(seed)
    target = torch.randint(0, 4, (8, 6), generator=draw)
    known = torch.rand(8, 6, generator=draw) < 0.5
    return {
        "given": target.masked_fill(~known, 4),
        "target": target,
        "known": known,
        "places": torch.arange(6).expand(8, 6)[..., None],
        "difficulty": torch.zeros(8),
    }


@pytest.mark.parametrize(
    ("make", "samples"), [(partial(objective, "carried", longest=3), thoughts), (recursive, cells)]
)
def test_recorded_steps_carry_problems_on_as_others_do(make, samples):
    losses = []
    for record in (False, True):
        it, generator = make().cuda(), torch.Generator("cuda")
        work = Work(it, "fp32", torch.device("cuda", 0))
        if record:
            work = recorded(it, work, samples(0), generator, 1, say=pytest.fail)
            assert isinstance(work, Recorded)
        losses.append([])
        for seed in range(6):
            generator.manual_seed(seed)
            losses[-1].append(work(samples(seed), generator, 1).value.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("kind", ["cross_entropy", "thinking", "s1", "carried"])
def test_thinking_in_training_never_waits_for_the_device(kind):
    it = objective(kind).cuda()
    work, generator = Work(it, "bf16", torch.device("cuda", 0)), torch.Generator("cuda")
    work(batch(), generator, 1)  # the first one allocates
    torch.cuda.set_sync_debug_mode("error")
    try:
        work(batch(), generator, 1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
