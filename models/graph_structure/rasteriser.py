"""A graph as a picture of a few pixels: the one that a model gets and a visitor sees.

Edges leave ink in proportion to their length inside each pixel, nodes are discs on top. With the *even pen* the amount of ink
and the size of the discs follow from the graph, so that a graph of 150 nodes is as dark as one of 20: that, and not the network,
decides whether a vision model recognises larger graphs than it was trained on. The *paper pen* is as wide for every graph.

    coverage c [S, S]   length of all edges, splatted bilinearly
    gain g              even pen: 0.9 / max(mean of c where c > 0.05, 0.45);  paper pen: ln 5, an opacity of 0.8 per stroke
    ink e               1 − exp(−g·c);  colour = ground·(1 − e) + white·e
    disc                radius S·min(0.03, 0.16/√N), at least 0.6 px; paper pen: 0.03·S; sky blue
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.structures import AbstractGraph, GraphDrawing

GROUND = np.array([0.05, 0.06, 0.09], np.float32) * 255
NODE = np.array([135, 206, 235], np.float32)
MARGIN = 0.07
_SAMPLES_PER_PIXEL = 1.5


@dataclass(frozen=True)
class Pen:
    """How a graph is drawn.

    Attributes:
        even: ink and discs follow the graph (see above); False is the paper pen.
        disc: factor on the radius of the discs, 1 as designed; training varies it from 0.7 to 1.4.
        gain: factor on the ink, 1 as designed; training varies it by e^±0.7.
        turn: angle by which the drawing is turned, radians.
    """

    even: bool = True
    disc: float = 1.0
    gain: float = 1.0
    turn: float = 0.0


EVEN = Pen()
PAPER = Pen(even=False)


def draw(graph: AbstractGraph, places: torch.Tensor | np.ndarray, side: int = 64, pen: Pen = EVEN) -> GraphDrawing:
    """Draw a graph.

    Args:
        places: of the nodes, [N, 2], x to the right and y down, any unit (see models.graph_structure.layouts).
        side: S, pixels.

    Raises:
        ValueError: the places are not [N, 2] finite numbers, or the picture has less than 16 pixels.
    """
    points = np.asarray(places, dtype=np.float64)
    if points.shape != (graph.num_nodes, 2) or not np.isfinite(points).all():
        raise ValueError(f"the places must be [{graph.num_nodes}, 2] finite numbers; they are {list(points.shape)}")
    if side < 16:
        raise ValueError(f"{side} pixels are too few for a drawing; at least 16 are needed")
    pixels = to_pixels(points, side, pen.turn)
    coverage = edge_coverage(pixels, graph.edges.numpy(), side)
    gain = pen.gain * (_even_gain(coverage) if pen.even else float(np.log(5)))
    radius = max(0.6, pen.disc * side * (min(0.03, 0.16 / np.sqrt(graph.num_nodes)) if pen.even else 0.03))
    image = _coloured(coverage, gain, disc_cover(pixels, radius, side))
    return GraphDrawing(torch.from_numpy(image), torch.from_numpy(coverage), torch.from_numpy(pixels.astype(np.float32)), radius, gain)


def draw_without(
    graph: AbstractGraph, places: torch.Tensor | np.ndarray, edges: Sequence[int], side: int = 64, pen: Pen = EVEN
) -> torch.Tensor:
    """The pictures of the graph without one of its edges at a time, [len(edges), S, S, 3] uint8; the nodes stay.

    Ink adds up over edges, so what an edge has laid down is taken off again instead of drawing all others anew.

    Args:
        edges: numbers into `graph.edges`; the other arguments and errors are those of `draw`.
    """
    whole = draw(graph, places, side, pen)
    pixels = to_pixels(np.asarray(places, dtype=np.float64), side, pen.turn)
    pairs, coverage = graph.edges.numpy(), whole.coverage.numpy()
    discs = disc_cover(pixels, whole.radius, side)
    images = []
    for edge in edges:
        left = np.maximum(coverage - edge_coverage(pixels, pairs[[edge]], side), 0)
        images.append(_coloured(left, pen.gain * (_even_gain(left) if pen.even else float(np.log(5))), discs))
    return torch.from_numpy(np.stack(images)) if images else torch.zeros(0, side, side, 3, dtype=torch.uint8)


def as_input(images: torch.Tensor) -> torch.Tensor:
    """Pictures [..., S, S, 3] uint8 → what the vision models get: (x/255 − 0.25) / 0.3, [..., 3, S, S] float32."""
    return ((images.float() / 255 - 0.25) / 0.3).movedim(-1, -3)


def to_pixels(places: np.ndarray, side: int, turn: float = 0.0) -> np.ndarray:
    """Turn, centre and scale places [N, 2] so that the larger side of their box fills the picture but for 7 % on each edge."""
    if turn:
        cos, sin = np.cos(turn), np.sin(turn)
        places = places @ np.array([[cos, sin], [-sin, cos]])
    low, high = places.min(0), places.max(0)
    extent = (high - low).max()
    scale = side * (1 - 2 * MARGIN) / extent if extent > 1e-9 else 0.0
    return (places - (low + high) / 2) * scale + side / 2


def edge_coverage(pixels: np.ndarray, edges: np.ndarray, side: int) -> np.ndarray:
    """Length of all edges [m, 2] between `pixels` [N, 2], given to the four nearest pixel centres, [S, S] float32."""
    start, end = pixels[edges[:, 0]], pixels[edges[:, 1]]
    length = np.linalg.norm(end - start, axis=1)
    count = np.maximum(1, np.ceil(length * _SAMPLES_PER_PIXEL)).astype(np.int64)
    edge = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    along = (step + 0.5) / count[edge]
    points = start[edge] + along[:, None] * (end - start)[edge] - 0.5  # pixel centres lie at whole numbers now
    corner = np.floor(points)
    x, y = (points - corner).T
    weight = (length / count)[edge]
    # One row and column of padding on each side, so that no corner needs a check of the border.
    width = side + 2
    first = ((corner[:, 1] + 1) * width + corner[:, 0] + 1).astype(np.int64)
    total = np.zeros(width * width)
    for offset, share in ((0, (1 - x) * (1 - y)), (1, x * (1 - y)), (width, (1 - x) * y), (width + 1, x * y)):
        total += np.bincount(first + offset, weight * share, width * width)
    return total.reshape(width, width)[1:-1, 1:-1].astype(np.float32)


def disc_cover(pixels: np.ndarray, radius: float, side: int) -> np.ndarray:
    """How much of each pixel a node covers, 0…1: clip(radius + 0.5 − distance to the nearest node), [S, S] float32."""
    reach = int(np.ceil(radius + 0.5))
    window = np.arange(-reach, reach + 1)
    centre = np.floor(pixels).astype(np.int64)
    columns, rows = centre[:, :1] + window, centre[:, 1:] + window
    across, down = columns + 0.5 - pixels[:, :1], rows + 0.5 - pixels[:, 1:]
    cover = radius + 0.5 - np.sqrt(down[:, :, None] ** 2 + across[:, None, :] ** 2)
    padded = np.zeros((side + 2 * reach + 2) ** 2)
    where = (rows[:, :, None] + reach + 1) * (side + 2 * reach + 2) + columns[:, None, :] + reach + 1
    np.maximum.at(padded, where.ravel(), np.clip(cover, 0, 1).ravel())
    inside = slice(reach + 1, reach + 1 + side)
    return padded.reshape(side + 2 * reach + 2, -1)[inside, inside].astype(np.float32)


def _even_gain(coverage: np.ndarray) -> float:
    inked = coverage[coverage > 0.05]
    return 0.9 / max(float(inked.mean()) if inked.size else 0.0, 0.45)


def _coloured(coverage: np.ndarray, gain: float, discs: np.ndarray) -> np.ndarray:
    ink = -np.expm1(-gain * coverage)[..., None]
    lines = GROUND + ink * (255 - GROUND)
    return np.rint(lines + discs[..., None] * (NODE - lines)).astype(np.uint8)
