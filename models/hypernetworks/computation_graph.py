"""From a torch module to the graph of its computation, as graph hypernetworks read it.

Nodes and virtual edges follow Knyazev et al., "Parameter Prediction for Unseen Deep Architectures", NeurIPS 2021
(arXiv 2110.13100), and "Can We Scale Transformers to Predict Parameters of Diverse ImageNet Models?" (GHN-3), ICML 2023
(arXiv 2303.04143): every weight is a node, every bias is a node behind its weight (the bias of a norm layer shares the
norm's node), a few operations are nodes, everything else is left out and its edges are joined.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from models.structures import PRIMITIVES, ComputationGraph

CUTOFF = 50  # longest virtual edge
NODES = 200  # largest graph

SUMS: tuple[Any, ...] = (operator.add, operator.iadd, torch.add, "add", "add_")
PRODUCTS: tuple[Any, ...] = (operator.mul, operator.imul, torch.mul, "mul", "mul_")
JOINS: tuple[Any, ...] = (torch.cat, torch.concat, torch.concatenate)
MEANS: tuple[Any, ...] = (torch.mean, "mean", F.adaptive_avg_pool2d)
ATTENTION: tuple[Any, ...] = (F.softmax, torch.softmax, "softmax", F.scaled_dot_product_attention)
POOLS: dict[Any, str] = {F.max_pool2d: "max_pool", F.avg_pool2d: "avg_pool", nn.MaxPool2d: "max_pool", nn.AvgPool2d: "avg_pool"}
WITH_PARAMETERS = "convolutions, linear layers, batch and layer normalisation, multi-head attention, added tables of positions"


def build_graph(
    kinds: Sequence[str],
    edges: Iterable[tuple[int, int]],
    names: Sequence[str],
    shapes: Sequence[Sequence[int] | None],
    cutoff: int = CUTOFF,
) -> ComputationGraph:
    """A computation graph from nodes in any order and edges (source, target): sorted, checked, with virtual edges.

    Args:
        kinds: names of PRIMITIVES.
        cutoff: longest virtual edge; 1 for none.

    Raises:
        ValueError: an unknown kind, more than 200 nodes, a cycle, or a node that does not reach the last one.
    """
    unknown = [kind for kind in kinds if kind not in PRIMITIVES]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no kind of node; the kinds are {', '.join(PRIMITIVES)}")
    if len(kinds) > NODES:
        raise ValueError(f"the network has {len(kinds)} nodes; at most {NODES} are taken")
    edge = torch.zeros(len(kinds), len(kinds), dtype=torch.bool)
    for source, target in edges:
        edge[source, target] = True
    order = _topological(edge, names)
    edge = edge[order][:, order]
    lost = [names[order[i]] for i in torch.nonzero(~_reaches_last(edge)).flatten().tolist()]
    if lost:
        raise ValueError(f"{lost[0]} does not reach the output; every node must have a path to {names[order[-1]]}")
    return ComputationGraph(
        torch.tensor([PRIMITIVES.index(kinds[i]) for i in order]),
        shortest_paths(edge, cutoff),
        tuple(names[i] for i in order),
        tuple(None if (shape := shapes[i]) is None else tuple(shape) for i in order),
    )


def shortest_paths(edge: Tensor, cutoff: int = CUTOFF) -> Tensor:
    """Edges [N, N] bool → lengths of the shortest paths up to `cutoff`, [N, N] int64; 0 where there is none."""
    step = edge.float()
    distance, frontier = edge.long(), step
    for length in range(2, cutoff + 1):
        frontier = ((frontier @ step > 0) & (distance == 0)).float()
        if not frontier.any():
            break
        distance[frontier > 0] = length
    return distance.fill_diagonal_(0)


def _topological(edge: Tensor, names: Sequence[str]) -> list[int]:
    """Kahn's order; among nodes that are ready the first one given comes first."""
    waiting = edge.sum(0).tolist()
    order: list[int] = []
    left = list(range(len(names)))
    while left:
        ready = next((node for node in left if waiting[node] == 0), None)
        if ready is None:
            raise ValueError(
                f"the graph has a cycle through {', '.join(names[node] for node in left[:3])}; a network must run from input to output"
            )
        left.remove(ready)
        order.append(ready)
        for target in torch.nonzero(edge[ready]).flatten().tolist():
            waiting[target] -= 1
    return order


def _reaches_last(edge: Tensor) -> Tensor:
    reaches = torch.zeros(len(edge), dtype=torch.bool)
    reaches[-1] = True
    for node in range(len(edge) - 2, -1, -1):
        reaches[node] = bool((edge[node] & reaches).any())
    return reaches


# ------------------------------------------------------------------------------------------------------ from a module


def graph_of(network: nn.Module, cutoff: int = CUTOFF) -> ComputationGraph:
    """The computation graph of any module that torch.fx can trace.

    Parameters that are neither in a known layer nor an added table [1, positions, channels] (a class token, say) are not
    in the graph, and nothing is predicted for them.

    Raises:
        ValueError: the forward pass branches on values, a layer with parameters is of an unknown kind or used twice, or
            the graph is refused by `build_graph`.
    """
    try:
        traced = fx.symbolic_trace(network).graph
    except Exception as error:
        raise ValueError(f"the network cannot be traced without running it ({error}); its forward must not branch on values") from error
    draft = _Draft(network)
    for node in traced.nodes:
        draft.visit(node)
    return build_graph(draft.kinds, draft.edges, draft.names, draft.shapes, cutoff)


@dataclass
class _Draft:
    """Nodes and edges in the order in which the forward pass makes them.

    `sources` says for each traced value which nodes it comes from: a value of an operation that is left out comes from
    where the operation's inputs come from.
    """

    network: nn.Module
    kinds: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    shapes: list[tuple[int, ...] | None] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    sources: dict[fx.Node, tuple[int, ...]] = field(default_factory=dict)

    def add(self, kind: str, name: str, inputs: Sequence[int], shape: Sequence[int] | None = None) -> tuple[int, ...]:
        self.kinds.append(kind)
        self.names.append(name)
        self.shapes.append(None if shape is None else tuple(shape))
        number = len(self.kinds) - 1
        self.edges += [(source, number) for source in inputs]
        return (number,)

    def visit(self, node: fx.Node) -> None:
        inputs = tuple(dict.fromkeys(i for source in node.all_input_nodes for i in self.sources.get(source, ())))
        if node.op == "placeholder":
            self.sources[node] = self.add("input", "input", ())
        elif node.op == "get_attr":
            self.sources[node] = self._table(str(node.target))
        elif node.op == "call_module":
            self.sources[node] = self._module(str(node.target), self.network.get_submodule(str(node.target)), inputs)
        elif node.op in ("call_function", "call_method"):
            self.sources[node] = self._operation(node, inputs)

    def _table(self, name: str) -> tuple[int, ...]:
        tensor = operator.attrgetter(name)(self.network)
        if isinstance(tensor, nn.Parameter) and tensor.ndim == 3 and tensor.shape[0] == 1 and min(tensor.shape[1:]) > 1:
            return self.add("pos_enc", name, (), tensor.shape)
        return ()

    def _module(self, name: str, module: nn.Module, inputs: tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            return self._weight_and_bias(_kind_of(module), f"{name}.weight", module.weight, f"{name}.bias", module.bias, inputs)
        if isinstance(module, nn.MultiheadAttention):
            return self._attention(name, module, inputs)
        if isinstance(module, (nn.BatchNorm2d, nn.LayerNorm)) and module.weight is not None:
            if module.bias is None:
                raise ValueError(f"{name} has a scale but no bias; the two are predicted together")
            kind = "bn" if isinstance(module, nn.BatchNorm2d) else "ln"
            return self._parameter(kind, f"{name}.weight", module.weight, inputs)
        if isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
            return self.add(POOLS[type(module)], name, inputs, (1, 1, *_pair(module.kernel_size)))
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return self.add("glob_avg", name, inputs)
        if isinstance(module, nn.Softmax):
            return self.add("msa", name, inputs)
        if any(True for _ in module.parameters()):
            raise ValueError(f"{name} is a {type(module).__name__}, whose parameters cannot be predicted; known are {WITH_PARAMETERS}")
        return inputs

    def _weight_and_bias(
        self, kind: str, name: str, weight: Tensor, bias_name: str, bias: Tensor | None, inputs: tuple[int, ...]
    ) -> tuple[int, ...]:
        last = self._parameter(kind, name, weight, inputs)
        return last if bias is None else self._parameter("bias", bias_name, bias, last)

    def _attention(self, name: str, module: nn.MultiheadAttention, inputs: tuple[int, ...]) -> tuple[int, ...]:
        if module.in_proj_weight is None:
            raise ValueError(f"{name} projects queries, keys and values of different widths; attention over one sequence can be predicted")
        last = self._weight_and_bias(
            "conv", f"{name}.in_proj_weight", module.in_proj_weight, f"{name}.in_proj_bias", module.in_proj_bias, inputs
        )
        last = self.add("msa", name, last)
        out = module.out_proj
        return self._weight_and_bias("conv", f"{name}.out_proj.weight", out.weight, f"{name}.out_proj.bias", out.bias, last)

    def _parameter(self, kind: str, name: str, tensor: Tensor, inputs: tuple[int, ...]) -> tuple[int, ...]:
        if name in self.names:
            raise ValueError(f"{name} is used twice in one forward pass; every parameter must be used once")
        return self.add(kind, name, inputs, tensor.shape)

    def _operation(self, node: fx.Node, inputs: tuple[int, ...]) -> tuple[int, ...]:
        target: Any = node.target
        several = len(inputs) > 1
        if target in SUMS and several:
            return self.add("sum", node.name, inputs)
        if target in JOINS and several:
            return self.add("concat", node.name, inputs)
        if target in PRODUCTS and several:
            return self.add("cse", node.name, inputs)
        if target in MEANS:
            return self.add("glob_avg", node.name, inputs)
        if target in ATTENTION:
            return self.add("msa", node.name, inputs)
        if target in POOLS:
            size: Any = node.args[1] if len(node.args) > 1 else node.kwargs["kernel_size"]
            return self.add(POOLS[target], node.name, inputs, (1, 1, *_pair(size)))
        if target in (getattr, "size", "dim"):
            return ()  # numbers, not values of the network
        return self._through_attention(inputs)

    def _through_attention(self, inputs: tuple[int, ...]) -> tuple[int, ...]:
        """Attention times values: what the values come from is written as an input of the attention (as in DeepNets-1M)."""
        attention = tuple(i for i in inputs if self.kinds[i] == "msa")
        if not attention or len(inputs) == 1:
            return inputs
        for other in inputs:
            if other not in attention and (other, attention[0]) not in self.edges:
                self.edges.append((other, attention[0]))
        return attention


def _kind_of(module: nn.Conv2d | nn.Linear) -> str:
    if isinstance(module, nn.Linear) or module.groups == 1:
        return "conv"
    return "dil_conv" if min(_pair(module.dilation)) > 1 else "sep_conv"


def _pair(size: Any) -> tuple[int, int]:
    return (int(size), int(size)) if isinstance(size, int) else (int(size[0]), int(size[1]))
