"""Where the rows of a context are kept while it grows, one element at a time."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import torch
from torch import Tensor

from argmind.nn.self_attention import KeysValues

#: The least number of rows to make room for at a time.
_LEAST_ROOM = 64


class LayerCache(Protocol):
    """Takes the keys and values of a layer's new rows, and gives all there are."""

    #: All keys and values so far.
    seen: KeysValues

    def __call__(self, fresh: KeysValues) -> KeysValues:
        """Put ``fresh`` behind what there is."""
        ...


class Room(Protocol):
    """What a context's tensors grow in."""

    def append(self, key: Hashable, seen: Tensor, fresh: Tensor, axis: int) -> Tensor:
        """``seen``, called ``key``, followed by ``fresh`` along ``axis``."""
        ...

    def taking(self, key: Hashable, seen: KeysValues, lead: int) -> LayerCache:
        """A layer's cache; ``lead``: rows that stand before the context's own."""
        ...

    def another(self) -> Room:
        """Room for a copy of what grows here."""
        ...


class Growing:
    """Buffers with room to spare: appending writes the new rows and copies nothing else.

    Where the room is used up, it grows by half. A tensor that is not the newest version of what
    its buffer holds (another continuation of the same context was written there) moves to a buffer
    of its own.
    """

    def __init__(self) -> None:
        self._buffers: dict[Hashable, tuple[Tensor, int]] = {}

    def append(self, key: Hashable, seen: Tensor, fresh: Tensor, axis: int) -> Tensor:
        """See :class:`Room`."""
        length, needed = seen.shape[axis], seen.shape[axis] + fresh.shape[axis]
        buffer, filled = self._buffers.get(key, (None, 0))
        newest = buffer is not None and buffer.data_ptr() == seen.data_ptr() and filled == length
        if buffer is None or not newest or needed > buffer.shape[axis]:
            buffer = with_room(seen, needed + max(_LEAST_ROOM, length // 2), axis)
        buffer.narrow(axis, length, fresh.shape[axis]).copy_(fresh)
        self._buffers[key] = buffer, needed
        return buffer.narrow(axis, 0, needed)

    def taking(self, key: Hashable, seen: KeysValues, lead: int) -> LayerCache:  # noqa: ARG002
        """See :class:`Room`."""
        return _GrowingLayer(self, key, seen)

    def another(self) -> Growing:
        """See :class:`Room`."""
        return Growing()


class _GrowingLayer:
    def __init__(self, room: Growing, key: Hashable, seen: KeysValues) -> None:
        self.room, self.key, self.seen = room, key, seen

    def __call__(self, fresh: KeysValues) -> KeysValues:
        pairs = zip(KeysValues._fields, self.seen, fresh, strict=True)
        grown = (self.room.append((self.key, name), old, new, 2) for name, old, new in pairs)
        self.seen = KeysValues(*grown)
        return self.seen


class Fixed:
    """Buffers whose size never changes: row ``place`` of all sequences is written next.

    ``place`` (1,) is a tensor: nothing that changes from element to element is known to the host,
    so that the work can be captured once and replayed. Masks leave out the rows after it.
    """

    def __init__(self, place: Tensor) -> None:
        self.place = place

    def append(self, key: Hashable, seen: Tensor, fresh: Tensor, axis: int) -> Tensor:  # noqa: ARG002
        """See :class:`Room`; the result is ``seen`` itself."""
        return seen.index_copy_(axis, self.place, fresh.to(seen.dtype))

    def taking(self, key: Hashable, seen: KeysValues, lead: int) -> LayerCache:  # noqa: ARG002
        """See :class:`Room`."""
        return _FixedLayer(seen, self.place + lead)

    def another(self) -> Fixed:
        """See :class:`Room`."""
        return Fixed(self.place.clone())


class _FixedLayer:
    # Nothing but tensors: a compiled block is then the same for every layer.
    def __init__(self, seen: KeysValues, place: Tensor) -> None:
        self.seen, self.place = seen, place

    def __call__(self, fresh: KeysValues) -> KeysValues:
        for buffer, new in zip(self.seen, fresh, strict=True):
            buffer.index_copy_(2, self.place, new.to(buffer.dtype))
        return self.seen


def with_room(rows: Tensor, capacity: int, axis: int) -> Tensor:
    """A buffer of ``capacity`` rows that begins with these."""
    shape = list(rows.shape)
    shape[axis] = capacity
    # Zeros: what nobody has written yet is masked, but 0 · NaN would be NaN.
    buffer = torch.zeros(shape, dtype=rows.dtype, device=rows.device)
    buffer.narrow(axis, 0, rows.shape[axis]).copy_(rows)
    return buffer
