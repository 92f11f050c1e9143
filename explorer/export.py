"""What a person takes home from a scene: figures, an offline page, structures, graphs, numbers, and the way back.

write(scene, exhibit, controls, "out")        a folder
bundle(scene, exhibit, controls)              the same as the bytes of a zip file

layers/       what else a kind of layer is taken home as (its view says which)
generated/    weights that a hypernetwork made, by parameter name (safetensors)
figures/      every layer over the picture, all layers at a glance, the threshold of DAGC; PNG and SVG
interactive.html                              the page without a server
structures.npz, structures.json               every tensor; what each is, with shape and unit
graphs/       GraphML, and arrays in the convention of PyTorch Geometric
prediction.json, diagnostics.json, picture.png, recreate.py
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from explorer import examples, payload
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Layer, Scene
from explorer.views import view_of
from explorer.views.edges import Edges, edges, positions
from explorer.views.patch_graph import rule_payload
from models.structures import GeneratedWeights, PatchGraph, Structure

UNITS = {
    "distance": "the rule's own distance; nearest-neighbour rules: squared distance of unit-length features (plus position term)",
    "share": "share of the channels, 0…1",
    "position": "patches; (row, column), row 0 at the top",
}


@dataclass(frozen=True)
class _View:
    """Everything that the parts of an export need."""

    scene: Scene
    exhibit: Exhibit
    controls: Controls
    image: str
    picture: np.ndarray
    cuts: tuple[Intervention, ...]

    @property
    def graphs(self) -> list[tuple[str, Layer]]:
        """(file stem, layer) of every layer that holds a patch graph."""
        return [
            (f"layer_{i:02d}", layer)
            for i, layer in enumerate(self.scene.layers, 1)
            if isinstance(layer.structures.get("graph"), PatchGraph)
        ]

    @property
    def changed(self) -> dict[str, Any]:
        """The controls that differ from their defaults."""
        return self.controls.model_dump(exclude_defaults=True)

    def credit(self) -> str:
        """Where a shipped picture comes from; it travels with every figure."""
        found = examples.examples().get(self.image)
        return f"Picture: {found.label}, {found.credit}, {found.licence}." if found else ""


def write(
    scene: Scene,
    exhibit: Exhibit,
    controls: Controls,
    out_dir: str | Path,
    *,
    image: str = payload.YOURS,
    picture: np.ndarray | None = None,
    cuts: Sequence[Intervention] = (),
) -> list[Path]:
    """Write everything into a folder, which is made when it does not exist; files of the same name are replaced.

    Args:
        image: name of the example that is looked at, or "yours".
        picture: the square that was given to the exhibit, uint8 [S, S, 3]; `scene.shown` when left out (the two differ
            when a control mirrors the picture).
        cuts: the edges that the visitor had removed.

    Returns:
        The files, in the order in which they were written.

    Raises:
        BadRequest: the folder cannot be made or written to.
    """
    out, written = Path(out_dir), []
    try:
        for name, data in contents(scene, exhibit, controls, image=image, picture=picture, cuts=cuts):
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            written.append(path)
    except OSError as error:
        raise BadRequest(f"cannot write to {out}: {error.strerror or error}") from None
    return written


def bundle(
    scene: Scene,
    exhibit: Exhibit,
    controls: Controls,
    *,
    image: str = payload.YOURS,
    picture: np.ndarray | None = None,
    cuts: Sequence[Intervention] = (),
) -> bytes:
    """The same files as one zip file, inside a folder named after the exhibit."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in contents(scene, exhibit, controls, image=image, picture=picture, cuts=cuts):
            file.writestr(zipfile.ZipInfo(f"hyperscope-{exhibit.slug}/{name}"), data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def contents(
    scene: Scene,
    exhibit: Exhibit,
    controls: Controls,
    *,
    image: str = payload.YOURS,
    picture: np.ndarray | None = None,
    cuts: Sequence[Intervention] = (),
) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every file, one after the other; arguments as for `write`."""
    view = _View(scene, exhibit, controls, image, scene.shown if picture is None else picture, tuple(cuts))
    yield "prediction.json", _json(_prediction(view))
    yield "diagnostics.json", _json(_diagnostics(view))
    yield "structures.json", _json(_structures(view))
    yield "structures.npz", _npz(_tensors(view))
    if view.picture.size:
        yield "picture.png", _png(view.picture)
    yield "recreate.py", _recreate(view).encode()
    for stem, layer in view.graphs:
        found = edges(layer.structures)
        yield f"graphs/{stem}.graphml", _graphml(layer, found)
        yield f"graphs/{stem}_edge_index.npz", _npz(_edge_index(layer, found))
    for i, layer in enumerate(view.scene.layers, 1):
        if found_view := view_of(layer.structures):
            for name, data in found_view[0].files(found_view[1]).items():
                yield f"layers/layer_{i:02d}/{name}", data
        for structure in layer.structures.values():
            if isinstance(structure, GeneratedWeights):
                yield f"generated/layer_{i:02d}.safetensors", _safetensors(structure)
    yield "interactive.html", _interactive(view).encode()
    yield from _figures(view)


# ------------------------------------------------------------------------------------------------------------ numbers


def _prediction(view: _View) -> dict[str, Any]:
    found = examples.examples().get(view.image)
    picture = {"name": view.image or None} | ({"licence": found.licence, "credit": found.credit, "source": found.source} if found else {})
    return {
        "exhibit": view.exhibit.slug,
        "picture": picture,
        "controls": view.controls.model_dump(),
        "cuts": [{"layer": cut.layer, "kind": cut.kind, "pairs": list(map(list, cut.pairs))} for cut in view.cuts],
        "prediction": [{"label": label, "probability": probability} for label, probability in view.scene.prediction],
        "notes": list(view.scene.notes),
    }


def _diagnostics(view: _View) -> dict[str, Any]:
    scene = view.scene
    return {
        "exhibit": view.exhibit.slug,
        "segments": None if scene.labels is None else "annotated by people" if scene.labels[1] else "found by k-means, not ground truth",
        "layers": [
            {"name": layer.name, "label": layer.label, "measures": list(scene.measures.get(layer.name, ()))} for layer in scene.layers
        ],
        "results": {name: value for name, value in scene.extras.items() if not _holds_arrays(value)},
    }


def _holds_arrays(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_arrays, value.values()))
    return any(map(_holds_arrays, value)) if isinstance(value, (list, tuple)) else isinstance(value, np.ndarray)


def _json(value: Any) -> bytes:
    return (json.dumps(payload.plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


# --------------------------------------------------------------------------------------------------------- structures


def _tensors(view: _View) -> dict[str, np.ndarray]:
    """{"layer/role/field": array} of every structure."""
    found = {}
    for layer in view.scene.layers:
        for role, structure in layer.structures.items():
            for name, tensor in structure.tensors().items():
                found[f"{layer.name}/{role}/{name}"] = tensor.detach().cpu().numpy()
    return found


def _structures(view: _View) -> dict[str, Any]:
    layers = []
    for layer in view.scene.layers:
        rows = {role: _described(layer.name, role, structure) for role, structure in layer.structures.items()}
        layers.append({"name": layer.name, "label": layer.label, "structures": rows})
    return {
        "exhibit": view.exhibit.slug,
        "arrays": "structures.npz; the key of an array is given with it",
        "patches": "numbered in raster order, n = row·W + column",
        "edges": "an edge source → target means that the target receives features of the source",
        "graphs": (
            "graphs/layer_*_edge_index.npz: edge_index [2, E] source → target, edge_weight [E] = share of the channels won (1 where nothing "
            "was recorded), pos [num_nodes, 2] = (row, column). Where sources are pooled cells, the cells are nodes of their own after "
            "the patches (kind 1)."
        ),
        "units": UNITS,
        "layers": layers,
    }


def _described(layer: str, role: str, structure: Structure) -> dict[str, Any]:
    words = _meanings(type(structure))
    arrays = {
        name: {
            "key": f"{layer}/{role}/{name}",
            "shape": list(t.shape),
            "type": str(t.dtype).removeprefix("torch."),
            "meaning": words.get(name.split(".")[0], ""),
        }
        for name, t in structure.tensors().items()
    }
    row: dict[str, Any] = {"kind": type(structure).__name__, "arrays": arrays}
    if isinstance(structure, PatchGraph):
        row |= {"grid": structure.grid, "key_grid": structure.key_grid, "rule": rule_payload(structure)}
    return row


def _meanings(kind: type[Structure]) -> dict[str, str]:
    """What each field means (shape and unit), from the "Attributes:" of the class docstring."""
    _, _, listed = (kind.__doc__ or "").partition("Attributes:")
    items = re.findall(r"^ {8}(\w[\w, ]*): (.*(?:\n {9,}.*)*)", listed, re.MULTILINE)
    return {name.strip(): " ".join(text.split()) for names, text in items for name in names.split(",")}


# ------------------------------------------------------------------------------------------------------------- graphs


def _nodes(graph: PatchGraph) -> tuple[np.ndarray, np.ndarray]:
    """(row, column) of every node in patches, [n, 2] float32, and its kind, [n] int8: 0 patch, 1 pooled cell."""
    place = positions(graph.grid)
    if graph.pooled:
        place = np.concatenate([place, positions(graph.key_grid)])
    kind = np.arange(len(place)) >= graph.grid[0] * graph.grid[1]
    return (place[:, ::-1] * graph.grid - 0.5).astype(np.float32), kind.astype(np.int8)


def _numbered(graph: PatchGraph, found: Edges) -> np.ndarray:
    """Edges between nodes, [2, E] int64; pooled cells are numbered after the patches."""
    shift = graph.grid[0] * graph.grid[1] if graph.pooled else 0
    return np.stack([found.source + shift, found.target]).astype(np.int64)


def _edge_index(layer: Layer, found: Edges) -> dict[str, Any]:
    graph = layer.structures["graph"]
    assert isinstance(graph, PatchGraph)
    place, kind = _nodes(graph)
    weight = np.ones(len(found)) if found.share is None else found.share
    arrays: dict[str, Any] = {
        "edge_index": _numbered(graph, found),
        "edge_weight": weight.astype(np.float32),
        "pos": place,
        "num_nodes": np.int64(len(place)),
        "kind": kind,
    }
    if found.distance is not None:
        arrays["edge_distance"] = found.distance.astype(np.float32)
    return arrays


def _graphml(layer: Layer, found: Edges) -> bytes:
    import networkx as nx

    graph = layer.structures["graph"]
    assert isinstance(graph, PatchGraph)
    net: nx.DiGraph = nx.DiGraph(name=layer.label, rule=graph.rule.name)
    for i, ((row, col), kind) in enumerate(zip(*_nodes(graph), strict=True)):
        net.add_node(i, row=float(row), col=float(col), kind="cell" if kind else "patch")
    numbers = {"distance": found.distance, "share": found.share}
    for i, (source, target) in enumerate(_numbered(graph, found).T.tolist()):
        net.add_edge(source, target, **{name: float(value[i]) for name, value in numbers.items() if value is not None})
    stream = io.BytesIO()
    nx.write_graphml(net, stream)
    return stream.getvalue()


def _npz(arrays: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _safetensors(generated: GeneratedWeights) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in generated.weights.items()})


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


# --------------------------------------------------------------------------------------------------- pages and figures


def _interactive(view: _View) -> str:
    from explorer.canvas import standalone  # brings Gradio, which nothing else here needs

    return standalone(payload.build(view.exhibit, view.scene, view.controls, image=view.image))


def _figures(view: _View) -> Iterator[tuple[str, bytes]]:
    from explorer.views import figures

    scene, title = view.scene, view.exhibit.title
    made = {}
    for stem, layer in view.graphs:
        made[stem] = figures.graph_figure(scene.shown, layer.structures, f"{title} · {layer.label}", _caption(view, layer))
    if view.graphs:
        listed = [(layer.label, layer.structures) for _, layer in view.graphs]
        made["overview"] = figures.overview_figure(scene.shown, listed, f"{title}: all layers", _setting(view))
    for i, layer in enumerate(scene.layers, 1):
        found = view_of(layer.structures)
        if found and found[0].figure:
            made[f"layer_{i:02d}"] = found[0].figure(layer.structures, scene.shown, f"{title} · {layer.label}")
    measured = [(layer.label, layer.structures["graph"]) for _, layer in view.graphs if _rule(layer) == "axial-threshold"]
    if measured:
        made["threshold"] = figures.threshold_figure(measured, f"{title}: which distance is small?", _setting(view))  # type: ignore[arg-type]
    for stem, figure in made.items():
        for kind, data in figures.files_of(figure).items():
            yield f"figures/{stem}.{kind}", data


def _rule(layer: Layer) -> str:
    graph = layer.structures["graph"]
    return graph.rule.name if isinstance(graph, PatchGraph) else ""


CAPTION = {
    "edges": "{:.0f} edges",
    "degree_mean": "a patch listens to {:.1f} others on average",
    "length_median": "median length {:.1f} patches",
    "wrap_share": "{:.0%} run across the border",
    "isolated": "{:.1%} of the patches have no edge",
    "homophily_adjusted": "adjusted homophily {:.2f} (0: chance, 1: no edge leaves its segment)",
    "cv": "cv = σ/μ = {:.2f} (no edge from 1/λ on)",
}


def _caption(view: _View, layer: Layer) -> str:
    graph = layer.structures["graph"]
    assert isinstance(graph, PatchGraph)
    sources = f", sources pooled to {graph.key_grid[0]} × {graph.key_grid[1]}" if graph.pooled else ""
    found = {m.key: m.value for m in view.scene.measures.get(layer.name, ()) if m.value is not None}
    numbers = "; ".join(text.format(found[key]) for key, text in CAPTION.items() if key in found)
    settings = ", ".join(f"{name} {value}" for name, value in graph.rule.settings.items())
    rule = f"Rule: {graph.rule.name}{f' ({settings})' if settings else ''}; {graph.grid[0]} × {graph.grid[1]} patches{sources}."
    return " ".join(part for part in (rule, numbers[:1].upper() + numbers[1:] + "." if numbers else "", _setting(view)) if part)


def _setting(view: _View) -> str:
    """Controls that were changed, edges that were cut, remarks, credit: what a figure must not lose on its way."""
    changed = ", ".join(f"{name} = {value}" for name, value in view.changed.items())
    parts = [
        f"Settings: {changed}." if changed else "",
        "Edges were removed by hand." if view.cuts else "",
        *view.scene.notes,
        view.credit(),
        f"{view.exhibit.paper.title} ({view.exhibit.paper.venue}).",
    ]
    return " ".join(part for part in parts if part)


def _recreate(view: _View) -> str:
    """A short script that makes the same scene again."""
    example = view.image in examples.examples()
    imports = ["from explorer import service"]
    if view.cuts:
        imports.append("from explorer.exhibit import Intervention")
    imports.append("from models.structures import PatchGraph")
    source = f"service.example({view.image!r})" if view.exhibit.pictures else "service.NOTHING"
    if view.exhibit.pictures and not example:
        imports = ["from pathlib import Path", "", "import numpy as np", "from PIL import Image", "", *imports]
        source = 'service.visitors(np.asarray(Image.open(Path(__file__).with_name("picture.png"))))'
    cuts = "".join(f"    {cut!r},\n" for cut in view.cuts)
    lines = [
        f'"""Recreates a view of {view.exhibit.title}. Run it with the folder of Hyperscope on the path:',
        "",
        "    PYTHONPATH=path/to/hyperscope python recreate.py",
        '"""',
        "",
        *imports,
        "",
        f"source = {source}",
        f"controls = service.exhibit({view.exhibit.slug!r}).controls.parse({view.changed!r})",
        f"cuts = ({chr(10)}{cuts})" if cuts else "cuts = ()",
        f"scene = service.compute({view.exhibit.slug!r}, source, controls, cuts)",
        "",
        "for layer in scene.layers:",
        '    graph = layer.structures.get("graph")',
        "    if isinstance(graph, PatchGraph):",
        "        source_to_target = graph.edge_index()  # [2, E]",
        '        print(f"{layer.label}: {source_to_target.shape[1]} edges")',
        "for label, probability in scene.prediction[:5]:",
        '    print(f"{100 * probability:5.1f} %  {label}")',
    ]
    return "\n".join(lines) + "\n"
