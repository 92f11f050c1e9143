"""Hypernetworks that learn task after task: one embedding per task, one network that makes every task's weights.

Baseline: von Oswald, Henning, Sacramento, Grewe, "Continual learning with hypernetworks", ICLR 2020, arXiv 1906.00695; names
of the state dict as in the released code (chrhenning/hypercl, Apache-2.0).

`RecurrentHyperNet` is an RNN hypernetwork *after* Chandra, Varshney, Srijith, Gupta, "Continual Learning with Dependency
Preserving Hypernetworks", WACV 2023, arXiv 2209.07712. No code of that paper is published: that an RNN generates layer after
layer, and that it can grow, is the paper's; the concrete form here is ours.

The generated tensors are one flat vector in the order of the layers, cut into chunks of equal length (the last one is cut
off); every chunk k has a learned embedding c_k, every task t an embedding e_t.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, jacfwd

from models.structures import GeneratedWeights

Shapes = Mapping[str, Sequence[int]]
Weights = Mapping[str, Tensor]

BIAS_SCALE = 0.1
LONGEST = 64  # chunks; a longer recurrent chain is slow and its late states are alike
CLIP = 50.0  # largest importance


class TaskHyperNet(nn.Module):
    """What both hypernetworks share: task and chunk embeddings, the flat vector, its scale.

    Args:
        target_shapes: {parameter name: shape} of the generated network, in the order of its layers.
        num_tasks: number of task embeddings.
        chunk_dim: values per chunk.
        te_dim, ce_dim: lengths of task and chunk embeddings.
        he_scale: multiply tensor j by √(2/fan-in_j) and vectors by 0.1, so that a new network starts with weights of a
            usual size. The regulariser measures drift after this scale.
    """

    def __init__(self, target_shapes: Shapes, num_tasks: int, chunk_dim: int, te_dim: int, ce_dim: int, he_scale: bool) -> None:
        super().__init__()
        if not target_shapes or num_tasks < 1:
            raise ValueError("at least one generated tensor and one task are needed")
        self.target_shapes = {name: tuple(shape) for name, shape in target_shapes.items()}
        self.sizes = [math.prod(shape) for shape in self.target_shapes.values()]
        self.chunk_dim, self.te_dim, self.he_scale = chunk_dim, te_dim, he_scale
        self.num_tasks = num_tasks
        self.num_chunks = -(-sum(self.sizes) // chunk_dim)
        self._embs = nn.Parameter(torch.randn(self.num_chunks, ce_dim))

    @property
    def chunk_embeddings(self) -> nn.Parameter:
        """c_k, [C, ce_dim]: part of what all tasks share."""
        return self._embs

    def task_embeddings(self) -> Sequence[nn.Parameter]:
        """e_t, [te_dim] each, by task."""
        raise NotImplementedError

    def chunks(self, embedding: Tensor, chunk_embeddings: Tensor) -> Tensor:
        """Task embedding [te_dim] and chunk embeddings [C, ce_dim] → chunks [C, chunk_dim]; of several tasks [T, te_dim] → [T, C, chunk_dim]."""
        raise NotImplementedError

    def forward(self, task: int | Tensor, chunk_embeddings: Tensor | None = None) -> GeneratedWeights:
        """All weights of one task's network.

        Args:
            task: number of the task, or an embedding [te_dim] (a point between two tasks, say), or those of several tasks
                [T, te_dim]: then every tensor is [T, *shape].
            chunk_embeddings: other c_k than the learned ones, [C, ce_dim] (to disturb one of them).

        Raises:
            ValueError: no such task, or an embedding of another length.
        """
        own = self._embs if chunk_embeddings is None else chunk_embeddings
        flat = self.chunks(self.embedding_of(task), own).flatten(-2)[..., : sum(self.sizes)]
        weights = {}
        for (name, shape), part in zip(self.target_shapes.items(), flat.split(self.sizes, -1), strict=True):
            weights[name] = part.unflatten(-1, shape) * (usual_size(shape) if self.he_scale else 1)
        return GeneratedWeights(weights)

    def embedding_of(self, task: int | Tensor) -> Tensor:
        """e_t of a task, or the given embedding (or embeddings) itself."""
        if isinstance(task, Tensor):
            if task.ndim not in (1, 2) or task.shape[-1] != self.te_dim:
                raise ValueError(f"an embedding has the shape {tuple(task.shape)}; ({self.te_dim},) is expected")
            return task
        if not 0 <= task < self.num_tasks:
            raise ValueError(f"there is no task {task}; this hypernetwork has embeddings for the tasks 0 to {self.num_tasks - 1}")
        return self.task_embeddings()[task]

    def shared(self) -> dict[str, nn.Parameter]:
        """Everything that all tasks share, by name: what the regulariser protects. Chunk embeddings come first."""
        own = {id(embedding) for embedding in self.task_embeddings()}
        return {name: parameter for name, parameter in self.named_parameters() if id(parameter) not in own}

    def trainable_for(self, task: int) -> list[nn.Parameter]:
        """Parameters for the optimiser of one task: all shared ones and this task's embedding, no old embedding.

        Build a new optimiser per task: momenta of the last one would go on moving old embeddings.
        """
        self.embedding_of(task)
        return [*self.shared().values(), self.task_embeddings()[task]]


def beside(embedding: Tensor, chunk_embeddings: Tensor) -> Tensor:
    """[e_t ; c_k] of every chunk: [..., te_dim] and [C, ce_dim] → [..., C, te_dim + ce_dim]."""
    count = len(chunk_embeddings)
    tasks, chunks = (
        embedding[..., None, :].expand(*embedding.shape[:-1], count, -1),
        chunk_embeddings.expand(*embedding.shape[:-1], count, -1),
    )
    return torch.cat([tasks, chunks], -1)


def usual_size(shape: Sequence[int]) -> float:
    """√(2 / fan-in) of a weight (He), 0.1 of a vector."""
    return BIAS_SCALE if len(shape) == 1 else math.sqrt(2 / math.prod(shape[1:]))


# ---------------------------------------------------------------------------------------------------------- baseline


class _ChunkNetwork(nn.Module):
    """[e_t ; c_k] → chunk: ReLU layers whose weights and biases lie in one list, as released."""

    def __init__(self, inputs: int, layers: Sequence[int], outputs: int, num_tasks: int, te_dim: int) -> None:
        super().__init__()
        sizes = [inputs, *layers, outputs]
        self._theta = nn.ParameterList()
        for before, after in pairwise(sizes):
            linear = nn.Linear(before, after)
            self._theta.extend([linear.weight, linear.bias])
        self._task_embs = nn.ParameterList(nn.Parameter(torch.randn(te_dim)) for _ in range(num_tasks))

    def forward(self, x: Tensor) -> Tensor:
        last = len(self._theta) - 2
        for i in range(0, last + 2, 2):
            x = F.linear(x, self._theta[i], self._theta[i + 1])
            x = x if i == last else F.relu(x)
        return x


class ChunkedHyperNet(TaskHyperNet):
    """The baseline: chunk_k = MLP([e_t ; c_k]). Given e_t, no chunk depends on the embedding of another one.

    Args:
        layers: widths of the hidden layers. The rest as in TaskHyperNet.
    """

    def __init__(
        self,
        target_shapes: Shapes,
        num_tasks: int,
        chunk_dim: int = 256,
        layers: Sequence[int] = (50, 100),
        te_dim: int = 8,
        ce_dim: int = 8,
        he_scale: bool = False,
    ) -> None:
        super().__init__(target_shapes, num_tasks, chunk_dim, te_dim, ce_dim, he_scale)
        self._hypernet = _ChunkNetwork(te_dim + ce_dim, layers, chunk_dim, num_tasks, te_dim)

    def task_embeddings(self) -> Sequence[nn.Parameter]:
        return list(self._hypernet._task_embs)

    def chunks(self, embedding: Tensor, chunk_embeddings: Tensor) -> Tensor:
        return self._hypernet(beside(embedding, chunk_embeddings))


# --------------------------------------------------------------------------------------------------------- recurrent


class RecurrentBlock(nn.Module):
    """Some units of the LSTM: their own gates, what they tell the older units, and what they write into the chunk.

    A block reads the task, the chunk and all older units. What it writes back starts at zero.
    """

    def __init__(self, inputs: int, older: int, units: int, chunk_dim: int) -> None:
        super().__init__()
        self.older = older
        self.cell = nn.LSTMCell(inputs + older, units)
        self.readout = nn.Linear(units, chunk_dim, bias=older == 0)
        self.feedback = nn.Linear(units, 4 * older, bias=False) if older else None
        if self.feedback is not None:
            nn.init.zeros_(self.feedback.weight)
            nn.init.zeros_(self.readout.weight)

    def heard(self, x: Tensor) -> Tensor:
        """What the gates hear of task and chunks, for all chunks at once: [..., C, inputs] → [..., C, 4·units]."""
        return F.linear(x, self.cell.weight_ih[:, : x.shape[-1]], self.cell.bias_ih + self.cell.bias_hh)

    def memory(self) -> Tensor:
        """What the gates hear of [older states; own state], [4·units, older + units]."""
        return torch.cat([self.cell.weight_ih[:, self.cell.input_size - self.older :], self.cell.weight_hh], 1)


class RecurrentStates(nn.Module):
    """The walk of the hidden state: inputs x_1 … x_C → s_1 … s_C. A module of its own, so that it is seen.

    s_k = LSTM(s_{k−1}, x_k), s_0 = 0. Older blocks never read a newer one but through its feedback, so as long as the
    feedback is zero they compute exactly what they computed before the newer one was there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()

    def each(self) -> list[RecurrentBlock]:
        """The blocks, oldest first."""
        return [block for block in self.blocks if isinstance(block, RecurrentBlock)]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """x [..., C, inputs] → the states of each block, [..., C, units] each."""
        blocks = self.each()
        states = [x.new_zeros(*x.shape[:-2], block.cell.hidden_size) for block in blocks]
        memory = [torch.zeros_like(s) for s in states]
        weights = [block.memory() for block in blocks]
        walks: list[list[Tensor]] = []
        for heard in zip(*(block.heard(x).unbind(-2) for block in blocks), strict=True):
            for b, gates in enumerate(self._gates(heard, weights, states)):
                i, f, _, o = gates.sigmoid().chunk(4, -1)
                memory[b] = f * memory[b] + i * gates.chunk(4, -1)[2].tanh()
                states[b] = o * memory[b].tanh()
            walks.append(list(states))
        return tuple(torch.stack(walk, -2) for walk in zip(*walks, strict=True))

    def _gates(self, heard: Sequence[Tensor], weights: Sequence[Tensor], states: list[Tensor]) -> list[Tensor]:
        """Input, forget, cell and output gate of every block before their activations, [..., 4·units] each."""
        gates: list[Tensor] = []
        for b, block in enumerate(self.each()):
            gates.append(heard[b] + F.linear(torch.cat(states[: b + 1], -1), weights[b]))
            if block.feedback is not None:
                units = [s.shape[-1] for s in states[:b]]
                back = block.feedback(states[b]).unflatten(-1, (4, -1)).split(units, -1)
                gates[:b] = [own + new.flatten(-2) for own, new in zip(gates[:b], back, strict=True)]
        return gates


class RecurrentHyperNet(TaskHyperNet):
    """RNN hypernetwork: s_k = LSTM(s_{k−1}, [e_t ; c_k]), chunk_k = V s_k + v. Later layers depend on earlier ones.

    Args:
        hidden: units of the LSTM. The rest as in TaskHyperNet.

    Raises:
        ValueError: more than 64 chunks.
    """

    def __init__(
        self,
        target_shapes: Shapes,
        num_tasks: int,
        chunk_dim: int = 256,
        hidden: int = 26,
        te_dim: int = 8,
        ce_dim: int = 8,
        he_scale: bool = True,
    ) -> None:
        super().__init__(target_shapes, num_tasks, chunk_dim, te_dim, ce_dim, he_scale)
        if self.num_chunks > LONGEST:
            raise ValueError(
                f"{sum(self.sizes)} weights in chunks of {chunk_dim} are {self.num_chunks} steps; at most {LONGEST} are taken, "
                f"so choose chunks of {-(-sum(self.sizes) // LONGEST)} or more"
            )
        self.states = RecurrentStates()
        self.states.blocks.append(RecurrentBlock(te_dim + ce_dim, 0, hidden, chunk_dim))
        self._task_embs = nn.ParameterList(nn.Parameter(torch.randn(te_dim)) for _ in range(num_tasks))

    @property
    def hidden(self) -> int:
        """Units of all blocks."""
        return sum(block.cell.hidden_size for block in self.states.each())

    def task_embeddings(self) -> Sequence[nn.Parameter]:
        return list(self._task_embs)

    def chunks(self, embedding: Tensor, chunk_embeddings: Tensor) -> Tensor:
        walks = self.states(beside(embedding, chunk_embeddings))
        written = [block.readout(walk) for block, walk in zip(self.states.each(), walks, strict=True)]
        return torch.stack(written).sum(0) if len(written) > 1 else written[0]

    def grow(self, units: int, freeze: bool = False) -> None:
        """Add hidden units. The weights of every task are exactly what they were: what new units write starts at zero.

        Build a new optimiser afterwards.

        Args:
            freeze: stop the older units from learning.

        Raises:
            ValueError: fewer than one unit.
        """
        if units < 1:
            raise ValueError(f"{units} units cannot be added; add at least one")
        if freeze:
            self.states.blocks.requires_grad_(False)
        inputs = self.te_dim + self._embs.shape[1]
        self.states.blocks.append(RecurrentBlock(inputs, self.hidden, units, self.chunk_dim).to(self._embs))


# ------------------------------------------------------------------------------------------------------- regulariser


@torch.no_grad()
def stored_weights(hypernet: TaskHyperNet, tasks: int) -> list[dict[str, Tensor]]:
    """W*_t of the first `tasks` tasks, detached: to be taken once, before the next task is learned."""
    if tasks == 0:
        return []
    weights = hypernet(first_embeddings(hypernet, tasks)).weights
    return [{name: tensor[task].clone() for name, tensor in weights.items()} for task in range(tasks)]


def first_embeddings(hypernet: TaskHyperNet, tasks: int) -> Tensor:
    """e_t of the first `tasks` tasks, [tasks, te_dim]."""
    return torch.stack([hypernet.embedding_of(task) for task in range(tasks)])


def output_regulariser(
    hypernet: TaskHyperNet,
    stored: Sequence[Weights],
    step: Mapping[str, Tensor] | None = None,
    importance: Sequence[Weights] | None = None,
) -> Tensor:
    """1/T · Σ_{t<T} ‖W*_t − h(e_t; ω + Δω)‖², a scalar: how far the weights of old tasks would move.

    Args:
        stored: W*_t of each old task.
        step: Δω, the candidate step of the shared parameters by name (look-ahead); 0 when None.
        importance: Ω_t of each old task: every squared difference is multiplied by it (0 leaves out the classifier rows of
            other tasks).

    Raises:
        ValueError: there is no old task.
    """
    if not stored:
        raise ValueError("there is no old task whose weights could be kept")
    moved = {name: parameter + step.get(name, 0) for name, parameter in hypernet.shared().items()} if step else {}
    embeddings = first_embeddings(hypernet, len(stored))
    now = functional_call(hypernet, moved, (embeddings,)).weights if moved else hypernet(embeddings).weights
    return drift_of(now, stored, importance)


def drift_of(now: Weights, stored: Sequence[Weights], importance: Sequence[Weights] | None = None) -> Tensor:
    """1/T · Σ_{t<T} ‖W*_t − W_t‖², a scalar.

    Args:
        now: weights of the first T tasks or more, [≥ T, *shape] each.
        stored, importance: see `output_regulariser`.
    """
    parts = []
    for name in stored[0]:
        squares = (now[name][: len(stored)] - torch.stack([targets[name] for targets in stored])).square()
        parts.append((squares if importance is None else squares * torch.stack([one[name] for one in importance[: len(stored)]])).sum())
    return torch.stack(parts).sum() / len(stored)


def importance_of(weights: Weights, loss: Callable[[Weights, Any], Tensor], batches: Iterable[Any]) -> dict[str, Tensor]:
    """Ω: mean squared gradient of the task's loss at the generated weights (diagonal Fisher), of mean 1, at most 50. Ours.

    Args:
        weights: generated weights of the task.
        loss: (weights, batch) → scalar.

    Raises:
        ValueError: there is no batch.
    """
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in weights.items()}
    total = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    empty = True
    for batch in batches:
        gradients = torch.autograd.grad(loss(leaves, batch), list(leaves.values()), materialize_grads=True)
        for name, gradient in zip(leaves, gradients, strict=True):
            total[name] += gradient.square()
        empty = False
    if empty:
        raise ValueError("the task has no data, so nothing says which weights matter")
    mean = torch.cat([tensor.flatten() for tensor in total.values()]).mean().clamp_min(torch.finfo(torch.float32).tiny)
    return {name: (tensor / mean).clamp_max(CLIP) for name, tensor in total.items()}


# ---------------------------------------------------------------------------------------------------------- learning


@dataclass(frozen=True)
class Step:
    """One step of learning a task.

    Attributes:
        step: steps done before it, from 0.
        loss: of the task on this step's batch.
        drift: the regulariser without its weight β; 0 for the first task.
    """

    step: int
    loss: float
    drift: float


def learn(
    hypernet: TaskHyperNet,
    task: int,
    loss: Callable[[Weights, Any], Tensor],
    batches: Iterable[Any],
    beta: float = 0.3,
    rate: float = 3e-3,
    importance: Sequence[Weights] | None = None,
    look_ahead: bool = False,
) -> Iterator[Step]:
    """Learn one task after the tasks 0 to `task` − 1; yields every step, so that it can be shown and stopped.

    L = loss + β · regulariser, by Adam. The old tasks' weights are taken at the start; their embeddings never move.

    Args:
        loss: (weights of the task's network, batch) → scalar.
        beta: weight of the regulariser; 0 lets the network forget.
        importance: see `output_regulariser`.
        look_ahead: measure the drift after the step that the optimiser would take for the task alone.

    Raises:
        ValueError: there is no such task, or no batch.
    """
    optimiser = torch.optim.Adam(hypernet.trainable_for(task), lr=rate)
    stored = stored_weights(hypernet, task + 1)[:task] if beta else []  # read as below, so that nothing drifts before the first step
    number = -1
    for number, batch in enumerate(batches):
        optimiser.zero_grad()
        # All tasks at once: a walk through the chunks takes about as long for several tasks as for one.
        weights = hypernet(first_embeddings(hypernet, task + 1)).weights if stored else hypernet(task).weights
        value = loss({name: tensor[task] for name, tensor in weights.items()} if stored else weights, batch)
        drift = torch.zeros(())
        if stored and look_ahead:
            value.backward()
            drift = output_regulariser(hypernet, stored, candidate_step(hypernet, optimiser), importance)
            (beta * drift).backward()
        else:
            drift = drift_of(weights, stored, importance) if stored else drift
            (value + beta * drift).backward()
        optimiser.step()
        yield Step(number, value.item(), drift.item())
    if number < 0:
        raise ValueError(f"task {task} has no data; a task needs at least one batch")


@torch.no_grad()
def candidate_step(hypernet: TaskHyperNet, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Δω of the shared parameters that the optimiser would take for the present gradients; nothing is changed."""
    memory = copy.deepcopy(optimiser.state_dict())
    places = [place for group in optimiser.param_groups for place in group["params"]]
    before = [place.clone() for place in places]
    optimiser.step()
    moved = {id(place): place - old for place, old in zip(places, before, strict=True)}
    for place, old in zip(places, before, strict=True):
        place.copy_(old)
    optimiser.load_state_dict(memory)
    return {name: moved[id(place)] for name, place in hypernet.shared().items() if id(place) in moved}


# -------------------------------------------------------------------------------------------------------- dependency


def dependency(hypernet: TaskHyperNet, task: int | Tensor = 0, by: str = "chunk") -> Tensor:
    """D[l, k] = ‖∂W_l / ∂c_k‖_F, exact: how much part l of the weights depends on the embedding of chunk k.

    Args:
        by: "chunk": parts are chunks, D [C, C]; "tensor": parts are the generated tensors, D [tensors, C].
    """
    if by not in ("chunk", "tensor"):
        raise ValueError(f"by is {by!r}; it must be 'chunk' or 'tensor'")

    def flat(chunk_embeddings: Tensor) -> Tensor:
        return torch.cat([tensor.flatten() for tensor in hypernet(task, chunk_embeddings).weights.values()])

    # Forward mode: there are far fewer embedding values than weights.
    jacobian = jacfwd(flat)(hypernet.chunk_embeddings.detach())  # [n, C, ce_dim]
    squares = jacobian.detach().square().sum(2)
    lengths = hypernet.sizes if by == "tensor" else [hypernet.chunk_dim] * (hypernet.num_chunks - 1)
    if by == "chunk":
        lengths = [*lengths, len(squares) - sum(lengths)]
    return torch.stack([part.sum(0) for part in squares.split(lengths)]).sqrt()
