"""What the page, the API and the command line ask for, in one place: open, run, cut, lay out, explain."""

from __future__ import annotations

import base64
import binascii
import datetime
import gzip
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer import examples, payload, permalink, runtime, segments
from explorer.card import card
from explorer.exhibit import NO_PICTURE, BadRequest, Controls, Exhibit, Intervention, Layer, Scene
from explorer.exhibits import catalogue
from explorer.experiments import experiments
from explorer.intake import read_image
from explorer.views import view_of
from explorer.views.arrays import pack
from explorer.views.hypergraph import compared, head_maps
from explorer.views.space import LAYOUTS, layout, umap
from models.attribution import METHODS
from models.image_graphs.constructors import squared_distances, unit
from models.structures import LayerAttention, NonFiniteError, PatchGraph, SoftHypergraph

TRACES = Path(__file__).parent.parent / "assets" / "traces"
GONE = "Your picture is no longer kept here (pictures are dropped after 15 minutes). Please drop it again, or choose an example."
MAX_PAIRS = 20_000


@dataclass(frozen=True)
class Source:
    """A picture to look at: the square on show, its name ("yours" for a visitor's), who knows its segments, remarks."""

    shown: np.ndarray
    name: str
    labeller: Any
    notes: tuple[str, ...] = ()


NOTHING = Source(NO_PICTURE, "", lambda grid: None)  # of exhibits that look at something else than a picture


def exhibit(slug: Any) -> Exhibit:
    """The exhibit of this name. Raises BadRequest that lists the names there are."""
    found, missing = catalogue()
    if isinstance(slug, str) and slug in found:
        return found[slug]
    for absent in missing:
        if absent.slug == slug:
            raise BadRequest(f"the exhibit {slug!r} is unavailable here, because {absent.reason}")
    raise BadRequest(f"there is no exhibit named {_name(slug)}; there are {', '.join(found)}")


def example(name: Any) -> Source:
    """A shipped picture as a source."""
    if not isinstance(name, str) or name not in examples.examples():
        raise BadRequest(f"there is no example named {_name(name)}; there are {', '.join(examples.examples())}")
    return Source(examples.picture(name), name, segments.for_example(name))


def first(shown: Exhibit) -> Source:
    """What an exhibit looks at when nobody has chosen anything."""
    return example(shown.example) if shown.pictures else NOTHING


def _name(asked: Any) -> str:
    return repr(asked[:40]) if isinstance(asked, str) else "that"


def visitors(shown: np.ndarray, notes: Sequence[str] = ()) -> Source:
    """A visitor's picture (already through the intake) as a source."""
    return Source(shown, payload.YOURS, segments.ByColour(shown), tuple(notes))


@runtime.on_gpu(seconds=8)
def compute(slug: str, source: Source, controls: Controls, cuts: Sequence[Intervention] = ()) -> Scene:
    """Run an exhibit. Raises BadRequest when the picture or the settings cannot be shown, never a half-finished scene."""
    try:
        return exhibit(slug).run(source.shown, controls, cuts, source.labeller)
    except NonFiniteError as error:
        raise BadRequest(f"the model produced numbers that are not finite ({error}), so nothing is drawn") from None
    except ValueError as error:
        raise BadRequest(str(error)) from None


def run(
    slug: str,
    source: Source,
    controls: Controls,
    state: Mapping[str, Any] | None = None,
    notices: Sequence[str] = (),
    request: int | None = None,
) -> str:
    """Compute, keep the run for follow-up questions, and return the payload."""
    shown = exhibit(slug)
    scene = compute(slug, source, controls)
    key = runtime.RUNS.put(runtime.Run(slug, source, controls, scene, _size(scene)))
    look, remarks = None if state is None else permalink.tidy(state), (*source.notes, *notices)
    return payload.build(
        shown, scene, controls, image=source.name, run=key, state=look, notes=remarks, request=request, claims=claims(slug)
    )


def opened(slug: str, link: str | None = None, notices: Sequence[str] = ()) -> str:
    """The payload that a page opens with: a stored trace when the link asks for nothing special, else a live run."""
    shown, state = exhibit(slug), permalink.decode(link)
    notices = [*notices, *state.notices]
    image = (state.image if shown.pictures else None) or shown.example
    if shown.pictures and image not in examples.examples():
        notices.append(
            "A link cannot carry your own picture, so an example is shown instead."
            if image == payload.YOURS
            else f"There is no example named {image[:40]!r} any more."
        )
        image = shown.example
    try:
        controls = shown.controls.parse(state.controls)
    except BadRequest as error:
        notices.append(f"The settings of this link do not fit ({error}), so the usual ones are used.")
        controls = shown.controls()
    plain = image == shown.example and controls == shown.controls() and not state.look and not notices
    stored = trace(slug) if plain else None
    source = example(image) if shown.pictures else NOTHING
    return stored or run(slug, source, controls, dict(state.look) or first_look(shown), notices)


def first_look(shown: Exhibit) -> dict[str, Any]:
    """What the canvas shows before anybody touched it: the first step of the story."""
    steps = shown.story()
    return {**steps[0]["state"]["look"], "step": 0} if steps else {}


def record(slug: str) -> tuple[str, str]:
    """The first run of an exhibit as it is stored: (payload without a run id, drawing for the gallery card)."""
    shown = exhibit(slug)
    source, controls = first(shown), shown.controls()
    scene = compute(slug, source, controls)
    text = payload.build(shown, scene, controls, image=source.name, state=first_look(shown), claims=claims(slug))
    return text, card(scene, shown.story()[0]["state"]["look"])


def store_record(slug: str) -> int:
    """Store the first run of an exhibit and the drawing of its gallery card; returns the length of the payload."""
    text, drawing = record(slug)
    TRACES.mkdir(parents=True, exist_ok=True)
    (TRACES / f"{slug}.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    (TRACES / f"{slug}.svg").write_text(drawing, encoding="utf-8")
    return len(text)


def claims(slug: str) -> dict[str, Any] | None:
    """The claims of an exhibit as they were last measured and stored: {command, date, rows}; None when they never were."""
    path = TRACES / f"{slug}.claims.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def store_claims(slug: str, rows: Sequence[Mapping[str, Any]], own_pictures: bool) -> None:
    """Keep measured claims for the page, with the command and the day."""
    command = f"python -m explorer claims {slug}" + (" --data-dir DIR" if own_pictures else "")
    TRACES.mkdir(parents=True, exist_ok=True)
    found = {"command": command, "date": datetime.date.today().isoformat(), "rows": list(rows)}
    (TRACES / f"{slug}.claims.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def trace(slug: str) -> str | None:
    """The stored first run of an exhibit, or None."""
    path = TRACES / f"{slug}.json.gz"
    return gzip.decompress(path.read_bytes()).decode("utf-8") if path.exists() else None


def asked_source(data: Mapping[str, Any]) -> Source:
    """The picture that a question is about: an example by name, or the one of an earlier run; none where the exhibit takes none."""
    about = catalogue()[0].get(str(data.get("exhibit")))
    if about is not None and not about.pictures:
        return NOTHING
    image = data.get("image")
    image = image if isinstance(image, Mapping) else {}
    earlier = runtime.RUNS.get(image.get("run") or data.get("run"))
    name = image.get("example")
    if name is not None and name != payload.YOURS:
        return example(name)
    if earlier is not None:
        return earlier.picture
    raise BadRequest(GONE)


def asked_run(data: Mapping[str, Any]) -> runtime.Run:
    """The run that a follow-up question is about; an example is run again when it is no longer kept."""
    found = runtime.RUNS.get(data.get("run"))
    if found is not None:
        return found
    shown, source = exhibit(data.get("exhibit")), asked_source(data)
    controls = shown.controls.parse(data.get("controls"))
    scene = compute(shown.slug, source, controls)
    return runtime.Run(shown.slug, source, controls, scene, _size(scene))


def ask(data: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one of the exhibit's own questions."""
    found, question = asked_run(data), data.get("question")
    asked = _named(exhibit(found.exhibit).questions, question, "question")
    try:
        return {"question": question, "result": payload.plain(asked(found.scene, found.controls, data))}
    except (NonFiniteError, ValueError) as error:
        raise BadRequest(str(error)) from None


def stream(data: Mapping[str, Any], stopped: Callable[[], bool]) -> Generator[dict[str, Any], None, None]:
    """The answers of one of the exhibit's own streams, one after the other; the last is told again with the reason why there are no more.

    Args:
        stopped: asked before every answer; True ends the stream.
    """
    found, question = asked_run(data), data.get("question")
    shown = exhibit(found.exhibit)
    frames = _named(shown.streams, question, "stream")(found.scene, found.controls, data)
    ends, frame, reason, told = time.monotonic() + shown.stream_seconds, 0, "end", None
    try:
        for result in frames:
            told = payload.plain(result)
            yield {"question": question, "frame": frame, "result": told, "done": False}
            frame += 1
            if stopped() or time.monotonic() > ends:
                reason = "stopped" if stopped() else "time"
                break
    except (NonFiniteError, ValueError) as error:
        raise BadRequest(str(error)) from None
    finally:
        frames.close()
    yield {"question": question, "frame": frame, "result": told, "done": True, "reason": reason}


def _named(known: Mapping[str, Any], asked: Any, what: str) -> Any:
    if not isinstance(asked, str) or asked not in known:
        raise BadRequest(f"this exhibit has no {what} named {_name(asked)}; there {'are ' + ', '.join(known) if known else 'is none'}")
    return known[asked]


def cut(data: Mapping[str, Any]) -> dict[str, Any]:
    """Predict again without the edges that the visitor removed."""
    before = asked_run(data)
    cuts = _interventions(data.get("cuts"), exhibit(before.exhibit).cuts)
    after = compute(before.exhibit, before.picture, before.controls, cuts)
    result: dict[str, Any] = {"prediction": [[n, p] for n, p in after.prediction], "note": _cut_note(before.scene, after)}
    if "detections" in after.extras:
        result["detections"] = payload.plain(after.extras["detections"])
    if "predictions" in after.extras:
        result["predictions"] = {k: [[n, p] for n, p in v] for k, v in after.extras["predictions"].items()}
    return result


def bundle(data: Mapping[str, Any]) -> dict[str, Any]:
    """Everything to take home as one zip file, in base64."""
    from explorer import export  # matplotlib is imported when somebody takes something home

    found = asked_run(data)
    cuts = _interventions(data.get("cuts") or [], exhibit(found.exhibit).cuts)
    scene = compute(found.exhibit, found.picture, found.controls, cuts) if cuts else found.scene
    packed = export.bundle(scene, exhibit(found.exhibit), found.controls, image=found.picture.name, picture=found.picture.shown, cuts=cuts)
    name = "-".join(filter(None, ("hyperscope", found.exhibit, found.picture.name)))
    return {"name": f"{name}.zip", "data": base64.b64encode(packed).decode("ascii")}


def experiment(data: Mapping[str, Any]) -> dict[str, Any]:
    """Stability, reach and cuts of one layer's graph: a handful of further runs."""
    found = asked_run(data)
    _, name = _graph(found.scene, data.get("layer"))
    number = [layer.name for layer in found.scene.layers].index(name)
    key = ("experiments", name)
    with found.lock:
        if key not in found.memo:

            def again(picture: np.ndarray, cuts: Sequence[Intervention]) -> Scene:
                return compute(found.exhibit, replace(found.picture, shown=picture), found.controls, cuts)

            found.memo[key] = experiments(again, found.scene, number, found.picture.shown)
    return {"layer": data.get("layer"), "measures": payload.plain(found.memo[key])}


def lay_out(data: Mapping[str, Any]) -> dict[str, Any]:
    """Coordinates of the patches of one layer by a graph layout or UMAP."""
    found = asked_run(data)
    method = data.get("method")
    asked = _layer(found.scene, data.get("layer"))
    held = asked.structures.get("hypergraph")
    if isinstance(held, SoftHypergraph):
        return _beside_prototypes(found, held, asked.name, data)
    graph, name = _graph(found.scene, data.get("layer"))
    if method not in (*LAYOUTS, "umap"):
        raise BadRequest(f"the layout must be one of {', '.join((*LAYOUTS, 'umap'))}")
    key = ("layout", name, method)
    with found.lock:
        if key not in found.memo:
            try:
                features = None if graph.features is None else graph.features[0].flatten(1).T.float().cpu().numpy()
                found.memo[key] = umap(features) if method == "umap" and features is not None else layout(graph, method)
            except ValueError as error:
                raise BadRequest(str(error)) from None
            except ImportError as error:
                raise BadRequest(f"{method} is unavailable here, because a package is missing ({error.name})") from None
    return {"layer": data.get("layer"), "method": method, "points": pack(found.memo[key], "f32")}


def _beside_prototypes(found: runtime.Run, held: SoftHypergraph, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """UMAP of the patches of a hypergraph layer together with its prototypes and what was learned of them: [H·W + M + M, 2]."""
    vectors = compared(held)
    if vectors is None or data.get("method") != "umap":
        raise BadRequest("the layout must be umap, of a layer that compares its patches with prototypes")
    key = ("layout", name, "umap")
    with found.lock:
        if key not in found.memo:
            try:
                found.memo[key] = umap(vectors)
            except ImportError as error:
                raise BadRequest(f"umap is unavailable here, because a package is missing ({error.name})") from None
    return {"layer": data.get("layer"), "method": "umap", "points": pack(found.memo[key], "f32")}


def attribution(data: Mapping[str, Any]) -> dict[str, Any]:
    """Where the model looks for one class."""
    found = asked_run(data)
    shown = exhibit(found.exhibit)
    if shown.explain is None:
        raise BadRequest("this exhibit has no attribution")
    best = found.scene.prediction[0][0] if found.scene.prediction else None
    method, label = data.get("method"), data.get("label") or best
    if not isinstance(label, str):
        raise BadRequest("the label must be the name of a class")
    if method not in METHODS:
        raise BadRequest(f"the method must be one of {', '.join(METHODS)}")
    name = _layer(found.scene, data.get("layer")).name
    try:
        result = shown.explain(found.picture.shown, found.controls, method, label, name)
        result.require_finite("the attribution")
    except (NonFiniteError, ValueError) as error:
        raise BadRequest(str(error)) from None
    except ImportError as error:
        raise BadRequest(f"attributions are unavailable here, because a package is missing ({error.name})") from None
    return {"method": method, "label": label, "layer": data.get("layer"), "map": pack(result.map.numpy(), "f32")}


def answer_api(slug: str, image: str | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """One run as plain JSON: prediction, and per layer the rule, the edges and the diagnostics.

    Args:
        image: name of an example, or a picture's bytes in base64 (also as a data URI); None where the exhibit takes none.
    """
    shown = exhibit(slug)
    controls = shown.controls.parse(settings)
    if not shown.pictures:
        source = NOTHING
    else:
        source = example(image) if isinstance(image, str) and image in examples.examples() else _from_base64(image)
    scene = compute(slug, source, controls)
    layers = []
    for layer in scene.layers:
        row: dict[str, Any] = {"name": layer.name, "label": layer.label, "diagnostics": scene.measures.get(layer.name, ())}
        found = view_of(layer.structures)
        if found is not None:
            row |= {"kind": found[0].kind} | found[0].numbers(found[1])
        layers.append(row)
    result = payload.plain(
        {
            "exhibit": slug,
            "controls": controls.model_dump(),
            "prediction": scene.prediction,
            "layers": layers,
            "notes": [*source.notes, *scene.notes],
        }
    )
    return dict(result)


def _from_base64(text: Any) -> Source:
    if not isinstance(text, str) or len(text) > 12_000_000:
        raise BadRequest(f"image must be the name of an example ({', '.join(examples.examples())}) or a picture of at most 8 MB in base64")
    try:
        data = base64.b64decode(text.split(",", 1)[-1] if text.startswith("data:") else text, validate=True)
    except (ValueError, binascii.Error):
        raise BadRequest(f"image is neither the name of an example ({', '.join(examples.examples())}) nor valid base64") from None
    photo = read_image(data)
    return visitors(examples.shown_square(photo), photo.notes)


def look_up(data: Any) -> dict[str, Any] | None:
    """Answers that need no model, {values}; None when the run is gone or the question means nothing there.

    "progress" {token}: {done, of}, layers that are done of the run under way with that name (`runtime.STEPS`).

    "row": the distances of one patch to every key, [M]. "heads": log₂ of the maps that each head of a hypergraph layer alone would
    have drawn, [heads, H·W, M]; of a transformer's layer, the attention that each patch receives in each head, [heads, N].
    "attention": what one patch of a transformer's layer looks at, mean over the heads, [N].
    """
    question = data.get("question") if isinstance(data, Mapping) else None
    if question == "progress":
        return _progress(data.get("token"))
    if not isinstance(question, str) or question not in _ANSWERS:
        return None
    found = runtime.RUNS.get(data.get("run"))
    if found is None:
        return None
    try:
        values = _ANSWERS[question](_layer(found.scene, data.get("layer")), data)
    except BadRequest:
        return None
    return None if values is None else {"values": values}


def _progress(token: Any) -> dict[str, Any] | None:
    found = runtime.STEPS.get(token)
    return None if found is None else {"done": found[0], "of": found[1]}


def _row_answer(layer: Layer, data: Mapping[str, Any]) -> dict[str, Any] | None:
    graph, patch = layer.structures.get("graph"), data.get("patch")
    if not isinstance(graph, PatchGraph) or type(patch) is not int or not 0 <= patch < graph.grid[0] * graph.grid[1]:
        return None
    row = _row(graph, patch)
    return None if row is None else pack(row.numpy(), "f32")


def _heads_answer(layer: Layer, data: Mapping[str, Any]) -> dict[str, Any] | None:
    seen = layer.structures.get("attention")
    if isinstance(seen, LayerAttention):
        return pack(seen.heads[0].float().numpy(), "f32")
    found = layer.structures.get("hypergraph")
    return head_maps(found) if isinstance(found, SoftHypergraph) else None


def _attention_answer(layer: Layer, data: Mapping[str, Any]) -> dict[str, Any] | None:
    seen, patch = layer.structures.get("attention"), data.get("patch")
    if not isinstance(seen, LayerAttention) or seen.fused is None or type(patch) is not int or not 0 <= patch < seen.grid[0] * seen.grid[1]:
        return None
    return pack(seen.fused[0, seen.prefix + patch, seen.prefix :].float().numpy(), "f32")


_ANSWERS: Mapping[str, Callable[[Layer, Mapping[str, Any]], dict[str, Any] | None]] = {
    "row": _row_answer,
    "heads": _heads_answer,
    "attention": _attention_answer,
}


def _row(graph: PatchGraph, patch: int) -> Tensor | None:
    """Distance of a patch to every key as the rule measures it, [M]; None where the graph does not tell."""
    keys = graph.key_grid[0] * graph.key_grid[1]
    if graph.distance is not None and graph.candidates.shape[2] == keys:
        return torch.zeros(keys).scatter(0, graph.candidates[0, patch], graph.distance[0, patch].float())
    if graph.features is None or graph.pooled or graph.position is not None:
        return None
    nodes = graph.features[:1].flatten(2).transpose(1, 2).float()
    if graph.rule.name == "axial-threshold":
        return torch.linalg.vector_norm(nodes[0] - nodes[0, patch], ord=graph.rule.settings["p"], dim=-1)
    nodes = unit(nodes)
    return squared_distances(nodes[:, patch : patch + 1], nodes)[0, 0]


def _layer(scene: Scene, layer: Any) -> Layer:
    """A layer by its number or its name."""
    names = [one.name for one in scene.layers]
    index = names.index(layer) if isinstance(layer, str) and layer in names else layer
    if type(index) is not int or not 0 <= index < len(names):
        raise BadRequest(f"layer must be a number from 0 to {len(names) - 1}, or one of {', '.join(names)}")
    return scene.layers[index]


def _graph(scene: Scene, layer: Any) -> tuple[PatchGraph, str]:
    """The graph of a layer, by its number or its name, and the layer's name."""
    asked = _layer(scene, layer)
    found = asked.structures.get("graph")
    if not isinstance(found, PatchGraph):
        raise BadRequest("this layer holds no graph")
    return found, asked.name


def _interventions(listed: Any, kinds: Sequence[str]) -> list[Intervention]:
    """The visitor's cuts, checked."""
    wrong = BadRequest(f"cuts must be a list of {{layer, kind: {' or '.join(kinds)}, pairs: [[target, source], …]}}")
    if not isinstance(listed, list) or len(listed) > 64:
        raise wrong
    found = []
    for item in listed:
        if not isinstance(item, Mapping) or item.get("kind") not in kinds or not isinstance(item.get("layer"), str):
            raise wrong
        pairs = item.get("pairs")
        if not isinstance(pairs, list) or not all(map(_is_pair, pairs)):
            raise wrong
        found.append(Intervention(item["layer"], item["kind"], tuple((target, source) for target, source in pairs)))
    if sum(len(cut.pairs) for cut in found) > MAX_PAIRS:
        raise BadRequest(f"at most {MAX_PAIRS} edges can be cut at once")
    return found


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(type(n) is int and -1 <= n < 2**31 for n in pair)


def _cut_note(before: Scene, after: Scene) -> str:
    """How much the cut took away, in the words of the exhibit or else of the views."""
    if "change" in after.extras:
        return str(after.extras["change"])
    amounts: dict[str, list[int]] = {}
    for i, scene in enumerate((before, after)):
        for found in filter(None, (view_of(layer.structures) for layer in scene.layers)):
            count, what = found[0].amount(found[1])
            amounts.setdefault(what, [0, 0])[i] += count
    parts = [f"{was - now} of {was} {what} fewer" for what, (was, now) in amounts.items()]
    return f"{', '.join(parts)} over all layers (later layers are built from changed features)." if parts else ""


def _size(scene: Scene) -> int:
    tensors = [t for layer in scene.layers for s in layer.structures.values() for t in s.tensors().values()]
    return scene.shown.nbytes + sum(t.numel() * t.element_size() for t in tensors)
