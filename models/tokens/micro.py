"""Small vision transformers of the tokens wing that learn from little: a few convolutions up to the patches, then plain blocks.

A plain ViT needs long training on small pictures; convolutions before its first token spare it most of that (Xiao, Singh, Mintun
and others, "Early Convolutions Help Transformers See Better", arXiv 2106.14881). What follows the stem is the architecture of
the papers: DeiT's blocks (`MicroViT`, whose weights load into `Sparsifiner`), Sparsifiner's, DToP's.

    model = token_encoder()                       # an encoder, a rule that prunes, a reader of what is kept
    model.prune = HiPrune(tokens=65, alpha=0.5)
    logits = model(image)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.hypergraphs.conv_vit import Residual
from models.structures import AttentionMaps
from models.tokens.attention_capture import Encoder, Watch, record, report
from models.tokens.dtop import DToP
from models.tokens.hiprune import HiPrune
from models.tokens.sparsifiner import MLP, Rules, Sparsifiner

Grid = tuple[int, int]
WIDTHS = (32, 64)  # channels of the stem after each halving


# ---------------------------------------------------------------------------------------------------------------- stem


class ConvStem(nn.Module):
    """Per entry of `widths` a convolution of stride 2 and a residual block: [B, 3, H, W] → [B, dim, H/s, W/s], s = 2^len(widths)."""

    def __init__(self, dim: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for inputs, outputs in pairwise((3, *widths)):
            parts += [nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.GELU(), Residual(outputs)]
        self.body = nn.Sequential(*parts)
        self.proj = nn.Conv2d(widths[-1], dim, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(self.body(image))


class ConvTokens(ConvStem):
    """The same as a list of tokens in raster order, [B, N, dim]."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image).flatten(2).transpose(1, 2)


# ------------------------------------------------------------------------------------------------------------- encoder


class Attention(nn.Module):
    """Multi-head self-attention, seen by `attention_capture.record`."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        report(self, q, k)
        # With heads this narrow the fused kernel of the CPU is two to three times faster in float32 than in bfloat16.
        with torch.autocast(x.device.type, enabled=False):
            mixed = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """x + Attention(LN(x)), then x + MLP(LN(x))."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLP(dim, int(dim * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class MicroViT(nn.Module):
    """A ViT with class token and learned positions behind a convolutional stem. Names are DeiT's.

    Args:
        image_size: side of the picture in pixels; it must be this.
        dim, depth, heads, mlp_ratio: of the blocks.
    """

    def __init__(
        self, num_classes: int = 10, image_size: int = 48, dim: int = 96, depth: int = 6, heads: int = 3, mlp_ratio: float = 4.0
    ) -> None:
        super().__init__()
        stride = 2 ** len(WIDTHS)
        if image_size % stride:
            raise ValueError(f"a picture of {image_size} pixels cannot be cut into patches of {stride}; one must divide the other")
        self.image_size, self.grid = image_size, (image_size // stride, image_size // stride)
        self.patch_embed = ConvTokens(dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], dim))
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, num_classes)
        _start(self)

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 3, S, S], normalised → logits [B, classes], read from the class token."""
        return self.classify(self.tokens(image))

    def tokens(self, image: Tensor) -> Tensor:
        """All tokens after the last block, the class token first, [B, 1 + N, dim].

        Raises:
            ValueError: the picture has another size than the positions are made for.
        """
        if image.shape[2:] != (self.image_size, self.image_size):
            only = f"{self.image_size} × {self.image_size}"
            raise ValueError(f"the picture is {image.shape[2]} × {image.shape[3]} pixels; the positions are made for {only} only")
        patches = self.patch_embed(image)
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return x

    def classify(self, tokens: Tensor) -> Tensor:
        """Tokens of the last block [B, 1 + N, dim] → logits [B, classes]."""
        return self.head(self.norm(tokens)[:, 0])


def _start(model: nn.Module) -> None:
    for name, parameter in model.named_parameters(recurse=False):
        if name in ("cls_token", "pos_embed", "query"):
            nn.init.trunc_normal_(parameter, std=0.02)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)


class MicroEncoder(Encoder):
    """`MicroViT` as an encoder whose attention is looked at: `encoder({"pixel_values": image})` gives its `AttentionMaps`.

    Pictures are prepared as the zoo's entry says, not by the encoder.

    Args:
        object_layer: layer that HiPrune takes for its anchors; half of the depth by default.
    """

    def __init__(self, model: MicroViT, object_layer: int | None = None) -> None:
        super().__init__()
        self.family, self.model = "ViT, trained for this project", model
        self.n_layers = len(model.blocks)
        self.object_layer = object_layer or max(1, round(self.n_layers / 2))

    def grid_of(self, inputs: Mapping[str, Tensor]) -> Grid:
        return self.model.grid

    def look(self, inputs: Mapping[str, Tensor], opened: Collection[int], watch: Watch | None) -> AttentionMaps:
        finished = None if watch is None else lambda number, layer: watch(number, layer.matrices[0])
        with record(self.model, opened, finished) as recording:
            tokens = self.model.tokens(inputs["pixel_values"])
        received = torch.stack([layer.received[0] for layer in recording.layers], 1)
        count = received.shape[-1]
        return AttentionMaps(
            received=received / count,
            grid=self.model.grid,
            prefix=1,
            uniform=1 / count,
            suggested=(self.object_layer, self.n_layers),
            opened={layer: recording.layers[layer - 1].matrices[0] for layer in opened},
            features=tokens[:, 1:],
            passed=tokens[:, 1:],
        )


# -------------------------------------------------------------------------------------------------------------- reader


class Reader(nn.Module):
    """Stands where a language model stands: a learned query and whatever patches it is given pass transformer blocks; the
    query answers. Any number of patches can be read, in any order: they bring their positions with them."""

    def __init__(self, num_classes: int, dim: int, depth: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, 1, dim))
        self.norm0 = nn.LayerNorm(dim, eps=1e-6)
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, num_classes)
        _start(self)

    def forward(self, patches: Tensor) -> Tensor:
        """patches [B, K, dim] → logits [B, classes]."""
        x = torch.cat([self.query.expand(len(patches), -1, -1), self.norm0(patches)], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))


class PrunedReader(nn.Module):
    """Picture → encoder → the patches that `prune` keeps → reader → logits.

    The encoder always computes every patch; what is saved comes after it. Its class token, which has a head of its own
    (`encoder.model.classify`), does not notice the pruning. `prune` keeps every patch until it is replaced, or its
    selection is edited.
    """

    def __init__(self, encoder: MicroEncoder, reader: Reader) -> None:
        super().__init__()
        self.encoder, self.prune, self.reader = encoder, HiPrune(ratio=1.0), reader

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 3, S, S], normalised → logits [B, classes]. The encoder gives no gradients here."""
        maps = self.encoder({"pixel_values": image})
        assert maps.passed is not None
        return self.read(maps.passed, self.prune(maps).mask)

    def read(self, patches: Tensor, mask: Tensor) -> Tensor:
        """The reader's logits [B, classes] of the patches [B, N, dim] where the mask [B, N] is True.

        Raises:
            ValueError: a picture would be left without any patch.
        """
        counts = mask.sum(1)
        if not counts.all():
            raise ValueError("no patch of a picture is kept; the reader needs at least one")
        if (counts == counts[0]).all():
            return self.reader(patches[mask].unflatten(0, (len(patches), -1)))
        return torch.cat([self.reader(rows[kept][None]) for rows, kept in zip(patches, mask, strict=True)])


# --------------------------------------------------------------------------------------------------------- what is built


def token_encoder(
    num_classes: int = 17, image_size: int = 56, dim: int = 64, depth: int = 8, heads: int = 4, reader_depth: int = 1
) -> PrunedReader:
    """The encoder that HiPrune prunes, with its reader."""
    vit = MicroViT(num_classes, image_size, dim, depth, heads)
    return PrunedReader(MicroEncoder(vit), Reader(num_classes, dim, reader_depth, heads))


def sparsifiner(
    num_classes: int = 10,
    image_size: int = 48,
    dim: int = 96,
    depth: int = 6,
    heads: int = 3,
    keep_rate: float = 0.25,
    coefficients: int = 8,
    basis_threshold: float = 0.003,
) -> Sparsifiner:
    """Sparsifiner behind the stem of `MicroViT`, whose weights load into everything but the predictors.

    Args:
        basis_threshold: the released 0.02 is four times what even attention over 197 tokens would give each of them; in a small
            network attention is flatter, and such a threshold would leave nothing of the prototypes.
    """
    rules = Rules(basis_threshold=basis_threshold, coefficients=coefficients, keep_rate=keep_rate)
    model = Sparsifiner((image_size, image_size), 2 ** len(WIDTHS), dim, depth, heads, num_classes=num_classes, rules=rules)
    model.add_module("patch_embed", ConvTokens(dim))
    return model


def dtop(
    num_classes: int = 8,
    image_size: int = 128,
    dim: int = 64,
    depth: int = 6,
    heads: int = 2,
    stages: Sequence[int] = (1, 3, 5),
    head_width: int = 64,
    threshold: float = 0.9,
    widths: Sequence[int] = (16, 32, 64),
) -> DToP:
    """DToP behind a convolutional stem, heads of one decoder layer."""
    stride = 2 ** len(widths)
    model = DToP(
        (image_size, image_size),
        stride,
        dim,
        depth,
        heads,
        num_classes=num_classes,
        stages=stages,
        head_width=head_width,
        head_heads=heads,
        head_depth=1,
        threshold=threshold,
    )
    model.backbone.add_module("patch_embed", ConvStem(dim, widths))
    return model
