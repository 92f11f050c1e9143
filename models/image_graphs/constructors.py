"""Graph constructors: features of patches in, a PatchGraph out. One module per rule.

    DilatedKNN       every k-th of the k·d nearest patches in feature space            ViG
    AxialStatic      every K-th patch of the own row and column (SVGA)                 MobileViG
    AxialDynamic     of these, the ones closer than mean − λ·std (DAGC)                GreedyViG
    Grid8, RandomRegular, Radius, MutualKNN                                            plain controls

All distances are computed in float32 whatever the precision around them, without gradient (none of the papers sends a
gradient through the choice), and in slices, so that memory stays bounded at large grids.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.image_graphs.aggregate import to_nodes
from models.structures import PatchGraph, Rule

Grid = tuple[int, int]
_SLICE = 1 << 24  # entries of a distance slice held at once (64 MiB of float32)
_IN_CACHE = 1 << 18  # entries of a feature slice that a core keeps close (1 MiB of float32): two to five times faster than whole batches


class Constructor(nn.Module):
    """Base: turns [B, C, H, W] features into a PatchGraph, in float32, without gradient."""

    def forward(self, x: Tensor, keys: Tensor | None = None, position: Tensor | None = None) -> PatchGraph:
        """x [B, C, H, W]; keys [B, C, h, w] if sources are pooled; position [1, N, M] added to the distance."""
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            return self.build(x.float(), None if keys is None else keys.float(), position)

    def build(self, x: Tensor, keys: Tensor | None, position: Tensor | None) -> PatchGraph:
        raise TypeError(f"{type(self).__name__} does not define build()")


# ---------------------------------------------------------------------------------------------------------------- KNN


def squared_distances(queries: Tensor, keys: Tensor, position: Tensor | None = None) -> Tensor:
    """‖a − b‖² = ‖a‖² − 2⟨a, b⟩ + ‖b‖² (+ position): queries [B, n, C], keys [B, M, C] → [B, n, M]."""
    inner = torch.baddbmm(keys.square().sum(-1)[:, None, :], queries, keys.transpose(1, 2), alpha=-2)
    distance = inner + queries.square().sum(-1, keepdim=True)
    return distance if position is None else distance + position


def unit(nodes: Tensor) -> Tensor:
    """Each node divided by its Euclidean length, at least 1e-12."""
    return F.normalize(nodes, dim=-1, eps=1e-12)


def nearest(queries: Tensor, keys: Tensor, count: int, position: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The `count` nearest keys of every query, nearest first: distances and indices, both [B, N, count]."""
    batch, n, _ = queries.shape
    step = max(1, _SLICE // (batch * keys.shape[1]))
    parts = []
    for start in range(0, n, step):
        bias = None if position is None else position[:, start : start + step]
        distance = squared_distances(queries[:, start : start + step], keys, bias)
        parts.append(distance.topk(count, largest=False, sorted=True))
    return torch.cat([p.values for p in parts], 1), torch.cat([p.indices for p in parts], 1)


class DilatedKNN(Constructor):
    """The k·d nearest patches in the unit-normalised feature space, of which positions 0, d, 2d, … are kept.

    Without a position term the patch itself is always the first of them.

    Args:
        k: neighbours kept.
        dilation: stride d through the sorted list.
        include_self: False leaves the patch itself out of the list (the swappable family); ViG keeps it.
        horizon: in evaluation mode the list is at least this long, so that a larger k or d can be looked at later.
    """

    def __init__(self, k: int, dilation: int = 1, include_self: bool = True, horizon: int = 48) -> None:
        super().__init__()
        if k < 1 or dilation < 1:
            raise ValueError(f"k is {k} and dilation is {dilation}; both must be at least 1")
        self.k, self.dilation, self.include_self, self.horizon = k, dilation, include_self, horizon

    def build(self, x: Tensor, keys: Tensor | None, position: Tensor | None) -> PatchGraph:
        queries = unit(to_nodes(x))
        sources = queries if keys is None else unit(to_nodes(keys))
        reach, available = self.k * self.dilation, sources.shape[1]
        spare = 0 if self.include_self or keys is not None else 1
        if reach + spare > available:
            raise ValueError(
                f"k·dilation = {self.k}·{self.dilation} = {reach} exceeds the number of patches to choose from ({available - spare})"
            )
        count = reach + spare if self.training else min(available, max(reach, self.horizon) + spare)
        distance, index = nearest(queries, sources, count, position)
        if spare:
            distance, index = _without_self(distance, index)
        columns = slice(0, reach, self.dilation)
        kept = torch.zeros(1, 1, index.shape[2], dtype=torch.bool, device=x.device)
        kept[..., columns] = True
        return PatchGraph(
            candidates=index,
            kept=kept.expand(1, index.shape[1], -1),
            grid=(x.shape[2], x.shape[3]),
            key_grid=(x.shape[2], x.shape[3]) if keys is None else (keys.shape[2], keys.shape[3]),
            rule=Rule("nearest", {"k": self.k, "dilation": self.dilation}),
            distance=distance,
            position=None if position is None else position.expand(index.shape[0], -1, -1).gather(2, index),
            features=x,
            columns=columns,
        )


def _without_self(distance: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Drop each patch from its own sorted list (or the last entry where it is not in the list)."""
    n = index.shape[1]
    own = index == torch.arange(n, device=index.device)[None, :, None]
    own[..., -1] |= ~own.any(-1)
    shape = (*index.shape[:2], index.shape[2] - 1)
    return distance[~own].view(shape), index[~own].view(shape)


class MutualKNN(Constructor):
    """Nearest neighbours that are nearest neighbours of each other; the graph is undirected."""

    def __init__(self, k: int, horizon: int = 48) -> None:
        super().__init__()
        self.knn, self.k = DilatedKNN(k, include_self=False, horizon=horizon), k

    def build(self, x: Tensor, keys: Tensor | None, position: Tensor | None) -> PatchGraph:
        graph = self.knn(x)
        batch, n, width = graph.candidates.shape
        k = min(self.k, width)
        code = torch.arange(n, device=x.device)[None, :, None]
        forward = (code * n + graph.candidates)[..., :k].reshape(batch, -1).sort(-1).values
        backward = (graph.candidates * n + code)[..., :k].reshape(batch, -1)
        found = torch.searchsorted(forward, backward).clamp(max=forward.shape[1] - 1)
        kept = torch.zeros(batch, n, width, dtype=torch.bool, device=x.device)
        kept[..., :k] = (forward.gather(1, found) == backward).view(batch, n, k)
        return PatchGraph(
            graph.candidates, kept, graph.grid, graph.key_grid, Rule("mutual-nearest", {"k": self.k}), graph.distance, features=x
        )


class Radius(Constructor):
    """All patches within a distance ε of the unit-normalised features, at most `limit` of them, nearest first."""

    def __init__(self, epsilon: float, limit: int = 48) -> None:
        super().__init__()
        self.epsilon, self.limit = epsilon, limit

    def build(self, x: Tensor, keys: Tensor | None, position: Tensor | None) -> PatchGraph:
        nodes = unit(to_nodes(x))
        count = min(self.limit + 1, nodes.shape[1])
        distance, index = _without_self(*nearest(nodes, nodes, count))
        grid = (x.shape[2], x.shape[3])
        rule = Rule("radius", {"epsilon": self.epsilon, "limit": self.limit})
        return PatchGraph(index, distance <= self.epsilon**2, grid, grid, rule, distance, features=x)


# -------------------------------------------------------------------------------------------------------------- axial


def axial_candidates(grid: Grid, step: int, device: torch.device | None = None) -> Tensor:
    """Sources of every patch along its column, then along its row: ((r − s) mod H, c), then (r, (c − s) mod W).

    s = step, 2·step, … below the side length; the patch itself (s = 0) is left out. → [N, S] int64.
    """
    height, width = grid
    row = torch.arange(height, device=device)[:, None, None]
    col = torch.arange(width, device=device)[None, :, None]
    down = torch.arange(step, max(step, height), step, device=device)
    across = torch.arange(step, max(step, width), step, device=device)
    vertical = ((row - down) % height) * width + col
    horizontal = row * width + (col - across) % width
    return torch.cat([vertical.expand(height, width, -1), horizontal.expand(height, width, -1)], -1).flatten(0, 1)


class AxialStatic(Constructor):
    """Sparse vision graph attention (SVGA): every `step`-th patch of the own row and column, rolled across the border.

    The graph depends on the size of the grid alone. On an odd side it is directed; on an even side it falls into
    gcd(step, H)·gcd(step, W) pieces.
    """

    def __init__(self, step: int = 2) -> None:
        super().__init__()
        if step < 1:
            raise ValueError(f"step is {step}; it must be at least 1")
        self.step = step

    def build(self, x: Tensor, keys: Tensor | None, position: Tensor | None) -> PatchGraph:
        grid = (x.shape[2], x.shape[3])
        index = axial_candidates(grid, self.step, x.device)[None]
        if index.shape[2] == 0:
            raise ValueError(
                f"a grid of {grid[0]} × {grid[1]} patches has no neighbour at step {self.step}; it needs a side longer than {self.step}"
            )
        kept = torch.ones(1, 1, 1, dtype=torch.bool, device=x.device).expand(index.shape)
        return PatchGraph(index, kept, grid, grid, Rule("axial", {"step": self.step}), features=x, columns=slice(None))


def half_roll_distance(x: Tensor, p: int = 1) -> Tensor:
    """Distance of every patch to the one half a grid away in both directions (quadrants swapped), → [B, H, W].

    H·W pairs at most stand for all N·(N−1)/2: the cheap sample from which DAGC estimates what a typical distance is.
    """
    half = (-(-x.shape[2] // 2), -(-x.shape[3] // 2))
    return _norm(x - torch.roll(x, half, (2, 3)), p, 1)


def _norm(difference: Tensor, p: int, axis: int) -> Tensor:
    """L1 or L2 length along one axis; overwrites its argument. Twice as fast here as torch.linalg.vector_norm."""
    return difference.abs_().sum(axis) if p == 1 else difference.square_().sum(axis).sqrt_()


def pair_statistics(nodes: Tensor, p: int = 1) -> tuple[Tensor, Tensor]:
    """Exact mean and standard deviation of the distance over all pairs of patches, [B] each. nodes [B, N, C]."""
    n = nodes.shape[1]
    upper = torch.triu_indices(n, n, 1, device=nodes.device)
    both = [torch.cdist(one, one, p=p)[upper[0], upper[1]] for one in nodes]
    return torch.stack([d.mean() for d in both]), torch.stack([d.std() for d in both])


class AxialDynamic(Constructor):
    """Dynamic axial graph construction (DAGC): an axial candidate is kept when it is closer than mean − λ·std.

    Mean and (unbiased) standard deviation belong to one picture and come from `half_roll_distance`. The published rule
    has λ = 1, p = 1 and compares strictly: with cv = std/mean ≥ 1 no edge survives.

    Args:
        step: K, every K-th patch of the row and column is a candidate.
        multiplier: λ.
        p: order of the norm, 1 as released or 2 as written in the paper.
        exact: take mean and std over all pairs instead (N²/2 distances, a switch to learn from).
    """

    def __init__(self, step: int, multiplier: float = 1.0, p: int = 1, exact: bool = False) -> None:
        super().__init__()
        if step < 1:
            raise ValueError(f"step is {step}; it must be at least 1")
        if p not in (1, 2):
            raise ValueError(f"p is {p}; the distance is L1 (p = 1) or L2 (p = 2)")
        self.step, self.multiplier, self.p, self.exact = step, multiplier, p, exact

    def build(self, x: Tensor, keys: Tensor | None, position: Tensor | None) -> PatchGraph:
        batch, _, height, width = x.shape
        if height < 2 or width < 2:
            raise ValueError(
                f"a grid of {height} × {width} patches is too small: mean and deviation need at least 2 × 2 patches at every stage"
            )
        index = axial_candidates((height, width), self.step, x.device)
        distance = self._candidate_distances(x)
        if self.exact:
            mean, std = pair_statistics(to_nodes(x), self.p)
        else:
            sample = half_roll_distance(x, self.p).flatten(1)
            mean, std = sample.mean(1), sample.std(1)
        threshold = mean - self.multiplier * std
        settings = {"step": self.step, "multiplier": self.multiplier, "p": self.p, "exact": self.exact}
        return PatchGraph(
            candidates=index[None],
            kept=distance < threshold[:, None, None],
            grid=(height, width),
            key_grid=(height, width),
            rule=Rule("axial-threshold", settings, {"mean": mean, "std": std}),
            distance=distance,
            features=x,
        )

    def _candidate_distances(self, x: Tensor) -> Tensor:
        """[B, N, S] distances in the order of `axial_candidates`, a few pictures at a time so that they stay in the cache."""
        last = x.permute(0, 2, 3, 1).contiguous()
        few = max(1, _IN_CACHE // last[0].numel())
        return torch.cat([self._distances_of(part) for part in last.split(few)])

    def _distances_of(self, last: Tensor) -> Tensor:
        """[B, H, W, C] → [B, N, S]; a pair seen from both ends is computed once."""
        found: list[Tensor] = []
        difference = torch.empty_like(last)
        for axis in (1, 2):
            side, done = last.shape[axis], dict[int, Tensor]()
            for shift in range(self.step, side, self.step):
                if side - shift in done:
                    done[shift] = torch.roll(done[side - shift], shift, axis)
                else:
                    done[shift] = _norm(_rolled_difference(last, shift, axis, difference), self.p, -1)
                found.append(done[shift])
        if not found:
            return last.new_zeros(last.shape[0], last.shape[1] * last.shape[2], 0)
        return torch.stack(found, -1).flatten(1, 2)


def _rolled_difference(x: Tensor, shift: int, axis: int, out: Tensor) -> Tensor:
    """x − roll(x, shift, axis), written into `out` without making the rolled copy."""
    rest = x.shape[axis] - shift
    torch.sub(x.narrow(axis, shift, rest), x.narrow(axis, 0, rest), out=out.narrow(axis, shift, rest))
    torch.sub(x.narrow(axis, 0, shift), x.narrow(axis, rest, shift), out=out.narrow(axis, 0, shift))
    return out


# ----------------------------------------------------------------------------------------------------------- controls


class Grid8(Constructor):
    """The eight patches around each patch; fewer at the border (nothing wraps)."""

    def build(self, x: Tensor, keys: Tensor | None, position: Tensor | None) -> PatchGraph:
        height, width = grid = (x.shape[2], x.shape[3])
        row = torch.arange(height, device=x.device)[:, None, None]
        col = torch.arange(width, device=x.device)[None, :, None]
        steps = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1) if (r, c) != (0, 0)]
        down = row + torch.tensor([r for r, _ in steps], device=x.device)
        across = col + torch.tensor([c for _, c in steps], device=x.device)
        inside = (down >= 0) & (down < height) & (across >= 0) & (across < width)
        index = (down.clamp(0, height - 1) * width + across.clamp(0, width - 1)).flatten(0, 1)
        return PatchGraph(index[None], inside.flatten(0, 1)[None], grid, grid, Rule("grid"), features=x)


class RandomRegular(Constructor):
    """`degree` different random patches for every patch, the same for every picture (drawn from `seed` and the grid)."""

    def __init__(self, degree: int = 8, seed: int = 0) -> None:
        super().__init__()
        self.degree, self.seed = degree, seed
        self._drawn: dict[Grid, Tensor] = {}

    def build(self, x: Tensor, keys: Tensor | None, position: Tensor | None) -> PatchGraph:
        grid = (x.shape[2], x.shape[3])
        n = grid[0] * grid[1]
        if self.degree > n - 1:
            raise ValueError(f"degree {self.degree} exceeds the {n - 1} other patches")
        if grid not in self._drawn:
            generator = torch.Generator().manual_seed(self.seed)
            order = torch.rand(n, n - 1, generator=generator).argsort(1)[:, : self.degree]
            self._drawn[grid] = order + (order >= torch.arange(n)[:, None])
        index = self._drawn[grid].to(x.device)[None]
        kept = torch.ones(1, 1, 1, dtype=torch.bool, device=x.device).expand(index.shape)
        rule = Rule("random", {"degree": self.degree, "seed": self.seed})
        return PatchGraph(index, kept, grid, grid, rule, features=x, columns=slice(None))
