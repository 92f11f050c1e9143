"""One supervised training loop: seeded, resumable after every epoch, with a progress bar, on CPU or GPU."""

from __future__ import annotations

import datetime
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file
from torch import Tensor, nn

from models.capture import Trace, capture
from training.data import Pictures, augmented, normalised


@dataclass(frozen=True)
class Recipe:
    """What is trained how.

    Attributes:
        side: input size in pixels.
        extra_weight: multiplies the loss besides the labels' (see `train`).
        gentle: the module whose matrices AdamW trains with `gentle_rate` instead of Muon. Muon's steps have the same length whatever
            the gradient says, so that the products of two of its matrices (queries and prototypes) grow until a softmax over them is
            a needle; "" for none.
    """

    epochs: int
    batch: int = 128
    side: int = 64
    matrix_rate: float = 0.02
    other_rate: float = 0.004
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    warm_up: float = 0.1
    seed: int = 0
    extra_weight: float = 0.0
    gentle: str = ""
    gentle_rate: float = 0.0005


class MatrixOptimiser:
    """Muon for every convolution and matrix (seen as outputs × the rest), AdamW for the remaining vectors and the recipe's `gentle` module.

    Muon orthogonalises each momentum matrix (K. Jordan and others, 2024). `torch.optim.Muon` takes 2-D parameters only,
    so it is given 2-D parameters that share their memory with the convolutions.
    """

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        gentle = [p for name, p in named if recipe.gentle and name.startswith(f"{recipe.gentle}.")]
        apart = {id(p) for p in gentle}
        trained = [p for _, p in named if id(p) not in apart]
        self.matrices = [p for p in trained if p.ndim >= 2 and p.shape[0] > 1 and p[0].numel() > 9]
        seen = {id(p) for p in self.matrices}
        self.flat = [nn.Parameter(p.data.view(p.shape[0], -1)) for p in self.matrices]
        others = [p for p in trained if id(p) not in seen]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.Muon(self.flat, lr=recipe.matrix_rate, weight_decay=recipe.weight_decay, momentum=0.9),
            torch.optim.AdamW(others, lr=recipe.other_rate, weight_decay=0.0, betas=(0.9, 0.99)),
        ]
        self.rates = [recipe.matrix_rate, recipe.other_rate]
        if gentle:
            self.parts.append(torch.optim.AdamW(gentle, lr=recipe.gentle_rate, weight_decay=recipe.weight_decay))
            self.rates.append(recipe.gentle_rate)

    def step(self, factor: float) -> None:
        """One step with both learning rates multiplied by `factor`; gradients are cleared."""
        for flat, parameter in zip(self.flat, self.matrices, strict=True):
            flat.grad = None if parameter.grad is None else parameter.grad.reshape(parameter.shape[0], -1)
        for part, rate in zip(self.parts, self.rates, strict=True):
            part.param_groups[0]["lr"] = rate * factor
            part.step()
        for part in self.parts[1:]:
            part.zero_grad()
        for parameter in self.matrices:
            parameter.grad = None

    def state(self) -> list[dict]:
        return [part.state_dict() for part in self.parts]

    def restore(self, states: list[dict]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


class VectorOptimiser:
    """AdamW for every parameter alike, with the recipe's `other_rate` and `weight_decay`."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self.rate = recipe.other_rate
        self.part = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=self.rate, weight_decay=recipe.weight_decay)

    def step(self, factor: float) -> None:
        """One step with the learning rate multiplied by `factor`; gradients are cleared."""
        self.part.param_groups[0]["lr"] = self.rate * factor
        self.part.step()
        self.part.zero_grad()

    def state(self) -> list[dict]:
        return [self.part.state_dict()]

    def restore(self, states: list[dict]) -> None:
        self.part.load_state_dict(states[0])


def train(
    name: str,
    model: nn.Module,
    train_set: Pictures,
    test_set: Pictures,
    recipe: Recipe,
    runs: Path,
    prepare: Callable[[Tensor, int], Tensor] = normalised,
    extra: Callable[[Trace], Tensor] | None = None,
) -> dict:
    """Train a classifier, or go on from the last finished epoch in `runs`; returns {"test_accuracy", "epochs", "history", …}.

    Args:
        extra: a loss [] of the structures that the model's parts returned in this step, added `recipe.extra_weight` times.
    """
    device = _device()
    steps = len(train_set.labels) // recipe.batch

    def losses(generator: torch.Generator) -> Iterator[Tensor]:
        order = torch.randperm(len(train_set.labels), generator=generator)
        for step in range(steps):
            chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
            x = prepare(augmented(train_set.pixels[chosen], generator), recipe.side).to(device)
            y = train_set.labels[chosen].to(device)
            with torch.autocast(device.type, torch.bfloat16), capture(model) if extra is not None else nullcontext() as trace:
                logits = model(x)
            loss = F.cross_entropy(logits.float(), y, label_smoothing=recipe.label_smoothing)
            if extra is not None and trace is not None:
                loss = loss + recipe.extra_weight * extra(trace)
            yield loss

    def assess() -> dict[str, float]:
        return {"test_accuracy": evaluate(model, test_set, recipe, prepare)}

    result = fit(name, model, losses, steps, assess, recipe, runs)
    return {"test_accuracy": evaluate(model, test_set, recipe, prepare, precise=True), **result}


def fit(
    name: str,
    model: nn.Module,
    losses: Callable[[torch.Generator], Iterator[Tensor]],
    steps: int,
    assess: Callable[[], Mapping[str, Any]],
    recipe: Recipe,
    runs: Path,
    optimised_by: Callable[[nn.Module, Recipe], MatrixOptimiser | VectorOptimiser] = MatrixOptimiser,
) -> dict:
    """Take the steps of every epoch that is not yet in `runs`; returns {"epochs", "cpu_seconds", "history"}.

    Args:
        losses: one epoch: a loss [] of the model for each of its `steps`, drawn with the given generator and no other.
        assess: what is noted after an epoch: shares from 0 to 1, which are also told, and anything that JSON can hold.
    """
    model.to(_device())
    # Muon's flat views need the plain layout of the weights; channels-last pictures alone are enough for fast kernels
    for parameter in model.parameters():
        parameter.data = parameter.data.contiguous()
    optimiser = optimised_by(model, recipe)
    runs.mkdir(parents=True, exist_ok=True)
    checkpoint = runs / f"{name}.pt"
    start, history, spent = 0, [], 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        if Recipe(**saved["recipe"]) == recipe:  # settings that are younger than the checkpoint had their defaults
            with torch.no_grad():
                for key, value in model.state_dict().items():
                    value.copy_(saved["model"][key])
            optimiser.restore(saved["optimiser"])
            start, history, spent = saved["epoch"], saved["history"], saved["cpu_seconds"]

    with _bar() as bar:
        for epoch in range(start, recipe.epochs):
            task = bar.add_task(f"{name} epoch {epoch + 1}/{recipe.epochs}", total=steps, loss=float("nan"))
            generator = torch.Generator().manual_seed(recipe.seed * 10_000 + epoch)
            torch.manual_seed(recipe.seed * 10_000 + epoch)
            model.train()
            begun = time.process_time()
            for step, loss in enumerate(losses(generator)):
                loss.backward()
                optimiser.step(_schedule((epoch * steps + step) / (steps * recipe.epochs), recipe.warm_up))
                bar.update(task, advance=1, loss=loss.item())
            spent += time.process_time() - begun
            found = assess()
            history.append({"epoch": epoch + 1, **found, "loss": loss.item()})
            bar.remove_task(task)
            told = ", ".join(f"{key.replace('_', ' ')} {100 * value:.2f} %" for key, value in found.items() if isinstance(value, float))
            print(f"{name} epoch {epoch + 1}/{recipe.epochs}: {told}", flush=True)
            torch.save(
                {
                    "recipe": asdict(recipe),
                    "model": model.state_dict(),
                    "optimiser": optimiser.state(),
                    "epoch": epoch + 1,
                    "history": history,
                    "cpu_seconds": spent,
                },
                checkpoint.with_suffix(".part"),
            )
            checkpoint.with_suffix(".part").replace(checkpoint)
    return {"epochs": recipe.epochs, "cpu_seconds": round(spent), "history": history}


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _schedule(progress: float, warm_up: float) -> float:
    """Linear warm-up, then linear decay to (almost) zero."""
    return progress / warm_up if progress < warm_up else max((1 - progress) / (1 - warm_up), 1e-3)


@torch.no_grad()
def evaluate(model: nn.Module, test_set: Pictures, recipe: Recipe, prepare=normalised, precise: bool = False) -> float:
    """Share of right top-1 answers on the whole set; `precise` runs in float32 as the page does."""
    model.eval()
    device = next(model.parameters()).device
    right = 0
    for begin in range(0, len(test_set.labels), 500):
        x = prepare(test_set.pixels[begin : begin + 500], recipe.side).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=not precise):
            logits = model(x)
        right += (logits.argmax(-1).cpu() == test_set.labels[begin : begin + 500]).sum().item()
    return right / len(test_set.labels)


def ship(name: str, model: nn.Module, card: dict, folder: Path) -> None:
    """Write `<name>.safetensors` and its model card `<name>.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    # cloned, for a tensor may stand under two names (LoGAH), which safetensors refuses
    save_file({k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in model.state_dict().items()}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone; the user of a container is another
    card = {
        "name": name,
        **card,
        "parameters": sum(p.numel() for p in model.parameters()),
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__.split("+")[0],
    }
    (folder / f"{name}.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def _bar() -> Progress:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.3f}"), TimeRemainingColumn()
    )  # fmt: skip
    return Progress(*columns, transient=True, disable=not sys.stderr.isatty())
