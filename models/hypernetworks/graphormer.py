"""The encoder that GHN-3 and LoGAH share: kinds and shapes of nodes, then a transformer that knows the graph.

Knyazev, Hwang, Lacoste-Julien, ICML 2023, arXiv 2303.04143, after Ying et al., "Do Transformers Really Perform Badly for
Graph Representation?" (Graphormer), NeurIPS 2021, arXiv 2106.05234. Module names follow the released code
(SamsungSAILMontreal/ghn3, MIT).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

import torch
from torch import Tensor, nn

MAX_DEGREE = 100
MAX_INPUT_DISTANCE = 1000
EDGE_VALUES = 257  # distances up to 254, shifted by 2


class ShapeEncoder(nn.Module):
    """Embedding of a tensor's shape: [channel(out) ; channel(in) ; spatial(height) ; spatial(width)], a quarter each."""

    def __init__(self, hid: int, num_classes: int, spatial: int) -> None:
        super().__init__()
        channels = {1, 3, num_classes, *range(8, 64, 8), *range(64, 4096, 16), *range(4096, 8193, 32)}
        self.channels = sorted(channels)
        self.spatial = sorted({*range(1, max(12, spatial), 2), 14, 16})
        self.embed_spatial = nn.Embedding(len(self.spatial) + 1, hid // 4)
        self.embed_channel = nn.Embedding(len(self.channels) + 1, hid // 4)

    def forward(self, shapes: Sequence[Sequence[int] | None]) -> Tensor:
        """Shapes of N nodes → [N, hid]; nodes without shape get the last row of each table."""
        rows = torch.tensor([self.indices(shape) for shape in shapes], device=self.embed_channel.weight.device)
        parts = [
            self.embed_channel(rows[:, 0]),
            self.embed_channel(rows[:, 1]),
            self.embed_spatial(rows[:, 2]),
            self.embed_spatial(rows[:, 3]),
        ]
        return torch.cat(parts, 1)

    def indices(self, shape: Sequence[int] | None) -> tuple[int, int, int, int]:
        """Rows of the four tables for one shape. As released, 4 to 7 channels count as 8, a side of 2 as 3."""
        if shape is None:
            return len(self.channels), len(self.channels), len(self.spatial), len(self.spatial)
        out, inn, height, width = four_axes(shape)
        channels = [_nearest(self.channels, 8 if 4 <= n < 8 else n) for n in (out, inn)]
        spatial = [_nearest(self.spatial, 3 if n == 2 else n) for n in (height, width)]
        return channels[0], channels[1], spatial[0], spatial[1]


def _nearest(values: Sequence[int], wanted: int) -> int:
    """Index of the nearest of sorted values; the lower one of two."""
    above = bisect_left(values, wanted)
    if above == len(values):
        return above - 1
    return above if above == 0 or values[above] - wanted < wanted - values[above - 1] else above - 1


def four_axes(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """(outputs, inputs, height, width): a table of n positions [1, n, c] is a picture of √n × √n with c channels."""
    if len(shape) == 3:
        if is_position_table(shape):
            side = math.isqrt(shape[1])
            return 1, shape[2], side, side
        return shape[0], shape[1], shape[2], 1
    out, inn, height, width = (*shape, 1, 1, 1)[:4]
    return out, inn, height, width


def is_position_table(shape: Sequence[int]) -> bool:
    return len(shape) == 3 and shape[0] == 1 and min(shape[1:]) > 1


# -------------------------------------------------------------------------------------------------------- Graphormer


class EdgeEmbedding(nn.Module):
    """One learned vector per distance; starts as a table of sinusoids whose first row is zero."""

    def __init__(self, hid: int) -> None:
        super().__init__()
        position = torch.arange(EDGE_VALUES)[:, None]
        wave = torch.exp(torch.arange(0, hid, 2) * (-math.log(10000.0) / hid))
        table = torch.zeros(EDGE_VALUES, hid)
        table[:, 0::2], table[:, 1::2] = torch.sin(position * wave), torch.cos(position * wave)
        table[0] = 0
        self.embed = nn.Embedding.from_pretrained(table, freeze=False)

    def forward(self, distance: Tensor) -> Tensor:
        """Distances [N, N] → [N, N, 2·hid]: forward (row to column) and backward."""
        both = torch.stack([distance, distance.T], -1) + 2
        return self.embed(both.clamp(max=EDGE_VALUES - 1)).flatten(2)


class AttentionWeights(nn.Module):
    """softmax(q kᵀ / √(d/H) + e): [H, N, N], rows are the nodes that listen. A module of its own, so that it is seen."""

    def forward(self, queries: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
        return (queries @ keys.transpose(1, 2) / math.sqrt(queries.shape[2]) + bias).softmax(-1)


class GraphAttention(nn.Module):
    """Multi-head attention with a bias per edge; the first layer computes the bias, the others reuse it."""

    def __init__(self, hid: int, heads: int, first: bool) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(hid, 3 * hid, bias=False)
        self.weights = AttentionWeights()
        self.to_out = nn.Sequential(nn.Linear(hid, hid))
        if first:
            self.edge_embed = EdgeEmbedding(hid)
            self.proj_e = nn.Sequential(nn.Linear(2 * hid, hid), nn.ReLU(), nn.Linear(hid, heads))

    def edge_bias(self, distance: Tensor) -> Tensor:
        """Distances [N, N] → bias of the attention, [H, N, N]."""
        return self.proj_e(self.edge_embed(distance)).permute(2, 0, 1)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x [N, hid], bias [H, N, N] → [N, hid]."""
        q, k, v = self.to_qkv(x).unflatten(1, (3, self.heads, -1)).permute(1, 2, 0, 3)  # [H, N, hid/H] each
        return self.to_out((self.weights(q, k, bias) @ v).transpose(0, 1).flatten(1))


class _FeedForward(nn.Module):
    def __init__(self, hid: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(hid, 4 * hid), nn.GELU(), nn.Identity(), nn.Linear(4 * hid, hid))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class GraphormerLayer(nn.Module):
    """x + attention(LN x), then x + MLP(LN x). The first layer also adds degrees and the distance from the input."""

    def __init__(self, hid: int, heads: int, first: bool) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(hid)
        self.attn = GraphAttention(hid, heads, first)
        self.ln2 = nn.LayerNorm(hid)
        self.ff = _FeedForward(hid)
        if first:
            self.centrality_embed_in = nn.Embedding(MAX_DEGREE + 1, hid)
            self.centrality_embed_out = nn.Embedding(MAX_DEGREE + 1, hid)
            self.input_dist_embed = nn.Embedding(MAX_INPUT_DISTANCE + 1, hid)

    def with_structure(self, x: Tensor, distance: Tensor) -> Tensor:
        """x [N, hid] plus embeddings of in-degree, out-degree and distance from node 0."""
        edge = distance == 1
        x = x + self.centrality_embed_in(edge.sum(0).clamp(max=MAX_DEGREE))
        x = x + self.centrality_embed_out(edge.sum(1).clamp(max=MAX_DEGREE))
        return x + self.input_dist_embed(distance[0].clamp(max=MAX_INPUT_DISTANCE))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x [N, hid], bias [H, N, N] → [N, hid]."""
        x = x + self.attn(self.ln1(x), bias)
        return x + self.ff(self.ln2(x))


class GraphEncoder(nn.Sequential):
    """All Graphormer layers: nodes [N, hid] and distances [N, N] → [N, hid]."""

    def __init__(self, hid: int, heads: int, layers: int) -> None:
        super().__init__(*(GraphormerLayer(hid, heads, first=i == 0) for i in range(layers)))

    def forward(self, x: Tensor, distance: Tensor) -> Tensor:  # type: ignore[override]
        first = self[0]
        assert isinstance(first, GraphormerLayer)
        x = first.with_structure(x, distance)
        bias = first.attn.edge_bias(distance)
        for layer in self:
            x = layer(x, bias)
        return x
