"""One node that is joined to all others, and how it stands in for attention.

Cai, Hy, Yu, Wang, "On the Connection Between MPNN and Graph Transformer", ICML 2023, arXiv 2301.11956. The constructions are
written from their statements in the abstract and checked numerically.

    linear attention   all nodes send (φ(k) vᵀ, φ(k)) to the virtual node, which sends both sums back:
                       out_i = φ(q_i)ᵀ Σ φ(k_j) v_jᵀ / φ(q_i)ᵀ Σ φ(k_j)                                 exact, one round
    softmax attention  in round s the virtual node passes on (k_s, v_s) of one node; every node adds e^(q·k_s/√d) v_s and
                       e^(q·k_s/√d) to what it holds                                                  exact after n rounds
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.graph_structure.links import GraphBatch

FeatureMap = Callable[[Tensor], Tensor]


def elu_features(x: Tensor) -> Tensor:
    """elu(x) + 1: positive, as wide as x."""
    return F.elu(x) + 1


def random_features(width: int, count: int, generator: torch.Generator | None = None) -> FeatureMap:
    """Positive random features of softmax attention: φ(x) = exp(W z − ‖z‖²/2)/√count with z = x/width^¼ and W normal.

    ⟨φ(q), φ(k)⟩ approaches exp(q·k/√width) as `count` grows, slowly where q and k are long (Performer, ICLR 2021).
    """
    directions = torch.randn(count, width, generator=generator, dtype=torch.float64)

    def features(x: Tensor) -> Tensor:
        z = x / width**0.25
        return (z @ directions.to(x).T - z.square().sum(-1, keepdim=True) / 2).exp() / count**0.5

    return features


def gather(keys: Tensor, values: Tensor, features: FeatureMap) -> tuple[Tensor, Tensor]:
    """What the virtual node holds after one round: Σ φ(k) vᵀ [m, d] and Σ φ(k) [m], from keys [n, d] and values [n, d]."""
    mapped = features(keys)
    return mapped.T @ values, mapped.sum(0)


def scatter(queries: Tensor, memory: Tensor, total: Tensor, features: FeatureMap) -> Tensor:
    """What each node makes of it: φ(q)ᵀ memory / φ(q)ᵀ total, [n, d]."""
    mapped = features(queries)
    return (mapped @ memory) / (mapped @ total)[:, None]


def attention_in_rounds(queries: Tensor, keys: Tensor, values: Tensor) -> Iterator[Tensor]:
    """Output [n, d] of every node after round 1, 2, … n; the last one is softmax attention.

    The largest exponent so far is taken out of both sums, so that large queries do not overflow.
    """
    rows = queries.shape[0]
    sums = values.new_zeros(rows, values.shape[1] + 1)
    top = values.new_full((rows,), -torch.inf)
    ones = torch.cat([values, values.new_ones(len(values), 1)], 1)
    for key, value in zip(keys, ones, strict=True):
        score = queries @ key / queries.shape[1] ** 0.5
        higher = torch.maximum(top, score)
        sums = sums * (top - higher).exp()[:, None] + (score - higher).exp()[:, None] * value
        top = higher
        yield sums[:, :-1] / sums[:, -1:]


class VirtualNode(nn.Module):
    """The state of the virtual node of each graph from layer to layer: v' = Dropout(MLP(Σ x + v)) (+ v).

    Args:
        width: of nodes and virtual node.
        updates: how often it changes (not after the last layer).
        pool: "sum" as published; "mean" does not grow with the graph.
        residual: add the old state.
    """

    def __init__(self, width: int, updates: int, dropout: float, pool: str = "sum", residual: bool = False) -> None:
        super().__init__()
        if pool not in ("sum", "mean"):
            raise ValueError(f"pool is {pool!r}; choose 'sum' or 'mean'")
        self.pool, self.residual = pool, residual
        self.start = nn.Parameter(torch.zeros(1, width))
        self.mlps = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU()
            )
            for _ in range(updates)
        )
        self.dropout = nn.Dropout(dropout)

    def first(self, batch: GraphBatch) -> Tensor:
        """State before the first layer, [G, width]."""
        return self.start.expand(batch.num_graphs, -1)

    def forward(self, number: int, x: Tensor, state: Tensor, batch: GraphBatch) -> Tensor:
        """Nodes [N, width] and states [G, width] → new states [G, width].

        Raises:
            ValueError: training with one graph per batch (batch normalisation needs two).
        """
        if self.training and batch.num_graphs < 2:
            raise ValueError("the virtual node is normalised over the graphs of a batch; training needs at least two graphs in each")
        gathered = batch.members.sum(x) if self.pool == "sum" else batch.members.mean(x)
        new = self.dropout(self.mlps[number](gathered + state))
        return new + state if self.residual else new


class SetMixer(nn.Module):
    """y = BN(ReLU(x α + mean over the graph of x β + b)): all that one round through a virtual node can add to a layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own, self.common = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor, batch: GraphBatch) -> Tensor:
        return self.norm(F.relu(self.own(x) + self.common(batch.members.mean(x))[batch.graph]))
