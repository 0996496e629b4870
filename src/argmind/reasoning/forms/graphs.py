"""Graphs: ``6; 0-1 1-2 4-5``, and with a start and a goal ``6; 0-1 1-2; 0>2``."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from argmind.data.reasoning.base import Array, Samples
from argmind.data.reasoning.graphs import APART, EDGE, GOAL, NODE, START, GraphProblems
from argmind.reasoning.forms.base import Form, asked, require, whole


class GraphForm(Form[GraphProblems]):
    """How many nodes; the edges between nodes, counted from 0."""

    #: Parts between semicolons.
    parts: ClassVar[int]

    def read(self, line: str) -> Samples:
        """All pairs of nodes."""
        parts = line.split(";")
        require(len(parts) == self.parts, f"'{line}' is not of the form {self.example}.")
        nodes, most = whole(parts[0], "the first is how many nodes"), self.problems.labels
        require(2 <= nodes <= most, f"{nodes} nodes: this run takes 2 to {most}.")
        given = np.full((nodes, nodes), APART)
        given[np.arange(nodes), np.arange(nodes)] = NODE
        for word in parts[1].split():
            one, other = self._pair(word, "-", nodes)
            given[one, other] = given[other, one] = EDGE
        self._mark(given, parts)
        first, second = np.divmod(np.arange(nodes**2), nodes)
        return asked(given.ravel(), np.zeros(nodes**2), np.stack([first, second], -1))

    def _mark(self, given: Array, parts: list[str]) -> None:
        """What is given beside edges."""

    def _pair(self, word: str, sign: str, nodes: int) -> tuple[int, int]:
        ends = word.split(sign)
        require(len(ends) == 2, f"'{word}' is not two nodes with {sign} between.")
        one, other = (whole(end, "nodes are counted from 0") for end in ends)
        inside = one != other and max(one, other) < nodes
        require(inside, f"'{word}' does not name two of the nodes 0 to {nodes - 1}.")
        return one, other

    def _square(self, pairs: Array) -> Array:
        nodes = int(len(pairs) ** 0.5)
        return pairs.reshape(nodes, nodes)


class ConnectivityForm(GraphForm):
    """The answer: nodes that are connected stand together."""

    parts = 2
    example: ClassVar[str] = "6; 0-1 1-2 4-5"
    rule: ClassVar[str] = "these are not the nodes that are connected"

    def write(self, given: Array, answer: Array) -> str:  # noqa: ARG002
        """``{0 1 2} {3} {4 5}``; where pairs contradict each other, how many there are."""
        together = self._square(answer).astype(bool)
        groups = {tuple(np.flatnonzero(row).tolist()) for row in together}
        if sorted(node for group in groups for node in group) != list(range(len(together))):
            return f"{int(together.sum())} pairs that contradict each other"
        return " ".join("{" + " ".join(map(str, group)) + "}" for group in sorted(groups))


class PathForm(GraphForm):
    """The answer: the nodes on the way."""

    parts = 3
    example: ClassVar[str] = "6; 0-1 1-2 2-5; 0>5"
    rule: ClassVar[str] = "this is no shortest way from start to goal"

    def _mark(self, given: Array, parts: list[str]) -> None:
        start, goal = self._pair(parts[2].strip(), ">", len(given))
        given[start, start], given[goal, goal] = START, GOAL

    def write(self, given: Array, answer: Array) -> str:
        """``0-1-2-5``; where it is no way, its edges."""
        chosen = self._square(answer).astype(bool)
        np.fill_diagonal(chosen, val=False)
        diagonal = np.diagonal(self._square(given))
        node, goal = int((diagonal == START).argmax()), int((diagonal == GOAL).argmax())
        way, left = [node], chosen | chosen.T
        while node != goal and left[node].sum() == 1:
            after = int(left[node].argmax())
            left[node, after] = left[after, node] = False
            node = after
            way.append(node)
        if node == goal and not left.any():
            return "-".join(map(str, way))
        edges = np.argwhere(np.triu(chosen | chosen.T))
        return " ".join(f"{one}-{other}" for one, other in edges.tolist()) or "no edges"
