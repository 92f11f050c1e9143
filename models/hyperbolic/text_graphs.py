"""Small graphs whose nodes carry texts: made up of random word vectors in seconds, or read from a person's own tables.

Made up: a vocabulary of 400 words is split in two halves; the classes of source graphs are groups of words of the first half,
those of target graphs of the second, so a target graph never shows a class that was seen in training.

Read: every word gets a random vector that follows from its letters alone (hashing), so no vocabulary has to be downloaded and
texts look to the model as the made up ones do. Words that mean the same are as foreign to each other as any two.
"""

from __future__ import annotations

import csv
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO

import torch
from torch import Tensor

WIDTH, WORDS, CLASSES, CLASS_WORDS = 32, 400, 5, 15
USUAL_WORDS = 12  # a text of so many words is the plain mean of its words
MOST_NODES = 2000  # distances are held for all pairs
UNKNOWN = -1


class TextGraphError(ValueError):
    """Tables are no graph of texts. The message names the table and the row, and says what would be accepted."""


@dataclass(frozen=True)
class TextGraph:
    """One graph of N nodes with texts, and the texts of its K classes.

    Attributes:
        texts: vector of each node's text, [N, 32].
        classes: vector of each class's text, [K, 32].
        label: class of each node, [N] int64; −1 where it is unknown.
        edges: source → target, both directions listed, [2, E] int64.
        names, class_names: of nodes and classes; empty for made up graphs.
    """

    texts: Tensor
    classes: Tensor
    label: Tensor
    edges: Tensor
    names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()


# -------------------------------------------------------------------------------------------------------------- made up


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
    return words[chosen].mean(0) * (length / USUAL_WORDS) ** 0.5


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


# ----------------------------------------------------------------------------------------------------------------- read


def hashed(text: str) -> Tensor:
    """Vector of a text, [32]: mean of its words' vectors times √(words/12); zeros where it has no word."""
    words = re.findall(r"[^\W_]+", text.lower())
    if not words:
        return torch.zeros(WIDTH)
    return torch.stack([_word(word) for word in words]).mean(0) * (len(words) / USUAL_WORDS) ** 0.5


@lru_cache(maxsize=20_000)
def _word(word: str) -> Tensor:
    return torch.randn(WIDTH, generator=torch.Generator().manual_seed(zlib.crc32(word.encode())))


def parse(nodes: str, edges: str, classes: str) -> TextGraph:
    """The graph of three tables, as comma-separated text with a line of column names each.

    Args:
        nodes: columns name, text and, where it is known, class.
        edges: columns source and target, names of nodes; direction, repetitions and loops do not count.
        classes: columns name and text; the text may be the name again.

    Raises:
        TextGraphError: a column is missing, a name is empty, unknown or occurs twice, a text has no word, fewer than 2 classes,
            no node or more than 2000.
    """
    node_rows, class_rows = _rows("nodes", nodes, ("name", "text")), _rows("classes", classes, ("name", "text"))
    if not 1 <= len(node_rows) <= MOST_NODES:
        raise TextGraphError(f"the table of nodes has {len(node_rows)} rows; 1 to {MOST_NODES} are taken")
    if len(class_rows) < 2:
        raise TextGraphError(f"the table of classes has {len(class_rows)} rows; at least 2 are needed to choose between")
    number, class_number = _numbered("nodes", node_rows), _numbered("classes", class_rows)
    label = [_found("nodes", place, row["class"], class_number) if row.get("class") else UNKNOWN for place, row in enumerate(node_rows, 1)]
    links = {
        tuple(sorted((_found("edges", place, row["source"], number), _found("edges", place, row["target"], number))))
        for place, row in enumerate(_rows("edges", edges, ("source", "target")), 1)
    }
    pairs = torch.tensor(sorted(pair for pair in links if pair[0] != pair[1]), dtype=torch.int64).reshape(-1, 2).T
    return TextGraph(
        _vectors("nodes", node_rows),
        _vectors("classes", class_rows),
        torch.tensor(label),
        torch.unique(torch.cat([pairs, pairs.flip(0)], 1), dim=1),
        tuple(number),
        tuple(class_number),
    )


Row = dict[str, str]


def _rows(table: str, text: str, needed: Sequence[str]) -> list[Row]:
    reader = csv.DictReader(StringIO(text.strip().removeprefix("\ufeff")), restval="", skipinitialspace=True)
    columns = [column.strip().lower() for column in reader.fieldnames or ()]
    missing = [column for column in needed if column not in columns]
    if missing:
        raise TextGraphError(f'the table of {table} has no column "{missing[0]}"; its first line should read "{",".join(needed)}"')
    return [dict(zip(columns, (value.strip() for value in row.values() if isinstance(value, str)), strict=False)) for row in reader]


def _numbered(table: str, rows: Sequence[Row]) -> dict[str, int]:
    names = [row["name"] for row in rows]
    if "" in names:
        raise TextGraphError(f"row {names.index('') + 1} of the table of {table} has no name")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise TextGraphError(f"the table of {table} names {twice[0]!r} twice; every row needs a name of its own")
    return {name: i for i, name in enumerate(names)}


def _found(table: str, row: int, name: str, known: dict[str, int]) -> int:
    if name not in known:
        raise TextGraphError(f"row {row} of the table of {table} names {name!r}, which is in no row of its own; add it, or leave it out")
    return known[name]


def _vectors(table: str, rows: Sequence[Row]) -> Tensor:
    vectors = torch.stack([hashed(row["text"]) for row in rows])
    empty = (vectors == 0).all(1)
    if empty.any():
        row = int(empty.nonzero()[0]) + 1
        raise TextGraphError(f"row {row} of the table of {table} has a text without a word; write one, or leave the row out")
    return vectors
