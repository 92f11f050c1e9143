"""Hard hyperedges, to compare with: nearest neighbours (HGNN) and fuzzy c-means clusters (Vision HGNN).

Feng, You, Zhang, Ji, Gao, "Hypergraph Neural Networks", AAAI 2019, arXiv 1809.09401: one hyperedge per token, its k nearest;
    X' = σ(Dv^-½ H De⁻¹ Hᵀ Dv^-½ (X Θ + b)).
Han, Wang, Chen et al., "Vision HGNN: An Image is More than a Graph of Nodes", ICCV 2023: hyperedges are clusters of
fuzzy c-means, cut to members and non-members;
    E_m = φ₁(mean of the members' features),  x'_n = φ₂((1 + ε) x_n + mean of E over the hyperedges of n).

Clean re-statements, not copies of the released code: clusters start by k-means++ from a fixed seed, so that the same picture
always gives the same hyperedges. No gradient goes through the choice of members.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.structures import HypergraphMessages, Rule, SoftHypergraph

Grid = tuple[int, int]


class FuzzyCMeans(nn.Module):
    """Fuzzy c-means: each token belongs to every cluster, the more the nearer (rows of the participation sum to 1).

    u_nm = softmax_m(−ln‖x_n − c_m‖² / (fuzzifier − 1)),  c_m = Σ_n u_nm^fuzzifier x_n / Σ_n u_nm^fuzzifier,
    repeated until no membership changes by more than `tolerance`. In many channels distances become alike and so do the
    memberships; with the usual fuzzifier 2 they are then nearly uniform (a known weakness, and worth seeing).

    Args:
        clusters: how many hyperedges.
        fuzzifier: above 1; nearer to 1 is harder.
        tolerance, iterations: when to stop.
        seed: of the k-means++ start.
    """

    def __init__(self, clusters: int = 25, fuzzifier: float = 2.0, tolerance: float = 0.01, iterations: int = 50, seed: int = 0) -> None:
        super().__init__()
        if clusters < 1:
            raise ValueError(f"there are {clusters} clusters; at least 1 is needed")
        if not fuzzifier > 1:
            raise ValueError(f"the fuzzifier is {fuzzifier}; it must be above 1 (1 would be hard k-means)")
        self.clusters, self.fuzzifier, self.tolerance, self.iterations, self.seed = clusters, fuzzifier, tolerance, iterations, seed

    @torch.no_grad()
    def forward(self, tokens: Tensor, grid: Grid | None = None, special: int = 0) -> SoftHypergraph:
        """tokens [B, N, D] → SoftHypergraph with the cluster centres as prototypes."""
        x = tokens.double() if tokens.dtype == torch.float64 else tokens.float()
        if self.clusters > x.shape[1]:
            raise ValueError(f"{x.shape[1]} tokens cannot be divided into {self.clusters} clusters; at most {x.shape[1]} are possible")
        centres = self._start(x)
        logits = self._logits(x, centres)
        for _ in range(self.iterations):
            before = logits.softmax(2)
            weight = before**self.fuzzifier
            centres = (weight.transpose(1, 2) @ x) / weight.sum(1)[..., None].clamp_min(torch.finfo(x.dtype).tiny)
            logits = self._logits(x, centres)
            if (logits.softmax(2) - before).abs().max() <= self.tolerance:
                break
        return SoftHypergraph(
            participation=logits.softmax(2).to(tokens.dtype),
            grid=_grid(tokens, grid, special),
            rule=Rule("fuzzy-c-means", {"clusters": self.clusters, "fuzzifier": self.fuzzifier}),
            normalise="hyperedges",
            special=special,
            logits=logits,
            prototypes=centres,
            temperature=self.fuzzifier - 1,
        )

    def _logits(self, x: Tensor, centres: Tensor) -> Tensor:
        return -_squared(x, centres).clamp_min(1e-12).log() / (self.fuzzifier - 1)

    def _start(self, x: Tensor) -> Tensor:
        """k-means++: each next centre is a token drawn in proportion to its squared distance to the nearest centre so far."""
        draws = torch.rand(self.clusters, generator=torch.Generator().manual_seed(self.seed), dtype=torch.float64).tolist()
        picture = torch.arange(len(x), device=x.device)
        centres = x[picture, int(draws[0] * x.shape[1])][:, None]
        for draw in draws[1:]:
            reach = _squared(x, centres).amin(2).cumsum(1)
            index = torch.searchsorted(reach, draw * reach[:, -1:], right=True).clamp(max=x.shape[1] - 1)
            centres = torch.cat([centres, x[picture, index[:, 0]][:, None]], 1)
        return centres


class HardMembers(nn.Module):
    """Fuzzy memberships → members and non-members (1 and 0).

    A token is a member where its participation is at least `level` times uniform (1/M), and always of its strongest hyperedge.
    """

    def __init__(self, level: float = 2.0) -> None:
        super().__init__()
        self.level = level

    def forward(self, fuzzy: SoftHypergraph) -> SoftHypergraph:
        degree = fuzzy.participation
        strongest = degree.max(2, keepdim=True)
        member = (degree >= self.level / fuzzy.hyperedges) & (degree > 0)
        member = member.scatter(2, strongest.indices, strongest.values > 0)  # nothing, where a vertex was taken out
        rule = Rule("fuzzy-c-means-cut", {**fuzzy.rule.settings, "level": self.level})
        return SoftHypergraph(
            member.to(degree.dtype), fuzzy.grid, rule, "none", fuzzy.special, prototypes=fuzzy.prototypes, selected=fuzzy.selected
        )


class NearestHyperedges(nn.Module):
    """One hyperedge per token: hyperedge j joins the k tokens nearest to token j, itself included.

    Args:
        k: members of each hyperedge.
        weighted: participation exp(−d² / (m_prob · d̄_j)²), d̄_j the mean distance of all tokens to j; else 1.
        m_prob: width of that bell.
    """

    def __init__(self, k: int = 10, weighted: bool = True, m_prob: float = 1.0) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k is {k}; a hyperedge needs at least 1 member")
        self.k, self.weighted, self.m_prob = k, weighted, m_prob

    @torch.no_grad()
    def forward(self, tokens: Tensor, grid: Grid | None = None, special: int = 0) -> SoftHypergraph:
        """tokens [B, N, D] → SoftHypergraph of N hyperedges."""
        n = tokens.shape[1]
        if self.k > n:
            raise ValueError(f"k = {self.k} exceeds the {n} tokens to choose from")
        squared = _squared(tokens.float(), tokens.float())
        squared = squared.masked_fill(torch.eye(n, dtype=torch.bool, device=tokens.device), 0)  # not the rounding error of x − x
        nearest = squared.topk(self.k, 1, largest=False).indices  # along the rows: column j lists the members of hyperedge j
        value = torch.ones_like(squared)
        if self.weighted:
            width = self.m_prob * squared.sqrt().mean(1, keepdim=True)
            value = torch.exp(-squared / width.square().clamp_min(1e-30))
        participation = torch.zeros_like(squared).scatter(1, nearest, value.gather(1, nearest))
        rule = Rule("nearest", {"k": self.k, "weighted": self.weighted, "m_prob": self.m_prob})
        return SoftHypergraph(participation.to(tokens.dtype), _grid(tokens, grid, special), rule, "none", special)


class HGNNLayer(nn.Module):
    """Y = X + GELU(Dv^-½ H De⁻¹ Hᵀ Dv^-½ (X Θ + b)) over the nearest-neighbour hyperedges of the tokens themselves."""

    def __init__(self, embed_dim: int, k: int = 10) -> None:
        super().__init__()
        self.constructor = NearestHyperedges(k)
        self.theta = nn.Linear(embed_dim, embed_dim)
        self.messages = _HGNNMessages()

    def forward(self, tokens: Tensor, grid: Grid | None = None, special: int = 0) -> Tensor:
        """tokens [B, N, D] → [B, N, D]."""
        return tokens + self.messages(self.theta(tokens), self.constructor(tokens, grid, special)).update


class _HGNNMessages(nn.Module):
    """Messages of HGNN: normalised by the degrees of vertices and hyperedges, so that doubling all tokens changes nothing."""

    def forward(self, x: Tensor, hypergraph: SoftHypergraph) -> HypergraphMessages:
        incidence = hypergraph.participation
        vertex, edge = incidence.sum(2, keepdim=True), incidence.sum(1)[..., None]
        scale = torch.where(vertex > 0, vertex, torch.inf).rsqrt()
        collected = incidence.transpose(1, 2) @ (scale * x)
        hyperedges = collected / torch.where(edge > 0, edge, 1)
        received = scale * (incidence @ hyperedges)
        return HypergraphMessages(collected, hyperedges, received, nn.functional.gelu(received))


class ViHGNNLayer(nn.Module):
    """Y = X + φ₂((1 + ε) X + mean of the own hyperedges), hyperedges = φ₁(mean of the members); φ: grouped 1×1, BN, GELU.

    Args:
        embed_dim: D, a multiple of 4 (the groups of φ).
        clusters: number of fuzzy c-means hyperedges.
        level: see HardMembers.
    """

    def __init__(self, embed_dim: int, clusters: int = 25, level: float = 2.0) -> None:
        super().__init__()
        if embed_dim % 4:
            raise ValueError(f"embed_dim is {embed_dim}; it must be a multiple of 4, the groups of the projections")
        self.constructor = FuzzyCMeans(clusters)
        self.members = HardMembers(level)
        self.edge_proj, self.node_proj = _Grouped(embed_dim), _Grouped(embed_dim)
        self.epsilon = nn.Parameter(torch.zeros(()))
        self.messages = _ViHGNNMessages()

    def forward(self, tokens: Tensor, grid: Grid | None = None, special: int = 0) -> Tensor:
        """tokens [B, N, D] → [B, N, D]."""
        hypergraph = self.members(self.constructor(tokens, grid, special))
        return tokens + self.messages(tokens, hypergraph, self.edge_proj, self.node_proj, self.epsilon).update


class _ViHGNNMessages(nn.Module):
    def forward(
        self, x: Tensor, hypergraph: SoftHypergraph, edge_proj: nn.Module, node_proj: nn.Module, epsilon: Tensor
    ) -> HypergraphMessages:
        incidence = hypergraph.participation
        edge, vertex = incidence.sum(1)[..., None], incidence.sum(2, keepdim=True)
        collected = incidence.transpose(1, 2) @ x / torch.where(edge > 0, edge, 1)
        hyperedges = edge_proj(collected) * (edge > 0)
        received = incidence @ hyperedges / torch.where(vertex > 0, vertex, 1)
        return HypergraphMessages(collected, hyperedges, received, node_proj((1 + epsilon) * x + received))


class _Grouped(nn.Module):
    """1×1 convolution in 4 groups, batch normalisation, GELU, on [B, N, D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(width, width, 1, groups=4), nn.BatchNorm1d(width), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.transpose(1, 2)).transpose(1, 2)


def _squared(x: Tensor, centres: Tensor) -> Tensor:
    """Squared distances, [B, N, D] and [B, M, D] → [B, N, M], not negative."""
    inner = torch.baddbmm(centres.square().sum(2)[:, None], x, centres.transpose(1, 2), alpha=-2)
    return (inner + x.square().sum(2, keepdim=True)).clamp_min(0)


def _grid(tokens: Tensor, grid: Grid | None, special: int) -> Grid:
    return (1, tokens.shape[1] - special) if grid is None else grid
