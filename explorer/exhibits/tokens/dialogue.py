"""Your vision-language model: does it answer the same from the patches that HiPrune keeps?

On show where `HYPERSCOPE_VLM` names a LLaVA-1.5, LLaVA-NeXT or Qwen2.5-VL model of the `transformers` library (a folder or a hub id).
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from explorer import runtime
from explorer.diagnostics import Measure
from explorer.diagnostics.tokens import answer_summary, cost_summary
from explorer.exhibit import BadRequest, Exhibit, Intervention, Labeller, Paper, Scene, Wing
from explorer.exhibits.tokens.encoder import RATIOS, EncoderControls, square
from explorer.exhibits.tokens.look import CUTS, chosen, curves, described, edited, layers_of, look_at, marked, measures
from models.structures import AttentionMaps, NonFiniteError, TokenSelection
from models.tokens.attention_capture import Encoder
from models.tokens.dialogue import Dialogue, load_dialogue
from models.tokens.flops import LanguageModel, vit_block_flops
from models.tokens.hiprune import tokens_of_ratio

VARIABLE = "HYPERSCOPE_VLM"
UNKNOWN = "Whether this model was trained cannot be seen from outside. With random weights neither the roles nor the answers mean anything."
EVEN = 0.9  # of the entropy of an even choice: above, the first word is as good as undecided
MOST_WRITTEN = 48  # tokens of an answer
FRAME = 0.12  # seconds between two looks at an answer that is being written


class DialogueControls(EncoderControls):
    question: str = Field(
        "What is in the picture?",
        max_length=400,
        title="Question",
        description="What the language model is asked about the picture.",
        json_schema_extra={"lines": 2},
    )
    written: int = Field(
        0,
        ge=0,
        le=MOST_WRITTEN,
        title="Words written with the run",
        description="Tokens of both answers that are written at once; 0 leaves them to the button “Write both answers”.",
        json_schema_extra={"advanced": True},
    )


@lru_cache(maxsize=1)
def dialogue(name: str) -> Dialogue:
    """The visitor's model, loaded once. Raises BadRequest when it cannot be."""
    try:
        return load_dialogue(name).to(runtime.device())
    except ImportError as error:
        raise BadRequest(f"a vision-language model needs the package {error.name}, which is missing here") from None


def run(shown: np.ndarray, controls: DialogueControls, cuts: Sequence[Intervention] = (), segments: Labeller | None = None) -> Scene:
    """One picture through the tower, layer by layer; the question beside all patches, and beside the kept ones."""
    if not controls.question.strip():
        raise BadRequest("the question is empty; ask something about the picture")
    model = dialogue(os.environ.get(VARIABLE, ""))
    sight = look_at(model.encoder, model.encoder.prepare(shown), runtime.reached)
    layers = (min(controls.object_layer, model.encoder.n_layers), min(controls.deep_layer, model.encoder.n_layers))
    head = min(controls.head, sight.maps.received.shape[2])
    selection = chosen(sight.maps, controls.budget, controls.alpha, controls.edge, layers, head, controls.release)
    selection = edited(selection, cuts)
    full, pruned = (_first_word(model, controls, sight.maps, mask) for mask in (torch.ones_like(selection.mask), selection.mask))
    seen, spread = model.encoder.seen(shown), curves(sight.maps)
    labels = segments(sight.maps.grid) if segments and seen.shape[0] == seen.shape[1] else None
    n, kept = sight.maps.grid[0] * sight.maps.grid[1], int(selection.mask.sum())
    more = [*answer_summary(full[None], pruned[None]), *_cost(model, controls, sight.maps, kept)]
    return Scene(
        shown=square(seen),
        seen=square(seen),
        layers=layers_of(sight, selection),
        prediction=_likely(model, pruned),
        measures=measures(sight, selection, labels, seen, spread, more),
        labels=labels,
        notes=(*_remarks(full, controls, n), *_written(model, controls, sight.maps, selection)),
        extras={
            "change": f"The language model reads {kept} of {n} patches.",
            "tokens": described(sight, selection, labels, spread, [tokens_of_ratio(n, ratio) for ratio in RATIOS])
            | {"full": _likely(model, full), "answers": "the first word of the answer"},
        },
    )


def _first_word(model: Dialogue, controls: DialogueControls, maps: AttentionMaps, mask: Tensor) -> Tensor:
    """Logits [V] of the first token of the answer from the marked patches."""
    logits = model.read(controls.question, maps, mask).next_token()
    if not torch.isfinite(logits).all():
        raise NonFiniteError("the answer of the language model")
    return logits


def _likely(model: Dialogue, logits: Tensor) -> list[tuple[str, float]]:
    """The ten most probable first words, best first."""
    found = logits.double().softmax(-1).topk(min(10, len(logits)))
    return list(zip(model.words(found.indices.tolist()), found.values.tolist(), strict=True))


def _remarks(logits: Tensor, controls: DialogueControls, n: int) -> list[str]:
    chances = logits.double().softmax(-1)
    even = float(torch.special.entr(chances).sum()) / math.log(len(chances))
    found = [UNKNOWN]
    if even > EVEN:
        found.append(
            f"The first word is almost undecided here ({100 * even:.0f} % of the entropy of an even choice among {len(chances)} tokens), "
            "as it is with random weights."
        )
    if controls.budget > n:
        found.append(f"{controls.budget} patches were to be kept; the picture gives {n}, so all are.")
    return found


def _written(model: Dialogue, controls: DialogueControls, maps: AttentionMaps, selection: TokenSelection) -> list[str]:
    """Both answers as remarks, where they were asked for with the run."""
    if not controls.written:
        return []
    n, kept = selection.mask.shape[1], int(selection.mask.sum())
    told = []
    for name, mask in ((f"all {n} patches", torch.ones_like(selection.mask)), (f"the {kept} that remain", selection.mask)):
        tokens = itertools.islice(model.read(controls.question, maps, mask).write(), controls.written)
        told.append(f"From {name}: “{model.text(tokens)}”")
    return told


def _cost(model: Dialogue, controls: DialogueControls, maps: AttentionMaps, kept: int) -> list[Measure]:
    """FLOPs until the first word. The tower always computes every patch; the language model reads text and kept patches."""
    language = model.reader.model.config.get_text_config()
    one = LanguageModel(language.num_hidden_layers, language.hidden_size, language.intermediate_size, language.vocab_size).flops_per_token()
    text, n = model.prompt(controls.question).shape[1] - 1, maps.grid[0] * maps.grid[1]
    tower = _tower_flops(model.encoder, maps)
    return cost_summary(tower + (n + text) * one, tower + (kept + text) * one, tower)


def _tower_flops(encoder: Encoder, maps: AttentionMaps) -> float:
    """Blocks of the vision tower; of Qwen's, where a token stands for several patches, as if every layer attended to all."""
    config = encoder.model.config
    tokens = maps.prefix + maps.grid[0] * maps.grid[1] * getattr(encoder, "merge", 1) ** 2
    return encoder.n_layers * vit_block_flops(tokens, config.hidden_size, config.intermediate_size)


# ------------------------------------------------------------------------------------------------------------ questions


def _held(scene: Scene, question: Mapping[str, Any]) -> tuple[AttentionMaps, Tensor]:
    maps = scene.layers[-1].structures["maps"]
    assert isinstance(maps, AttentionMaps)
    return maps, marked(maps, question.get("patches"))


def answer(scene: Scene, controls: DialogueControls, question: Mapping[str, Any]) -> dict[str, Any]:
    """The first word from any set of patches: {patches: [number, …]} → {prediction}. The tower does not run again.

    Raises:
        BadRequest: a patch does not exist, or there is none.
    """
    model = dialogue(os.environ.get(VARIABLE, ""))
    return {"prediction": _likely(model, _first_word(model, controls, *_held(scene, question)))}


def write(scene: Scene, controls: DialogueControls, question: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Both answers as they are written, the most probable token each time: {patches} → {all, kept, alike, tokens}.

    `alike` counts the tokens from the start in which both agree, `tokens` those of the longer answer.

    Raises:
        BadRequest: a patch does not exist, or there is none.
    """
    model = dialogue(os.environ.get(VARIABLE, ""))
    maps, mask = _held(scene, question)
    writers = [model.read(controls.question, maps, part).write() for part in (torch.ones_like(mask), mask)]
    answers: list[list[int]] = [[], []]
    last = time.monotonic()
    for step in range(MOST_WRITTEN):
        ended = True
        for writer, told in zip(writers, answers, strict=True):
            token = next(writer, None)
            if token is not None:
                told.append(token)
                ended = False
        if ended or step == MOST_WRITTEN - 1 or time.monotonic() - last > FRAME:
            yield _told(model, answers)
            last = time.monotonic()
        if ended:
            return


def _told(model: Dialogue, answers: Sequence[Sequence[int]]) -> dict[str, Any]:
    first, second = answers
    alike = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))
    return {"all": model.text(first), "kept": model.text(second), "alike": alike, "tokens": max(len(first), len(second))}


EXHIBIT = Exhibit(
    slug="dialogue",
    title="Your vision-language model",
    wing=Wing.TOKENS,
    idea="Ask a model of yours about a picture: does it answer the same when most of the patches are thrown away before it reads them?",
    paper=Paper(
        title="HiPrune: Training-Free Visual Token Pruning via Hierarchical Attention in Vision-Language Models",
        authors="Liu and others",
        venue="ACL 2026 Findings",
        url="https://arxiv.org/abs/2508.00553",
        theirs="The rule, its layers for CLIP and Qwen2.5-VL, and how kept patches are numbered: gaps closed in LLaVA, left in Qwen2.5-VL.",
        ours=f"That both answers stand side by side for any budget. The model is yours ({VARIABLE}); of LLaVA-NeXT the overview alone is read.",
    ),
    controls=DialogueControls,
    run=run,
    views=("answers", "budget", "layers", "centricity", "token-heads", "reach", "dispersion", "flow"),
    example="bus",
    folder=Path(__file__).parent,
    cuts=CUTS,
    questions={"answer": answer},
    streams={"write": write},
)
