"""Vision GNN (ViG) and Pyramid ViG.

Han, Wang, Guo, Tang, Wu, "Vision GNN: An Image is Worth Graph of Nodes", NeurIPS 2022, arXiv 2206.00272. Module names
follow the released code (huawei-noah/Efficient-AI-Backbones, Apache-2.0), so that its checkpoints load.

In every block each patch picks its k nearest patches in the current feature space and takes, per channel, the largest
difference to them:  r_nc = max_j (h_jc − h_nc);  z = [h_n0, r_n0, h_n1, r_n1, …];  y = GELU(BN(Conv(z))).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.image_graphs.aggregate import MaxRelative, to_grid, to_nodes
from models.image_graphs.constructors import DilatedKNN
from models.layers import Downsample, DropPath, conv_norm, kaiming_convolutions

Grid = tuple[int, int]


# -------------------------------------------------------------------------------------------- relative position term


def sincos_table(grid: Grid, channels: int) -> Tensor:
    """Fixed 2-D sine–cosine table [N, C]: half of the channels for the column, half for the row, float64 inside."""

    def along(position: np.ndarray, width: int) -> np.ndarray:
        frequency = 1 / 10000 ** (np.arange(width // 2, dtype=np.float64) / (width / 2.0))
        angle = np.outer(position.reshape(-1), frequency)
        return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)

    row, col = np.meshgrid(np.arange(grid[0], dtype=np.float32), np.arange(grid[1], dtype=np.float32), indexing="ij")
    return torch.from_numpy(np.concatenate([along(col, channels // 2), along(row, channels // 2)], axis=1))


def relative_position(grid: Grid, channels: int, pool: int, form: str = "reference") -> Tensor:
    """The term that pyramid ViG adds to squared feature distances, [1, N, N/pool²].

    S = 2·P·Pᵀ/C with the sine–cosine table P, so S = 1 for a patch and itself. The term is −S.

    Args:
        form: "reference" resizes the (N, N) matrix bicubically along the flattened key index, as released; for pool > 1
            the columns come out scrambled (the favoured key is rarely the nearest cell). "aligned" averages S over each
            pooled pool × pool cell, which keeps row and column apart.
    """
    if form not in ("reference", "aligned"):
        raise ValueError(f"form is {form!r}; it must be 'reference' or 'aligned'")
    table = sincos_table(grid, channels)
    similarity = (2 * table @ table.T / channels).float()[None]
    n, m = similarity.shape[1], similarity.shape[1] // pool**2
    if form == "reference":
        resized = F.interpolate(similarity[None], size=(n, m), mode="bicubic", align_corners=False)[0]
    else:
        resized = F.avg_pool2d(similarity.view(n, 1, *grid), pool).view(1, n, m)
    return -resized


def resized_relative_position(term: Tensor, n: int, m: int) -> Tensor:
    """The stored term for another input size, bicubic as released, [1, n, m]."""
    if term.shape[1:] == (n, m):
        return term
    return F.interpolate(term[None], size=(n, m), mode="bicubic", align_corners=False)[0]


# ------------------------------------------------------------------------------------------------------------- blocks


class _MaxRelativeConv(nn.Module):
    """z = interleave(h, r) → Conv1x1(2C → 2C, 4 groups), BN, GELU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.relative = MaxRelative(sign=1, floor=False)
        self.nn = nn.Sequential(*conv_norm(2 * channels, 2 * channels, groups=4), nn.GELU())

    def forward(self, x: Tensor, keys: Tensor | None, graph) -> Tensor:
        nodes = to_nodes(x)
        found = self.relative(nodes, nodes if keys is None else to_nodes(keys), graph)
        pairs = torch.stack([nodes, found.relative], -1).flatten(2)
        return self.nn(to_grid(pairs, (x.shape[2], x.shape[3])))


class _GraphConv(nn.Module):
    """Build the graph, pass messages. Keys are average-pooled by `pool` where a full comparison would be too dear."""

    def __init__(self, channels: int, k: int, dilation: int, pool: int) -> None:
        super().__init__()
        self.constructor = DilatedKNN(k, dilation)
        self.gconv = _MaxRelativeConv(channels)
        self.pool = pool

    def forward(self, x: Tensor, position: Tensor | None) -> Tensor:
        keys = F.avg_pool2d(x, self.pool) if self.pool > 1 else None
        if position is not None:
            n = x.shape[2] * x.shape[3]
            m = n if keys is None else keys.shape[2] * keys.shape[3]
            position = resized_relative_position(position, n, m)
        return self.gconv(x, keys, self.constructor(x, keys, position))


class Grapher(nn.Module):
    """x + DropPath(BN(Conv(GraphConv(BN(Conv(x))))))."""

    def __init__(
        self, channels: int, k: int, dilation: int, pool: int = 1, drop_path: float = 0.0, relative_pos: Tensor | None = None
    ) -> None:
        super().__init__()
        self.fc1 = nn.Sequential(*conv_norm(channels, channels))
        self.channels = channels
        self.graph_conv: _GraphConv = _GraphConv(channels, k, dilation, pool)
        self.fc2 = nn.Sequential(*conv_norm(2 * channels, channels))
        self.drop_path = DropPath(drop_path)
        self.relative_pos = None if relative_pos is None else nn.Parameter(relative_pos, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.fc2(self.graph_conv(self.fc1(x), self.relative_pos)))


class FFN(nn.Module):
    """x + DropPath(BN(Conv(GELU(BN(Conv(x))))))."""

    def __init__(self, channels: int, hidden: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Sequential(*conv_norm(channels, hidden))
        self.act = nn.GELU()
        self.fc2 = nn.Sequential(*conv_norm(hidden, channels))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.fc2(self.act(self.fc1(x))))


class Stem(nn.Module):
    """3×3 convolutions with BN, GELU between them. `widths` and `strides` list one entry per convolution."""

    def __init__(self, widths: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, stride in zip([3, *widths[:-1]], widths, strides, strict=True):
            layers += [*conv_norm(before, after, 3, stride), nn.GELU()]
        self.convs = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.convs(x)


class _ViGBase(nn.Module):
    stem: Stem
    pos_embed: nn.Parameter
    backbone: nn.Sequential
    prediction: nn.Sequential
    side_multiple: int

    def forward(self, image: Tensor) -> Tensor:
        """image [B, 3, H, W], normalised → logits [B, classes]."""
        height, width = image.shape[2:]
        if height % self.side_multiple or width % self.side_multiple:
            raise ValueError(f"the picture is {height} × {width} pixels; both sides must be multiples of {self.side_multiple}")
        x = self.stem(image)
        x = self.backbone(x + self._position_for(x))
        return self.prediction(F.adaptive_avg_pool2d(x, 1)).flatten(1)

    def _position_for(self, x: Tensor) -> Tensor:
        if self.pos_embed.shape[2:] == x.shape[2:]:
            return self.pos_embed
        return F.interpolate(self.pos_embed, size=x.shape[2:], mode="bicubic", align_corners=False)


def _prediction(channels: int, hidden: int, classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(*conv_norm(channels, hidden), nn.GELU(), nn.Dropout(dropout), nn.Conv2d(hidden, classes, 1))


class ViG(_ViGBase):
    """Isotropic ViG: one grid from beginning to end; k and dilation grow with depth.

    k_b = int(linspace(k, 2k, L)); d_b = min(b // 4 + 1, 196 // max k).

    Args:
        use_dilation: False keeps d_b = 1 in every block, as the released switch of that name does.
        image_size: (height, width) in pixels that the position embedding is made for.
        stem_strides: strides of the five stem convolutions; (2, 2, 2, 2, 1) as released makes patches of 16 pixels.
    """

    def __init__(
        self,
        channels: int = 192,
        n_blocks: int = 12,
        k: int = 9,
        num_classes: int = 1000,
        head_dim: int = 1024,
        image_size: Grid = (224, 224),
        drop_path: float = 0.0,
        dropout: float = 0.0,
        stem_strides: Sequence[int] = (2, 2, 2, 2, 1),
        use_dilation: bool = True,
    ) -> None:
        super().__init__()
        patch = int(np.prod(stem_strides))
        self.side_multiple = patch
        widths = [channels // 8, channels // 4, channels // 2, channels, channels]
        self.stem = Stem(widths, stem_strides)
        self.pos_embed = nn.Parameter(torch.zeros(1, channels, image_size[0] // patch, image_size[1] // patch))
        ks = [int(v) for v in torch.linspace(k, 2 * k, n_blocks, device="cpu")]
        limit = 196 // max(ks) if use_dilation else 1
        rates = torch.linspace(0, drop_path, n_blocks, device="cpu").tolist()
        self.backbone = nn.Sequential(
            *[
                nn.Sequential(
                    Grapher(channels, ks[b], min(b // 4 + 1, limit), drop_path=rates[b]),
                    FFN(channels, 4 * channels, rates[b]),
                )
                for b in range(n_blocks)
            ]
        )
        self.prediction = _prediction(channels, head_dim, num_classes, dropout)
        kaiming_convolutions(self)


class PyramidViG(_ViGBase):
    """Pyramid ViG: grids that halve from stage to stage; the early stages compare patches with pooled keys.

    Dilation d = min(g // 4 + 1, 49 // k) where g counts Grapher blocks over the whole net.

    Args:
        blocks, channels, pools: one entry per stage.
        relpos: "reference" or "aligned", see `relative_position`.
    """

    def __init__(
        self,
        blocks: Sequence[int] = (2, 2, 6, 2),
        channels: Sequence[int] = (48, 96, 240, 384),
        k: int = 9,
        num_classes: int = 1000,
        head_dim: int = 1024,
        image_size: Grid = (224, 224),
        drop_path: float = 0.0,
        dropout: float = 0.0,
        pools: Sequence[int] = (4, 2, 1, 1),
        relpos: str = "reference",
    ) -> None:
        super().__init__()
        self.side_multiple = 4 * 2 ** (len(blocks) - 1)
        self.stem = Stem([channels[0] // 2, channels[0], channels[0]], [2, 2, 1])
        grid = (image_size[0] // 4, image_size[1] // 4)
        self.pos_embed = nn.Parameter(torch.zeros(1, channels[0], *grid))
        rates = torch.linspace(0, drop_path, sum(blocks), device="cpu").tolist()
        layers: list[nn.Module] = []
        counted = 0
        for stage, depth in enumerate(blocks):
            if stage > 0:
                layers.append(Downsample(channels[stage - 1], channels[stage]))
                grid = (grid[0] // 2, grid[1] // 2)
            for _ in range(depth):
                term = relative_position(grid, channels[stage], pools[stage], relpos)
                dilation = min(counted // 4 + 1, max(49 // k, 1))
                grapher = Grapher(channels[stage], k, dilation, pools[stage], rates[counted], term)
                layers.append(nn.Sequential(grapher, FFN(channels[stage], 4 * channels[stage], rates[counted])))
                counted += 1
        self.backbone = nn.Sequential(*layers)
        self.prediction = _prediction(channels[-1], head_dim, num_classes, dropout)
        kaiming_convolutions(self)

    def set_relative_position(self, form: str) -> None:
        """Recompute the fixed position terms in the given form ("reference" or "aligned")."""
        grid = (self.pos_embed.shape[2], self.pos_embed.shape[3])
        for module in self.backbone:
            if isinstance(module, Downsample):
                grid = (grid[0] // 2, grid[1] // 2)
                continue
            grapher = module.get_submodule("0")
            assert isinstance(grapher, Grapher)
            assert grapher.relative_pos is not None
            conv: _GraphConv = grapher.graph_conv
            grapher.relative_pos.data = relative_position(grid, grapher.channels, conv.pool, form)


CONFIGURATIONS: dict[str, dict] = {
    "vig_ti_224_gelu": {"channels": 192, "n_blocks": 12},
    "vig_s_224_gelu": {"channels": 320, "n_blocks": 16},
    "vig_b_224_gelu": {"channels": 640, "n_blocks": 16},
    "pvig_ti_224_gelu": {"blocks": (2, 2, 6, 2), "channels": (48, 96, 240, 384)},
    "pvig_s_224_gelu": {"blocks": (2, 2, 6, 2), "channels": (80, 160, 400, 640)},
    "pvig_m_224_gelu": {"blocks": (2, 2, 16, 2), "channels": (96, 192, 384, 768)},
    "pvig_b_224_gelu": {"blocks": (2, 2, 18, 2), "channels": (128, 256, 512, 1024)},
}


def build(name: str, **changes) -> ViG | PyramidViG:
    """An official configuration by its released name, e.g. "pvig_ti_224_gelu"; keyword arguments replace settings."""
    kind = PyramidViG if name.startswith("pvig") else ViG
    return kind(**{**CONFIGURATIONS[name], **changes})
