"""Chunked task-conditioned hypernetwork (the baseline): generated tensors of every task, the regulariser and its gradient."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from models.hypernetworks.continual import ChunkedHyperNet, output_regulariser, stored_weights
from tests.parity.case import Case, CaseError, Check, KeyFile, changed, close, unknown


def build(case: Case) -> ChunkedHyperNet:
    c = case.configuration
    changed(c, activation="ReLU")
    targets = {str(i): shape for i, shape in enumerate(c["target_shapes"])}
    return ChunkedHyperNet(targets, c["num_tasks"], c["chunk_dim"], c["layers"], c["te_dim"], c["ce_dim"])


def shapes(keys: KeyFile) -> dict[str, tuple[int, ...]]:
    raise CaseError("the code has no released configuration, so no key file is understood")


def check(case: Case) -> Iterator[Check]:
    net, atol, rtol = build(case), case.tolerance("atol", 1e-5), case.tolerance("rtol", 1e-4)
    net.load_state_dict(case.state, strict=True)
    shared = net.shared()
    step = {name: case.tensors[f"input.dtheta.{i}"] for i, name in enumerate(shared)}
    stored = stored_weights(net, case.configuration["current_task"])
    regulariser = output_regulariser(net, stored, step)
    gradients = torch.autograd.grad(regulariser, list(shared.values()), materialize_grads=True)
    ours: dict[str, Tensor] = {
        "reg_zero": output_regulariser(net, stored).detach()[None],
        "reg_lookahead": regulariser.detach()[None],
        **{f"reg_grad.{i}": gradient for i, gradient in enumerate(gradients)},
    }
    for task in range(net.num_tasks):
        ours |= {f"task{task}.{name}": tensor.detach() for name, tensor in net(task).weights.items()}
    for name, tensor in case.outputs.items():
        yield close(f"output.{name}", ours[name], tensor, atol, rtol) if name in ours else unknown(f"output.{name}")
    missing = sorted(set(ours) - set(case.outputs))
    yield Check("outputs stored", len(missing), 0, not missing, ", ".join(missing) or f"{len(ours)} tensors")
