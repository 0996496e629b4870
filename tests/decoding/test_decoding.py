"""Decoding from caches, in fixed buffers or not, gives what recomputation gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from argmind.config import part_config
from argmind.errors import UserError
from argmind.nn.transformer import TransformerConfig
from argmind.predictors import decoding_copy
from argmind.predictors.base import Predictor
from argmind.predictors.decoding import Decoder, Decoding, StaticDecoder, decoder_for
from argmind.text.generation import Sampling, generate
from argmind.thinking.budget import Budget
from argmind.thinking.thinker import ThinkingConfig

VOCABULARY = 11
PROMPTS = [[1, 2, 3], [4, 5, 6, 2, 1], [3]]
NEVER = VOCABULARY + 1  # an end token that is never written

every_model = pytest.mark.parametrize(
    ("name", "options", "thinking"),
    [
        ("transformer_pp", {}, {}),
        ("ebt", {}, {}),
        ("ebt", {"conditioning": "time_embed", "space": "published"}, {"start": "noise"}),
        ("ebt", {"conditioning": "adaln", "space": "mirror"}, {"landscapes": 3}),
        ("ebt", {"kv_heads": 1}, {"rule": part_config("rule", "momentum", nesterov=True)}),
    ],
    ids=["transformer_pp", "ebt", "time_embed", "adaln", "grouped"],
)


def model(name: str = "ebt", options: Any = None, thinking: Any = None) -> Predictor:
    options, thinking = options or {}, thinking or {}
    dims = TransformerConfig(
        num_layers=2, num_heads=2, hidden_dim=8, num_kv_heads=options.get("kv_heads")
    )
    if name == "ebt":
        body = part_config(
            "body",
            "two_stream",
            transformer=dims,
            conditioning=part_config("conditioning", options.get("conditioning", "candidate")),
            head=part_config("head", "bilinear", pull=0.5),
        )
        space = part_config("space", options.get("space", "dual"))
        config = part_config("predictor", name, space=space, body=body)
    else:
        config = part_config("predictor", name, transformer=dims)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = config.build(ThinkingConfig(**{"steps": 2, **thinking}), vocab_size=VOCABULARY)
    return built.double().eval()


def written(
    predictor: Predictor,
    budget: Budget,
    decoding: Decoding,
    prompts: Sequence[Sequence[int]] = PROMPTS,
    end_id: int = NEVER,
    **sampling: Any,
) -> tuple[list[list[int]], list[Tensor]]:
    """Tokens by prompt, and what was predicted at every step."""
    texts: list[list[int]] = [[] for _ in prompts]
    outputs = []
    steps = generate(
        predictor,
        prompts,
        budget,
        Sampling(**{"max_tokens": 8, "temperature": 1.0, **sampling}),
        end_id=end_id,
        context_tokens=40,
        decoding=decoding,
    )
    for step in steps:
        outputs.append(step.prediction.output)
        for row, token in zip(step.rows.tolist(), step.tokens.tolist(), strict=True):
            texts[row].append(token)
    return texts, outputs


def from_scratch(
    predictor: Predictor, prompt: Sequence[int], text: Sequence[int], budget: Budget
) -> Tensor:
    """Logits at every new token, each context encoded anew, no padding, no neighbours."""
    rows = []
    generator = [torch.Generator().manual_seed(0)]
    for count in range(len(text)):
        tokens = torch.tensor([[*prompt, *text[:count]]])
        with torch.no_grad():
            state = predictor.encode(tokens, last_only=True)
            output = predictor.predict_from(state, budget, generator).output[0, -1]
        rows.append(output)
        # The draw of the token itself comes between the draws of two predictions.
        torch.multinomial(output.float().softmax(-1), 1, generator=generator[0])
    return torch.stack(rows)


@every_model
@pytest.mark.parametrize("static", ["off", "on"])
@pytest.mark.parametrize("candidates", [1, 3])
def test_cached_is_recomputed(
    name: str, options: Any, thinking: Any, static: Any, candidates: int
) -> None:
    predictor = model(name, options, thinking)
    budget = Budget(candidates=candidates)
    texts, outputs = written(predictor, budget, Decoding(static=static))
    for row, (prompt, text) in enumerate(zip(PROMPTS, texts, strict=True)):
        assert len(text) == 8
        want = from_scratch(predictor, prompt, text, budget)
        got = torch.stack([output[row, -1] for output in outputs])
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("static", ["off", "on"])
def test_sequences_that_end_leave_and_change_nothing(static: Any) -> None:
    predictor = model()
    decoding = Decoding(static=static)
    together, outputs = written(predictor, Budget(candidates=2), decoding, end_id=3, max_tokens=20)
    sizes = [len(output) for output in outputs]
    assert sizes[0] == 3
    assert len(set(sizes)) > 1, "nothing left the batch"
    for prompt, text in zip(PROMPTS, together, strict=True):
        alone, _ = written(
            predictor, Budget(candidates=2), decoding, [prompt], end_id=3, max_tokens=20
        )
        assert alone == [text]


def test_half_an_empty_batch_moves_to_smaller_buffers() -> None:
    predictor = model()
    prompts = torch.tensor([[1, 2], [3, 4], [5, 6], [7, 8], [9, 1]])
    decoder = StaticDecoder(predictor, Budget(), 16)
    plain = Decoder(predictor, Budget())
    rows = torch.arange(5)
    for one in (decoder, plain):
        one.begin(prompts)
    sizes = []
    for leave in (None, 1, None, 2, 0, None):
        generators = [torch.Generator() for _ in rows]
        got, want = decoder.predict(generators), plain.predict(generators)
        for name in ("output", "energy", "steps", "nfe"):
            torch.testing.assert_close(getattr(got, name), getattr(want, name))
        if leave is not None:
            staying = torch.tensor([i for i in range(len(rows)) if i != leave])
            rows = rows[staying]
            decoder.keep(staying)
            plain.keep(staying)
        for one in (decoder, plain):
            one.extend(rows + 1)
        work = decoder._work
        assert work is not None
        sizes.append(len(work.elements))
    assert sizes == [5, 5, 5, 5, 2, 2]


def test_buffers_serve_a_second_text() -> None:
    predictor = model()
    decoder, generators = StaticDecoder(predictor, Budget(), 16), [torch.Generator()]
    outputs = []
    for length in (9, 4):
        decoder.begin(torch.arange(length)[None])
        decoder.predict(generators)
        decoder.extend(torch.tensor([2]))
        outputs.append(decoder.predict(generators).output)
        if length == 9:
            work = decoder._work
    assert decoder._work is work
    fresh = Decoder(predictor, Budget())
    fresh.begin(torch.tensor([[0, 1, 2, 3, 2]]))
    torch.testing.assert_close(outputs[1], fresh.predict(generators).output)


def test_predictions_that_stopped_leave_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor: Any = model()
    stop = part_config("stop", "plateau", tolerance=0.05)
    budget = Budget(steps=30, stop=stop)
    seen: list[int] = []
    energy = predictor.body.energy

    def counted(state: Any, embedding: Any, step: int) -> Tensor:
        seen.append(embedding.input[..., 0].numel())
        return energy(state, embedding, step)

    texts, _ = written(predictor, budget, Decoding())
    monkeypatch.setattr(predictor.body, "energy", counted)
    again, outputs = written(predictor, budget, Decoding())
    assert texts == again
    assert min(seen) < 3 == max(seen)
    assert sum(seen) < 0.8 * 3 * 31 * len(outputs)
    for row, (prompt, text) in enumerate(zip(PROMPTS, texts, strict=True)):
        want = from_scratch(predictor, prompt, text, budget)
        torch.testing.assert_close(torch.stack([output[row, -1] for output in outputs]), want)


# ---------------------------------------------------------------------- what a token costs


@pytest.mark.parametrize(("score", "candidates", "passes"), [(False, 1, 2), (True, 1, 3)])
@pytest.mark.parametrize("static", ["off", "on"])
def test_a_token_costs_one_row_a_pass(
    monkeypatch: pytest.MonkeyPatch, static: Any, score: bool, candidates: int, passes: int
) -> None:
    predictor: Any = model()
    decoder = decoder_for(predictor, Budget(score=score), 32, Decoding(static=static))
    decoder.begin(torch.arange(9)[None])
    decoder.predict([torch.Generator()])
    transformer = predictor.body.stream.transformer
    contexts, thoughts = [], []
    context, candidate = transformer.context, transformer.candidate
    monkeypatch.setattr(
        transformer,
        "context",
        lambda x, *a, **k: (contexts.append(x.shape), context(x, *a, **k))[1],
    )
    monkeypatch.setattr(
        transformer,
        "candidate",
        lambda x, *a, **k: (thoughts.append(x.shape), candidate(x, *a, **k))[1],
    )
    for token in range(3):
        decoder.extend(torch.tensor([token]))
        decoder.predict([torch.Generator()])
    assert contexts == [(1, 1, 8)] * 3
    assert thoughts == [(1, candidates, 8)] * 3 * passes


def test_an_answer_that_is_not_scored_is_the_same_answer() -> None:
    predictor = model()
    tokens = torch.tensor([[1, 2, 3, 4]])
    scored, plain = (predictor.predict(tokens, Budget(steps=3, score=x)) for x in (True, False))
    for name in ("output", "candidate", "steps", "nfe", "diverged"):
        assert torch.equal(getattr(scored, name), getattr(plain, name))
    before = predictor.predict(tokens, Budget(steps=3, trace=True)).trace
    assert before is not None
    assert torch.equal(plain.energy, before.energies[2])
    assert torch.equal(scored.energy, before.energies[3])


@pytest.mark.parametrize("also", [{"candidates": 2}, {"accept_lower": True}, {"trace": True}])
def test_what_needs_every_energy_is_scored(also: Any) -> None:
    with pytest.raises(ValueError, match="score may be left out only"):
        Budget(score=False, **also)


# ---------------------------------------------------------------------- forms and precisions


def test_early_stops_need_the_dynamic_form() -> None:
    predictor = model()
    stops = Budget(stop=part_config("stop", "plateau"))
    assert type(decoder_for(predictor, stops, 8, Decoding())) is Decoder
    assert type(decoder_for(predictor, Budget(), 8, Decoding(static="on"))) is StaticDecoder
    with pytest.raises(UserError, match="cannot stop thinking early"):
        decoder_for(predictor, stops, 8, Decoding(static="on"))
    with pytest.raises(UserError, match="cannot stop thinking early"):
        decoder_for(predictor, Budget(deadline_s=1.0), 8, Decoding(static="on"))


@pytest.mark.parametrize("name", ["ebt", "transformer_pp"])
def test_bf16_is_what_autocast_computes(name: str) -> None:
    predictor = model(name).float()
    tokens = torch.tensor([[1, 2, 3, 4]])
    with torch.autocast("cpu", torch.bfloat16):
        want = predictor.predict(tokens, Budget()).output[:, -1]
    decoder = Decoder(predictor, Budget(), precision="bf16")
    decoder.begin(tokens)
    got = decoder.predict([torch.Generator()]).output[:, -1]
    assert decoder.predictor is not predictor
    assert next(predictor.parameters()).dtype == torch.float32
    # A shape of its own may round differently: by a unit in the last place of bf16.
    torch.testing.assert_close(got, want, rtol=1e-2, atol=2e-2)


def test_compiled_blocks_are_compiled_once_for_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    # Everything but the generation of machine code, which takes a minute.
    monkeypatch.setattr(decoding_copy, "_HOW", {"dynamic": False, "backend": "aot_eager"})
    dims = TransformerConfig(num_layers=4, num_heads=2, hidden_dim=8)
    body = part_config("body", "two_stream", transformer=dims)
    config = part_config("predictor", "ebt", body=body)
    predictor = config.build(ThinkingConfig(steps=2), vocab_size=VOCABULARY).eval()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    tokens = torch.tensor([[1, 2, 3]])
    outputs = []
    for compiled in (False, True):
        decoder = StaticDecoder(predictor, Budget(score=False), 16, compiled=compiled)
        decoder.begin(tokens)
        decoder.predict([torch.Generator()])
        for token in (4, 5):
            decoder.extend(torch.tensor([token]))
            outputs.append(decoder.predict([torch.Generator()]).output)
    torch.testing.assert_close(outputs[2:], outputs[:2], rtol=1e-4, atol=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 6
