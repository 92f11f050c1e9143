"""What a node is told about its place: positional encodings, and the features that a network starts from.

laplacian     eigenvectors 2 … k+1 of the normalised Laplacian; their signs are arbitrary and are flipped at random in
              training (Dwivedi et al., "Benchmarking Graph Neural Networks", JMLR 2023)
random-walk   probability to be back after 1 … k steps of a random walk (Dwivedi et al., ICLR 2022)
signnet       ρ(φ(v) + φ(−v)) of every eigenvector: no sign left (Lim et al., ICLR 2023), with φ two rounds of messages
spe           V diag(φ_m(λ)) Vᵀ, which does not depend on the basis of an eigenspace either (Huang et al., ICLR 2024); ours: each
              node sums an MLP over its row
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from models.graph_structure.links import GraphBatch
from models.graph_structure.truth import laplacian, signed
from models.structures import AbstractGraph

ENCODINGS = ("laplacian", "random-walk", "signnet", "spe")
LARGEST_DEGREE = 100


def encode(graph: AbstractGraph, size: int = 16) -> dict[str, Tensor]:
    """All that the encodings need to know of one graph, from one eigen-decomposition of its normalised Laplacian.

    Returns:
        "eigenvectors" [N, size] of eigenvalues 2 … size + 1, largest entry positive, length 1; "eigenvalues" [size];
        "returns" [N, size], the diagonal of (D⁻¹A)^t for t = 1 … size. Where a graph has too few eigenvectors, zeros.
    """
    values, vectors = torch.linalg.eigh(laplacian(graph))
    kept = min(size, graph.num_nodes - 1)
    padded = torch.zeros(graph.num_nodes, size, dtype=torch.float64)
    padded[:, :kept] = signed(vectors[:, 1 : 1 + kept])
    scale = torch.zeros(size, dtype=torch.float64)
    scale[:kept] = values[1 : 1 + kept]
    # (D⁻¹A)^t and (D^(−1/2) A D^(−1/2))^t share their diagonal; a node without edges stays where it is nowhere.
    walks = (1 - values[None, :]) ** torch.arange(1, size + 1)[:, None]
    returns = (vectors.square() @ walks.T) * (graph.degrees() > 0)[:, None]
    return {"eigenvectors": padded.float(), "eigenvalues": scale.float(), "returns": returns.float()}


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class SignInvariant(nn.Module):
    """SignNet: φ sees v and −v of every eigenvector with the graph, ρ mixes what is left. → [N, size]."""

    def __init__(self, size: int, hidden: int = 16) -> None:
        super().__init__()
        self.first, self.second, self.rho = mlp(1, hidden, hidden), mlp(hidden, hidden, hidden), mlp(size * hidden, 2 * size, size)

    def forward(self, batch: GraphBatch) -> Tensor:
        vectors = batch.encodings["eigenvectors"]
        return self.rho((self._phi(vectors, batch) + self._phi(-vectors, batch)).flatten(1))

    def _phi(self, vectors: Tensor, batch: GraphBatch) -> Tensor:
        x = self.first(vectors[..., None])
        around = batch.links.sum(x.flatten(1), batch.weight).view_as(x)
        return self.second(x + around)


class StableEncoding(nn.Module):
    """SPE: rows of V diag(φ_m(λ)) Vᵀ for m channels, summed over the graph by an MLP. → [N, size]."""

    def __init__(self, size: int, hidden: int = 16) -> None:
        super().__init__()
        self.phi, self.rho, self.out = mlp(1, hidden, hidden), mlp(hidden, hidden, hidden), mlp(2 * hidden, 2 * size, size)

    def forward(self, batch: GraphBatch) -> Tensor:
        vectors = batch.padded(batch.encodings["eigenvectors"])
        scale = self.phi(batch.encodings["eigenvalues"][..., None])
        kernel = torch.einsum("gik,gkm,gjk->gijm", vectors, scale, vectors)
        row = (self.rho(kernel) * batch.mask[:, None, :, None]).sum(2)
        own = torch.diagonal(kernel, dim1=1, dim2=2).transpose(1, 2)
        return self.out(torch.cat([batch.stacked(row) / batch.sizes[batch.graph, None], batch.stacked(own)], -1))


class NodeEncoder(nn.Module):
    """Features that a network starts from: the degree (one-hot, at most 100) or nothing but a 1, and an encoding beside it.

    Degrees that never occurred in training have weights that were never trained: a reason why networks with "degree" fail on
    larger graphs, for which "constant" is the control.

    Args:
        features: "degree" or "constant".
        encoding: one of ENCODINGS, or None.
        size: width of the encoding.
    """

    def __init__(self, features: str = "degree", encoding: str | None = None, size: int = 16) -> None:
        super().__init__()
        if features not in ("degree", "constant"):
            raise ValueError(f"features is {features!r}; choose 'degree' or 'constant'")
        if encoding not in (None, *ENCODINGS):
            raise ValueError(f"encoding is {encoding!r}; choose None or one of {', '.join(ENCODINGS)}")
        self.features, self.encoding, self.size = features, encoding, size
        self.width = (LARGEST_DEGREE + 1 if features == "degree" else 1) + (size if encoding else 0)
        if encoding in ("signnet", "spe"):
            self.learned = SignInvariant(size) if encoding == "signnet" else StableEncoding(size)

    def forward(self, batch: GraphBatch) -> Tensor:
        """[N, width]. Raises ValueError when the batch was made without the encodings that are needed."""
        degree = batch.links.counts
        if self.features == "degree":
            x = nn.functional.one_hot(degree.clamp(max=LARGEST_DEGREE), LARGEST_DEGREE + 1).float()
        else:
            x = torch.ones(len(degree), 1, device=degree.device)
        return x if self.encoding is None else torch.cat([x, self._encoding(batch)], 1)

    def _encoding(self, batch: GraphBatch) -> Tensor:
        if not batch.encodings:
            raise ValueError(f"the encoding {self.encoding!r} needs GraphBatch.of(graphs, [encode(graph) for graph in graphs])")
        if self.encoding == "random-walk":
            return batch.encodings["returns"]
        if self.encoding != "laplacian":
            return self.learned(batch)
        vectors = batch.encodings["eigenvectors"]
        if not self.training:
            return vectors
        flips = torch.randint(0, 2, (batch.num_graphs, vectors.shape[1]), device=vectors.device) * 2 - 1
        return vectors * flips[batch.graph]
