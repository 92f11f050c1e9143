"""DToP: semantic segmentation by a plain vision transformer whose easy patches leave early.

Tang et al., "Dynamic Token Pruning in Plain Vision Transformers for Semantic Segmentation", ICCV 2023, arXiv 2308.01045.
Parameter names follow the released code (zbwxp/Dynamic-Token-Pruning, on mmsegmentation), so that its checkpoints load.

After some blocks a head predicts every patch that is still computed:

    prediction = p(class in the picture) · sigmoid(mask logits)                                  [B, classes, n]

A patch whose largest prediction is above p0 leaves: its mask logits stay, and no later block computes it. Of each class the
few most confident patches stay all the same, as context for the rest. Whether a class is in the picture is judged anew by
every head, so that a patch that has left can still change its label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import DropPath
from models.structures import ExitStage

Grid = tuple[int, int]


# ----------------------------------------------------------------------------------------------------------- backbone


class _SelfAttention(nn.Module):
    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attn(x, x, x, need_weights=False)[0]


class _FFN(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Sequential(nn.Linear(channels, hidden), nn.GELU()), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Layer(nn.Module):
    """x + Attention(LN(x)), then x + FFN(LN(x)), on the patches that have not left."""

    def __init__(self, channels: int, heads: int, hidden: int, drop_path: float) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = _SelfAttention(channels, heads)
        self.ln2 = nn.LayerNorm(channels, eps=1e-6)
        self.ffn = _FFN(channels, hidden)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, exited: Tensor) -> Tensor:
        """x [B, N, C], exited [B, N] bool → [B, N, C], zero where a patch has left."""
        if not exited.any():
            return self._computed(x)
        result = torch.zeros_like(x)
        for picture, gone in enumerate(exited):  # as many patches as each picture has left
            if not gone.all():
                result[picture, ~gone] = self._computed(x[picture, ~gone][None])[0]
        return result

    def _computed(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.ln1(x)))
        return x + self.drop_path(self.ffn(self.ln2(x)))


class _PatchEmbed(nn.Module):
    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, channels, patch, patch)

    def forward(self, image: Tensor) -> Tensor:
        return self.projection(image)


class Backbone(nn.Module):
    """Embedding and layers of a ViT without class token (which has a name and a position in the checkpoint, and no use)."""

    def __init__(
        self, image_size: Grid, patch_size: int, channels: int, depth: int, heads: int, mlp_ratio: float, drop_path: float
    ) -> None:
        super().__init__()
        self.grid = (image_size[0] // patch_size, image_size[1] // patch_size)
        self.patch_size = patch_size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], channels))
        self.patch_embed = _PatchEmbed(channels, patch_size)
        rates = torch.linspace(0, drop_path, depth, device="cpu").tolist()
        self.layers = nn.ModuleList(Layer(channels, heads, int(channels * mlp_ratio), rate) for rate in rates)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def embed(self, image: Tensor) -> tuple[Tensor, Grid]:
        """image [B, 3, H, W] → (patches with their positions [B, N, C], grid). Positions of another grid are bicubic.

        Raises:
            ValueError: a side is no multiple of the patch.
        """
        height, width = image.shape[2:]
        if height % self.patch_size or width % self.patch_size or not height or not width:
            raise ValueError(f"the picture is {height} × {width} pixels; both sides must be multiples of {self.patch_size}")
        patches = self.patch_embed(image)
        position = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, self.grid)
        if position.shape[2:] != patches.shape[2:]:
            position = F.interpolate(position, size=patches.shape[2:], mode="bicubic", align_corners=False)
        return (patches + position).flatten(2).transpose(1, 2), (patches.shape[2], patches.shape[3])


# --------------------------------------------------------------------------------------------------------------- head


class CrossAttention(nn.Module):
    """Class queries look at patches. Returns what they take, and their mean logits over the heads before the softmax."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.proj = (nn.Linear(channels, channels) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """queries [B, classes, D], patches [B, n, D] → ([B, classes, D], [B, classes, n])."""
        q, k, v = (
            project(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project, x in ((self.q, queries), (self.k, patches), (self.v, patches))
        )
        logits = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
        mixed = self.dropout(logits.softmax(-1)) @ v
        return self.proj(mixed.transpose(1, 2).flatten(2)), logits.mean(1)


class DecoderLayer(nn.Module):
    """q ← LN(q + SelfAttention(q)), LN(q + CrossAttention(q, patches)), LN(q + FFN(q)): normalised after each step."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(channels, heads, dropout=dropout, batch_first=True)
        self.multihead_attn = CrossAttention(channels, heads, dropout)
        self.linear1, self.linear2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels, eps=1e-5) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, q: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        q = self.norm1(q + self.dropout(self.self_attn(q, q, q, need_weights=False)[0]))
        taken, logits = self.multihead_attn(q, patches)
        q = self.norm2(q + self.dropout(taken))
        return self.norm3(q + self.dropout(self.linear2(self.dropout(F.relu(self.linear1(q)))))), logits


class _Decoder(nn.Module):
    def __init__(self, channels: int, heads: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(channels, heads, dropout) for _ in range(depth))

    def forward(self, q: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        logits = patches.new_zeros(())
        for layer in self.layers:
            q, logits = layer(q, patches)
        return q, logits


class PruneHead(nn.Module):
    """Predict the patches that are still computed, and decide which of them leave.

    Args:
        channels: of the patches.
        width: of the class queries.
        threshold: p0, the confidence above which a patch leaves; 1 lets none leave.
        context: how many of the most confident patches of each class stay.
    """

    def __init__(
        self, channels: int, width: int, num_classes: int, heads: int, depth: int, threshold: float, context: int, dropout: float
    ) -> None:
        super().__init__()
        self.input_proj = nn.Linear(channels, width)
        self.proj_norm = nn.LayerNorm(width, eps=1e-5)
        self.decoder = _Decoder(width, heads, depth, dropout)
        self.q = nn.Embedding(num_classes, width)
        self.class_embed = nn.Linear(width, 2)
        self.threshold, self.context = threshold, context
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, grid: Grid, previous: ExitStage | None = None) -> ExitStage:
        """x [B, N, C]; `previous` is the stage before, or None when no patch has left."""
        before = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device) if previous is None else previous.exited
        if previous is None or not before.any():
            mask_logits, class_logits = self._predict(x)
        else:
            mask_logits, class_logits = self._predict_rest(x, previous)
        prediction = class_logits.softmax(-1)[..., :1] * mask_logits.sigmoid()
        confidence, label = prediction.max(1)
        confident = (confidence > self.threshold) & ~before  # never above 1
        stays = confident & best_of_each_class(confidence.detach(), label, confident, self.context)
        exited = before | (confident & ~stays)
        return ExitStage(before, exited, mask_logits, class_logits, prediction, confidence, label, stays, self.threshold, grid)

    def _predict(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Patches [B, n, C] → (mask logits [B, classes, n], class logits [B, classes, 2])."""
        patches = self.proj_norm(self.input_proj(x))
        q, logits = self.decoder(self.q.weight.expand(len(x), -1, -1), patches)
        return logits, self.class_embed(q)

    def _predict_rest(self, x: Tensor, previous: ExitStage) -> tuple[Tensor, Tensor]:
        """As `_predict`, each picture with the patches that it has left; what left, and a picture that is done, stay."""
        mask_logits, class_logits = previous.mask_logits.clone(), previous.class_logits.clone()
        for picture, gone in enumerate(previous.exited):
            if not gone.all():
                found, classes = self._predict(x[picture, ~gone][None])
                mask_logits[picture][:, ~gone] = found[0]
                class_logits[picture] = classes[0]
        return mask_logits, class_logits


def best_of_each_class(confidence: Tensor, label: Tensor, among: Tensor, count: int) -> Tensor:
    """True for the `count` most confident patches of each label and picture among the given ones, all [B, N]."""
    best = torch.zeros_like(among)
    for picture in range(len(among)):
        for value in label[picture][among[picture]].unique():
            members = torch.nonzero(among[picture] & (label[picture] == value))[:, 0]
            order = confidence[picture][members].sort(descending=True, stable=True).indices
            best[picture, members[order[:count]]] = True
    return best


# -------------------------------------------------------------------------------------------------------------- model


class DToP(nn.Module):
    """A plain ViT with a head after each of `stages`; patches leave at every head but the last.

    Args:
        image_size: (height, width) in pixels that the position embedding is made for.
        stages: blocks (from 0) after which a head runs; the last one is the decode head.
        head_width, head_heads, head_depth: of the heads' class queries and decoder.
        threshold: p0 of all heads but the last, or one for every head.
        context: how many confident patches of each class stay, k in the paper.
        drop_path, dropout: stochastic depth of the backbone, dropout of the heads, in training.
    """

    def __init__(
        self,
        image_size: Grid = (512, 512),
        patch_size: int = 16,
        channels: int = 768,
        depth: int = 12,
        heads: int = 12,
        mlp_ratio: float = 4.0,
        num_classes: int = 150,
        stages: Sequence[int] = (5, 7, 11),
        head_width: int = 384,
        head_heads: int = 6,
        head_depth: int = 3,
        threshold: float | Sequence[float] = 0.9,
        context: int = 5,
        drop_path: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if list(stages) != sorted(set(stages)) or not stages or not 0 <= stages[0] <= stages[-1] < depth:
            raise ValueError(f"the stages are {list(stages)}; they must rise and lie between 0 and {depth - 1}")
        self.stages = tuple(stages)
        self.backbone = Backbone(image_size, patch_size, channels, depth, heads, mlp_ratio, drop_path)
        made = [PruneHead(channels, head_width, num_classes, head_heads, head_depth, 1.0, context, dropout) for _ in stages]
        self.auxiliary_head = nn.ModuleList(made[:-1])
        self.decode_head: PruneHead = made[-1]
        self.set_exit(threshold, context)

    @property
    def heads(self) -> list[PruneHead]:
        """All heads in the order of the stages."""
        return [head for head in self.modules() if isinstance(head, PruneHead)]

    def set_exit(self, threshold: float | Sequence[float], context: int = 5) -> None:
        """Another p0 (one number for all heads but the last, or one per head) and another k.

        Raises:
            ValueError: a threshold is not in (0, 1], their number is not that of the heads, or k is negative.
        """
        heads = [*self.auxiliary_head, self.decode_head]
        values = [*[float(threshold)] * (len(heads) - 1), 1.0] if isinstance(threshold, (int, float)) else [float(t) for t in threshold]
        if len(values) != len(heads):
            raise ValueError(f"{len(values)} thresholds were given for {len(heads)} heads")
        if not all(0 < value <= 1 for value in values):
            raise ValueError(f"the thresholds are {values}; they must be above 0 and at most 1, where no patch leaves")
        if context < 0:
            raise ValueError(f"{context} confident patches of each class were to stay; it must be at least 0")
        for head, value in zip(heads, values, strict=True):
            assert isinstance(head, PruneHead)
            head.threshold, head.context = value, context

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 3, H, W], normalised → prediction of each class at each pixel [B, classes, H, W], in 0 … 1 (bilinear).

        Raises:
            ValueError: a side is no multiple of the patch.
        """
        final = self.stages_of(image)[-1]
        maps = final.prediction.unflatten(2, final.grid)
        return F.interpolate(maps, size=image.shape[2:], mode="bilinear", align_corners=False)

    def stages_of(self, image: Tensor) -> list[ExitStage]:
        """What each head predicts, in order."""
        x, grid = self.backbone.embed(image)
        exited = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        heads = dict(zip(self.stages, [*self.auxiliary_head, self.decode_head], strict=True))
        found: list[ExitStage] = []
        for number, layer in enumerate(self.backbone.layers):
            x = layer(x, exited)
            if number in heads:
                found.append(heads[number](x, grid, found[-1] if found else None))
                exited = found[-1].exited
        return found


def official_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of an mmsegmentation checkpoint without what belongs to its loss and its preprocessing."""
    return {name: value for name, value in state.items() if ".loss_decode." not in name and not name.startswith("data_preprocessor.")}


_LARGE = {
    "channels": 1024,
    "depth": 24,
    "heads": 16,
    "stages": (7, 15, 23),
    "head_width": 512,
    "threshold": 0.95,
}
CONFIGURATIONS: dict[str, dict] = {
    "segvit_prune_base_ade20k": {},
    "segvit_prune_large_ade20k": {**_LARGE, "image_size": (640, 640), "head_heads": 8},
    "segvit_prune_large_pascal_context": {**_LARGE, "image_size": (480, 480), "num_classes": 59, "head_heads": 16},
    "segvit_prune_large_cocostuff10k": {**_LARGE, "num_classes": 171, "head_heads": 16},
}


def build(name: str, **changes) -> DToP:
    """A released configuration, e.g. "segvit_prune_base_ade20k"; keyword arguments replace settings."""
    return DToP(**{**CONFIGURATIONS[name], **changes})
