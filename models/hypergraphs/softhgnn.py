"""SoftHGNN: hyperedges made anew for every picture, each of which every patch belongs to, to a degree.

Lei, Wu, Gao et al., "SoftHGNN: Soft Hypergraph Neural Networks for General Visual Recognition", arXiv 2505.15325.
Parameter names follow the released code (Mengqi-Lei/SoftHGNN, MIT), so that its state dicts load.

    c = [mean_n X ; max_n X]     ΔP = Linear(c)     P = P₀ + ΔP     Q = Linear(X)
    S = ⟨Q, P⟩ / √(heads · D)    A = softmax of S over the vertices
    E = GELU(Linear(Aᵀ X))       U = GELU(Linear(A E))       Y = X + U

The released code averages the logits of the heads before the softmax, which is the same as one comparison divided by
√(heads · D): heads are a temperature and nothing else. It normalises over the vertices (each hyperedge divides itself
among the patches); the paper writes a softmax over the hyperedges. Both are here, the released one is the default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoints import CheckpointError
from models.structures import HypergraphMessages, NonFiniteError, Rule, SoftHypergraph
from models.structures.hypergraph import Normalisation, best_scored, participation_of

Grid = tuple[int, int]
CONTEXTS = {"mean": 1, "max": 1, "both": 2}  # pooled tokens that the offsets follow from → how many vectors of length D
LAYER_SETTINGS = ("prototype_base", "context_net.weight", "context_net.bias")


class SoftHyperedges(nn.Module):
    """Tokens → SoftHypergraph: prototypes of this picture, and how similar every token is to each.

    Args:
        embed_dim: D.
        num_hyperedges: M.
        num_heads: a divisor of D; more heads make softer hyperedges.
        dropout: of the logits, in training.
        context: what the offsets of the prototypes follow from: the "mean" of the tokens, their "max", or "both".
        normalise: the softmax runs over the "vertices" (released) or the "hyperedges" (paper).
    """

    def __init__(
        self,
        embed_dim: int,
        num_hyperedges: int = 16,
        num_heads: int = 4,
        dropout: float = 0.1,
        context: str = "both",
        normalise: Normalisation = "vertices",
    ) -> None:
        super().__init__()
        _check_settings(embed_dim, num_hyperedges, num_heads, context, normalise)
        self.num_heads, self.context, self.normalise = num_heads, context, normalise
        self.temperature = math.sqrt(num_heads * embed_dim)
        self.prototype_base = nn.Parameter(nn.init.xavier_uniform_(torch.empty(num_hyperedges, embed_dim)))
        self.context_net = nn.Linear(CONTEXTS[context] * embed_dim, num_hyperedges * embed_dim)
        self.pre_head_proj = nn.Linear(embed_dim, embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, grid: Grid | None = None, special: int = 0) -> SoftHypergraph:
        """tokens [B, N, D] → SoftHypergraph of N vertices.

        Args:
            grid: (H, W) of the patches; one row when it is left out.
            special: leading tokens that are no patch.

        Raises:
            ValueError: another shape, fewer than two tokens, or a grid that does not hold them.
            NonFiniteError: (in evaluation) the tokens hold NaN or infinity.
        """
        grid = self._check(tokens, grid, special)
        queries = self.pre_head_proj(tokens)
        offset = self.context_net(self._pooled(tokens)).unflatten(1, self.prototype_base.shape)
        prototypes = self.prototype_base + offset
        logits = self.dropout(queries @ prototypes.transpose(1, 2) / self.temperature)
        selected, scores = self.select(logits)
        return SoftHypergraph(
            participation=participation_of(logits, self.normalise, selected).to(tokens.dtype),
            grid=grid,
            rule=self.rule(),
            normalise=self.normalise,
            special=special,
            logits=logits,
            queries=queries,
            prototypes=prototypes,
            static=self.prototype_base,
            offset=offset,
            temperature=self.temperature,
            heads=self.num_heads,
            selected=selected,
            scores=scores,
        )

    def select(self, logits: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Which hyperedges are on, and the scores that said so: all, and none."""
        return None, None

    def rule(self) -> Rule:
        return Rule("soft", {"heads": self.num_heads, "context": self.context})

    def _pooled(self, tokens: Tensor) -> Tensor:
        pooled = {"mean": lambda: tokens.mean(1), "max": lambda: tokens.amax(1)}
        return torch.cat([pool() for name, pool in pooled.items() if self.context in (name, "both")], 1)

    def _check(self, tokens: Tensor, grid: Grid | None, special: int) -> Grid:
        width = self.prototype_base.shape[1]
        if tokens.ndim != 3 or tokens.shape[2] != width:
            raise ValueError(
                f"tokens have shape {tuple(tokens.shape)}; [pictures, tokens, {width}] is expected (a map [B, C, H, W] must be flattened "
                "row by row and its channels put last)"
            )
        if tokens.shape[1] < 2:
            raise ValueError(f"there are {tokens.shape[1]} tokens; a hyperedge needs at least 2 vertices to join")
        grid = (1, tokens.shape[1] - special) if grid is None else grid
        if grid[0] * grid[1] + special != tokens.shape[1]:
            raise ValueError(f"{tokens.shape[1]} tokens do not fill a grid of {grid[0]} × {grid[1]} patches and {special} special ones")
        if not self.training and not torch.isfinite(tokens).all():
            share = 100 * (1 - torch.isfinite(tokens).float().mean().item())
            raise NonFiniteError(f"{share:.1f} % of the tokens that hyperedges should join is not a finite number")
        return grid


class SparseSoftHyperedges(SoftHyperedges):
    """The sparse variant (SeS): some hyperedges are always on, of the others the k of the highest score are.

    score_m = Σ_n S_nm, which is N · ⟨mean query, P_m⟩ / √(heads · D): the choice follows from the pooled picture, not from how
    peaked a hyperedge is. Columns that are not chosen become 0; the others are not normalised again.

    Args:
        num_dyn_hyperedges: how many there are to choose from.
        top_k: how many of them are on.
        num_fixed_hyperedges: how many are always on (the first columns).
        embed_dim, num_heads, dropout, context, normalise: as in SoftHyperedges.
    """

    def __init__(
        self,
        embed_dim: int,
        num_dyn_hyperedges: int = 64,
        top_k: int = 16,
        num_fixed_hyperedges: int = 8,
        num_heads: int = 8,
        **settings: Any,
    ) -> None:
        if num_dyn_hyperedges < 0 or num_fixed_hyperedges < 0:
            raise ValueError(
                f"there cannot be {num_dyn_hyperedges} dynamic and {num_fixed_hyperedges} fixed hyperedges; both must be at least 0"
            )
        if not 0 <= top_k <= num_dyn_hyperedges:
            raise ValueError(f"top_k is {top_k}; it must lie between 0 and the {num_dyn_hyperedges} dynamic hyperedges")
        if top_k + num_fixed_hyperedges < 1:
            raise ValueError("no hyperedge would ever be on; top_k or num_fixed_hyperedges must be at least 1")
        super().__init__(embed_dim, num_fixed_hyperedges + num_dyn_hyperedges, num_heads, **settings)
        self.top_k, self.num_fixed_hyperedges = top_k, num_fixed_hyperedges

    def select(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        scores = logits.sum(1)
        return best_scored(scores, self.top_k, self.num_fixed_hyperedges), scores

    def rule(self) -> Rule:
        return Rule("soft-sparse", {"heads": self.num_heads, "context": self.context, "k": self.top_k, "fixed": self.num_fixed_hyperedges})


class MessagePassing(nn.Module):
    """Vertices → hyperedges → vertices along a SoftHypergraph. Hyperedges that are off cost nothing."""

    def forward(self, tokens: Tensor, hypergraph: SoftHypergraph, edge_proj: nn.Module, node_proj: nn.Module) -> HypergraphMessages:
        """tokens [B, N, D]; edge_proj and node_proj map D → D → HypergraphMessages."""
        participation, index = hypergraph.participation, None
        if hypergraph.selected is not None:
            participation, index = _only_active(participation, hypergraph.selected)
        collected = participation.transpose(1, 2) @ tokens
        hyperedges = edge_proj(collected)
        received = participation @ hyperedges
        if index is not None:
            collected, hyperedges = (_back(x, index, hypergraph.selected) for x in (collected, hyperedges))
        return HypergraphMessages(collected, hyperedges, received, node_proj(received))


def _only_active(participation: Tensor, selected: Tensor) -> tuple[Tensor, Tensor]:
    """The columns that are on: [B, N, K] and their numbers [B, K], K the most of any picture (others are filled with columns of 0)."""
    count = int(selected.sum(1).max())
    index = selected.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :count]
    return participation.gather(2, index[:, None].expand(-1, participation.shape[1], -1)), index


def _back(features: Tensor, index: Tensor, selected: Tensor | None) -> Tensor:
    """[B, K, D] of the columns `index` → [B, M, D] with 0 where a hyperedge is off."""
    assert selected is not None
    wide = features.new_zeros(*selected.shape, features.shape[2])
    return wide.scatter(1, index[..., None].expand_as(features), features) * selected[..., None]


class SoftHGNN(nn.Module):
    """One layer: make soft hyperedges, pass messages along them, add the result.

    Args:
        gate: multiply the update by a learned number that starts at 1 (image classification, crowd counting).
        embed_dim, num_hyperedges, num_heads, dropout, context, normalise: as in SoftHyperedges.
    """

    edge_generator: SoftHyperedges

    def __init__(self, embed_dim: int, num_hyperedges: int = 16, num_heads: int = 4, gate: bool = False, **settings: Any) -> None:
        super().__init__()
        self._build(SoftHyperedges(embed_dim, num_hyperedges, num_heads, **settings), embed_dim)
        self.gate = nn.Parameter(torch.ones(())) if gate else None

    def _build(self, generator: SoftHyperedges, embed_dim: int) -> None:
        self.edge_generator = generator
        self.edge_proj = nn.Sequential(nn.Linear(embed_dim, embed_dim), nn.GELU())
        self.node_proj = nn.Sequential(nn.Linear(embed_dim, embed_dim), nn.GELU())
        self.messages = MessagePassing()

    def forward(self, tokens: Tensor, grid: Grid | None = None, special: int = 0) -> Tensor:
        """tokens [B, N, D] → [B, N, D]; `grid` and `special` as in SoftHyperedges."""
        hypergraph = self.edge_generator(tokens, grid, special)
        update = self.messages(tokens, hypergraph, self.edge_proj, self.node_proj).update
        return tokens + (update if self.gate is None else self.gate * update)


class SparseSoftHGNN(SoftHGNN):
    """The layer with sparse hyperedge selection. Its `gate` is released but unused: it never gets a gradient.

    Args: as in SparseSoftHyperedges.
    """

    edge_generator: SparseSoftHyperedges

    def __init__(
        self,
        embed_dim: int,
        num_dyn_hyperedges: int = 64,
        top_k: int = 16,
        num_fixed_hyperedges: int = 8,
        num_heads: int = 8,
        **settings: Any,
    ) -> None:
        nn.Module.__init__(self)
        self._build(SparseSoftHyperedges(embed_dim, num_dyn_hyperedges, top_k, num_fixed_hyperedges, num_heads, **settings), embed_dim)
        self.gate = nn.Parameter(torch.ones(()))

    def forward(self, tokens: Tensor, grid: Grid | None = None, special: int = 0) -> Tensor:
        """tokens [B, N, D] → [B, N, D]; `grid` and `special` as in SoftHyperedges."""
        hypergraph = self.edge_generator(tokens, grid, special)
        return tokens + self.messages(tokens, hypergraph, self.edge_proj, self.node_proj).update


# ------------------------------------------------------------------------------------------------------------------ losses


def selection_variance(hypergraph: SoftHypergraph) -> Tensor:
    """The released load-balancing value: mean over dynamic m of (share of the pictures in which m is on − k/M_dyn)². []

    The choice carries no gradient, so that this cannot change a weight. (In the released code, too.)
    """
    on, k = _dynamic(hypergraph)
    return (on.mean(0) - k / on.shape[1]).square().mean()


def load_balance(hypergraph: SoftHypergraph, temperature: float = 1.0) -> Tensor:
    """A load-balancing loss that has a gradient (ours, as for mixtures of experts): M_dyn · Σ_m f_m p_m, 1 at even load. []

    f_m is the share of choices that fell on m over the batch (no gradient), p_m the mean of softmax_m(score / temperature).
    """
    on, k = _dynamic(hypergraph)
    assert hypergraph.scores is not None
    probability = (hypergraph.scores[:, hypergraph.rule.settings["fixed"] :] / temperature).softmax(1).mean(0)
    return on.shape[1] * (on.mean(0) / max(k, 1) * probability).sum()


def diversity_penalty(hypergraph: SoftHypergraph) -> Tensor:
    """Mean of (v_mᵀ v_m')² over the pairs of hyperedges, v the centred and normalised columns of A (ours). []

    0: all hyperedges look elsewhere; 1: all look alike. Without it the released form nearly collapses to one hyperedge.
    """
    columns = hypergraph.participation
    columns = columns - columns.mean(1, keepdim=True)
    columns = columns / columns.norm(dim=1, keepdim=True).clamp_min(torch.finfo(columns.dtype).tiny)
    m = hypergraph.hyperedges
    if m < 2:
        return columns.new_zeros(())
    likeness = (columns.transpose(1, 2) @ columns).square()
    return (likeness.sum((1, 2)) - likeness.diagonal(dim1=1, dim2=2).sum(1)).mean() / (m * (m - 1))


def _dynamic(hypergraph: SoftHypergraph) -> tuple[Tensor, int]:
    """1 where a dynamic hyperedge is on, [B, M_dyn], and k."""
    settings = hypergraph.rule.settings
    if hypergraph.selected is None or "fixed" not in settings:
        raise ValueError("all hyperedges are always on here; load is balanced only where the sparse variant chooses among them")
    return hypergraph.selected[:, settings["fixed"] :].to(hypergraph.participation.dtype), settings["k"]


# ----------------------------------------------------------------------------------------------------------------- checks


def layer_sizes(state: Mapping[str, Tensor], prefix: str = "soft_hgnn.") -> dict[str, Any]:
    """Width, number of hyperedges and context of the layer in a state dict (heads leave no trace in it).

    Returns:
        {"embed_dim": D, "num_hyperedges": M, "context": "both" or "mean"} ("mean" and "max" look alike).

    Raises:
        CheckpointError: the layer is missing or its tensors contradict each other; the message names them.
    """
    names = [f"{prefix}edge_generator.{name}" for name in LAYER_SETTINGS]
    missing = [name for name in names if name not in state]
    if missing:
        raise CheckpointError(f"The file holds no soft-hyperedge layer under {prefix!r}: {', '.join(missing)} missing.")
    (m, width), (rows, columns) = state[names[0]].shape, state[names[1]].shape
    if rows != m * width or state[names[2]].shape != (rows,):
        raise CheckpointError(
            f"{names[1]} has {rows} rows and {names[2]} {state[names[2]].numel()} entries; {names[0]} of {m} × {width} needs {m * width} of each."
        )
    if columns not in (width, 2 * width):
        raise CheckpointError(f"{names[1]} has {columns} columns; {width} (mean or max) or {2 * width} (both) fit {names[0]}.")
    return {"embed_dim": width, "num_hyperedges": m, "context": "both" if columns == 2 * width else "mean"}


def _check_settings(embed_dim: int, num_hyperedges: int, num_heads: int, context: str, normalise: str) -> None:
    if num_hyperedges < 1:
        raise ValueError(f"there are {num_hyperedges} hyperedges; at least 1 is needed")
    if num_heads < 1 or embed_dim % num_heads:
        raise ValueError(f"embed_dim = {embed_dim} cannot be divided into {num_heads} heads; num_heads must be a divisor of {embed_dim}")
    if context not in CONTEXTS:
        raise ValueError(f"context is {context!r}; it must be one of {', '.join(CONTEXTS)}")
    if normalise not in ("vertices", "hyperedges"):
        raise ValueError(f"normalise is {normalise!r}; it must be 'vertices' (as released) or 'hyperedges' (as the paper writes)")
