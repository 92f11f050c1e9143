"""Questions about a picture, answered by a LLaVA or Qwen2.5-VL model from any part of its patches.

    dialogue = load_dialogue("llava-hf/llava-1.5-7b-hf")
    maps = dialogue.encoder(dialogue.encoder.prepare(pixels))
    context = dialogue.read("What is in the picture?", maps, HiPrune(tokens=192)(maps).mask)
    context.next_token()                          # logits [V] of the first token of the answer
    dialogue.text(islice(context.write(), 16))    # the answer itself

The vision tower runs once; every further question about the same picture, or selection of its patches, costs the language model only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.image_graphs.patch_features import quietly, read_json
from models.structures import AttentionMaps
from models.tokens.attention_capture import Encoder
from models.tokens.hiprune import HiPrune
from models.tokens.pruned_run import PrunedLlava, PrunedQwen, load_llava, load_qwen, written

PICTURE = "\0"  # stands for the picture while a prompt is put together


@dataclass(frozen=True)
class Context:
    """What the language model is given: text and kept patches.

    Attributes:
        model: the model of the library.
        embeddings: [1, S, D].
        positions: [3, 1, S], or None where tokens are numbered in order.
    """

    model: Any
    embeddings: Tensor
    positions: Tensor | None

    @torch.no_grad()
    def next_token(self) -> Tensor:
        """Logits of the first token of the answer, [V] float32."""
        told = {} if self.positions is None else {"position_ids": self.positions}
        logits = self.model(inputs_embeds=self.embeddings, **told).logits
        return logits[0, -1].float().cpu()

    def write(self) -> Iterator[int]:
        """The tokens of the answer, the most probable ones, as they are computed; without an end where the model finds none."""
        return written(self.model, self.embeddings, self.positions)


class Dialogue(nn.Module):
    """A model of pictures and text, its tokenizer, and how a question is put to it.

    Args:
        reader: the model; its own rule of pruning is not used.
        tokenizer: of the `transformers` library. Its chat template, where it has one, forms the prompt.
    """

    def __init__(self, reader: PrunedLlava | PrunedQwen, tokenizer: Any) -> None:
        super().__init__()
        self.reader, self.tokenizer = reader, tokenizer
        self.encoder: Encoder = reader.encoder

    def prompt(self, question: str) -> Tensor:
        """Token numbers of a prompt with one image token, [1, S] int64."""
        before, _, after = self._template(question).partition(PICTURE)
        start = self.tokenizer(before, add_special_tokens=True, return_attention_mask=False)["input_ids"]
        ends = [self.tokenizer.eos_token_id, self.tokenizer.sep_token_id]
        while start and start[-1] in ends:  # what a tokenizer puts behind a finished text
            start = start[:-1]
        rest = self.tokenizer(after, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        return torch.tensor([[*start, self.reader.model.config.image_token_id, *rest]])

    def _template(self, question: str) -> str:
        if getattr(self.tokenizer, "chat_template", None):
            content = [{"type": "image"}, {"type": "text", "text": question}]
            made = self.tokenizer.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
            image = self.tokenizer.convert_ids_to_tokens(self.reader.model.config.image_token_id)
            if made.count(image) == 1:
                return str(made).removeprefix(self.tokenizer.bos_token or "").replace(image, PICTURE)
        if isinstance(self.reader, PrunedQwen):
            start, end = (
                self.tokenizer.convert_ids_to_tokens(getattr(self.reader.model.config, f"vision_{side}_token_id"))
                for side in ("start", "end")
            )
            return f"<|im_start|>user\n{start}{PICTURE}{end}{question}<|im_end|>\n<|im_start|>assistant\n"
        return f"USER: {PICTURE}\n{question} ASSISTANT:"

    def read(self, question: str, maps: AttentionMaps, mask: Tensor) -> Context:
        """The question beside the marked patches, mask [1, N] bool, of a picture that `encoder` has seen.

        A picture for LLaVA-NeXT is not cut into tiles: its overview alone is read.

        Raises:
            ValueError: no patch is marked.
        """
        if not mask.any():
            raise ValueError("no patch is kept; the language model needs at least one")
        weight = next(self.reader.model.parameters())
        assert maps.passed is not None
        ids, mask = self.prompt(question).to(weight.device), mask.to(weight.device)
        maps = replace(maps, opened={}, passed=maps.passed.to(weight.device, weight.dtype))
        if isinstance(self.reader, PrunedLlava):
            return Context(self.reader.model, self.reader.place(ids, maps, mask), None)
        merge = self.reader.encoder.merge
        shapes = torch.tensor([[1, maps.grid[0] * merge, maps.grid[1] * merge]], device=weight.device)
        return Context(self.reader.model, *self.reader.place(ids, maps, mask, shapes))

    def text(self, tokens: Iterable[int]) -> str:
        """Tokens as text, without those that only mark the end."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True)).strip()

    def words(self, tokens: Iterable[int]) -> list[str]:
        """Each token as a label that no other has."""
        found: list[str] = []
        for token in tokens:
            raw = str(self.tokenizer.convert_ids_to_tokens(token))
            plain = str(self.tokenizer.decode([token])).strip()
            found.append(plain if plain and plain not in found else raw if raw not in found else f"{raw} ({token})")
        return found


def load_dialogue(name_or_folder: str | Path, *, local_files_only: bool = False) -> Dialogue:
    """A LLaVA-1.5, LLaVA-NeXT or Qwen2.5-VL model with its tokenizer, by its hub id or from a local folder.

    Raises:
        ValueError: it cannot be read, is none of these, or has no tokenizer.
    """
    from transformers import AutoTokenizer  # a second to import: only when it is needed

    name, where = str(name_or_folder), {"local_files_only": local_files_only}
    kind = (read_json(name, "config.json", local_files_only) or {}).get("model_type")
    everything = HiPrune(ratio=1.0)
    if kind not in ("llava", "llava_next", "qwen2_5_vl"):
        raise ValueError(f"{name!r} is a model of type {kind!r}; questions are put to LLaVA-1.5, LLaVA-NeXT and Qwen2.5-VL")
    with quietly():
        try:
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **where)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"the tokenizer of {name!r} cannot be read: {error}") from error
    load = load_qwen if kind == "qwen2_5_vl" else load_llava
    return Dialogue(load(name, everything, **where), tokenizer)
