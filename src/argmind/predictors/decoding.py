"""Decoding: what follows a batch of contexts that grow by one element at a time.

Two forms with the same answers. :class:`Decoder` lets whatever ends leave the batch at once.
:class:`StaticDecoder` works in buffers of fixed size, where one element's work (a context row, T
thinking steps of N candidates, the choice among them) is the same every time; on a GPU it is
captured once and replayed, without the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor

from argmind.errors import UserError
from argmind.predictors.base import Prediction, Predictor
from argmind.predictors.decoding_copy import prepared
from argmind.randomness import Draws, Randomness, Tape
from argmind.thinking.budget import Budget

#: Buffers hold a multiple of this many elements: fused attention wants aligned masks.
_ALIGNED = 64
#: Runs before a capture: memory is allocated, kernels are chosen and compiled.
_WARM_UPS = 2


Switch = Literal["auto", "on", "off"]


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How decoding is carried out; the answers are the same up to rounding.

    ``static``: buffers of fixed size, captured on a GPU; auto: there, where the budget allows it.
    ``compiled``: blocks are; auto: no, since compiling takes as long as hundreds of tokens.
    ``precision``: bf16 casts matrices; sums, norms and the residual stream stay in fp32.
    """

    static: Switch = "auto"
    compiled: Switch = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"


def decoder_for(predictor: Predictor, budget: Budget, capacity: int, decoding: Decoding) -> Decoder:
    """The form of decoding that suits device and budget.

    Raises:
        UserError: ``static`` is on, but predictions may stop early.
    """
    device = next(predictor.parameters()).device
    stops = budget.stop.owner.settles or budget.deadline_s is not None
    if decoding.static == "on" and stops:
        raise UserError(
            "decoding with fixed shapes cannot stop thinking early: leave out the stop and the "
            "deadline, or set static to auto."
        )
    precision, compiled = decoding.precision, decoding.compiled == "on"
    wanted = decoding.static == "on" or (decoding.static == "auto" and device.type == "cuda")
    if wanted and not stops:
        return StaticDecoder(predictor, budget, capacity, precision=precision, compiled=compiled)
    return Decoder(predictor, budget, precision=precision, compiled=compiled)


class Decoder:
    """Predicts what follows contexts (B, S), and extends them by what was chosen.

    ``precision`` and ``compiled``: see :func:`argmind.predictors.decoding_copy.prepared`.
    """

    def __init__(
        self,
        predictor: Predictor,
        budget: Budget,
        *,
        precision: str = "fp32",
        compiled: bool = False,
    ) -> None:
        self.predictor = prepared(predictor, precision, compiled)
        self.budget = budget
        self.device = next(predictor.parameters()).device
        self._bf16 = precision == "bf16"
        self._state: Any = None

    @torch.no_grad()
    def begin(self, tokens: Tensor, first: Tensor | None = None) -> None:
        """Encode contexts; ``first`` (B,) ends left padding."""
        with self.autocast(), _uncompiled():
            self._state = self.predictor.encode(tokens, first, last_only=True)

    @torch.no_grad()
    def extend(self, elements: Tensor) -> None:
        """One more element (B,) of every context."""
        with self.autocast():
            self._state = self.predictor.extend(self._state, elements)

    @torch.no_grad()
    def keep(self, rows: Tensor) -> None:
        """Go on with some of the contexts, by index."""
        self._state = self.predictor.keep(self._state, rows)

    @torch.no_grad()
    def predict(self, generators: Sequence[torch.Generator]) -> Prediction:
        """What follows; every context draws from a generator of its own."""
        with self.autocast(), _uncompiled():
            return self.predictor.predict_from(self._state, self.budget, generators)

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of this decoder; its matrices are cast already, so no cast is kept."""
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self._bf16, cache_enabled=False
        )


class StaticDecoder(Decoder):
    """The same with fixed shapes, for contexts of at most ``capacity`` elements.

    ``captured``: one element's work is replayed as a CUDA graph. Contexts that are left out are
    computed along, until half of the batch is gone; the rest then moves to smaller buffers.
    """

    def __init__(
        self,
        predictor: Predictor,
        budget: Budget,
        capacity: int,
        *,
        precision: str = "fp32",
        compiled: bool = False,
        captured: bool = True,
    ) -> None:
        super().__init__(predictor, budget, precision=precision, compiled=compiled)
        self._capacity = -(-capacity // _ALIGNED) * _ALIGNED
        self._captured = captured and self.device.type == "cuda"
        self._work: _Work | None = None
        self._begun = False
        self._alive: Tensor | None = None

    def begin(self, tokens: Tensor, first: Tensor | None = None) -> None:
        """Encode contexts; the first prediction is made from them as they are."""
        super().begin(tokens, first)
        self._begun, self._alive = False, None

    @torch.no_grad()
    def extend(self, elements: Tensor) -> None:
        """One more element of every context; its work is done with the prediction."""
        if not self._begun:
            self._move_in()
        assert self._work is not None
        self._work.elements[self._places] = elements

    @torch.no_grad()
    def keep(self, rows: Tensor) -> None:
        """Go on with some of the contexts, by index among those that were kept before."""
        if self._work is None or not self._begun:
            super().keep(rows)
            return
        alive = rows if self._alive is None else self._alive[rows]
        if 2 * len(alive) > len(self._work.elements):
            self._alive = alive
        else:
            self._work = _Work(self, self.predictor.keep(self._work.state, alive), self._captured)
            self._alive = None

    @torch.no_grad()
    def predict(self, generators: Sequence[torch.Generator]) -> Prediction:
        """What follows every context that was kept."""
        if self._work is None or not self._begun:
            return super().predict(generators)
        prediction = self._work.run(self._drawing(generators))
        # Taken out or cloned: the next element is computed in the same memory.
        every = ((item.name, getattr(prediction, item.name)) for item in fields(prediction))
        taken = {name: x[self._places].clone() for name, x in every if isinstance(x, Tensor)}
        return replace(prediction, **taken)

    @property
    def _places(self) -> Tensor | slice:
        """Where in the buffers the contexts stand that were kept."""
        return slice(None) if self._alive is None else self._alive

    def _drawing(self, generators: Sequence[torch.Generator]) -> Sequence[torch.Generator]:
        """A generator for every row of the buffers; rows that nobody reads share one."""
        assert self._work is not None
        if self._alive is None:
            return generators
        drawing = [torch.Generator(self.device)] * len(self._work.elements)
        for place, generator in zip(self._alive.tolist(), generators, strict=True):
            drawing[place] = generator
        return drawing

    def _move_in(self) -> None:
        """Go on in buffers of fixed size: those of an earlier text, where the shapes are equal."""
        state, self._state, self._begun = self._state, None, True
        work = self._work
        if work is None or not work.fits(state):
            fixed = self.predictor.fixed(state, self._capacity)
            self._work = _Work(self, fixed, self._captured)
        else:
            work.state.refill(state)


def _uncompiled() -> AbstractContextManager[None]:
    """Compiled blocks run as they are written: shapes that are met once are not worth compiling."""
    return torch.compiler.set_stance("force_eager")


class _Work:
    """One element's work on a state of fixed size."""

    def __init__(self, decoder: Decoder, state: Any, captured: bool) -> None:
        self.decoder, self.state = decoder, state
        self.elements = torch.zeros(len(state.after), dtype=torch.long, device=decoder.device)
        self._tape = Tape()
        self._captured = captured
        self._graph: torch.cuda.CUDAGraph | None = None
        self._prediction: Prediction | None = None

    def fits(self, state: Any) -> bool:
        """May another state be written into these buffers?"""
        mine = self.state
        return (
            len(mine.after) == len(state.after)
            and (mine.first is None) == (state.first is None)
            and mine.encoded.keys() == state.encoded.keys()
        )

    def run(self, generators: Sequence[torch.Generator]) -> Prediction:
        """Extend by the elements and predict; the result is overwritten by the next run."""
        if not self._captured:
            prediction = self._once(generators)
            self._go_on()
            return prediction
        if self._graph is None:
            self._capture()
        assert self._graph is not None
        assert self._prediction is not None
        for request, tensor in zip(self._tape.requests, self._tape.tensors, strict=True):
            rows = [request._replace(shape=request.shape[1:]).made(g) for g in generators]
            torch.stack(rows, out=tensor)
        self._graph.replay()
        return self._prediction

    def _once(self, randomness: Randomness) -> Prediction:
        model, decoder = self.decoder.predictor, self.decoder
        with decoder.autocast():
            state = model.extend(self.state, self.elements)
            return model.predict_from(state, decoder.budget, randomness)

    def _go_on(self) -> None:
        self.state.room.place.add_(1)

    def _capture(self) -> None:
        """Warm up beside the main stream, then record; the same row is written every time.

        What is drawn in between lies on a tape, and is drawn anew before every replay.
        """
        main, beside = torch.cuda.current_stream(), torch.cuda.Stream()
        beside.wait_stream(main)
        with torch.cuda.stream(beside):
            self._once(self._tape)
            for _ in range(_WARM_UPS):
                self._once(Draws(self._tape.tensors))
        main.wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._prediction = self._once(Draws(self._tape.tensors))
            self._go_on()
        self._graph = graph
