"""Models of pictures and text that read the kept patches only: LLaVA-1.5, LLaVA-NeXT, Qwen2.5-VL.

The vision tower runs on the whole picture; a rule chooses; the language model sees what is kept. Text tokens all stay. LLaVA
closes the gaps that dropped patches leave in the positions, Qwen2.5-VL keeps the rows and columns of the patches (M-RoPE),
both as in HiPrune's released code.

    answer = load_llava("llava-hf/llava-1.5-7b-hf", HiPrune(tokens=192)).generate(input_ids, pixel_values, max_new_tokens=16)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.structures import AttentionMaps
from models.tokens.attention_capture import PlainEncoder, QwenEncoder, llava_encoder, processor_settings, quietly
from models.tokens.hiprune import HiPrune, mosaic_order

Grid = tuple[int, int]


# -------------------------------------------------------------------------------------------------------------- LLaVA


class PrunedLlava(nn.Module):
    """A LLaVA model that reads the kept patches only.

    The vision tower runs on the whole picture; `prune` chooses; the projector and the language model see what is kept. Text
    tokens all stay, and positions close up over the gaps, as released. With every patch kept it is the model itself.

    Args:
        model: LlavaForConditionalGeneration or LlavaNextForConditionalGeneration of the `transformers` library.
        prune: the rule; replace it, or the selection of one run by an edit of the part "prune".
        processor: content of the image processor's configuration.

    Raises:
        ValueError: the model passes on its class token, which the paper does not treat.
    """

    def __init__(self, model: Any, prune: HiPrune, processor: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model, self.prune = model.eval().requires_grad_(False), prune
        self.encoder: PlainEncoder = llava_encoder(model.model.vision_tower, model.config, processor or {})
        strategy, kind = model.config.vision_feature_select_strategy, model.model.vision_tower.config.model_type
        if strategy != "default" and kind.startswith("clip"):
            raise ValueError(f"the model passes on the class token too ({strategy!r}); only patches ('default') can be pruned")

    @torch.no_grad()
    def embed(self, input_ids: Tensor, pixel_values: Tensor, tiles: Grid | None = None, prompt_score: Tensor | None = None) -> Tensor:
        """Text embeddings with the kept patches in the place of the image tokens, [1, S, D].

        Args:
            input_ids: the prompt, [1, S']. Image tokens may stand once per picture or once per patch.
            pixel_values: preprocessed pictures [B, 3, H, W], or of LLaVA-NeXT the tiles of one picture, overview first.
            tiles: (rows, columns) of the tiles; None where pictures are not cut.
            prompt_score: see `HiPrune.forward`.

        Raises:
            ValueError: the image tokens of the prompt do not fit the pictures.
        """
        maps = self.encoder({"pixel_values": pixel_values})
        return self.place(input_ids, maps, self.prune(maps, prompt_score).mask, tiles)

    @torch.no_grad()
    def place(self, input_ids: Tensor, maps: AttentionMaps, mask: Tensor, tiles: Grid | None = None) -> Tensor:
        """`embed` with the marked patches of pictures that the encoder has seen: mask [B, N] bool."""
        _require_one(input_ids)
        assert maps.passed is not None
        order = torch.nonzero(mask.flatten())[:, 0] if tiles is None else mosaic_order(mask, tiles, maps.grid)
        kept = mask.sum(1).tolist() if tiles is None else [len(order)]
        features = self.model.model.multi_modal_projector(maps.passed.flatten(0, 1)[order])
        token = self.model.config.image_token_id
        ids = with_room(input_ids[0], token, kept, mask.shape[1] if tiles is None else None)
        embeddings = self.model.get_input_embeddings()(ids)
        embeddings[ids == token] = features.to(embeddings.dtype)
        return embeddings[None]

    @torch.no_grad()
    def forward(self, input_ids: Tensor, pixel_values: Tensor, tiles: Grid | None = None, prompt_score: Tensor | None = None) -> Tensor:
        """Logits of the next token after each kept token, [1, S, V]. Arguments as `embed`."""
        return self.model(inputs_embeds=self.embed(input_ids, pixel_values, tiles, prompt_score)).logits

    @torch.no_grad()
    def generate(
        self, input_ids: Tensor, pixel_values: Tensor, tiles: Grid | None = None, prompt_score: Tensor | None = None, **options: Any
    ) -> Tensor:
        """New tokens only, [1, n] int64. Arguments as `embed`; `options` go to the library's `generate`."""
        embeddings = self.embed(input_ids, pixel_values, tiles, prompt_score)
        attended = torch.ones(embeddings.shape[:2], dtype=torch.long, device=embeddings.device)
        return self.model.generate(inputs_embeds=embeddings, attention_mask=attended, **options)


# --------------------------------------------------------------------------------------------------------- Qwen2.5-VL


class PrunedQwen(nn.Module):
    """A Qwen2.5-VL model that reads the kept patches only.

    Every token keeps the position that it has beside all patches: (time, row, column) of a patch, and of the text behind the
    picture the number that it would have without pruning (M-RoPE). With every patch kept it is the model itself.

    Args:
        model: Qwen2_5_VLForConditionalGeneration of the `transformers` library.
        prune: the rule; replace it, or the selection of one run by an edit of the part "prune".
        processor: content of the image processor's configuration.
    """

    def __init__(self, model: Any, prune: HiPrune, processor: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.model, self.prune = model.eval().requires_grad_(False), prune
        self.encoder = QwenEncoder(model.model.visual, processor or {})

    @torch.no_grad()
    def embed(
        self, input_ids: Tensor, pixel_values: Tensor, image_grid_thw: Tensor, prompt_score: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Text embeddings with the kept patches in the place of the image tokens, [1, S, D], and their positions, [3, 1, S].

        Args:
            input_ids: the prompt, [1, S']. Image tokens may stand once, or once per merged token.
            pixel_values, image_grid_thw: one picture as `encoder.prepare` or the library's processor gives it.
            prompt_score: see `HiPrune.forward`.

        Raises:
            ValueError: more than one prompt or picture, or the image tokens of the prompt do not fit the picture.
        """
        maps = self.encoder({"pixel_values": pixel_values, "image_grid_thw": image_grid_thw})
        return self.place(input_ids, maps, self.prune(maps, prompt_score).mask, image_grid_thw)

    @torch.no_grad()
    def place(self, input_ids: Tensor, maps: AttentionMaps, mask: Tensor, image_grid_thw: Tensor) -> tuple[Tensor, Tensor]:
        """`embed` with the marked patches of a picture that the encoder has seen: mask [1, N] bool."""
        _require_one(input_ids)
        token, mask = self.model.config.image_token_id, mask[0]
        ids = with_room(input_ids[0], token, [len(mask)], len(mask))
        is_image = ids == token
        positions = self.model.model.get_rope_index(ids[None], mm_token_type_ids=is_image.int()[None], image_grid_thw=image_grid_thw)[0]
        assert maps.passed is not None
        embeddings = self.model.get_input_embeddings()(ids)
        embeddings[is_image] = maps.passed[0].to(embeddings.dtype)
        stays = ~is_image
        stays[is_image] = mask
        return embeddings[None, stays], positions[:, :, stays]

    @torch.no_grad()
    def forward(self, input_ids: Tensor, pixel_values: Tensor, image_grid_thw: Tensor, prompt_score: Tensor | None = None) -> Tensor:
        """Logits of the next token after each kept token, [1, S, V]. Arguments as `embed`."""
        embeddings, positions = self.embed(input_ids, pixel_values, image_grid_thw, prompt_score)
        return self.model(inputs_embeds=embeddings, position_ids=positions).logits

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        image_grid_thw: Tensor,
        prompt_score: Tensor | None = None,
        max_new_tokens: int = 16,
    ) -> Tensor:
        """New tokens only, the most probable ones, [1, n] int64; an end-of-text token is the last. Arguments as `embed`."""
        embeddings, positions = self.embed(input_ids, pixel_values, image_grid_thw, prompt_score)
        answer = list(itertools.islice(written(self.model, embeddings, positions), max_new_tokens))
        return torch.tensor([answer], device=input_ids.device)


# ------------------------------------------------------------------------------------------------------------- writing


def _require_one(input_ids: Tensor) -> None:
    if input_ids.shape[0] != 1:
        raise ValueError(f"{input_ids.shape[0]} prompts were given; the pruned model takes one at a time")


@torch.no_grad()
def written(model: Any, embeddings: Tensor, positions: Tensor | None = None) -> Iterator[int]:
    """The most probable tokens, one by one as they are computed; an end-of-text token is the last.

    Args:
        model: a language model of the `transformers` library.
        embeddings: of the prompt, [1, S, D].
        positions: of the prompt's tokens, [3, 1, S]; None numbers them in order. The answer goes on behind the last one: the library's
            own loop would number it from the shortened prompt.
    """
    ends = model.generation_config.eos_token_id
    stop = set(ends if isinstance(ends, list) else [ends])
    inputs, place, cache = embeddings, positions, None
    while True:
        told = {} if place is None else {"position_ids": place}
        result = model(inputs_embeds=inputs, past_key_values=cache, use_cache=True, **told)
        cache, token = result.past_key_values, result.logits[:, -1].argmax(-1, keepdim=True)
        yield int(token)
        if int(token) in stop:
            return
        inputs, place = model.get_input_embeddings()(token), None if place is None else place[..., -1:] + 1


# ------------------------------------------------------------------------------------------------------------- prompt


def with_room(ids: Tensor, image_token: int, room: Sequence[int], patches: int | None) -> Tensor:
    """A prompt with as many image tokens in the place of each picture as told, [S'] int64.

    Args:
        ids: the prompt, [S]. Image tokens stand once per picture or once per patch.
        room: image tokens of each picture.
        patches: patches of each picture; None where any run of image tokens is one picture.

    Raises:
        ValueError: the image tokens of the prompt are those of another number of pictures.
    """
    is_image = ids == image_token
    before = F.pad(is_image, (1, 0))[:-1]
    starts = torch.nonzero(is_image & ~before)[:, 0] if patches is None else torch.nonzero(is_image)[:, 0]
    if patches is not None and len(starts) == patches * len(room):
        starts = starts[::patches]
    if len(starts) != len(room):
        raise ValueError(
            f"the prompt has {int(is_image.sum())} image tokens; expected one per picture or per patch of {len(room)} pictures"
        )
    repeats = (~is_image).long()
    repeats[starts] = torch.tensor(room, device=ids.device)
    return ids.repeat_interleave(repeats)


# ------------------------------------------------------------------------------------------------------------ loading


def load_llava(name_or_folder: str | Path, prune: HiPrune, *, local_files_only: bool = False) -> PrunedLlava:
    """A LLaVA-1.5 or LLaVA-NeXT model of the `transformers` library by its hub id or from a local folder.

    It keeps the precision of the file; its vision tower and language model are those of the library. Code that comes with a
    model is never run.

    Raises:
        ValueError: it cannot be read, or is no LLaVA model.
    """
    name = str(name_or_folder)
    model = _load_whole(name, local_files_only)
    if model.config.model_type not in ("llava", "llava_next"):
        raise ValueError(f"{name!r} is a model of type {model.config.model_type!r}; a pruned run takes LLaVA-1.5 and LLaVA-NeXT")
    return PrunedLlava(model, prune, processor_settings(name, local_files_only))


def load_qwen(name_or_folder: str | Path, prune: HiPrune, *, local_files_only: bool = False) -> PrunedQwen:
    """A Qwen2.5-VL model of the `transformers` library by its hub id or from a local folder, as `load_llava`.

    Raises:
        ValueError: it cannot be read, or is no Qwen2.5-VL model.
    """
    name = str(name_or_folder)
    model = _load_whole(name, local_files_only)
    if model.config.model_type != "qwen2_5_vl":
        raise ValueError(f"{name!r} is a model of type {model.config.model_type!r}; expected is one of Qwen2.5-VL")
    return PrunedQwen(model, prune, processor_settings(name, local_files_only))


def _load_whole(name: str, local_files_only: bool) -> Any:
    """A model of pictures and text with its language model, in the precision of its file. Raises ValueError if unreadable."""
    from transformers import AutoModelForImageTextToText

    with quietly():
        try:
            return AutoModelForImageTextToText.from_pretrained(
                name, local_files_only=local_files_only, trust_remote_code=False, dtype="auto"
            )
        except (OSError, ValueError) as error:
            raise ValueError(f"{name!r} cannot be read as a model of pictures and text: {error}") from error
