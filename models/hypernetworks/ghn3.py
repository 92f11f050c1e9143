"""GHN-3: a graph transformer reads the computation graph of a network and predicts all its parameters in one pass.

Knyazev, Hwang, Lacoste-Julien, "Can We Scale Transformers to Predict Parameters of Diverse ImageNet Models?", ICML 2023,
arXiv 2303.04143, on Knyazev et al., NeurIPS 2021, arXiv 2110.13100. Module names follow the released code
(SamsungSAILMontreal/ghn3, MIT), so that its checkpoints load.

    network = build(parse("conv3x3-16 bn relu gap fc10"))
    generated = ghn(graph_of(network))
    logits = torch.func.functional_call(network, dict(generated.weights), image)

nodes → kind + shape embedding → Graphormer layers → one decoder per number of axes → copies of the tile → fan-in scale.
The prediction is an initialisation, not a trained network.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.hypernetworks.graphormer import GraphEncoder, ShapeEncoder, four_axes, is_position_table
from models.structures import PRIMITIVES, ComputationGraph, GeneratedWeights

POSITION_KERNEL = 11  # as released: a picture at least this large for one output is a table of positions, not a kernel

# What the tables of the released code hold at top level before it moves them into the first layer.
MOVED = ("centrality_embed_in", "centrality_embed_out", "input_dist_embed")


class MLP(nn.Module):
    """Linear layers with ReLU between."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(len(sizes) - 1):
            layers += [nn.ReLU()] if i else []
            layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        self.fc = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)


class ConvDecoder(nn.Module):
    """Node embedding → one tile [K, K, kh, kw]; wider tensors are copies of it.

    A linear layer makes an s×s picture of 4·hid channels; its centre of the kernel's size is taken, and the same small
    network turns every position into K·K values. For the classifier a linear map turns K outputs into the classes.
    """

    def __init__(self, hid: int, max_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        tile, side = max_shape[0], max_shape[2]
        self.tile, self.side = tile, side
        self.fc = nn.Sequential(nn.Linear(hid, 4 * hid * side * side), nn.ReLU())
        self.conv = nn.Sequential(nn.Linear(4 * hid, 8 * hid), nn.ReLU(), nn.Linear(8 * hid, tile * max_shape[1]))
        self.class_layer_predictor = nn.Sequential(nn.ReLU(), nn.Linear(tile, num_classes))

    def forward(self, x: Tensor, kernel: tuple[int, int]) -> Tensor:
        """Embeddings [n, hid] → tiles [n, K, K, *kernel]. Kernels above s × s are interpolated from s × s."""
        picture = self.fc(x).unflatten(1, (-1, self.side, self.side))
        rows, columns = (slice(max(0, self.side // 2 - k // 2), self.side // 2 + -(-k // 2)) for k in kernel)
        places = self.conv(picture[:, :, rows, columns].permute(0, 2, 3, 1))  # [n, h, w, K·K]
        tiles = places.permute(0, 3, 1, 2).unflatten(1, (self.tile, -1))
        if max(kernel) <= self.side:
            return tiles
        return F.interpolate(tiles.flatten(0, 1), kernel, mode="bilinear").unflatten(0, (len(x), -1))

    def classes(self, x: Tensor) -> Tensor:
        """Embeddings [n, hid] → classifier tiles [n, classes, K]."""
        middle = self(x, (1, 1))[..., 0, 0]  # [n, outputs, inputs]
        return self.class_layer_predictor(middle.transpose(1, 2)).transpose(1, 2)


# ------------------------------------------------------------------------------------------------ the hypernetworks


@dataclass
class Draft:
    """Generated tensors while they are collected: raw weights, copied tiles and factors by parameter name."""

    weights: dict[str, Tensor] = field(default_factory=dict)
    tiles: dict[str, tuple[int, int]] = field(default_factory=dict)
    left: dict[str, Tensor] = field(default_factory=dict)
    right: dict[str, Tensor] = field(default_factory=dict)


class GraphHyperNetwork(nn.Module):
    """What GHN-3 and LoGAH share: the encoder of graphs, the mapping of nodes to parameters, the scale of the result.

    A subclass sets `decoder`, `decoder_1d` and `bias_class`, and says how tensors come out of embeddings.
    """

    decoder: nn.Module
    decoder_1d: nn.Module
    bias_class: nn.Module

    def __init__(
        self,
        max_shape: Sequence[int],
        num_classes: int,
        hid: int,
        heads: int,
        layers: int,
        weight_norm: bool = True,
        ve: bool = True,
        layernorm: bool = True,
    ) -> None:
        super().__init__()
        if hid % 4 or hid % heads:
            raise ValueError(f"hid = {hid} must be a multiple of 4 and of the {heads} heads")
        self.max_shape, self.num_classes = tuple(max_shape), num_classes
        self.weight_norm, self.ve = weight_norm, ve
        self.ln = nn.LayerNorm(hid) if layernorm else None
        self.embed = nn.Embedding(len(PRIMITIVES), hid)
        self.shape_enc = ShapeEncoder(hid, num_classes, max_shape[3])
        self.gnn = GraphEncoder(hid, heads, layers)
        for name, module in self.named_modules():
            if isinstance(module, nn.Embedding) and "edge_embed" not in name:
                nn.init.trunc_normal_(module.weight, std=hid**-0.5)

    def forward(self, graph: ComputationGraph) -> GeneratedWeights:
        """All parameters of the network behind a computation graph.

        Raises:
            ValueError: other classes than the ones trained for, a tensor that the decoder cannot reach, an empty graph.
        """
        self.require(graph)
        return self.decode(graph, self.encode(graph))

    def node_features(self, graph: ComputationGraph) -> Tensor:
        """Embedding of each node's kind and shape, [N, hid]: what enters the Graphormer."""
        device = self.embed.weight.device
        return self.embed(graph.primitive.to(device)) + self.shape_enc(graph.shapes)

    def encode(self, graph: ComputationGraph) -> Tensor:
        """Embeddings of the nodes after the Graphormer, [N, hid]."""
        distance = graph.distance.to(self.embed.weight.device)
        x = self.gnn(self.node_features(graph), distance if self.ve else distance * (distance == 1))
        return x if self.ln is None else self.ln(x)

    def decode(self, graph: ComputationGraph, x: Tensor) -> GeneratedWeights:
        """Node embeddings [N, hid] → parameters. Nodes of one shape are decoded together."""
        groups: dict[tuple[tuple[int, ...], str], list[int]] = defaultdict(list)
        for node in parameter_nodes(graph):
            groups[(graph.shapes[node] or (), role_of(graph, node))].append(node)
        draft = Draft()
        for (shape, role), nodes in groups.items():
            names = [graph.names[node] for node in nodes]
            if len(shape) == 1:
                self._decode_vectors(draft, names, x[nodes], shape[0], role)
            else:
                self.decode_tensors(draft, names, x[nodes], shape, role == "class")
        order = [name for node in parameter_nodes(graph) for name in parameter_names(graph, node)]
        weights = {name: draft.weights[name] for name in order}
        if self.weight_norm:
            weights = {name: normalised(name, tensor) for name, tensor in weights.items()}
        return GeneratedWeights(weights, draft.tiles, draft.left, draft.right)

    def require(self, graph: ComputationGraph) -> None:
        """Raise ValueError when the parameters of this network cannot be predicted; the message says what could."""
        nodes = parameter_nodes(graph)
        if not nodes:
            raise ValueError("the network has no parameters to predict")
        last = graph.shapes[nodes[-1]]
        if last is None or last[0] != self.num_classes:
            raise ValueError(
                f"the network ends in {graph.names[nodes[-1]]} of {last[0] if last else 0} outputs; "
                f"parameters are predicted for {self.num_classes} classes"
            )
        for node in nodes:
            shape = graph.shapes[node]
            if shape is None or (len(shape) == 3 and not is_position_table(shape)) or not 1 <= len(shape) <= 4:
                raise ValueError(
                    f"{graph.names[node]} has the shape {shape}; vectors, matrices, kernels and tables [1, n, c] can be predicted"
                )
            if len(shape) == 3 and shape[1] - math.isqrt(shape[1]) ** 2 not in (0, 1):
                raise ValueError(
                    f"{graph.names[node]} holds {shape[1]} positions; a square number, or one more for a class token, can be predicted"
                )

    def decode_tensors(self, draft: Draft, names: list[str], x: Tensor, shape: tuple[int, ...], classifier: bool) -> None:
        """Write tensors of two or more axes of one shape into `draft`. x [n, hid], one row per name."""
        raise NotImplementedError

    def decode_pairs(self, x: Tensor, length: int) -> Tensor:
        """Embeddings [n, hid] → rows (weight, bias) of vectors, [n, 2, at most `length`]; shorter ones are repeated."""
        raise NotImplementedError

    def decode_class_bias(self, x: Tensor) -> Tensor:
        """Embeddings [n, hid] → rows (weight, bias) of the classifier's vectors, [n, 2, classes]."""
        raise NotImplementedError

    def _decode_vectors(self, draft: Draft, names: list[str], x: Tensor, length: int, role: str) -> None:
        pairs = self.decode_class_bias(x) if role == "class" else self.decode_pairs(x, length)
        for name, pair in zip(names, pairs, strict=True):
            full = repeat_to(pair, 1, length)
            rows = {name: full[0], bias_of(name): full[1]} if role == "norm" else {name: full[1]}
            draft.weights.update(rows)
            if pair.shape[1] < length:
                draft.tiles.update(dict.fromkeys(rows, (pair.shape[1], 1)))


class GHN3(GraphHyperNetwork):
    """GHN-3.

    Args:
        max_shape: (K, K, s, s): the tile and the largest kernel. K = hid in the released sizes; s is 16 for ImageNet, 11 for CIFAR-10.
        num_classes: classes of the networks.
        hid, heads, layers: width, attention heads and depth of the Graphormer.
        weight_norm: scale tensors by their fan-in. ve: use virtual edges. layernorm: after the last layer.
    """

    def __init__(
        self,
        max_shape: Sequence[int] = (64, 64, 16, 16),
        num_classes: int = 1000,
        hid: int = 64,
        heads: int = 8,
        layers: int = 3,
        weight_norm: bool = True,
        ve: bool = True,
        layernorm: bool = True,
    ) -> None:
        super().__init__(max_shape, num_classes, hid, heads, layers, weight_norm, ve, layernorm)
        widest = max(max_shape[:2])
        self.decoder: ConvDecoder = ConvDecoder(hid, max_shape, num_classes)
        self.decoder_1d: MLP = MLP((hid, 2 * hid, 2 * widest))
        self.bias_class = nn.Sequential(nn.ReLU(), nn.Linear(widest, num_classes))
        for layer in (self.decoder.conv[-1], self.decoder.class_layer_predictor[-1], self.decoder_1d.fc[-1]):
            start_small(layer)

    def decode_tensors(self, draft: Draft, names: list[str], x: Tensor, shape: tuple[int, ...], classifier: bool) -> None:
        out, inn, height, width = four_axes(shape)
        decoded = self.decoder.classes(x)[..., None, None] if classifier else self.decoder(x, (height, width))
        for name, tile in zip(names, decoded[:, :out, :inn], strict=True):
            if tile.shape[:2] != (out, inn):
                draft.tiles[name] = (tile.shape[0], tile.shape[1])
            full = repeat_to(repeat_to(tile, 0, out), 1, inn)
            draft.weights[name] = as_positions(full, shape) if len(shape) == 3 else full.reshape(shape)

    def decode_pairs(self, x: Tensor, length: int) -> Tensor:
        return self.decoder_1d(x).unflatten(1, (2, -1))[:, :, :length]

    def decode_class_bias(self, x: Tensor) -> Tensor:
        return self.bias_class(self.decoder_1d(x).unflatten(1, (2, -1)))


# --------------------------------------------------------------------------------------------------- shared functions


def parameter_nodes(graph: ComputationGraph) -> list[int]:
    """Numbers of the nodes that hold parameters, in the order of the graph."""
    return torch.nonzero(graph.is_parameter()).flatten().tolist()


def parameter_names(graph: ComputationGraph, node: int) -> tuple[str, ...]:
    """Parameters that a node stands for: a norm layer's node stands for its weight and its bias."""
    name = graph.names[node]
    return (name, bias_of(name)) if graph.kinds[node] in ("bn", "ln") else (name,)


def role_of(graph: ComputationGraph, node: int) -> str:
    """ "class" for the last two nodes when they are weight and bias of the classifier, "norm", or "plain"."""
    kind, behind, shape = graph.kinds[node], len(graph) - node, graph.shapes[node]
    if kind in ("bn", "ln"):
        return "norm"
    weight = behind == 2 and kind != "bias" and graph.names[node].endswith(".weight") and four_axes(shape or ())[2:] == (1, 1)
    return "class" if weight or (behind == 1 and kind == "bias") else "plain"


def bias_of(weight: str) -> str:
    return weight.removesuffix("weight") + "bias"


def is_weight(name: str) -> bool:
    return name.endswith("weight")


def repeat_to(tile: Tensor, axis: int, length: int) -> Tensor:
    """Copies of a tile along an axis, cut at `length`."""
    index = torch.arange(length, device=tile.device) % tile.shape[axis]
    return tile if tile.shape[axis] == length else tile.index_select(axis, index)


def as_positions(picture: Tensor, shape: Sequence[int]) -> Tensor:
    """[1, c, s, s] → table of positions [1, n, c]; the row of a class token, for which nothing was learned, is random."""
    table = picture.flatten(2).transpose(1, 2)
    if shape[1] == table.shape[1]:
        return table
    return torch.cat([0.02 * torch.randn_like(table[:, :1]), table], 1)


def normalised(name: str, tensor: Tensor) -> Tensor:
    """Fan-in scale: W·√(β / fan-in), β = 2, or 1 for one input or height < width; vectors: 2σ(p/2), biases tanh(0.2 p).

    Tables of positions stay as they are.
    """
    if tensor.ndim == 1:
        return 2 * torch.sigmoid(0.5 * tensor) if is_weight(name) else torch.tanh(0.2 * tensor)
    shape = tensor.shape
    if tensor.ndim == 3 or (tensor.ndim == 4 and shape[0] == 1 and shape[2] >= POSITION_KERNEL):
        return tensor
    no_relu = tensor.ndim == 4 and (shape[1] == 1 or shape[2] < shape[3])
    return tensor * math.sqrt((1 if no_relu else 2) / tensor[0].numel())


@torch.no_grad()
def initialise(network: nn.Module, generated: GeneratedWeights, noise: float = 1e-5, generator: torch.Generator | None = None) -> None:
    """Start a network from predicted weights, to be trained from there.

    Args:
        noise: standard deviation of what is added to every value: copies of one tile would otherwise get one gradient for ever.

    Raises:
        ValueError: a predicted tensor is no parameter of the network, or has another shape.
    """
    parameters = dict(network.named_parameters())
    for name, tensor in generated.weights.items():
        if name not in parameters or parameters[name].shape != tensor.shape:
            raise ValueError(f"{name} of the shape {tuple(tensor.shape)} was predicted, which is no parameter of this network")
    for name, tensor in generated.weights.items():
        place = parameters[name]
        place.copy_(tensor + noise * torch.randn(tensor.shape, generator=generator).to(tensor))


def rounded(size: int, limit: int) -> int:
    """How many rows the released code decodes for `size` wanted ones: full from half on, multiples of 4 instead of 3."""
    n = min(size, limit)
    n = n // 3 * 4 if n % 3 == 0 else n
    return limit if n >= limit / 2 else n


def start_small(layer: nn.Module) -> None:
    """A fifth of the usual initial weights and no bias, as released, against the first steps' explosion."""
    assert isinstance(layer, nn.Linear)
    with torch.no_grad():
        layer.weight /= 5
        layer.bias.zero_()


def released_state(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a released checkpoint under the names used here.

    Goes into `state_dict` where there is one, moves the three tables of the whole graph into the first layer and
    drops the two axes of length 1 that 1×1 convolutions of older files have.
    """
    inner = checkpoint.get("state_dict", checkpoint)
    state = {(f"gnn.0.{name}" if name.split(".")[0] in MOVED else name): tensor for name, tensor in inner.items()}
    return {name: tensor[..., 0, 0] if name.startswith("decoder.") and tensor.ndim == 4 else tensor for name, tensor in state.items()}


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "ghn3tm8": {"max_shape": (64, 64, 16, 16), "hid": 64, "heads": 8, "layers": 3},
    "ghn3sm8": {"max_shape": (128, 128, 16, 16), "hid": 128, "heads": 16, "layers": 5},
    "ghn3lm8": {"max_shape": (256, 256, 16, 16), "hid": 256, "heads": 16, "layers": 12},
    "ghn3xlm16": {"max_shape": (384, 384, 16, 16), "hid": 384, "heads": 16, "layers": 24},
}


def build(name: str, **changes: Any) -> GHN3:
    """A released size for ImageNet by the name of its checkpoint, e.g. "ghn3tm8"; keyword arguments replace settings."""
    return GHN3(**{"num_classes": 1000, **CONFIGURATIONS[name], **changes})


def decoder_size(hid: int, tile: int, side: int, num_classes: int) -> int:
    """Number of parameters of the tile decoder; 8·hid·tile² dominates: untiled width is what makes it large."""
    picture = 4 * hid * side**2 * (hid + 1)
    tiles = 8 * hid * (4 * hid + 1) + tile**2 * (8 * hid + 1)
    return picture + tiles + num_classes * (tile + 1)
