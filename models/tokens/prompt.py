"""What a prompt asks for, patch by patch: the text side of HiPrune++ with CLIP, whose patches and words share a space.

relevance = load_prompt("openai/clip-vit-base-patch32")
selection = HiPrune(tokens=64)(maps, relevance(maps, input_ids))
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.structures import AttentionMaps
from models.tokens.attention_capture import quietly
from models.tokens.hiprune import likeness


class ClipPrompt(nn.Module):
    """Likeness of each patch of CLIP's own vision tower to a prompt.

    A patch is normalised and projected as the class token is; the tokens of the prompt likewise, and their mean is compared.

    Args:
        model: CLIPModel of the `transformers` library.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, maps: AttentionMaps, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Cosines in −1 … 1, [B, N].

        Args:
            maps: attention of the same model's vision tower, with features.
            input_ids: one prompt for all pictures, [1, S], as the model's tokenizer gives it.
            attention_mask: 0 for padding, [1, S]; None counts every token.

        Raises:
            ValueError: the maps came without features or from another tower, or there is more than one prompt.
        """
        if maps.features is None:
            raise ValueError("the attention maps hold no features of the last layer")
        if input_ids.shape[0] != 1:
            raise ValueError(f"{input_ids.shape[0]} prompts were given; one is compared with all pictures")
        width = self.model.config.vision_config.hidden_size
        if maps.features.shape[-1] != width:
            raise ValueError(f"the patches have {maps.features.shape[-1]} channels; this model's tower has {width}")
        patches = self.model.visual_projection(self.model.vision_model.post_layernorm(maps.features))
        states = self.model.text_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        words = self.model.text_projection(states)[0]
        return likeness(patches, words if attention_mask is None else words[attention_mask[0].bool()])


def load_prompt(name_or_folder: str | Path, *, local_files_only: bool = False) -> ClipPrompt:
    """A CLIP model with both towers by its hub id or from a local folder, in float32. Code that comes with it is never run.

    Raises:
        ValueError: it cannot be read, is no CLIP model of pictures and text, or weights are missing.
    """
    from transformers import AutoConfig, CLIPModel  # a second to import: only when it is needed

    name, where = str(name_or_folder), {"local_files_only": local_files_only}
    with quietly():
        try:
            kind = AutoConfig.from_pretrained(name, trust_remote_code=False, **where).model_type
            if kind != "clip":
                raise ValueError(f"{name!r} is a model of type {kind!r}; patches and words share a space in CLIP models")
            model, info = CLIPModel.from_pretrained(name, output_loading_info=True, **where)
        except OSError as error:
            raise ValueError(f"{name!r} cannot be read: {error}") from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(f"{len(missing)} weights of the model are not in {name!r}, for example {missing[0]}")
    return ClipPrompt(model.float())
