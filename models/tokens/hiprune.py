"""HiPrune: keep the patches that a vision encoder itself attends to, drop the rest before the language model.

Liu et al., "HiPrune: Training-Free Visual Token Pruning via Hierarchical Attention in Vision-Language Models", arXiv
2508.00553 (ACL 2026 Findings); released code Danielement321/HiPrune (MIT).

A patch's score in a layer is the attention that it receives, averaged over heads and over all queries (eq. 2). Of a budget of
n patches, round(n·α/5) are *anchors*, the highest of a middle "object" layer (eq. 4); *buffers* are their four neighbours
(eq. 5); *registers*, the highest of a deep layer among the rest, fill the budget (eq. 7). Nothing is trained. HiPrune++ gives
a part of the registers' share to the patches that are most like the prompt.

    maps = encoder(encoder.prepare(pixels))
    selection = HiPrune(tokens=192)(maps)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.structures import AttentionMaps, NonFiniteError, TokenSelection
from models.structures.tokens import PRUNED

Grid = tuple[int, int]

EDGES = ("clamp", "drop", "grid")
LLAVA_BUDGETS = (192, 128, 64)  # of 576 patches
LLAVA_NEXT_BUDGETS = (640, 320, 160)  # of 2880, over all tiles
QWEN_RATIOS = (0.334, 0.223, 0.112)
PROMPT_SHARE = 0.1  # beta of HiPrune++


# ------------------------------------------------------------------------------------------------------------- scores


def received_attention(attention: Tensor, prefix: int = 1) -> Tensor:
    """Score of each patch from the full attention of one layer, in the order of operations of the released LLaVA code.

    Args:
        attention: softmax attention, rows are queries, [B, H, T, T].
        prefix: tokens before the patches. They count as queries and not as keys.

    Returns:
        [B, T − prefix] float32. Attention that is spread evenly gives 1/T.
    """
    return attention.float().mean(1).mean(1)[:, prefix:]


def received_in_windows(windows: Sequence[Tensor], order: Tensor, unit: int = 4) -> Tensor:
    """Score of each merged token of Qwen2.5-VL's tower in one layer, in the order of operations of the released code.

    Windows differ in size, so the queries are summed, not averaged.

    Args:
        windows: softmax attention of each window, [B, H, t, t]; a full-attention layer is one window.
        order: raster index of each merged token in the order in which the tower keeps them, [N].
        unit: patches that are merged into one token, consecutive in the tower.

    Returns:
        [B, N] float32 in raster order. Attention that is spread evenly gives 1.
    """
    received = torch.cat([attention.float().mean(1).sum(1) for attention in windows], -1)
    return received.unflatten(-1, (-1, unit)).mean(-1)[:, order.argsort()]


# ---------------------------------------------------------------------------------------------------------- selection


def tokens_of_ratio(n: int, ratio: float) -> int:
    """Budget of a share of n tokens, rounded to the nearest. Raises ValueError outside 0 to 1."""
    if not 0 < ratio <= 1:
        raise ValueError(f"the share of tokens to keep is {ratio}; it must be above 0 and at most 1")
    return round(n * ratio)


def tokens_per_tile(tokens: int, tiles: int) -> int:
    """Budget of each tile when `tokens` are kept over all `tiles` (the overview included), rounded down."""
    if tiles < 1:
        raise ValueError(f"{tiles} tiles were given; there must be at least 1")
    return tokens // tiles


def anchor_count(budget: int, alpha: float) -> int:
    """round(budget·alpha/5), halves to even: an anchor and its four neighbours are five tokens.

    Raises:
        ValueError: alpha is not between 0 and 1.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha, the share of the budget for anchors and buffers, is {alpha}; it must be between 0 and 1")
    return round(budget * alpha / 5)


def neighbours(anchors: Tensor, grid: Grid, edge: str = "clamp") -> Tensor:
    """The four neighbours of each anchor, with repetitions: left, right, up, down, [≤ 4·k] int64.

    Args:
        anchors: raster indices, [k].
        edge: "clamp", as released: index ± 1 runs on around the end of a row, and what leaves the grid becomes its first or
            last patch. "drop", as in the paper's eq. 5: the same, but what leaves the grid is left out. "grid": true
            neighbours only.

    Raises:
        ValueError: another edge.
    """
    h, w = grid
    found = torch.stack([anchors - 1, anchors + 1, anchors - w, anchors + w])
    if edge == "clamp":
        return found.clamp(0, h * w - 1).flatten()
    inside = (found >= 0) & (found < h * w)
    if edge == "grid":
        column = anchors % w
        inside &= torch.stack([column > 0, column < w - 1, anchors >= 0, anchors >= 0])
    elif edge != "drop":
        raise ValueError(f"edge is {edge!r}; it must be one of {', '.join(EDGES)}")
    return found[inside]


def select(
    object_score: Tensor,
    deep_score: Tensor,
    grid: Grid,
    budget: int,
    alpha: float = 0.1,
    edge: str = "clamp",
    exact: bool = True,
    layers: tuple[int, int] | None = None,
    prompt_score: Tensor | None = None,
    beta: float = PROMPT_SHARE,
) -> TokenSelection:
    """Choose anchors, buffers and registers of each picture or tile on its own (algorithm 1).

    Scores are compared in float32, ties are broken by the lower index. Where anchors and buffers are more than the budget,
    anchors stay and buffers are taken by falling object score until it is full (the released code stops with an error).

    Args:
        object_score, deep_score: scores in raster order, [B, N] or [N]; left as they are.
        grid: (h, w); N = h·w.
        budget: patches to keep per picture; more than N keeps all, which `settings["asked"]` tells.
        alpha: share of the budget for anchors and buffers.
        edge: see `neighbours`.
        exact: as in the paper (eq. 7), registers are chosen among the rest: always `budget` patches. False, as released for
            Qwen2.5-VL: the score of what was chosen is lowered by 1, so a patch with a larger score is chosen again and fewer
            remain. With scores that are means over the queries, as released for LLaVA, both give the same.
        layers: (object layer, deep layer), to remember.
        prompt_score: HiPrune++: likeness of each patch to the prompt (see `likeness`), [B, N] or [N]; None is plain HiPrune.
        beta: share of the budget for the patches that are most like the prompt among those not chosen otherwise. They take
            the places of the last registers, so the budget stays (the paper's text and its algorithm 1 differ; the counts of
            its table 5 agree with an unchanged budget).

    Raises:
        ValueError: the budget is below 1, alpha or beta is not in 0 … 1, or the scores do not fit the grid.
        models.structures.NonFiniteError: a score is NaN or infinite.
    """
    n = grid[0] * grid[1]
    if budget < 1:
        raise ValueError(f"{budget} tokens were to be kept; it must be at least 1")
    if not 0 <= beta <= 1:
        raise ValueError(f"beta, the share of the budget for patches close to the prompt, is {beta}; it must be between 0 and 1")
    scores = []
    for name, score in (("object", object_score), ("deep", deep_score), ("prompt", prompt_score)):
        if score is None:
            continue
        rows = torch.atleast_2d(score.float())
        if rows.ndim != 2 or rows.shape[1] != n:
            raise ValueError(f"the {name} score is of shape {tuple(score.shape)}; the grid of {grid[0]} × {grid[1]} has {n} patches")
        if not torch.isfinite(rows).all():
            share = 100 * (1 - torch.isfinite(rows).float().mean().item())
            raise NonFiniteError(f"the {name} score: {share:.1f} % of it is not a finite number")
        scores.append(rows)
    limit = min(budget, n)
    anchors = anchor_count(limit, alpha)
    close = round(limit * beta) if prompt_score is not None else 0
    choices = [_choose(*rows, grid=grid, budget=limit, anchors=anchors, close=close, edge=edge, exact=exact) for rows in _rows(scores)]
    role = torch.zeros(scores[0].shape, dtype=torch.int8, device=scores[0].device)
    order = torch.full((len(choices), limit), -1, device=role.device)
    for row, parts in enumerate(choices):
        for code, part in enumerate(parts, PRUNED + 1):
            role[row, part] = code
        kept = torch.cat(parts)
        order[row, : len(kept)] = kept
    settings: dict[str, float | str | bool] = {"alpha": alpha, "edge": edge, "exact": exact, "asked": budget, "anchors": anchors}
    if prompt_score is not None:
        settings["beta"] = beta
    return TokenSelection(role, order, scores[0], scores[1], grid, limit, layers, settings, *scores[2:])


def _rows(scores: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    if len({len(score) for score in scores}) > 1:
        raise ValueError(f"the scores speak of {' and '.join(str(len(score)) for score in scores)} pictures")
    return list(zip(*scores, strict=True))


def _choose(
    mid: Tensor, deep: Tensor, prompt: Tensor | None = None, *, grid: Grid, budget: int, anchors: int, close: int, edge: str, exact: bool
) -> list[Tensor]:
    """Anchors, buffers, registers and patches close to the prompt of one picture, each in order of choice."""
    ranked = ranked_by(mid)
    first = ranked[:anchors]
    near = torch.zeros_like(mid, dtype=torch.bool)
    near[neighbours(first, grid, edge)] = True
    near[first] = False
    buffers = ranked[near[ranked]][: budget - anchors]
    chosen = torch.cat([first, buffers])
    rest = deep.clone()
    rest[chosen] = -torch.inf if exact else rest[chosen] - 1
    close = min(close, budget - len(chosen))
    registers = ranked_by(rest)[: budget - len(chosen) - close]
    parts = [first, buffers, registers[~torch.isin(registers, chosen)]]
    if prompt is not None:
        left = prompt.clone()
        left[torch.cat(parts)] = -torch.inf
        parts.append(ranked_by(left)[:close])
    return parts


def ranked_by(score: Tensor) -> Tensor:
    """Indices by falling score along the last axis, ties by the lower index."""
    return score.sort(dim=-1, descending=True, stable=True).indices


class HiPrune(nn.Module):
    """Attention of an encoder → the patches to keep.

    Args:
        tokens: patches to keep per picture or tile. This or `ratio`.
        ratio: share of the patches to keep, as for Qwen2.5-VL.
        alpha, edge, exact: see `select`.
        object_layer, deep_layer: from 1; None takes what the paper takes for the encoder.
        head: one head (from 0) of the object layer alone instead of the mean over the heads.
        beta: of HiPrune++, used when a prompt is given.
    """

    def __init__(
        self,
        tokens: int | None = None,
        ratio: float | None = None,
        alpha: float = 0.1,
        edge: str = "clamp",
        exact: bool = True,
        object_layer: int | None = None,
        deep_layer: int | None = None,
        head: int | None = None,
        beta: float = PROMPT_SHARE,
    ) -> None:
        super().__init__()
        if (tokens is None) == (ratio is None):
            raise ValueError("give either the number of tokens to keep or the share of them (ratio)")
        self.tokens, self.ratio, self.alpha, self.edge, self.exact = tokens, ratio, alpha, edge, exact
        self.object_layer, self.deep_layer, self.head, self.beta = object_layer, deep_layer, head, beta

    def forward(self, maps: AttentionMaps, prompt_score: Tensor | None = None) -> TokenSelection:
        """The selection for each picture of `maps`.

        Args:
            prompt_score: likeness of each patch to the prompt, [B, N]; with it the rule is HiPrune++.

        Raises:
            ValueError: a layer or head does not exist, or a layer attends inside windows; and as `select`.
        """
        layers = (
            maps.suggested[0] if self.object_layer is None else self.object_layer,
            maps.suggested[1] if self.deep_layer is None else self.deep_layer,
        )
        for layer in layers:
            maps.require_layer(layer)
            if layer in maps.windowed:
                full = ", ".join(str(i) for i in range(1, maps.n_layers + 1) if i not in maps.windowed)
                raise ValueError(f"layer {layer} attends inside windows (its matrix is block-diagonal); full attention have layers {full}")
        n = maps.grid[0] * maps.grid[1]
        budget = self.tokens if self.tokens is not None else tokens_of_ratio(n, self.ratio or 0)
        mid, deep = maps.score(layers[0], self.head), maps.score(layers[1])
        return select(mid, deep, maps.grid, budget, self.alpha, self.edge, self.exact, layers, prompt_score, self.beta)


def likeness(patches: Tensor, text: Tensor) -> Tensor:
    """cos(vᵢ, t̄), how much each patch is like a prompt (HiPrune++), [B, N].

    Args:
        patches: embeddings of the patches in the space that they share with the text, [B, N, D].
        text: embeddings of the tokens of the prompt in that space, [S, D], or of one prompt per picture, [B, S, D]. Their
            mean t̄ counts.

    Raises:
        ValueError: the widths differ, or there is no token.
    """
    if patches.shape[-1] != text.shape[-1]:
        raise ValueError(f"patches of {patches.shape[-1]} and text of {text.shape[-1]} channels do not share a space")
    if text.shape[-2] == 0:
        raise ValueError("the prompt is empty; it must hold at least one token")
    return F.cosine_similarity(patches.float(), text.float().mean(-2)[..., None, :], dim=-1)


def mosaic_order(mask: Tensor, tiles: Grid, grid: Grid) -> Tensor:
    """Kept patches of LLaVA-NeXT in the order in which the language model reads them.

    The overview (tile 0) comes first; of the others, which lie side by side as one large picture, row after row of the whole.

    Args:
        mask: True where a patch is kept, [1 + rows·columns, N].
        tiles: (rows, columns) of tiles in the large picture.
        grid: (h, w) of patches in a tile.

    Returns:
        Indices into the flattened mask, [K] int64.

    Raises:
        ValueError: the number of tiles does not fit.
    """
    rows, columns = tiles
    if mask.shape[0] != 1 + rows * columns:
        raise ValueError(f"{mask.shape[0]} tiles were given; {rows} × {columns} tiles and the overview are {1 + rows * columns}")
    index = torch.arange(mask.numel(), device=mask.device).view(mask.shape)
    whole = index[1:].view(rows, columns, *grid).transpose(1, 2).flatten()
    order = torch.cat([index[0], whole])
    return order[mask.flatten()[order]]


# --------------------------------------------------------------------------------------------------------- dispersion


def dispersion(maps: AttentionMaps, share: float = 0.05) -> Tensor:
    """How far apart, in feature space, the patches lie that each layer attends to most, [B, L].

    The mean Euclidean distance between the last layer's features of the `share` of patches with the highest score. It jumps
    where attention moves from the object to a few global patches.

    Raises:
        ValueError: the maps came without features.
    """
    if maps.features is None:
        raise ValueError("the attention maps hold no features of the last layer")
    count = max(2, int(share * maps.features.shape[1]))
    curves = []
    for picture, features in enumerate(maps.features):
        scores = [maps.score(layer)[picture] for layer in range(1, maps.n_layers + 1)]
        curves.append(torch.stack([F.pdist(features[ranked_by(score)[:count]]).mean() for score in scores]))
    return torch.stack(curves)


def layer_before_jump(curve: Tensor) -> int:
    """The object layer (from 1) of a dispersion curve [L]: the last one before its largest rise."""
    return int(curve.diff().argmax()) + 1
