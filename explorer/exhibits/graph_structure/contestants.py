"""The networks that answer the four questions about graphs: who looks at the drawing, who reads the adjacency, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer import runtime
from explorer.exhibits.graph_structure import own_eyes
from models import zoo
from models.graph_structure.dht import HyperDrop
from models.graph_structure.encodings import LARGEST_DEGREE, encode
from models.graph_structure.generators import TASKS
from models.graph_structure.gnn import GraphNetwork
from models.graph_structure.links import GraphBatch
from models.graph_structure.rasteriser import EVEN, PAPER, Pen, as_input, draw
from models.structures import AbstractGraph, GraphDrawing

SIDE = 64
USUAL_LAYOUT = {"topology": "kamada-kawai", "symmetry": "spectral", "gap": "kamada-kawai", "bridges": "kamada-kawai"}


@dataclass(frozen=True)
class Contestant:
    """One network of the arena.

    Attributes:
        name: in the zoo.
        label: for people.
        sees: "drawing" or "adjacency".
        what: what it is given, in a few words.
        pen: of its drawing.
        layout: that it was trained on, where that is not the usual one of the task; it is then shown beside the others only.
    """

    name: str
    label: str
    sees: str
    what: str
    pen: Pen = EVEN
    layout: str | None = None


_READERS = {
    "gin": ("GIN", "degrees"),
    "gin_laplacian": ("GIN + spectrum", "degrees and 16 Laplacian eigenvectors"),
    "gat_signnet": ("GAT + SignNet", "degrees and eigenvectors without their signs"),
    "gcn": ("GCN", "degrees"),
    "gat": ("GAT", "degrees"),
    "gps": ("GPS", "degrees; attention everywhere"),
    "mpnn_vn": ("GIN + virtual node", "degrees; one node joined to all"),
    "gin_constant": ("GIN, degrees hidden", "nothing but the edges"),
    "hyperdrop": ("HyperDrop", "degrees; the best 80 % of the edges in each layer"),
    "hyperdrop_all": ("HyperDrop, all edges", "degrees; all edges kept"),
}
_LOOKERS: dict[str, tuple[str, str, Pen, str | None]] = {
    "cnn": ("CNN", "the drawing, even pen", EVEN, None),
    "cnn_paper": ("CNN, paper pen", "the drawing, lines as thick for every size", PAPER, None),
    "vit": ("ViT", "the drawing in 64 pieces, even pen", EVEN, None),
    "cnn_spectral": ("CNN of the spectral layout", "the spectral drawing", EVEN, "spectral"),
    "cnn_forceatlas2": ("CNN of ForceAtlas2", "the ForceAtlas2 drawing", EVEN, "forceatlas2"),
    "cnn_circular": ("CNN of the circle", "the nodes on a circle", EVEN, "circular"),
}


def contestants(task: str) -> list[Contestant]:
    """Those of a task, lookers first, the most telling first."""
    known = [(key, f"{task}_{key}") for key in (*_LOOKERS, *_READERS)]
    found = []
    for key, name in known:
        if name in zoo.ENTRIES:
            if key in _LOOKERS:
                label, what, pen, layout = _LOOKERS[key]
                found.append(Contestant(name, label, "drawing", what, pen, layout))
            else:
                found.append(Contestant(name, *_READERS[key][:1], "adjacency", _READERS[key][1]))
    if own_eyes.named():
        what = f"the drawing, through {own_eyes.short(own_eyes.named())}; only a readout is fitted here"
        found.append(Contestant(own_eyes.NAME, "Your model", "drawing", what))
    return found


def network(name: str, task: str) -> nn.Module:
    """A network by its name in the arena. Raises ValueError where the visitor's own has no readout for the task yet."""
    if name != own_eyes.NAME:
        return runtime.model(name).model
    found = own_eyes.fitted(task)
    if found is None:
        raise ValueError("your model has no readout for this question yet; fit one in the tab “Your model”")
    return found


def contestant(task: str, name: str) -> Contestant:
    """One of a task by name. Raises ValueError that lists the names."""
    found = {one.name: one for one in contestants(task)}
    if name not in found:
        raise ValueError(f"no network named {str(name)[:40]!r} answers this question; there are {', '.join(found)}")
    return found[name]


# ------------------------------------------------------------------------------------------------------------- answers


def drawings(graph: AbstractGraph, places: Tensor) -> dict[bool, GraphDrawing]:
    """The two drawings of a graph with its nodes at `places` [N, 2]: with the even pen (True) and the paper pen (False)."""
    return {pen.even: draw(graph, places, SIDE, pen) for pen in (EVEN, PAPER)}


def looked(task: str, seen: Mapping[bool, GraphDrawing]) -> dict[str, list[float]]:
    """What the networks say that look at the drawing on show (even pen: True, paper pen: False)."""
    ready = (one for one in contestants(task) if one.name != own_eyes.NAME or own_eyes.fitted(task) is not None)
    mine = [one for one in ready if one.sees == "drawing" and one.layout is None]
    return {one.name: answer_of(one.name, task, seen[one.pen.even]) for one in mine}


def read(task: str, graph: AbstractGraph) -> dict[str, list[float]]:
    """What the networks say that read the adjacency. A graph without edges is left out where a network needs one."""
    encoding = encode(graph)
    found = {}
    for one in contestants(task):
        if one.sees == "adjacency":
            model = runtime.model(one.name).model
            if not isinstance(model, HyperDrop) or graph.num_edges:
                found[one.name] = _told(task, logits_of(model, graph, encoding))
    return found


def layouts_read(task: str, graph: AbstractGraph) -> dict[str, dict[str, Any]]:
    """Every layout that the graph has places for, as a picture, and what the network says that was trained on it (if there is one)."""
    trained = {
        one.layout or USUAL_LAYOUT[task]: one for one in contestants(task) if one.sees == "drawing" and one.pen.even and "cnn" in one.name
    }
    found = {}
    for layout, places in graph.positions.items():
        if layout == "drawing":
            continue
        drawing = draw(graph, places, SIDE, EVEN)
        one = trained.get(layout)
        found[layout] = {
            "picture": drawing.image.numpy(),
            "contestant": one.name if one else None,
            "answer": answer_of(one.name, task, drawing) if one else None,
        }
    return found


def answer_of(name: str, task: str, drawing: GraphDrawing) -> list[float]:
    """Probabilities of the classes, or the number that is answered."""
    model = network(name, task)  # loaded outside of inference mode, so that attributions can ask it for gradients
    with torch.inference_mode():
        return _told(task, model(as_input(drawing.image[None]).to(runtime.device())))


@torch.inference_mode()
def logits_of(model: nn.Module, graph: AbstractGraph, encoding: Mapping[str, Tensor] | None = None) -> Tensor:
    """[1, classes] of a network that reads the adjacency."""
    found = [dict(encoding if encoding is not None else encode(graph))]
    batch = GraphBatch.of([graph], found)
    if isinstance(model, GraphNetwork):
        return model(batch)
    assert isinstance(model, HyperDrop)
    degree = F.one_hot(batch.links.counts.clamp(max=LARGEST_DEGREE), LARGEST_DEGREE + 1).float()
    return model(degree, torch.stack([batch.links.source, batch.links.target]), batch.graph)


def _told(task: str, logits: Tensor) -> list[float]:
    row = logits[0].float().cpu()
    if not torch.isfinite(row).all():
        raise ValueError("a network answered with something that is not a number")
    return (row.softmax(0) if TASKS[task].classes else row).tolist()


# --------------------------------------------------------------------------------------------------------- what is known


def described(task: str) -> list[dict[str, Any]]:
    """Name, label, what it sees, and from its model card the scores by size, for the page."""
    found = []
    for one in contestants(task):
        if one.name == own_eyes.NAME:
            found.append(_described_own(task, one))
            continue
        loaded = runtime.model(one.name)
        measured = loaded.card.get("measured", {}) if loaded.trained else {}
        found.append(
            {
                "name": one.name,
                "label": one.label,
                "sees": one.sees,
                "what": one.what,
                "layout": one.layout,
                "trained": loaded.trained,
                "bands": {
                    band: measured[band].get("accuracy", measured[band].get("error")) for band in ("id", "near", "far") if band in measured
                },
                "curve": [[band, *row] for band in ("id", "near", "far") for row in measured.get(band, {}).get("by_nodes", [])],
            }
        )
    return found


def agreement(task: str) -> dict[str, Any] | None:
    """From the model cards: confusion of every trained network (right class × answer), and how far any two are right on the same
    test graphs (Jaccard of the sets of graphs that they get right), by band; None where the answer is a number or nothing is trained."""
    if not TASKS[task].classes:
        return None
    cards = {one.name: runtime.model(one.name) for one in contestants(task) if one.name != own_eyes.NAME}
    known = {name: found.card["measured"] for name, found in cards.items() if found.trained and "measured" in found.card}
    if not known:
        return None
    names = list(known)
    overlap = {}
    for band in ("id", "near", "far"):
        right = torch.tensor([[mark == "1" for mark in known[name][band]["right"]] for name in names]).double()
        both = right @ right.T
        either = right.sum(1)[:, None] + right.sum(1) - both
        overlap[band] = [[round(value, 3) for value in row] for row in (both / either.clamp(min=1)).tolist()]
    return {
        "names": names,
        "confusion": {name: {band: known[name][band]["confusion"] for band in overlap} for name in names},
        "overlap": overlap,
    }


def _described_own(task: str, one: Contestant) -> dict[str, Any]:
    found = own_eyes.scores(task)
    return {
        "name": one.name,
        "label": one.label,
        "sees": one.sees,
        "what": one.what,
        "layout": None,
        "trained": bool(found),
        "own": True,
        "bands": {band: found[band] for band in own_eyes.TESTS if band in found},
        "curve": [],
    }
