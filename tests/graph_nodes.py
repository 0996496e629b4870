"""What autograd has recorded."""

from __future__ import annotations

from torch import Tensor


def node_names(value: Tensor) -> set[str]:
    """Names of all operations that a tensor was made by."""
    pending, found = [value.grad_fn], set[str]()
    while pending:
        node = pending.pop()
        if node is not None:
            found.add(type(node).__name__)
            pending += [before for before, _ in node.next_functions]
    return found
