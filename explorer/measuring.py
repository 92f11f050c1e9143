"""What claims and benchmarks measure with: pictures with masks, graphs of whole networks, spread, speed.

Nothing here knows an exhibit; a claim combines these parts and says what it expects.
"""

from __future__ import annotations

import copy
import io
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from explorer import examples
from explorer.diagnostics import NotMeasurable, homophily, patch_labels
from explorer.exhibit import BadRequest
from explorer.intake import IntakeError, read_image
from models.capture import capture
from models.image_graphs import vig
from models.image_graphs.aggregate import MaxRelative, to_nodes
from models.image_graphs.constructors import AxialDynamic, AxialStatic, Constructor, DilatedKNN
from models.structures import PatchGraph
from models.zoo import Loaded, Preparation

Grid = tuple[int, int]

# ----------------------------------------------------------------------------------------------------------- numbers


@dataclass(frozen=True)
class Spread:
    """Mean and (unbiased) standard deviation of `count` values; NaN where there are too few."""

    mean: float
    sd: float
    count: int

    def __str__(self) -> str:
        if not self.count:
            return "not measurable"
        return f"{self.mean:.3f}" + (f" ± {self.sd:.3f}" if math.isfinite(self.sd) else "")


def spread(values: Iterable[float]) -> Spread:
    """Spread of the values that are finite."""
    known = np.array([v for v in values if math.isfinite(v)])
    mean = float(known.mean()) if len(known) else float("nan")
    return Spread(mean, float(known.std(ddof=1)) if len(known) > 1 else float("nan"), len(known))


def together(columns: np.ndarray) -> np.ndarray:
    """The rows of [pictures, columns] in which every column has a value, so that columns are compared pairwise."""
    return columns[np.isfinite(columns).all(1)]


# ------------------------------------------------------------------------------------------------ pictures with masks


@dataclass(frozen=True)
class Masked:
    """A square picture, uint8 [S, S, 3], and the number of the segment of each pixel, int [S, S] (0 = not annotated)."""

    name: str
    pixels: np.ndarray
    mask: np.ndarray

    def labels(self, grid: Grid) -> np.ndarray:
        """Segment of each patch, [H·W] int64; −1 where none is clear."""
        return patch_labels(self.mask, grid, void=0)


def masked_pictures(data_dir: Path | None = None) -> list[Masked]:
    """Pictures with segmentation masks.

    Args:
        data_dir: a folder that holds `coco_panoptic.npz`, or pairs `NAME.jpg` (or .png, .webp) and `NAME.mask.png`;
            None takes the pictures that ship.

    Raises:
        BadRequest: the folder holds neither form, or a file cannot be read.
    """
    if data_dir is None:
        return list(_shipped())
    for folder in (data_dir, data_dir / "coco_panoptic"):
        if (folder / "coco_panoptic.npz").is_file():
            return _panoptic(folder / "coco_panoptic.npz")
    if data_dir.is_dir() and any(data_dir.glob("*.mask.png")):
        return _pairs(data_dir)
    raise BadRequest(f"no pictures with masks in {data_dir}: expected coco_panoptic.npz, or pairs NAME.jpg and NAME.mask.png")


@lru_cache(maxsize=1)
def _shipped() -> tuple[Masked, ...]:
    found = ((one.name, examples.mask(one.name)) for one in examples.offered())
    return tuple(Masked(name, examples.picture(name), mask) for name, mask in found if mask is not None)


def _panoptic(path: Path) -> list[Masked]:
    """The COCO panoptic pack: encoded pictures and 8-bit masks end to end, with their offsets."""
    try:
        with np.load(path) as pack:
            columns = [(pack[name], pack[f"{name}_offset"]) for name in ("image", "mask")]
        decoded = [[_decoded(data, offsets, i) for i in range(len(offsets) - 1)] for data, offsets in columns]
    except (OSError, ValueError, KeyError) as error:
        raise BadRequest(f"{path} cannot be read as a panoptic pack: {error}") from None
    return [
        Masked(f"{path.stem} {i}", centre(np.asarray(image.convert("RGB"))), centre(np.asarray(mask)).astype(np.int64))
        for i, (image, mask) in enumerate(zip(*decoded, strict=True))
    ]


def _decoded(data: np.ndarray, offsets: np.ndarray, i: int) -> Image.Image:
    return Image.open(io.BytesIO(data[offsets[i] : offsets[i + 1]].tobytes()))


def _pairs(folder: Path) -> list[Masked]:
    found = []
    for mask in sorted(folder.glob("*.mask.png")):
        name = mask.name.removesuffix(".mask.png")
        pictures = [path for ending in (".jpg", ".jpeg", ".png", ".webp") if (path := folder / f"{name}{ending}").is_file()]
        if not pictures:
            raise BadRequest(f"{mask} has no picture {name}.jpg, .png or .webp beside it")
        try:
            pixels = examples.shown_square(read_image(pictures[0]))
            numbers = centre(np.asarray(Image.open(mask)))
        except (IntakeError, OSError) as error:
            raise BadRequest(f"{pictures[0].name} or its mask cannot be read: {error}") from None
        if numbers.ndim != 2:
            raise BadRequest(f"{mask} must hold one segment number per pixel (8-bit grey or palette)")
        found.append(Masked(name, pixels, numbers.astype(np.int64)))
    return found


def centre(pixels: np.ndarray) -> np.ndarray:
    """The largest centred square of [h, w, …]."""
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]


# ------------------------------------------------------------------------------------------------------------- graphs


def graphs(model: nn.Module, prepare: Preparation, pixels: np.ndarray) -> list[PatchGraph]:
    """Every patch graph that a network builds for a square uint8 picture, in order."""
    image = prepare(pixels).to(next(model.parameters()).device)
    with torch.inference_mode(), capture(model) as trace:
        model(image)
    trace.require_finite()
    return list(trace.of(PatchGraph).values())


def over_blocks(
    model: nn.Module, prepare: Preparation, pictures: Sequence[Masked], read: Callable[[PatchGraph, Masked], float]
) -> np.ndarray:
    """A number of every graph of every picture, [pictures, blocks]."""
    return np.array([[read(graph, picture) for graph in graphs(model, prepare, picture.pixels)] for picture in pictures])


def homophily_share(graph: PatchGraph, picture: Masked) -> float:
    """Share of the edges that stay inside one annotated segment (D5, h); NaN without a labelled edge."""
    return _defined(lambda: homophily(graph, picture.labels(graph.grid)).share)


def homophily_adjusted(graph: PatchGraph, picture: Masked) -> float:
    """The same against chance (D5, h_adj): 0 = chance, 1 = no edge crosses a boundary; NaN where it is not defined."""
    return _defined(lambda: homophily(graph, picture.labels(graph.grid)).adjusted)


def _defined(read: Callable[[], float]) -> float:
    try:
        return read()
    except NotMeasurable:
        return float("nan")


def without_mixing(model: nn.Module) -> nn.Module:
    """A copy of a ViG whose blocks are x + max-relative(x) and nothing else: what the graph does when no layer mixes.

    fc1, the weights of the graph convolution, fc2 and the FFN of every block are gone; stem and downsampling stay.
    """
    bare = copy.deepcopy(model)
    for part in bare.modules():
        if isinstance(part, vig.Grapher):
            part.fc1, part.graph_conv.gconv.nn, part.fc2 = nn.Identity(), nn.Identity(), _Relative()  # type: ignore[assignment]
        elif isinstance(part, vig.FFN):
            part.fc1, part.act, part.fc2 = nn.Identity(), nn.Identity(), _Nothing()  # type: ignore[assignment]
    return bare


class _Relative(nn.Module):
    """Of the interleaved channels (h, r, h, r, …) only r."""

    def forward(self, pairs: Tensor) -> Tensor:
        return pairs[:, 1::2]


class _Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def raw_features(pixels: np.ndarray, grid: Grid) -> Tensor:
    """Eight numbers per patch without any network, [1, 8, H, W]: mean and deviation of R, G, B, mean vertical and
    horizontal gradient of the brightness; each standardised over the picture.

    Args:
        pixels: uint8 [h, w, 3].
    """
    height, width = (side // cells * cells for side, cells in zip(pixels.shape[:2], grid, strict=True))
    x = pixels[:height, :width].astype(np.float64) / 255
    down, across = np.gradient(x.mean(2))
    tiles = np.concatenate([x, np.abs(down)[..., None], np.abs(across)[..., None]], 2)
    tiles = tiles.reshape(grid[0], height // grid[0], grid[1], width // grid[1], 5)
    found = np.concatenate([tiles.mean((1, 3)), tiles[..., :3].std((1, 3))], -1)
    found = (found - found.mean((0, 1))) / np.maximum(found.std((0, 1)), 1e-6)
    return torch.from_numpy(found).float().permute(2, 0, 1)[None]


# -------------------------------------------------------------------------------------------------------------- speed


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def best_seconds(
    function: Callable[[], object], budget: float = 0.6, most: int = 30, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Shortest of several runs after one to warm up: other work on the machine can only make a run longer.

    Args:
        clock: `time.process_time` counts the work of this process alone; with one thread that is its time on a free machine.
        budget: seconds after which no further run starts (there is always one).
        most: number of runs at most.
    """
    function()
    best, begun = math.inf, time.perf_counter()
    for _ in range(most):
        start = clock()
        function()
        best = min(best, clock() - start)
        if time.perf_counter() - begun > budget:
            break
    return best


def graph_operator(constructor: Constructor, x: Tensor) -> Callable[[], object]:
    """Build the graph of x [B, C, H, W] and take max-relative features along it: the whole operator of a graph block."""
    nodes, relative = to_nodes(x), MaxRelative(sign=1, floor=True)

    def run() -> object:
        with torch.inference_mode():
            return relative(nodes, nodes, constructor(x))

    return run


@lru_cache(maxsize=1)
def operator_seconds(side: int = 56, channels: int = 48) -> dict[str, tuple[float, float]]:
    """(whole operator, construction alone) in CPU seconds, one thread, one picture: all-pairs KNN (k = 9), DAGC, SVGA.

    Both axial rules take every side/7-th patch, so each patch has 12 candidates as in the released networks.
    """
    x = torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(0))
    rules = {"knn": DilatedKNN(9, horizon=0), "dagc": AxialDynamic(side // 7), "svga": AxialStatic(side // 7)}
    with threads(1):
        return {name: tuple(_cpu_seconds(run) for run in (graph_operator(rule, x), partial(rule, x))) for name, rule in rules.items()}  # type: ignore[misc]


def _cpu_seconds(function: Callable[[], object]) -> float:
    return best_seconds(function, 1.2, clock=time.process_time)


def images_per_second(model: nn.Module, shape: Sequence[int], budget: float = 1.0, clock: Callable[[], float] = time.perf_counter) -> float:
    """Pictures through a network in evaluation mode per second; `shape` [B, 3, H, W]; the rest as for `best_seconds`."""
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    model.eval()
    with torch.inference_mode():
        return shape[0] / best_seconds(lambda: model(x), budget, clock=clock)


def accuracy(loaded: Loaded) -> float:
    """Test accuracy that the model card states, in 0…1; NaN without trained weights."""
    return float(loaded.card.get("test_accuracy", "nan"))
