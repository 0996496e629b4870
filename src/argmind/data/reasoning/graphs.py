"""Problems of undirected graphs: a token is a pair of nodes.

Graphs of 12 nodes in training, 15, 18 and 20 in the harder splits. Nodes carry random labels out of
as many as the largest graph has, so that every label is learnt on small graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.config import PartConfig
from argmind.data.reasoning.base import Array, Problems, Samples
from argmind.data.reasoning.draws import Draws
from argmind.registry import register

#: What is given of a pair of nodes; NODE and after it stand on the diagonal.
APART, EDGE, NODE, START, GOAL = range(5)


class GraphProblems(Problems):
    """Pairs of nodes are tokens in reading order; the answer to a pair is no (0) or yes (1)."""

    splits = ("easy", "hard", "harder", "hardest")

    @dataclass(frozen=True, kw_only=True)
    class Config(PartConfig):
        #: Nodes in training and in each split.
        nodes: int = 12
        harder_nodes: tuple[int, int, int] = (15, 18, 20)

        def __post_init__(self) -> None:
            if not 4 <= self.nodes < min(self.harder_nodes):
                raise ValueError(
                    f"nodes must be at least 4 and fewer than harder_nodes "
                    f"{list(self.harder_nodes)}, got {self.nodes}"
                )

    def __init__(self, config: Config, cache_dir: Path | None = None) -> None:
        super().__init__(config, cache_dir)
        self.nodes = {"train": config.nodes, "easy": config.nodes}
        self.nodes |= dict(zip(self.splits[1:], config.harder_nodes, strict=True))
        self.labels = max(self.nodes.values())

    @property
    def inputs(self) -> dict[str, Any]:
        """Two answers, five symbols; the labels of both nodes."""
        return {
            "tokens": self.nodes["train"] ** 2,
            "places": (self.labels, self.labels),
            "symbols": 2,
            "given_symbols": 5,
        }

    def as_samples(self, given: Array, target: Array, difficulty: Array, draws: Draws) -> Samples:
        """Matrices (n, nodes, nodes) as tokens."""
        count, nodes = given.shape[:2]
        labels = draws.permutation(self.labels)[:, :nodes]
        first, second = np.divmod(np.arange(nodes**2), nodes)
        return {
            "given": given.reshape(count, -1).astype(np.int64),
            "target": target.reshape(count, -1).astype(np.int64),
            "known": np.zeros((count, nodes**2), dtype=bool),
            "places": np.stack([labels[:, first], labels[:, second]], axis=-1),
            "difficulty": difficulty.astype(np.float32),
        }


@register("problem", "connectivity")
class Connectivity(GraphProblems):
    """Which pairs of nodes are connected by any way? ``difficulty``: the longest shortest way."""

    @dataclass(frozen=True, kw_only=True)
    class Config(GraphProblems.Config):
        pass

    def draw(self, split: str, index: NDArray[np.int64], draws: Draws) -> Samples:  # noqa: ARG002
        """Random graphs with one edge a node on average, half as many or twice as many."""
        nodes = self.nodes[split]
        degree = 2.0 ** (2 * draws.uniform(1, 1) - 1)
        upper = np.triu(draws.uniform(nodes, nodes) < degree / nodes, 1)
        edges = upper | upper.transpose(0, 2, 1)
        far = distances(edges)
        given = np.where(edges, EDGE, APART)
        given[:, np.arange(nodes), np.arange(nodes)] = NODE
        longest = np.where(far < nodes, far, 0).max(axis=(1, 2))
        return self.as_samples(given, far < nodes, longest, draws)

    def correct(self, given: Array, answer: Array) -> NDArray[np.bool_]:
        """Yes exactly for the pairs with a way between them."""
        nodes = int(given.shape[1] ** 0.5)
        far = distances((given == EDGE).reshape(-1, nodes, nodes)).reshape(len(given), -1)
        return ((far < nodes) == answer.astype(bool)).all(axis=1)


@register("problem", "shortest_path")
class ShortestPath(GraphProblems):
    """Which edges and nodes (the diagonal) lie on the shortest way from start to goal?

    A random tree with up to nodes / 2 more edges; of the pairs with only one shortest way of two
    edges or more, one is asked for. ``difficulty``: its length in edges.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(GraphProblems.Config):
        pass

    def draw(self, split: str, index: NDArray[np.int64], draws: Draws) -> Samples:
        """A graph, a start, a goal, and the way."""
        nodes, count = self.nodes[split], len(index)
        tree = _trees(draws, nodes)
        extra = draws.uniform(1, 1) * 0.5 * nodes / (0.5 * nodes**2)
        more = np.triu(draws.uniform(nodes, nodes) < extra, 1)
        edges = tree | more | more.transpose(0, 2, 1)
        far, ways = distances(edges), _ways(edges)
        fit = (ways == 1) & (far >= 2)
        # In a tree alone every way is the only one.
        alone = ~fit.any(axis=(1, 2))
        edges[alone], far[alone] = tree[alone], distances(tree[alone])
        fit[alone] = far[alone] >= 2
        start, goal = np.divmod(_one_of(fit.reshape(count, -1), draws), nodes)
        each, node = np.arange(count), np.arange(nodes)
        length = far[each, start, goal]
        given = np.where(edges, EDGE, APART)
        given[:, node, node] = NODE
        given[each, start, start], given[each, goal, goal] = START, GOAL
        return self.as_samples(given, _on_way(edges, far, start, goal), length, draws)

    def correct(self, given: Array, answer: Array) -> NDArray[np.bool_]:
        """The chosen edges exist, lead from start to goal, and are as few as can be."""
        nodes = int(given.shape[1] ** 0.5)
        square = (-1, nodes, nodes)
        given, chosen = given.reshape(square), answer.reshape(square).astype(bool)
        node = np.arange(nodes)
        diagonal = given[:, node, node]
        start, goal = (diagonal == START).argmax(1), (diagonal == GOAL).argmax(1)
        way = chosen & ~np.eye(nodes, dtype=bool)
        each = np.arange(len(given))
        least = distances(given == EDGE)[each, start, goal]
        legal = (~way | (given == EDGE)).all(axis=(1, 2))
        legal &= (way == way.transpose(0, 2, 1)).all(axis=(1, 2))
        legal &= (way.any(axis=2) == chosen[:, node, node]).all(axis=1)
        leads = distances(way)[each, start, goal] < nodes
        return legal & leads & (way.sum(axis=(1, 2)) == 2 * least)


def distances(edges: Array) -> NDArray[np.int64]:
    """Edges on the shortest way between all pairs (n, nodes, nodes); ``nodes`` if there is none."""
    nodes = edges.shape[1]
    near = np.broadcast_to(np.eye(nodes, dtype=np.float32), edges.shape)
    step = edges.astype(np.float32)
    far = np.where(near > 0, 0, nodes)
    for length in range(1, nodes):
        reached = (near + near @ step > 0).astype(np.float32)
        if np.array_equal(reached, near):
            break
        far = np.where((reached > 0) & (far == nodes), length, far)
        near = reached
    return far


def _ways(edges: Array) -> Array:
    """How many shortest ways lead from each node to each other."""
    far, nodes = distances(edges), edges.shape[1]
    step = edges.astype(np.float64)
    ways = (far == 0).astype(np.float64)
    for length in range(1, nodes):
        here = far == length
        if not here.any():
            break
        ways = ways + np.where(here, (ways * (far == length - 1)) @ step, 0)
    return ways


def _on_way(edges: Array, far: Array, start: Array, goal: Array) -> Array:
    """Edges (both directions) and nodes (diagonal) on shortest ways between two nodes."""
    each = np.arange(len(edges))
    here, there = far[each, start], far[each, goal]
    length = far[each, start, goal][:, None, None]
    forward = edges & (here[:, :, None] + 1 + there[:, None, :] == length)
    nodes = (here + there == length[..., 0])[:, :, None] & np.eye(edges.shape[1], dtype=bool)
    return forward | forward.transpose(0, 2, 1) | nodes


def _trees(draws: Draws, nodes: int) -> Array:
    """Random trees: every node joins one of those before it, in a random order."""
    order, dice = draws.permutation(nodes), draws.uniform(nodes)
    tree = np.zeros((len(draws), nodes, nodes), dtype=bool)
    each = np.arange(len(draws))
    for rank in range(1, nodes):
        other = order[each, (dice[:, rank] * rank).astype(np.int64)]
        tree[each, order[:, rank], other] = tree[each, other, order[:, rank]] = True
    return tree


def _one_of(fit: Array, draws: Draws) -> NDArray[np.int64]:
    """Index of a random true element of each row."""
    rank = draws.below(fit.sum(1)[:, None], 1)
    return (fit.cumsum(1) == rank + 1).argmax(1)
