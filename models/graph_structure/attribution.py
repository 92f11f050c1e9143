"""Which edges an answer rests on, in one currency for the model that sees the drawing and the one that reads the adjacency.

    knock-out             answer(G) − answer(G without the edge): exact for both. The nodes of the drawing stay where they are
    integrated gradients  of the weights of edges, from 0 to 1 (Sundararajan et al., ICML 2017): they add up to answer(G) −
                          answer(all edges silent). Only for models of the adjacency
    along edges           any map over the picture (see models.attribution), read along every edge

The answer is the probability of a class, or the number itself where a model answers with one number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.graph_structure.encodings import encode
from models.graph_structure.gnn import GraphNetwork
from models.graph_structure.links import GraphBatch
from models.graph_structure.rasteriser import EVEN, Pen, as_input, draw, draw_without
from models.structures import AbstractGraph, EdgeAttribution, GraphDrawing

_AT_ONCE = 64  # graphs or pictures in one forward pass
Edges = Sequence[int] | None


def answer(logits: Tensor, target: int) -> Tensor:
    """[B, classes] → probability of class `target`; [B, 1] → the number itself. [B]."""
    return logits[:, 0] if logits.shape[1] == 1 else logits.softmax(1)[:, target]


def knock_out_of_drawing(
    model: nn.Module,
    graph: AbstractGraph,
    places: Tensor | np.ndarray,
    target: int = 0,
    side: int = 64,
    pen: Pen = EVEN,
    edges: Edges = None,
) -> EdgeAttribution:
    """How much the answer of a model of pictures falls when an edge is left out of the drawing.

    Args:
        model: pictures [B, 3, S, S] (rasteriser.as_input) → [B, classes].
        places: of the nodes, [N, 2]. They stay; the even pen sets its ink anew, as for any graph.
        target: class that the answer is asked for.
        edges: numbers of the edges that are tried, all when None; the others get NaN.

    Raises:
        ValueError: as rasteriser.draw; an edge that does not exist.
    """

    def answers(without: Sequence[int] | None) -> Tensor:
        images = draw(graph, places, side, pen).image[None] if without is None else draw_without(graph, places, without, side, pen)
        return answer(model(as_input(images)), target)

    return _knock_out(model, graph, target, answers, edges)


def knock_out_of_network(model: GraphNetwork, graph: AbstractGraph, target: int = 0, edges: Edges = None) -> EdgeAttribution:
    """How much the answer of a model of the adjacency falls when an edge is cut: degrees and encodings are those of the cut graph.

    Arguments and errors as `knock_out_of_drawing`.
    """

    def answers(without: Sequence[int] | None) -> Tensor:
        graphs = [graph] if without is None else [graph.without_edge(edge) for edge in without]
        return answer(model(_stacked(model, graphs)), target)

    return _knock_out(model, graph, target, answers, edges)


def weight_gradients(model: GraphNetwork, graph: AbstractGraph, target: int = 0, steps: int = 16) -> EdgeAttribution:
    """Integrated gradients of the answer by the weights of the edges, by the midpoint rule with `steps` steps.

    What the network knows of degrees and encodings is that of the whole graph on the way.

    Raises:
        ValueError: fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps are asked for; at least 1 is needed")
    along = (torch.arange(steps) + 0.5) / steps
    weight = along.repeat_interleave(graph.num_edges).requires_grad_()
    with _frozen(model):
        stacked = replace(_stacked(model, [graph] * steps), edge_weight=weight)
        (gradient,) = torch.autograd.grad(answer(model(stacked), target).sum(), weight)
    return EdgeAttribution(gradient.view(steps, -1).mean(0), target, "integrated gradients")


def along_edges(values: Tensor, drawing: GraphDrawing, graph: AbstractGraph) -> Tensor:
    """Mean of |values| along every edge of a drawing, [E/2], from a map [h, w] over it (bilinear, 1.5 samples per pixel).

    A coarser map, of Grad-CAM for example, is stretched over the drawing.
    """
    side = drawing.image.shape[0]
    start, end = drawing.positions[graph.edges].unbind(1)
    longest = (end - start).norm(dim=1).max().item() if graph.num_edges else 0.0
    count = max(1, round(1.5 * longest))
    t = (torch.arange(count) + 0.5) / count
    points = start[:, None] + t[:, None] * (end - start)[:, None]  # [E/2, samples, 2]
    found = F.grid_sample(values.abs()[None, None].float(), (2 * points / side - 1)[None], padding_mode="border", align_corners=False)
    return found[0, 0].mean(1)


def _knock_out(
    model: nn.Module, graph: AbstractGraph, target: int, answers: Callable[[Sequence[int] | None], Tensor], edges: Edges
) -> EdgeAttribution:
    tried = list(range(graph.num_edges) if edges is None else edges)
    if any(not 0 <= edge < graph.num_edges for edge in tried):
        raise ValueError(f"an edge is asked for that does not exist; the edges are 0 to {graph.num_edges - 1}")
    change = torch.full((graph.num_edges,), torch.nan)
    with torch.no_grad(), _frozen(model):
        whole = answers(None)[0]
        for first in range(0, len(tried), _AT_ONCE):
            some = tried[first : first + _AT_ONCE]
            change[some] = (whole - answers(some)).float()
    return EdgeAttribution(change, target, "knock-out")


def _stacked(model: GraphNetwork, graphs: Sequence[AbstractGraph]) -> GraphBatch:
    if model.encoder.encoding is None:
        return GraphBatch.of(graphs)
    found: dict[int, dict[str, Tensor]] = {}
    for graph in graphs:  # the same graph is often stacked several times
        if id(graph) not in found:
            found[id(graph)] = encode(graph, model.encoder.size)
    return GraphBatch.of(graphs, [found[id(graph)] for graph in graphs])


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while: neither dropout nor statistics of a batch of nearly equal graphs."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)
