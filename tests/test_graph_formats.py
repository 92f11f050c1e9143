"""Graphs as text: what is written is read again, what a visitor pastes is read as meant or refused in words."""

from __future__ import annotations

import io
from contextlib import suppress

import networkx as nx
import numpy as np
import pytest
import torch

from explorer.views.abstract_graph import edge_list, graph6, graphml
from models.graph_structure.formats import REACH, read_graph, read_places, write_places
from models.graph_structure.generators import generate
from models.graph_structure.truth import from_networkx, to_networkx
from models.structures import AbstractGraph


def pairs(graph: AbstractGraph) -> set[tuple[int, int]]:
    return {(u, v) for u, v in graph.edges.tolist()}


@pytest.fixture(params=[12, 40, 62, 63, 100, 200])
def graph(request: pytest.FixtureRequest) -> AbstractGraph:
    return generate("geometric", request.param, np.random.default_rng(request.param))


def test_graph6_is_that_of_networkx_and_comes_back(graph: AbstractGraph) -> None:
    text = graph6(graph)
    assert text.encode() == nx.to_graph6_bytes(to_networkx(graph), header=False).strip()
    for one in (text, ">>graph6<<" + text, text + "\n", nx.to_sparse6_bytes(to_networkx(graph), header=False).decode()):
        found, names = read_graph(one)
        assert pairs(found) == pairs(graph)
        assert names == [str(i) for i in range(graph.num_nodes)]


def test_an_edge_list_comes_back(graph: AbstractGraph) -> None:
    found, names = read_graph(edge_list(graph))
    assert pairs(found) == pairs(graph)
    assert names == [str(i) for i in range(graph.num_nodes)]


def test_graphml_comes_back_and_networkx_reads_it(graph: AbstractGraph) -> None:
    places = torch.rand(graph.num_nodes, 2)
    text = graphml(graph, places, {"family": "a < b & c"})
    found, names = read_graph(text)
    assert pairs(found) == pairs(graph)
    assert names == [f"n{i}" for i in range(graph.num_nodes)]
    other = nx.read_graphml(io.BytesIO(text.encode()))
    assert {tuple(sorted((int(u[1:]), int(v[1:])))) for u, v in other.edges} == pairs(graph)
    assert other.nodes["n3"]["x"] == pytest.approx(places[3, 0].item(), abs=1e-5)
    assert other.graph["family"] == "a < b & c"


@pytest.mark.parametrize(
    "text",
    [
        "a b\nb c\nc a\nd",
        "a,b\nb;c\n(c, a)\nd  # alone",
        "# a comment\na - b\nb -- c\nc -> a\n% another\nd",
        "a b 0.7\nb c {'weight': 3}\nc a\nd,",
        "a\tb\r\nb\tc\r\nc\ta\r\nd\r\n",
    ],
)
def test_edge_lists_as_people_write_them(text: str) -> None:
    found, names = read_graph(text)
    joined = {frozenset((names[u], names[v])) for u, v in found.edges.tolist()}
    assert joined == {frozenset("ab"), frozenset("bc"), frozenset("ca")}
    assert sorted(names) == ["a", "b", "c", "d"]


def test_numbers_keep_their_order_and_gaps_close() -> None:
    found, names = read_graph("10 2\n2 7")
    assert names == ["2", "7", "10"]
    assert pairs(found) == {(0, 1), (0, 2)}


def test_graphml_of_networkx_is_read() -> None:
    text = "\n".join(nx.generate_graphml(nx.petersen_graph()))
    found, _ = read_graph(text)
    assert nx.is_isomorphic(to_networkx(found), nx.petersen_graph())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no graph in an empty text"),
        ("  \n ", "no graph in an empty text"),
        ("a a", "node a is joined to itself"),
        ("a b\nb a", "more than once"),
        ("D?", "no graph6"),
        ("~~~~~~~~~", "up to 300 nodes"),
        ("~?FF", "up to 300 nodes"),
        (":~~~~~~~~", "up to 300 nodes"),
        ("<graphml><graph><edge source='a'/></graph></graphml>", "no source or no target"),
        ("<graphml><graph>", "no well-formed GraphML"),
        ("<html></html>", "no GraphML"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><graphml/>', "document type"),
        ("<graphml></graphml>", "empty"),
        ("#only a comment", "empty"),
        ("x" * 100_001, "up to 100000"),
        ("\n".join(f"{i} {i + 1}" for i in range(301)), "up to 300 nodes"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_graph(text)


def test_random_bytes_are_read_or_refused_but_never_break() -> None:
    rng = np.random.default_rng(0)
    for _ in range(400):
        text = "".join(map(chr, rng.integers(32, 127, rng.integers(1, 40))))
        with suppress(ValueError):
            found, names = read_graph(text)
            assert found.num_nodes == len(names) <= 300


def test_places_come_back_within_half_a_step() -> None:
    places = (torch.rand(60, 2) * 2 - 1) * REACH
    text = write_places(places, "graph|layout")
    assert len(text) == 6 + 240
    found = read_places(text, 60, "graph|layout")
    assert found is not None
    assert (found - places).abs().max() <= REACH / 4095 + 1e-6
    assert write_places(found, "graph|layout") == text


def test_places_of_another_graph_are_not_taken() -> None:
    text = write_places(torch.zeros(5, 2), "one")
    assert read_places(text, 5, "two") is None
    assert read_places(text, 6, "one") is None
    assert read_places(text[:-1] + "!", 5, "one") is None
    assert read_places("", 5, "one") is None


def test_a_graph_of_sixty_nodes_fits_into_a_link() -> None:
    graph = from_networkx(nx.gnp_random_graph(60, 0.5, seed=1))
    assert len(graph6(graph)) + len(write_places(torch.zeros(60, 2), "x")) < 600
