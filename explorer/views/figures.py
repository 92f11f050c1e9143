"""Vector figures to take home: a patch graph over its picture, all layers at a glance, the threshold of DAGC.

Drawn with matplotlib's object interface (no pyplot, no global figure), so several visitors can be served at once.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.views.edges import Edges, edges, positions
from explorer.views.patch_graph import half_roll_sample
from models.structures import PatchGraph, Structure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_EDGES = 250  # more lines hide the picture and each other
FEW_EDGES = 100  # of a small multiple
BOW, BOW_POINTS = 0.08, 9  # height of a bow, in shares of its length
INK, BLUE, ORANGE, GREY = "#1a1a1a", "#0072b2", "#d55e00", "#9a9a9a"  # Okabe–Ito
COLOURS = "viridis"

Structures = Mapping[str, Structure]


def graph_figure(shown: np.ndarray, structures: Structures, title: str, caption: str) -> Figure:
    """The strongest edges of one layer over the picture, with legend, scale and caption.

    Args:
        shown: uint8 [S, S, 3].
        structures: "graph" and, if known, "aggregation".
        caption: the numbers, in sentences.
    """
    graph, found = _graph(structures), edges(structures)
    value, name = _scale(found)
    text = textwrap.wrap(caption, 112)
    side, below = 6.2, 0.35 + 0.16 * len(text)  # inches
    width, height = side + (1.2 if value is not None else 0.3), side + below + 0.5
    figure = _figure(width, height, layout=None)
    axes = figure.add_axes((0.15 / width, (below + 0.1) / height, side / width, side / height))
    lines = _draw(axes, shown, graph, found, MOST_EDGES, _limits([value]))
    axes.set_title(title, fontsize=12, loc="left", color=INK)
    figure.text(0.15 / width, 0.05 / height, "\n".join(text), fontsize=8, va="bottom", color=INK, linespacing=1.35)
    handles = _legend(found)
    if handles:
        place = (0.05 / width, (below + 0.1) / height)
        figure.legend(handles=handles, loc="upper left", bbox_to_anchor=place, frameon=False, fontsize=9, ncols=2)
    if lines is not None:
        bar = figure.colorbar(lines, cax=figure.add_axes(((side + 0.3) / width, (below + 0.1) / height, 0.16 / width, side / height)))
        bar.set_label(name, fontsize=9)
        bar.ax.tick_params(labelsize=8)
    return figure


def overview_figure(shown: np.ndarray, layers: Sequence[tuple[str, Structures]], title: str, caption: str) -> Figure:
    """Every layer as a small multiple; one colour scale for all of them where they share a unit."""
    columns = min(3, max(len(layers), 1))
    rows = -(-len(layers) // columns)
    figure = _figure(3.4 * columns + 0.6, 3.75 * rows + 0.9, layout="compressed")
    found = [edges(structures) for _, structures in layers]
    scales = [_scale(one) for one in found]
    shared = len({name for value, name in scales if value is not None}) == 1 and all(one.share is not None for one in found)
    limits = _limits([value for value, _ in scales]) if shared else None
    lines, all_axes = None, []
    for i, ((label, structures), one) in enumerate(zip(layers, found, strict=True)):
        axes = figure.add_subplot(rows, columns, i + 1)
        own = limits or _limits([scales[i][0]])
        lines = _draw(axes, shown, _graph(structures), one, FEW_EDGES, own) or lines
        axes.set_title(f"{label}\n{_count(len(one))} edges, {_count(min(FEW_EDGES, len(one)))} drawn", fontsize=9, color=INK)
        all_axes.append(axes)
    if shared and lines is not None:
        figure.colorbar(lines, ax=all_axes, fraction=0.02, pad=0.02).set_label(next(n for v, n in scales if v is not None), fontsize=9)
    figure.suptitle(title, fontsize=12, x=0.02, ha="left", color=INK)
    _caption(figure, caption, 46 * columns)
    return figure


def threshold_figure(layers: Sequence[tuple[str, PatchGraph]], title: str, caption: str) -> Figure:
    """DAGC: distances of the half-roll sample and of the candidates, with mean, deviation and threshold, per layer."""
    figure = _figure(7.2, 2.4 * len(layers) + 1.2, layout="constrained")
    for i, (label, graph) in enumerate(layers):
        axes = figure.add_subplot(len(layers), 1, i + 1)
        _threshold(axes, label, graph)
        if i == 0:
            axes.legend(fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=12, x=0.02, ha="left", color=INK)
    _caption(figure, caption, 100)
    return figure


def files_of(figure: Figure) -> dict[str, bytes]:
    """{"png": …, "svg": …}: pixels at 150 per inch, and vectors with the text as text. Equal figures, equal bytes."""
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "hyperscope"}):
        found = {}
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            stream = io.BytesIO()
            figure.savefig(stream, format=kind, dpi=150, metadata=metadata, facecolor="white")
            found[kind] = stream.getvalue()
    return found


# ------------------------------------------------------------------------------------------------------------- pieces


def _figure(width: float, height: float, layout: Any) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def _graph(structures: Structures) -> PatchGraph:
    graph = structures["graph"]
    assert isinstance(graph, PatchGraph)
    return graph


def _scale(found: Edges) -> tuple[np.ndarray | None, str]:
    """What colour means, and its name."""
    if found.share is not None:
        return found.share, "share of the channels that the edge won"
    return found.distance, "distance that the rule compared (smaller is closer)"


def _limits(values: Sequence[np.ndarray | None]) -> tuple[float, float]:
    """From 0 (or the smallest, if negative) to the largest value."""
    known = [value for value in values if value is not None and len(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(0.0, *(float(v.min()) for v in known)), max(float(v.max()) for v in known)
    return low, high if high > low else low + 1


def _draw(axes: Axes, shown: np.ndarray, graph: PatchGraph, found: Edges, most: int, limits: tuple[float, float]) -> Any:
    """Picture, faint grid, edges; returns the coloured lines, or None where colour means nothing."""
    axes.imshow(shown, extent=(0, 1, 1, 0), interpolation="none")
    for cells, line in ((graph.grid[0], axes.axhline), (graph.grid[1], axes.axvline)):
        for i in range(1, cells):
            line(i / cells, color="white", linewidth=0.3, alpha=0.25)
    axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[], aspect="equal")
    if not len(found):
        axes.text(0.5, 0.5, "no edge", ha="center", va="center", fontsize=14, color="white", backgroundcolor=INK)
        return None
    chosen = found.strongest(most)
    inside, across = chosen[~found.wraps[chosen]], chosen[found.wraps[chosen]]
    value = _scale(found)[0]
    source, target = positions(graph.key_grid)[found.source], positions(graph.grid)[found.target]
    lines = _lines(axes, _bows(source[inside], target[inside]), None if value is None else value[inside], limits, "solid")
    out, back = _rolled(source[across], target[across])
    dashed = _lines(axes, np.concatenate([out, back]), None if value is None else np.tile(value[across], 2), limits, (0, (3, 2)))
    return dashed if lines is None else lines


def _lines(axes: Axes, segments: np.ndarray, value: np.ndarray | None, limits: tuple[float, float], style: Any) -> Any:
    from matplotlib.collections import LineCollection

    if not len(segments):
        return None
    axes.add_collection(LineCollection(list(segments), colors="black", alpha=0.3, linewidths=2.0, linestyles="solid"))
    if value is None:
        axes.add_collection(LineCollection(list(segments), colors="#f0e442", linewidths=0.9, linestyles=style))
        return None
    lines = LineCollection(list(segments), array=value, cmap=COLOURS, linewidths=1.1, linestyles=style)
    lines.set_clim(*limits)
    axes.add_collection(lines)
    return lines


def _bows(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A slightly bowed line from each source to its target, [E, 2] each → [E, P, 2]: edges along one row stay apart."""
    along = np.linspace(0, 1, BOW_POINTS)[None, :, None]
    step = (target - source)[:, None]
    sideways = np.stack([-step[..., 1], step[..., 0]], -1)
    return source[:, None] + along * step + BOW * 4 * along * (1 - along) * sideways


def _rolled(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An edge across the border as two bows that the frame clips: one leaves the picture, one comes back in."""
    shift = np.where(np.isclose(source, target), 0.0, 1.0)  # the axis along which the picture was rolled
    return _bows(source - shift, target), _bows(source, target + shift)


def _legend(found: Edges) -> list[Any]:
    from matplotlib.lines import Line2D

    drawn = min(MOST_EDGES, len(found))
    if not drawn:
        return []
    part = f"all {_count(drawn)}" if drawn == len(found) else f"the strongest {_count(drawn)} of {_count(len(found))}"
    if drawn < len(found) and found.share is None and found.distance is None:
        part = f"{_count(drawn)} of {_count(len(found))}"
    handles = [Line2D([], [], color=BLUE, label=f"a patch listens to another ({part})")]
    if found.wraps[found.strongest(MOST_EDGES)].any():
        handles.append(Line2D([], [], color=BLUE, linestyle="--", label="the same across the border (roll)"))
    return handles


def _threshold(axes: Axes, label: str, graph: PatchGraph) -> None:
    statistics, settings = graph.rule.statistics, graph.rule.settings
    mean, std = float(statistics["mean"][0]), float(statistics["std"][0])
    multiplier = float(settings.get("multiplier", 1.0))
    level, strictness = mean - multiplier * std, "" if multiplier == 1 else f"{multiplier:g} "
    sample = half_roll_sample(graph)
    assert graph.distance is not None
    candidates = graph.distance[0].flatten().float().cpu().numpy()
    top = float(max(sample.max(initial=0), candidates.max(initial=0), mean + std)) or 1.0
    bins = list(np.linspace(min(0.0, level), top, 50))
    axes.hist(sample, bins, weights=_percent(sample), color=GREY, label="pairs half a picture apart")
    axes.hist(candidates, bins, weights=_percent(candidates), histtype="step", color=BLUE, linewidth=1.2, label="candidates")
    axes.axvspan(mean - std, mean + std, color=ORANGE, alpha=0.1, label="mean μ ± deviation σ")
    axes.axvline(mean, color=ORANGE, linewidth=1)
    axes.axvline(level, color=INK, linewidth=1.4, linestyle="--", label="threshold τ")
    kept = int(graph.kept[0].sum())
    fate = "no edge can survive" if level <= 0 else f"{_count(kept)} of {_count(len(candidates))} candidates kept"
    axes.set_title(
        f"{label}: μ {mean:.2f}, σ {std:.2f}, cv {std / mean if mean else float('nan'):.2f}, "
        f"τ = μ − {strictness}σ = {level:.2f}; {fate}",
        fontsize=9, loc="left",
    )  # fmt: skip
    axes.set_xlabel(f"L{settings.get('p', 1)} distance between the features of two patches", fontsize=8)
    axes.set_ylabel("% of the pairs", fontsize=8)
    axes.tick_params(labelsize=8)


def _percent(values: np.ndarray) -> np.ndarray:
    return np.full(len(values), 100 / max(len(values), 1))


def _caption(figure: Figure, text: str, width: int) -> None:
    """Under the axes, so that the constrained layout leaves room for it."""
    figure.supxlabel(textwrap.fill(text, width), fontsize=8, x=0.02, ha="left", color=INK, multialignment="left")


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u2009")
