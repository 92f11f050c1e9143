"""Weights that a network generated for another network, and the graph of the network that they are meant for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.structures.base import Structure

# Kinds of nodes of a computation graph in the order of their numbers (Knyazev et al. 2021, DeepNets-1M).
PRIMITIVES = (
    "max_pool",
    "avg_pool",
    "sep_conv",
    "dil_conv",
    "conv",
    "msa",
    "cse",
    "sum",
    "concat",
    "input",
    "bias",
    "bn",
    "ln",
    "pos_enc",
    "glob_avg",
)


@dataclass(frozen=True)
class WeightField(Structure):
    """One tensor of a family of networks as a continuous function of the place in the tensor.

    The dense grid shows the function; a network of a given width reads it at the lattice only. Places are fractions
    of the tensor: output channel a of N0 lies at a/N0, input channel b of N1 at b/N1. T taps form one kernel.

    Attributes:
        layer: name of the tensor, e.g. "conv_2.weight".
        values: the function on the dense grid, [R, C, T]; C = 1 for vectors, T = 1 for matrices and vectors.
        rows, columns: places of the dense grid, [R] and [C], in [0, 1).
        lattice_rows, lattice_columns: places that the present width reads, [N0] and [N1].
        lattice_values: the generated weights at the lattice, [N0, N1, T].
        kernel: (height, width) of the kernel, T = height · width.
        size: (N0, N1) that the size coordinates stand for; fractions are allowed between widths.
    """

    layer: str
    values: Tensor
    rows: Tensor
    columns: Tensor
    lattice_rows: Tensor
    lattice_columns: Tensor
    lattice_values: Tensor
    kernel: tuple[int, int]
    size: tuple[float, float]


@dataclass(frozen=True)
class GeneratedWeights(Structure):
    """A full set of parameters for a network, by the network's own parameter names.

    `torch.func.functional_call(network, generated.weights, inputs)` runs the network with them.

    Attributes:
        weights: {parameter name: tensor in the shape of the parameter}. Hypernetworks that generate B sets at once give
            every tensor a leading axis B.
        tiles: {name: (outputs, inputs)} of the block that was generated once and copied over the whole tensor; only for
            tensors that are larger than one block.
        left, right: {name: A [rows, r]} and {name: B [r, columns]} of tensors that were generated as a product A·B
            (a convolution [out, in, kh, kw] as the matrix [out·kh, in·kw]), before normalisation.
    """

    weights: Mapping[str, Tensor]
    tiles: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    left: Mapping[str, Tensor] = field(default_factory=dict)
    right: Mapping[str, Tensor] = field(default_factory=dict)

    def count(self) -> int:
        """Number of generated values."""
        return sum(tensor.numel() for tensor in self.weights.values())


@dataclass(frozen=True)
class ComputationGraph(Structure):
    """The directed acyclic graph of a network: parameters and operations in the order of the forward pass.

    Node 0 is the input. A weight and a bias are two nodes (weight → bias); a norm layer is one, named by its weight.

    Attributes:
        primitive: kind of each node, [N] int64, a position in PRIMITIVES.
        distance: shortest path from row to column, [N, N] int64: 1 is an edge, larger is a virtual edge, 0 is none.
        names: parameter name of each node; the operation's own name for nodes without parameters.
        shapes: shape of each node's tensor; (1, 1, k, k) of a pool; None of a node without shape.
    """

    primitive: Tensor
    distance: Tensor
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...] | None, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Name of each node's kind."""
        return tuple(PRIMITIVES[i] for i in self.primitive.tolist())

    def __len__(self) -> int:
        return len(self.names)

    def edge_index(self) -> Tensor:
        """Edges as [2, E] int64, source → target (the convention of PyTorch Geometric)."""
        return torch.nonzero(self.distance == 1).T

    def virtual_edges(self) -> tuple[Tensor, Tensor]:
        """Virtual edges as [2, V] int64, source → target, and the length of the shortest path of each, [V] int64."""
        index = torch.nonzero(self.distance > 1).T
        return index, self.distance[index[0], index[1]]

    def depth(self) -> Tensor:
        """Longest path from a node without inputs, [N] int64: the layer of a layered drawing."""
        depth = torch.zeros(len(self), dtype=torch.int64)
        for node in range(len(self)):  # rows are in topological order
            sources = self.distance[:, node] == 1
            if sources.any():
                depth[node] = depth[sources].max() + 1
        return depth

    def is_parameter(self) -> Tensor:
        """True where a node holds parameters, [N] bool."""
        free = {"input", "max_pool", "avg_pool", "msa", "cse", "sum", "concat", "glob_avg"}
        return torch.tensor([kind not in free for kind in self.kinds])


@dataclass(frozen=True)
class TaskAccuracy(Structure):
    """How well tasks are solved while they are learned one after another.

    Attributes:
        values: accuracy on task j after learning task i, [N, N], 0…1; above the diagonal NaN where it was not measured.

    Raises:
        ValueError: the matrix is empty or not square.
    """

    values: Tensor

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not 0 < self.values.shape[0] == self.values.shape[1]:
            raise ValueError(f"accuracies have the shape {tuple(self.values.shape)}; one row and one column per task are needed, [N, N]")

    @property
    def final(self) -> float:
        """Mean accuracy on all tasks after the last one."""
        return self.values[-1].mean().item()

    @property
    def immediate(self) -> float:
        """Mean accuracy on each task right after it was learned: low where the network has become too stiff."""
        return self.values.diagonal().mean().item()

    @property
    def forgetting(self) -> float:
        """Mean fall of the earlier tasks from their best accuracy before the last task to the final one; 0 for one task."""
        rows = torch.arange(len(self.values))[:, None]
        learned = self.values.masked_fill(rows < rows.T, -torch.inf)[:-1, :-1]
        return (learned.amax(0) - self.values[-1, :-1]).mean().item() if len(learned) else 0.0

    @property
    def backward_transfer(self) -> float:
        """Mean change of the earlier tasks since each was learned; negative where they were forgotten, 0 for one task."""
        change = self.values[-1, :-1] - self.values.diagonal()[:-1]
        return change.mean().item() if len(change) else 0.0


@dataclass(frozen=True)
class WeightPath(Structure):
    """The weights that a hypernetwork makes along one scalar input γ.

    Attributes:
        inputs: γ, [G], rising.
        encoded: what enters the hypernetwork, E(γ), [G, e].
        weights: all generated weights, [G, P].
        base: the part of them that does not depend on γ (θ₀, the bias of the last layer), [P].
        names, sizes: names of the generated tensors in the order of P, and how many weights each has.
        activation: standard deviation of every layer's output over a fixed batch (and places), mean over channels, [G, layers].
        layers: names of these layers.
    """

    inputs: Tensor
    encoded: Tensor
    weights: Tensor
    base: Tensor
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    activation: Tensor
    layers: tuple[str, ...]

    def std(self) -> Tensor:
        """Standard deviation of every generated tensor, [G, tensors]."""
        return torch.stack([part.std(1, correction=0) for part in self.weights.split(self.sizes, 1)], 1)

    def norm(self) -> Tensor:
        """Length of all weights together, [G]."""
        return torch.linalg.vector_norm(self.weights, dim=1)


@dataclass(frozen=True)
class ChunkDependency(Structure):
    """How the parts of generated weights hang together, and how tasks differ.

    Generated weights are cut into C chunks of equal length (the last one is cut off); every chunk has a learned embedding.

    Attributes:
        matrix: D[l, k] = ‖∂ chunk l / ∂ embedding of chunk k‖, [C, C], exact.
        by_tensor: the same with generated tensors as rows, [T, C].
        names: of the generated tensors, T.
        chunk_of: tensor that most of each chunk's weights belong to, [C] int64.
        embeddings: of the tasks, [N, e].
        states: hidden states of a recurrent hypernetwork while it writes each task's chunks, [N, C, units]; units is 0 where there
            is no recurrence.
        weights: generated weights of each task, [N, P].
    """

    matrix: Tensor
    by_tensor: Tensor
    names: tuple[str, ...]
    chunk_of: Tensor
    embeddings: Tensor
    states: Tensor
    weights: Tensor


@dataclass(frozen=True)
class GraphEncoding(Structure):
    """What a graph transformer made of the nodes of a computation graph, N nodes, L layers, H heads.

    Attributes:
        embeddings: of the nodes before the first layer and after every one, [L + 1, N, hid].
        attention: rows are the nodes that listen, [L, H, N, N].
    """

    embeddings: Tensor
    attention: Tensor
