"""HiPrune: keep the patches that a vision encoder itself attends to, drop the rest before the language model.

Liu et al., "HiPrune: Training-Free Visual Token Pruning via Hierarchical Attention in Vision-Language Models", arXiv
2508.00553 (ACL 2026 Findings); released code Danielement321/HiPrune (MIT).

A patch's score in a layer is the attention that it receives, averaged over heads and over all queries (eq. 2). Of a budget of
n patches, round(n·α/5) are *anchors*, the highest of a middle "object" layer (eq. 4); *buffers* are their four neighbours
(eq. 5); *registers*, the highest of a deep layer among the rest, fill the budget (eq. 7). Nothing is trained.

    maps = encoder(encoder.prepare(pixels))
    selection = HiPrune(tokens=192)(maps)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.structures import AttentionMaps, NonFiniteError, TokenSelection
from models.structures.tokens import ANCHOR, BUFFER, REGISTER
from models.tokens.attention_capture import PlainEncoder, _processor, _quietly, llava_encoder

Grid = tuple[int, int]

EDGES = ("clamp", "drop", "grid")
LLAVA_BUDGETS = (192, 128, 64)  # of 576 patches
LLAVA_NEXT_BUDGETS = (640, 320, 160)  # of 2880, over all tiles
QWEN_RATIOS = (0.334, 0.223, 0.112)


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

    Raises:
        ValueError: the budget is below 1, alpha is not in 0 … 1, or the scores do not fit the grid.
        models.structures.NonFiniteError: a score is NaN or infinite.
    """
    n = grid[0] * grid[1]
    if budget < 1:
        raise ValueError(f"{budget} tokens were to be kept; it must be at least 1")
    scores = []
    for name, score in (("object", object_score), ("deep", deep_score)):
        rows = torch.atleast_2d(score.float())
        if rows.ndim != 2 or rows.shape[1] != n:
            raise ValueError(f"the {name} score is of shape {tuple(score.shape)}; the grid of {grid[0]} × {grid[1]} has {n} patches")
        if not torch.isfinite(rows).all():
            share = 100 * (1 - torch.isfinite(rows).float().mean().item())
            raise NonFiniteError(f"the {name} score: {share:.1f} % of it is not a finite number")
        scores.append(rows)
    limit = min(budget, n)
    anchors = anchor_count(limit, alpha)
    choices = [_choose(mid, deep, grid, limit, anchors, edge, exact) for mid, deep in zip(*scores, strict=True)]
    role = torch.zeros(scores[0].shape, dtype=torch.int8, device=scores[0].device)
    order = torch.full((len(choices), limit), -1, device=role.device)
    for row, parts in enumerate(choices):
        for code, part in zip((ANCHOR, BUFFER, REGISTER), parts, strict=True):
            role[row, part] = code
        kept = torch.cat(parts)
        order[row, : len(kept)] = kept
    settings: dict[str, float | str | bool] = {"alpha": alpha, "edge": edge, "exact": exact, "asked": budget, "anchors": anchors}
    return TokenSelection(role, order, scores[0], scores[1], grid, limit, layers, settings)


def _choose(mid: Tensor, deep: Tensor, grid: Grid, budget: int, anchors: int, edge: str, exact: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(anchors, buffers, registers) of one picture, each in order of choice."""
    ranked = _ranked(mid)
    first = ranked[:anchors]
    near = torch.zeros_like(mid, dtype=torch.bool)
    near[neighbours(first, grid, edge)] = True
    near[first] = False
    buffers = ranked[near[ranked]][: budget - anchors]
    chosen = torch.cat([first, buffers])
    rest = deep.clone()
    rest[chosen] = -torch.inf if exact else rest[chosen] - 1
    registers = _ranked(rest)[: budget - len(chosen)]
    return first, buffers, registers[~torch.isin(registers, chosen)]


def _ranked(score: Tensor) -> Tensor:
    return score.sort(descending=True, stable=True).indices


class HiPrune(nn.Module):
    """Attention of an encoder → the patches to keep.

    Args:
        tokens: patches to keep per picture or tile. This or `ratio`.
        ratio: share of the patches to keep, as for Qwen2.5-VL.
        alpha, edge, exact: see `select`.
        object_layer, deep_layer: from 1; None takes what the paper takes for the encoder.
        head: one head (from 0) of the object layer alone instead of the mean over the heads.
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
    ) -> None:
        super().__init__()
        if (tokens is None) == (ratio is None):
            raise ValueError("give either the number of tokens to keep or the share of them (ratio)")
        self.tokens, self.ratio, self.alpha, self.edge, self.exact = tokens, ratio, alpha, edge, exact
        self.object_layer, self.deep_layer, self.head = object_layer, deep_layer, head

    def forward(self, maps: AttentionMaps) -> TokenSelection:
        """The selection for each picture of `maps`.

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
        return select(mid, deep, maps.grid, budget, self.alpha, self.edge, self.exact, layers)


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
        curves.append(torch.stack([F.pdist(features[_ranked(score)[:count]]).mean() for score in scores]))
    return torch.stack(curves)


def layer_before_jump(curve: Tensor) -> int:
    """The object layer (from 1) of a dispersion curve [L]: the last one before its largest rise."""
    return int(curve.diff().argmax()) + 1


# --------------------------------------------------------------------------------------------------------- pruned run


class PrunedLlava(nn.Module):
    """A LLaVA model that reads the kept patches only.

    The vision tower runs on the whole picture; `prune` chooses; the projector and the language model see what is kept. Text
    tokens all stay, and positions close up over the gaps, as released. With every patch kept it is the model itself.

    Args:
        model: LlavaForConditionalGeneration or LlavaNextForConditionalGeneration of the `transformers` library.
        prune: the rule; replace it, or the selection of one run by an edit of the part "prune".
        processor: content of the image processor's configuration.

    Raises:
        ValueError: the model passes on its class token, which the paper does not treat.
    """

    def __init__(self, model: Any, prune: HiPrune, processor: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model, self.prune = model.eval().requires_grad_(False), prune
        self.encoder: PlainEncoder = llava_encoder(model.model.vision_tower, model.config, processor or {})
        strategy, kind = model.config.vision_feature_select_strategy, model.model.vision_tower.config.model_type
        if strategy != "default" and kind.startswith("clip"):
            raise ValueError(f"the model passes on the class token too ({strategy!r}); only patches ('default') can be pruned")

    @torch.no_grad()
    def embed(self, input_ids: Tensor, pixel_values: Tensor, tiles: Grid | None = None) -> Tensor:
        """Text embeddings with the kept patches in the place of the image tokens, [1, S, D].

        Args:
            input_ids: the prompt, [1, S']. Image tokens may stand once per picture or once per patch.
            pixel_values: preprocessed pictures [B, 3, H, W], or of LLaVA-NeXT the tiles of one picture, overview first.
            tiles: (rows, columns) of the tiles; None where pictures are not cut.

        Raises:
            ValueError: the image tokens of the prompt do not fit the pictures.
        """
        if input_ids.shape[0] != 1:
            raise ValueError(f"{input_ids.shape[0]} prompts were given; the pruned model takes one at a time")
        maps = self.encoder({"pixel_values": pixel_values})
        selection = self.prune(maps)
        assert maps.passed is not None
        mask = selection.mask
        order = torch.nonzero(mask.flatten())[:, 0] if tiles is None else mosaic_order(mask, tiles, maps.grid)
        kept = mask.sum(1).tolist() if tiles is None else [len(order)]
        features = self.model.model.multi_modal_projector(maps.passed.flatten(0, 1)[order])
        ids = self._with_room(input_ids[0], kept, mask.shape[1] if tiles is None else None)
        embeddings = self.model.get_input_embeddings()(ids)
        embeddings[ids == self.model.config.image_token_id] = features.to(embeddings.dtype)
        return embeddings[None]

    def _with_room(self, ids: Tensor, kept: Sequence[int], patches: int | None) -> Tensor:
        """The prompt with as many image tokens in the place of each picture as it keeps patches."""
        is_image = ids == self.model.config.image_token_id
        before = F.pad(is_image, (1, 0))[:-1]
        starts = torch.nonzero(is_image & ~before)[:, 0] if patches is None else torch.nonzero(is_image)[:, 0]
        if patches is not None and len(starts) == patches * len(kept):
            starts = starts[::patches]
        if len(starts) != len(kept):
            raise ValueError(
                f"the prompt has {int(is_image.sum())} image tokens; expected one per picture or per patch of {len(kept)} pictures"
            )
        room = (~is_image).long()
        room[starts] = torch.tensor(kept, device=ids.device)
        return ids.repeat_interleave(room)

    @torch.no_grad()
    def forward(self, input_ids: Tensor, pixel_values: Tensor, tiles: Grid | None = None) -> Tensor:
        """Logits of the next token after each kept token, [1, S, V]. Arguments as `embed`."""
        return self.model(inputs_embeds=self.embed(input_ids, pixel_values, tiles)).logits

    @torch.no_grad()
    def generate(self, input_ids: Tensor, pixel_values: Tensor, tiles: Grid | None = None, **options: Any) -> Tensor:
        """New tokens only, [1, n] int64. Arguments as `embed`; `options` go to the library's `generate`."""
        embeddings = self.embed(input_ids, pixel_values, tiles)
        attended = torch.ones(embeddings.shape[:2], dtype=torch.long, device=embeddings.device)
        return self.model.generate(inputs_embeds=embeddings, attention_mask=attended, **options)


def load_llava(name_or_folder: str | Path, prune: HiPrune, *, local_files_only: bool = False) -> PrunedLlava:
    """A LLaVA-1.5 or LLaVA-NeXT model of the `transformers` library by its hub id or from a local folder.

    It keeps the precision of the file; its vision tower and language model are those of the library. Code that comes with a
    model is never run.

    Raises:
        ValueError: it cannot be read, or is no LLaVA model.
    """
    from transformers import AutoModelForImageTextToText

    name = str(name_or_folder)
    with _quietly():
        try:
            model = AutoModelForImageTextToText.from_pretrained(
                name, local_files_only=local_files_only, trust_remote_code=False, dtype="auto"
            )
        except (OSError, ValueError) as error:
            raise ValueError(f"{name!r} cannot be read as a model of pictures and text: {error}") from error
    if model.config.model_type not in ("llava", "llava_next"):
        raise ValueError(f"{name!r} is a model of type {model.config.model_type!r}; a pruned run takes LLaVA-1.5 and LLaVA-NeXT")
    return PrunedLlava(model, prune, _processor(name, local_files_only))
