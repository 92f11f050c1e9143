"""Graphs that people paste: graph6, sparse6, edge lists and GraphML; and places of nodes as a short text beside them.

What a visitor pastes is untrusted: it is bounded, nothing in it is executed or fetched, and every refusal says what is taken.

    graph6, sparse6   one line without blanks (McKay, "Description of graph6, sparse6 and digraph6 encodings")
    edge list         a pair of names per line, parted by blanks, commas, semicolons or dashes; a name alone is a node without edges
    GraphML           <node id="…"/> and <edge source="…" target="…"/>; all else in it is passed over
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Hashable, Sequence
from xml.etree import ElementTree

import numpy as np
import torch

from models.graph_structure import nx
from models.graph_structure.layouts import MOST_EDGES, MOST_NODES
from models.graph_structure.truth import from_networkx
from models.structures import AbstractGraph

MOST_TEXT = 100_000
FORMATS = "graph6, an edge list (one pair of names per line) or GraphML"
_HEADERS = (">>graph6<<", ">>sparse6<<")
_SEPARATORS = re.compile(r"\s*(?:->|<-|--+|–|—|[,;\s-])\s*")
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
REACH = 1.28  # places lie between −REACH and REACH
_STEPS = 4095


def read_graph(text: str) -> tuple[AbstractGraph, list[str]]:
    """The graph of a text in any of the formats, and the names of its nodes by number.

    Directions, weights, attributes and comments (# or %) are passed over. Nodes that are all numbered keep their order.

    Raises:
        ValueError: the text cannot be read or is too long; more than 300 nodes or 12 000 edges; a loop; an edge listed twice.
    """
    if len(text) > MOST_TEXT:
        raise ValueError(f"the text has {len(text)} characters; up to {MOST_TEXT} are read")
    stripped = text.strip()
    if not stripped:
        raise ValueError(f"there is no graph in an empty text; {FORMATS} is read")
    if stripped.startswith("<"):
        nodes, pairs = _graphml(stripped)
    elif _is_code(stripped):
        return _decoded(stripped)
    else:
        nodes, pairs = _edge_list(stripped)
    return _numbered(nodes, pairs)


def _is_code(text: str) -> bool:
    body = text
    for header in _HEADERS:
        body = body.removeprefix(header)
    return len(text.split()) == 1 and bool(re.fullmatch(r":?[?-~]+", body))


def _decoded(text: str) -> tuple[AbstractGraph, list[str]]:
    sparse = text.startswith((">>sparse6<<", ":"))
    try:
        code = text.encode("ascii")
        _limited(_announced(text), 0)
        made = nx.from_sparse6_bytes(code) if sparse else nx.from_graph6_bytes(code)
    except (nx.NetworkXError, IndexError, UnicodeEncodeError) as error:
        raise ValueError(f"this is no {'sparse6' if sparse else 'graph6'} text; {FORMATS} is read") from error
    _limited(made.number_of_nodes(), made.number_of_edges())
    if made.is_multigraph() and len({frozenset(edge) for edge in made.edges()}) < made.number_of_edges():
        raise ValueError("an edge is listed more than once; please list each edge one time")
    graph = from_networkx(nx.Graph(made))
    return graph, [str(node) for node in range(graph.num_nodes)]


def _announced(text: str) -> int:
    """The number of nodes that a graph6 or sparse6 text announces: it is refused before anything of that size is made."""
    for header in _HEADERS:
        text = text.removeprefix(header)
    values = [ord(character) - 63 for character in text.removeprefix(":")[:8]]
    if values[0] < 63:
        return values[0]
    digits = values[2:8] if len(values) > 1 and values[1] == 63 else values[1:4]
    return sum(value << 6 * place for place, value in enumerate(reversed(digits)))


def _edge_list(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    nodes, pairs = [], []
    for number, line in enumerate(text.splitlines(), 1):
        content = re.split(r"[#%]", line, maxsplit=1)[0].strip().strip(",;").strip("()[]")
        if not content:
            continue
        words = [word for word in _SEPARATORS.split(content) if word]
        if len(words) == 1:
            nodes.append(words[0])
        elif words:
            pairs.append((words[0], words[1]))
        else:
            raise ValueError(f"line {number} holds no names; {FORMATS} is read")
    return nodes, pairs


def _graphml(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    if re.search(r"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise ValueError("this GraphML declares a document type or entities, which are not read; please remove that part")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"this is no well-formed GraphML ({error})") from None
    if not root.tag.endswith("graphml"):
        raise ValueError(f"this is XML, but no GraphML; {FORMATS} is read")
    nodes = [item.attrib["id"] for item in root.iter() if item.tag.endswith("}node") or item.tag == "node" if "id" in item.attrib]
    pairs = []
    for item in root.iter():
        if item.tag.rpartition("}")[2] == "edge":
            if not {"source", "target"} <= set(item.attrib):
                raise ValueError("an edge of this GraphML has no source or no target")
            pairs.append((item.attrib["source"], item.attrib["target"]))
    return nodes, pairs


def _numbered(nodes: Sequence[str], pairs: Sequence[tuple[str, str]]) -> tuple[AbstractGraph, list[str]]:
    names = list(dict.fromkeys([*nodes, *(name for pair in pairs for name in pair)]))
    if names and all(re.fullmatch(r"\d{1,9}", name) for name in names):
        names.sort(key=int)
    _limited(len(names), len(pairs))
    number: dict[Hashable, int] = {name: i for i, name in enumerate(names)}
    for u, v in pairs:
        if u == v:
            raise ValueError(f"node {u[:20]} is joined to itself; loops cannot be drawn here, please leave them out")
    return AbstractGraph.from_edges([(number[u], number[v]) for u, v in pairs], len(names)), names


def _limited(nodes: int, edges: int) -> None:
    if nodes > MOST_NODES or edges > MOST_EDGES:
        raise ValueError(f"the graph has {nodes} nodes and {edges} edges; up to {MOST_NODES} nodes and {MOST_EDGES} edges are taken")


# ---------------------------------------------------------------------------------------------------- places as text


def write_places(places: torch.Tensor | np.ndarray, of: str) -> str:
    """Places [N, 2] as text: a mark of what they belong to, then two characters per number (12 bits from −1.28 to 1.28).

    Args:
        of: names what the places belong to, for example the graph6 text with the layout that they started from.
    """
    scaled = (np.clip(np.asarray(places, dtype=np.float64), -REACH, REACH) + REACH) / (2 * REACH)
    codes = np.floor(scaled * _STEPS + 0.5).astype(int).reshape(-1).tolist()
    return _mark(of) + "".join(_DIGITS[code >> 6] + _DIGITS[code & 63] for code in codes)


def read_places(text: str, nodes: int, of: str) -> torch.Tensor | None:
    """The places [nodes, 2] float32 of a text that `write_places` made for the same `of`; None where it is of something else."""
    body = text[6:]
    if text[:6] != _mark(of) or len(body) != 4 * nodes or not set(body) <= set(_DIGITS):
        return None
    numbers = np.array([_DIGITS.index(character) for character in body]).reshape(nodes, 2, 2)
    values = (numbers[..., 0] * 64 + numbers[..., 1]) / _STEPS * 2 * REACH - REACH
    return torch.from_numpy(values.astype(np.float32))


def _mark(of: str) -> str:
    number = zlib.crc32(of.encode())
    return "".join(_DIGITS[number >> 6 * place & 63] for place in range(6))
