"""LoGAH: a graph hypernetwork whose decoder emits every tensor as a product of two thin matrices.

Zhou, Knyazev, Jolicoeur-Martineau, Fu, "LoGAH: Predicting 774-Million-Parameter Transformers using Graph HyperNetworks with
1/100 Parameters", arXiv 2405.16287. Module names follow the released code (Blackzxy/LoGAH), so that its checkpoints load.

The encoder is that of GHN-3. A tensor of c_out outputs, c_in inputs and kernel kh × kw is W = A·B with A [c_out·kh, r] and
B [r, c_in·kw], cut out of factors of one maximal size: full width, no copies, rank at most r.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from models.hypernetworks.ghn3 import MLP, Draft, GraphHyperNetwork, as_positions, parameter_nodes, rounded, start_small
from models.hypernetworks.graphormer import four_axes
from models.structures import ComputationGraph, GeneratedWeights


class LowRankDecoder(nn.Module):
    """Node embedding → factors A [K_max, r] and B [r, K_max].

    z = MLP(x) as [2r, r];  F = W₂ relu(z) [2r, K_max], read row by row as [2·K_max, r];  A = F's first half, Bᵀ its second.
    The reading is no transpose: it is kept as released, because trained weights depend on it.

    Args:
        in_features: width of the embedding.
        ck: K_max, the largest c_out·kh and c_in·kw.
        r: rank.
        hid: widths of the two hidden layers.
    """

    def __init__(self, in_features: int, ck: int, r: int, hid: Sequence[int]) -> None:
        super().__init__()
        self.ck, self.r = ck, r
        self.mlp = MLP((in_features, *hid, 2 * r * r))
        self.l1 = nn.Linear(r, r)  # never used; in the released files all the same
        self.l2 = nn.Linear(r, ck)
        self.seq = nn.Sequential(nn.ReLU(), self.l2)

    def factors(self, x: Tensor) -> Tensor:
        """Embeddings [n, in_features] → [n, 2·K_max, r]: the rows of A, then the columns of B."""
        return self.seq(self.mlp(x).unflatten(1, (2 * self.r, self.r))).reshape(len(x), 2 * self.ck, self.r)

    def forward(self, x: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        """Embeddings [n, in_features] → A [n, rows, r] and B [n, r, columns].

        Raises:
            ValueError: more rows or columns than K_max.
        """
        if max(rows, columns) > self.ck:
            raise ValueError(f"a matrix of {rows} × {columns} was asked for; at most {self.ck} × {self.ck} can be decoded")
        factors = self.factors(x)
        return factors[:, :rows], factors[:, self.ck : self.ck + columns].transpose(1, 2)


class LoGAH(GraphHyperNetwork):
    """LoGAH.

    Args:
        max_shape: (K, K, s, s): K bounds only how many rows of a vector are decoded, s the vocabulary of kernel sizes.
        num_classes: classes of the networks.
        hid, heads, layers: width, attention heads and depth of the Graphormer.
        lora_r: rank r. max_ck_lora: K_max.
        use_1d_decoder: vectors come from a decoder of their own instead of the low-rank one (off in the released sizes).
        weight_norm, ve, layernorm: as in GHN-3.
    """

    decoder: LowRankDecoder

    def __init__(
        self,
        max_shape: Sequence[int] = (2048, 2048, 11, 11),
        num_classes: int = 10,
        hid: int = 64,
        heads: int = 8,
        layers: int = 3,
        lora_r: int = 32,
        max_ck_lora: int = 32768,
        use_1d_decoder: bool = False,
        weight_norm: bool = True,
        ve: bool = True,
        layernorm: bool = True,
    ) -> None:
        super().__init__(max_shape, num_classes, hid, heads, layers, weight_norm, ve, layernorm)
        self.decoder = LowRankDecoder(hid, max_ck_lora, lora_r, (4 * hid, 8 * hid))
        self.use_1d_decoder = use_1d_decoder
        if use_1d_decoder:
            vectors = MLP((hid, 2 * hid, 2 * (hid // 2)))
            start_small(vectors.fc[-1])
            self.decoder_1d = vectors
            self.bias_class = nn.Sequential(nn.ReLU(), nn.Linear(hid // 2, num_classes))
        else:  # placeholders of the released files
            self.decoder_1d = nn.Sequential(nn.Linear(1, 1))
            self.bias_class = nn.Sequential(nn.ReLU(), nn.Linear(1, 1))

    def require(self, graph: ComputationGraph) -> None:
        super().require(graph)
        for node in parameter_nodes(graph):
            shape = graph.shapes[node]
            assert shape is not None
            rows, columns = self._matrix(shape)
            if max(rows, columns) > self.decoder.ck:
                raise ValueError(
                    f"{graph.names[node]} is a matrix of {rows} × {columns} values (outputs·height × inputs·width); "
                    f"at most {self.decoder.ck} × {self.decoder.ck} can be decoded"
                )

    def decode_tensors(self, draft: Draft, names: list[str], x: Tensor, shape: tuple[int, ...], classifier: bool) -> None:
        out, inn, height, width = four_axes(shape)
        for name, embedding in zip(names, x.split(1), strict=True):  # one by one: the factors are large
            left, right = self.decoder(embedding, *self._matrix(shape))
            kernels = as_kernels(left[0] @ right[0], (out, inn, height, width))
            draft.left[name], draft.right[name] = left[0], right[0]
            draft.weights[name] = as_positions(kernels, shape) if len(shape) == 3 else kernels.reshape(shape)

    def decode_pairs(self, x: Tensor, length: int) -> Tensor:
        if self.use_1d_decoder:
            return self.decoder_1d(x).unflatten(1, (2, -1))[:, :, :length]
        rows = 2 * rounded(length, self.max_shape[0])
        left, right = self.decoder(x, rows, 1)
        return (left @ right).reshape(len(x), 2, -1)[:, :, :length]

    def decode_class_bias(self, x: Tensor) -> Tensor:
        if self.use_1d_decoder:
            return self.bias_class(self.decoder_1d(x).unflatten(1, (2, -1)))
        return self.decode_pairs(x, self.num_classes)

    def _matrix(self, shape: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of the matrix that a tensor of this shape is cut from."""
        if len(shape) == 1:
            return (1, 1) if self.use_1d_decoder else (2 * rounded(shape[0], self.max_shape[0]), 1)
        out, inn, height, width = four_axes(shape)
        return out * height, inn * width


# --------------------------------------------------------------------------------------------------------- matrices


def as_matrix(kernels: Tensor) -> Tensor:
    """[out, in, kh, kw] → [out·kh, in·kw]; a matrix stays."""
    if kernels.ndim == 2:
        return kernels
    out, inn, height, width = kernels.shape
    return kernels.transpose(1, 2).reshape(out * height, inn * width)


def as_kernels(matrix: Tensor, shape: Sequence[int]) -> Tensor:
    """[out·kh, in·kw] → [out, in, kh, kw]: the inverse of `as_matrix`."""
    out, inn, height, width = shape
    return matrix.reshape(out, height, inn, width).transpose(1, 2)


def truncated(generated: GeneratedWeights, rank: int) -> GeneratedWeights:
    """The nearest weights (in the squared error of every matrix) whose products have at most this rank.

    Vectors and tables of positions stay. The factors become orthonormal columns and what is left of A·B in them.

    Raises:
        ValueError: the rank is below 1, or nothing in `generated` is a product.
    """
    if rank < 1:
        raise ValueError(f"rank {rank} leaves nothing; choose 1 or more")
    if not generated.left:
        raise ValueError("these weights are no products of two factors; only LoGAH's can be cut in rank")
    weights, left, right = dict(generated.weights), dict(generated.left), dict(generated.right)
    for name in generated.left:
        if weights[name].ndim == 3:
            continue
        product = left[name] @ right[name]
        basis = _leading(left[name], right[name], rank)  # [rows, rank]
        kept = basis @ (basis.T @ as_matrix(weights[name]))
        weights[name] = kept if weights[name].ndim == 2 else as_kernels(kept, weights[name].shape)
        left[name], right[name] = basis, basis.T @ product
    return replace(generated, weights=weights, left=left, right=right)


def _leading(left: Tensor, right: Tensor, rank: int) -> Tensor:
    """The first `rank` left singular vectors of left·right, found in the small space that left spans."""
    basis, small = torch.linalg.qr(left)
    return basis @ torch.linalg.svd(small @ right, full_matrices=False).U[:, :rank]


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "logah-tiny": {"hid": 64, "heads": 8, "layers": 3, "lora_r": 32},
    "logah-small": {"hid": 128, "heads": 16, "layers": 5, "lora_r": 90},
    "logah-base": {"hid": 256, "heads": 16, "layers": 5, "lora_r": 128},
    "logah-large": {"hid": 256, "heads": 16, "layers": 12, "lora_r": 256},
}


def build(name: str, **changes: Any) -> LoGAH:
    """A released size by its name, e.g. "logah-tiny" (100 classes); keyword arguments replace settings."""
    return LoGAH(**{"num_classes": 100, **CONFIGURATIONS[name], **changes})


def decoder_size(hid: int, widest: int, rank: int) -> int:
    """Number of parameters of the low-rank decoder; it grows with K_max·r, not with K_max²."""
    perceptron = 4 * hid * (hid + 1) + 8 * hid * (4 * hid + 1) + 2 * rank**2 * (8 * hid + 1)
    return perceptron + rank * (rank + 1) + widest * (rank + 1)
