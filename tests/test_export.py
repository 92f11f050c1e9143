"""What a person takes home: files that other programs read, and the way back to the view."""

from __future__ import annotations

import io
import json
import runpy
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import networkx as nx
import numpy as np
import pytest
import torch
from PIL import Image

from explorer import export, service
from explorer.diagnostics import utilisation
from explorer.exhibit import BadRequest, Controls, Exhibit, Intervention, Scene
from explorer.views.edges import edges
from explorer.views.figures import FEW_EDGES, MOST_EDGES, files_of, graph_figure, overview_figure
from models.structures import PatchGraph

CUT = Intervention("*", "patch", ((5, -1),))


class View:
    """One scene with all that an export is asked with."""

    def __init__(self, slug: str, controls: dict | None = None, image: str = "bus", cuts: tuple[Intervention, ...] = ()) -> None:
        self.exhibit: Exhibit = service.exhibit(slug)
        self.controls: Controls = self.exhibit.controls.parse(controls)
        self.source = service.example(image)
        self.cuts = cuts
        self.scene: Scene = service.compute(slug, self.source, self.controls, cuts)

    def files(self, last: str = "", **options) -> dict[str, bytes]:
        """The files by name, up to and including the one named `last` (all, if empty)."""
        options = {"image": self.source.name, "picture": self.source.shown, "cuts": self.cuts, **options}
        found = {}
        for name, data in export.contents(self.scene, self.exhibit, self.controls, **options):
            found[name] = data
            if name == last:
                break
        return found

    def graph(self, layer: int = 0) -> PatchGraph:
        graph = self.scene.layers[layer].structures["graph"]
        assert isinstance(graph, PatchGraph)
        return graph


@pytest.fixture(scope="module")
def greedy() -> View:
    return View("greedyvig", {"multiplier": 0.5})


@pytest.fixture(scope="module")
def folder(greedy: View, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "deep" / "folder"
    written = export.write(greedy.scene, greedy.exhibit, greedy.controls, out, image="bus", picture=greedy.source.shown)
    assert {str(p.relative_to(out)) for p in written} == {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    return out


@pytest.fixture(scope="module")
def pooled() -> View:
    return View("vig", cuts=(CUT,))


def strict(path: Path) -> dict:
    def refuse(name: str) -> None:
        raise AssertionError(f"{path.name} holds {name}, which is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_every_layer_has_its_figures(folder: Path, greedy: View) -> None:
    stems = [*(f"layer_{i:02d}" for i in range(1, len(greedy.scene.layers) + 1)), "overview", "threshold"]
    assert sorted(p.name for p in (folder / "figures").iterdir()) == sorted(f"{stem}.{kind}" for stem in stems for kind in ("png", "svg"))
    for stem in stems:
        with Image.open(folder / "figures" / f"{stem}.png") as image:
            assert min(image.size) > 500
        root = ElementTree.parse(folder / "figures" / f"{stem}.svg").getroot()
        assert root.tag.endswith("svg")
        assert root.findall(".//{*}text"), "text must stay text"


def test_edges_are_vectors_over_the_picture(folder: Path, greedy: View) -> None:
    root = ElementTree.parse(folder / "figures" / "layer_01.svg").getroot()
    drawn = min(MOST_EDGES, len(edges(greedy.scene.layers[0].structures)))
    assert len(root.findall(".//{*}path")) > drawn
    text = " ".join("".join(node.itertext()) for node in root.findall(".//{*}text"))
    assert len(root.findall(".//{*}image")) >= 1
    for expected in ("school bus", "multiplier = 0.5", "GreedyViG", "edges", "across the border"):
        assert expected in text


def test_equal_figures_are_equal_files(greedy: View) -> None:
    layer = greedy.scene.layers[2]
    once, again = (files_of(graph_figure(greedy.scene.shown, layer.structures, "title", "caption")) for _ in range(2))
    assert once == again


def test_structures_are_complete_and_described(folder: Path, greedy: View) -> None:
    listed = strict(folder / "structures.json")
    with np.load(folder / "structures.npz") as arrays:
        described = {
            a["key"]: a for layer in listed["layers"] for structure in layer["structures"].values() for a in structure["arrays"].values()
        }
        assert set(described) == set(arrays.files)
        for key, row in described.items():
            assert list(arrays[key].shape) == row["shape"]
        graph = greedy.graph()
        name = f"{greedy.scene.layers[0].name}/graph"
        assert np.array_equal(arrays[f"{name}/candidates"], graph.candidates.numpy())
        assert np.array_equal(arrays[f"{name}/rule.statistics.mean"], graph.rule.statistics["mean"].numpy())
        assert "[B or 1, N, S]" in described[f"{name}/candidates"]["meaning"]
    rule = listed["layers"][0]["structures"]["graph"]["rule"]
    assert (rule["name"], rule["multiplier"]) == ("axial-threshold", 0.5)


def test_edge_index_follows_pytorch_geometric(folder: Path, greedy: View) -> None:
    with np.load(folder / "graphs" / "layer_01_edge_index.npz") as arrays:
        graph = greedy.graph()
        assert arrays["edge_index"].dtype == np.int64
        assert np.array_equal(arrays["edge_index"], graph.edge_index().numpy())
        assert arrays["num_nodes"] == 256
        assert arrays["pos"].shape == (256, 2)
        assert arrays["pos"][17].tolist() == [1, 1]
        assert arrays["edge_weight"].shape == (arrays["edge_index"].shape[1],)
        assert 0 <= arrays["edge_weight"].min() <= arrays["edge_weight"].max() <= 1
        assert (arrays["edge_distance"] < (graph.rule.statistics["mean"] - 0.5 * graph.rule.statistics["std"]).item()).all()


def test_graphml_reads_back(folder: Path, greedy: View) -> None:
    net = nx.read_graphml(folder / "graphs" / "layer_02.graphml", node_type=int)
    expected = greedy.graph(1).edge_index().T.tolist()
    assert net.is_directed()
    assert sorted(map(list, net.edges)) == sorted(expected)
    assert net.nodes[9] == {"row": 1.0, "col": 1.0, "kind": "patch"}
    if expected:
        assert set(net.edges[tuple(expected[0])]) == {"distance", "share"}


def test_pooled_sources_are_nodes_of_their_own(pooled: View) -> None:
    files = pooled.files("graphs/layer_01_edge_index.npz")
    with np.load(io.BytesIO(files["graphs/layer_01_edge_index.npz"])) as arrays:
        source, target = arrays["edge_index"]
        assert arrays["num_nodes"] == 256 + 64
        assert source.min() >= 256 > target.max()
        assert arrays["kind"].sum() == 64
        assert arrays["pos"][256].tolist() == [0.5, 0.5]
    net = nx.read_graphml(io.BytesIO(files["graphs/layer_01.graphml"]), node_type=int)
    assert net.nodes[256]["kind"] == "cell"


def test_numbers_are_plain_json(folder: Path, greedy: View) -> None:
    prediction, diagnostics = strict(folder / "prediction.json"), strict(folder / "diagnostics.json")
    assert prediction["controls"]["multiplier"] == 0.5
    assert prediction["picture"]["licence"]
    assert [row["label"] for row in prediction["prediction"]] == [label for label, _ in greedy.scene.prediction]
    assert [layer["name"] for layer in diagnostics["layers"]] == [layer.name for layer in greedy.scene.layers]
    assert {"key", "value", "unit", "hint", "formula", "source", "level"} <= set(diagnostics["layers"][0]["measures"][0])


def test_the_page_needs_no_network(folder: Path) -> None:
    page = (folder / "interactive.html").read_text(encoding="utf-8")
    payload = page.split('id="payload">')[1].split("</script>")[0]
    assert json.loads(payload)["exhibit"]["slug"] == "greedyvig"
    for outside in ('src="http', "src='http", "@import", "url(http", '<link rel="stylesheet"'):
        assert outside not in page


def same_graphs(one: Scene, other: Scene) -> bool:
    pairs = zip(one.layers, other.layers, strict=True)
    return all(torch.equal(a.structures["graph"].edge_index(), b.structures["graph"].edge_index()) for a, b in pairs)


def test_recreate_makes_the_same_view(folder: Path, greedy: View, capsys: pytest.CaptureFixture) -> None:
    found = runpy.run_path(str(folder / "recreate.py"))
    assert same_graphs(found["scene"], greedy.scene)
    assert found["scene"].prediction == greedy.scene.prediction
    assert len(capsys.readouterr().out.splitlines()) == len(greedy.scene.layers) + 5


@pytest.mark.parametrize("image", ["bus", "yours"])
def test_recreate_knows_cuts_mirrors_and_own_pictures(image: str, tmp_path: Path) -> None:
    view = View("mobilevig", {"mirror": True, "step": 3}, cuts=(CUT,))
    for name, data in view.files("recreate.py", image=image).items():
        (tmp_path / name).write_bytes(data)
    found = runpy.run_path(str(tmp_path / "recreate.py"))
    assert found["cuts"] == (CUT,)
    assert same_graphs(found["scene"], view.scene)
    assert np.array_equal(found["scene"].shown, view.scene.shown)


def test_bundle_is_the_same_in_a_zip() -> None:
    view = View("mobilevig", image="dot")
    single = replace(view.scene, layers=view.scene.layers[:1])
    data = export.bundle(single, view.exhibit, view.controls, image="dot", picture=view.source.shown)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        names = set(file.namelist())
    assert {name.split("/")[0] for name in names} == {"hyperscope-mobilevig"}
    kept = ("figures/layer_01.svg", "figures/overview.png", "interactive.html", "recreate.py", "graphs/layer_01.graphml")
    assert {f"hyperscope-mobilevig/{name}" for name in kept} <= names


def test_a_folder_that_cannot_be_written_is_refused(greedy: View, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(BadRequest, match="cannot write to"):
        export.write(greedy.scene, greedy.exhibit, greedy.controls, tmp_path / "taken")


# -------------------------------------------------------------------------------------------------------------- edges


@pytest.mark.parametrize("name", ["greedy", "pooled"])
def test_edges_agree_with_graph_and_diagnostics(name: str, request: pytest.FixtureRequest) -> None:
    layer = request.getfixturevalue(name).scene.layers[0]
    found, work = edges(layer.structures), utilisation(layer.structures["graph"], layer.structures["aggregation"])
    order = np.lexsort((found.source, found.target))
    assert np.array_equal(found.source[order], work.source)
    assert np.array_equal(found.target[order], work.target)
    assert found.share is not None
    assert np.allclose(found.share[order], work.weight)


def test_strongest_edges_come_last(greedy: View) -> None:
    found = edges(greedy.scene.layers[0].structures)
    chosen = found.strongest(10)
    assert len(chosen) == 10
    assert found.share is not None
    assert found.share[chosen].min() >= np.delete(found.share, chosen).max()
    assert np.all(np.diff(found.share[chosen]) >= 0)
    nearest = replace(found, share=None)
    assert nearest.distance is not None
    assert nearest.distance[nearest.strongest(10)].max() <= np.delete(nearest.distance, nearest.strongest(10)).min()
    blind = replace(nearest, distance=None).strongest(10)
    assert len(set(blind.tolist())) == 10
    assert len(found.strongest(0)) == 0


def test_an_empty_graph_is_said_in_words(greedy: View) -> None:
    graph = greedy.graph(1)
    empty = {"graph": graph.with_kept(torch.zeros_like(graph.kept))}
    for figure in (graph_figure(greedy.scene.shown, empty, "t", "c"), overview_figure(greedy.scene.shown, [("one", empty)], "t", "c")):
        assert b"no edge" in files_of(figure)["svg"]


def test_an_overview_draws_fewer_lines(greedy: View) -> None:
    layer = greedy.scene.layers[0]
    (axes, *_) = overview_figure(greedy.scene.shown, [("one", layer.structures)], "t", "c").axes
    inside_or_twice = sum(len(lines.get_segments()) for lines in axes.collections)
    assert FEW_EDGES <= inside_or_twice / 2 <= 2 * FEW_EDGES
