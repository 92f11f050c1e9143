"""Small graphs whose nodes carry texts, made up of random word vectors: seconds instead of a download.

A vocabulary of 400 words is split in two halves; the classes of source graphs are groups of words of the first half, those of
target graphs of the second, so a target graph never shows a class that was seen in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

WIDTH, WORDS, CLASSES, CLASS_WORDS = 32, 400, 5, 15


@dataclass(frozen=True)
class TextGraph:
    """One graph of N nodes with texts, and the texts of its K classes.

    Attributes:
        texts: vector of each node's text, [N, 32].
        classes: vector of each class's text, [K, 32].
        label: class of each node, [N] int64.
        edges: source → target, both directions listed, [2, E] int64.
    """

    texts: Tensor
    classes: Tensor
    label: Tensor
    edges: Tensor


def text_graphs(source: int = 6, target: int = 8, homophily: float = 0.85, nodes: int = 240, seed: int = 0) -> tuple[list[TextGraph], ...]:
    """(source graphs, target graphs).

    A node's text has 5 to 24 words, 45 % of them of its class; its vector is their mean times √(length/12). Every node draws three
    neighbours, of its own class with probability `homophily`.

    Raises:
        ValueError: homophily outside 0…1, or fewer than 20 nodes.
    """
    if not 0 <= homophily <= 1:
        raise ValueError(f"homophily is {homophily:g}; it is the share of edges inside a class and must lie in 0…1")
    if nodes < 20:
        raise ValueError(f"{nodes} nodes are too few for {CLASSES} classes; at least 20 are needed")
    generator = torch.Generator().manual_seed(seed)
    words = torch.randn(WORDS, WIDTH, generator=generator)
    halves = torch.randperm(WORDS, generator=generator).chunk(2)
    return tuple(
        [_graph(words, half, homophily, nodes, generator) for _ in range(count)]
        for half, count in zip(halves, (source, target), strict=True)
    )


def _graph(words: Tensor, half: Tensor, homophily: float, nodes: int, generator: torch.Generator) -> TextGraph:
    groups = half[torch.randperm(len(half), generator=generator)][: CLASSES * CLASS_WORDS].view(CLASSES, CLASS_WORDS)
    label = torch.randint(CLASSES, (nodes,), generator=generator)
    texts = torch.stack([_text(words, groups[k], generator) for k in label.tolist()])
    return TextGraph(texts, words[groups].mean(1), label, _edges(label, homophily, generator))


def _text(words: Tensor, group: Tensor, generator: torch.Generator) -> Tensor:
    length = int(torch.randint(5, 25, (), generator=generator))
    own = group[torch.randint(len(group), (length,), generator=generator)]
    other = torch.randint(len(words), (length,), generator=generator)
    chosen = torch.where(torch.rand(length, generator=generator) < 0.45, own, other)
    return words[chosen].mean(0) * (length / 12) ** 0.5


def _edges(label: Tensor, homophily: float, generator: torch.Generator) -> Tensor:
    nodes, each = len(label), 3
    same = label[:, None] == label
    inside = torch.rand(nodes, each, generator=generator) < homophily
    own, other = same.float().fill_diagonal_(0) + 1e-9, (~same).float() + 1e-9
    drawn = torch.where(
        inside, torch.multinomial(own, each, True, generator=generator), torch.multinomial(other, each, True, generator=generator)
    )
    links = torch.stack([torch.arange(nodes).repeat_interleave(each), drawn.flatten()])
    links = links[:, links[0] != links[1]]
    return torch.unique(torch.cat([links, links.flip(0)], 1), dim=1)
