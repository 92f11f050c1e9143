"""Architectures as a line of text, as a list of steps, and as a torch module.

    network = build(parse("conv3x3-16 bn relu | res(conv3x3-16 bn) | pool | conv3x3-32 relu | gap | fc10"), channels=1, side=8)

`drawn` makes one up, from a family wide enough to learn from. Ours. The words:
    conv3x3-16     convolution to 16 channels (conv3x3-16/2: stride 2); without bias when bn follows
    dw3x3          depth-wise convolution (dw3x3/2: stride 2)
    bn, relu, gelu
    pool, avgpool  2×2 maximum or mean (pool3: 3×3)
    res(…)         adds the branch to its input;  cat(…) puts the branch's channels behind those of its input
    gap            mean over all places;  fc10: linear layer to 10 values
A bar | between words is for the eye only.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

WORDS = ("conv3x3-16", "conv3x3-16/2", "dw3x3", "bn", "relu", "gelu", "pool", "avgpool", "res( … )", "cat( … )", "gap", "fc10")
WIDEST, LARGEST_KERNEL, LONGEST = 1024, 11, 100

_PATTERNS = {
    "conv": re.compile(r"conv(?P<kernel>\d{1,5})x(?P<kernel2>\d{1,5})-(?P<channels>\d{1,5})(?:/(?P<stride>\d{1,5}))?"),
    "dw": re.compile(r"dw(?P<kernel>\d{1,5})x(?P<kernel2>\d{1,5})(?:/(?P<stride>\d{1,5}))?"),
    "pool": re.compile(r"(?:max)?pool(?P<kernel>\d{1,5})?"),
    "avgpool": re.compile(r"avgpool(?P<kernel>\d{1,5})?"),
    "fc": re.compile(r"fc(?P<channels>\d{1,5})"),
    "bn": re.compile("bn"),
    "relu": re.compile("relu"),
    "gelu": re.compile("gelu"),
    "gap": re.compile("gap"),
}


@dataclass(frozen=True)
class Step:
    """One word of an architecture.

    Attributes:
        kind: "conv", "dw", "bn", "relu", "gelu", "pool", "avgpool", "gap", "fc", "res" or "cat".
        channels: outputs of a convolution or linear layer; 0 elsewhere.
        kernel: side of the kernel or of the pool; 0 elsewhere.
        stride: of a convolution.
        branch: the steps inside res(…) or cat(…).
    """

    kind: str
    channels: int = 0
    kernel: int = 0
    stride: int = 1
    branch: tuple[Step, ...] = ()

    def __str__(self) -> str:
        end = f"/{self.stride}" if self.stride > 1 else ""
        if self.kind == "conv":
            return f"conv{self.kernel}x{self.kernel}-{self.channels}{end}"
        if self.kind == "dw":
            return f"dw{self.kernel}x{self.kernel}{end}"
        if self.kind in ("pool", "avgpool"):
            return self.kind if self.kernel == 2 else f"{self.kind}{self.kernel}"
        if self.kind in ("res", "cat"):
            return f"{self.kind}({text_of(self.branch)})"
        return f"fc{self.channels}" if self.kind == "fc" else self.kind


def text_of(steps: Sequence[Step]) -> str:
    """The line that `parse` reads as these steps."""
    return " ".join(map(str, steps))


def words_of(text: str) -> list[str]:
    """The words of a line, brackets and openings `res(` and `cat(` each one of them."""
    return re.findall(r"res\(|cat\(|[()]|[^\s()|]+", text.lower().replace("×", "x"))


def named(text: str) -> dict[str, int]:
    """Number of the word behind each module that `build` makes, by the module's name ("res1.conv2"); of a branch its opening.

    Raises:
        ValueError: as `parse` says.
    """
    parse(text)
    count: Counter[str] = Counter()
    found: dict[str, int] = {}
    path: list[str] = []
    for number, word in enumerate(words_of(text)):
        if word == ")":
            path.pop()
            continue
        kind = word[:-1] if word.endswith("(") else _step(word).kind
        count[kind] += 1
        name = ".".join([*path, f"{kind}{count[kind]}"])
        found[name] = number
        if word.endswith("("):
            path.append(f"{kind}{count[kind]}")
    return found


def parse(text: str) -> tuple[Step, ...]:
    """The steps of a line of text.

    Raises:
        ValueError: an unknown word (the known ones are listed), a bracket without partner, a size out of bounds, more
            than 100 words, nothing at all.
    """
    words = words_of(text)
    if not words:
        raise ValueError(f"the architecture is empty; write for example: {' '.join(WORDS[:1])} bn relu | gap | fc10")
    if len(words) > LONGEST:
        raise ValueError(f"the architecture has {len(words)} words; at most {LONGEST} are taken")
    opened: list[tuple[str, list[Step]]] = [("", [])]
    for word in words:
        if word in ("res(", "cat("):
            opened.append((word[:-1], []))
        elif word == ")" and len(opened) > 1:
            kind, branch = opened.pop()
            if not branch:
                raise ValueError(f"{kind}( ) is empty; put the steps of the branch between its brackets")
            opened[-1][1].append(Step(kind, branch=tuple(branch)))
        elif word in ("(", ")"):
            raise ValueError(f"there is a {word} without its partner; brackets follow res or cat, as in res(conv3x3-16 bn)")
        else:
            opened[-1][1].append(_step(word))
    if len(opened) > 1:
        raise ValueError(f"{opened[-1][0]}( is not closed; add a )")
    return tuple(opened[0][1])


def _step(word: str) -> Step:
    for kind, pattern in _PATTERNS.items():
        match = pattern.fullmatch(word)
        if match:
            found = {name: int(value) for name, value in match.groupdict().items() if value is not None}
            return _checked(word, kind, found)
    raise ValueError(f"{word!r} is not known; the words are {', '.join(WORDS)}")


def _checked(word: str, kind: str, found: dict[str, int]) -> Step:
    kernel, stride = found.get("kernel", 2 if "pool" in kind else 0), found.get("stride", 1)
    if found.get("kernel2", kernel) != kernel:
        raise ValueError(f"{word}: kernels are square here, for example conv3x3-16")
    if kind in ("conv", "dw") and not (kernel % 2 == 1 and kernel <= LARGEST_KERNEL):
        raise ValueError(f"{word}: the kernel must be odd and at most {LARGEST_KERNEL}×{LARGEST_KERNEL}")
    if "pool" in kind and not 2 <= kernel <= LARGEST_KERNEL:
        raise ValueError(f"{word}: a pool is 2×2 to {LARGEST_KERNEL}×{LARGEST_KERNEL}")
    if kind in ("conv", "fc") and not 1 <= found["channels"] <= WIDEST:
        raise ValueError(f"{word}: between 1 and {WIDEST} channels are taken")
    if not 1 <= stride <= 4:
        raise ValueError(f"{word}: the stride is 1 to 4")
    return Step(kind, found.get("channels", 0), kernel, stride)


def drawn(
    generator: torch.Generator, classes: int = 10, side: int = 8, layers: tuple[int, int] = (2, 6), widths: tuple[int, int] = (8, 48)
) -> tuple[Step, ...]:
    """A random small network: convolutions with or without batch normalisation, some inside res(…), pools between, gap, fc.

    Args:
        side: of the pictures; pools stop at 2×2 places.
        layers, widths: fewest and most convolutions and channels; widths are multiples of 8.

    Raises:
        ValueError: no such number of layers, or no multiple of 8 among the widths.
    """
    narrow, wide = -(-widths[0] // 8), widths[1] // 8
    if not 1 <= layers[0] <= layers[1] or not 1 <= narrow <= wide:
        raise ValueError(
            f"{layers[0]} to {layers[1]} layers of {widths[0]} to {widths[1]} channels cannot be drawn; use 1 or more, and multiples of 8"
        )

    def chance(of: float) -> bool:
        return torch.rand((), generator=generator).item() < of

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    norm = (Step("bn"),) if chance(0.7) else ()
    steps: list[Step] = []
    width = 0
    for _ in range(number(*layers)):
        kernel = 5 if chance(0.15) else 3
        if width and chance(0.35):
            steps += [Step("res", branch=(Step("conv", width, kernel), *norm)), Step("relu")]
        else:
            width = 8 * number(narrow, wide)
            steps += [Step("conv", width, kernel), *norm, Step("relu")]
        if side >= 4 and chance(0.35):
            steps.append(Step("pool" if chance(0.5) else "avgpool", kernel=2))
            side //= 2
    return (*steps, Step("gap"), Step("fc", classes))


# ----------------------------------------------------------------------------------------------------------- the module


class Residual(nn.Sequential):
    """x + branch(x)."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class Concatenated(nn.Sequential):
    """[x ; branch(x)] along the channels."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, super().forward(x)], 1)


class GlobalMean(nn.Module):
    """Mean over all places: [B, C, H, W] → [B, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def build(steps: Sequence[Step], channels: int = 1, side: int = 8) -> nn.Sequential:
    """The network of these steps with random weights (the default initial values of torch).

    Batch normalisation keeps no statistics: generated weights come without them, so every batch is normalised by itself.

    Args:
        channels, side: of the square input pictures.

    Raises:
        ValueError: the picture becomes smaller than one pixel, a branch changes what it must keep, a linear layer stands
            before gap or anything but linear layers and activations after it, the last step is not a linear layer.
    """
    if not steps or steps[-1].kind != "fc":
        raise ValueError("the architecture must end with a linear layer to the classes, for example: gap fc10")
    return nn.Sequential(_Builder(channels, side).modules(steps))


class _Builder:
    """Makes modules one after another and remembers what arrives: channels, side of the picture (0 after gap)."""

    def __init__(self, channels: int, side: int) -> None:
        self.channels, self.side = channels, side
        self.count: Counter[str] = Counter()

    def modules(self, steps: Sequence[Step]) -> OrderedDict[str, nn.Module]:
        made: OrderedDict[str, nn.Module] = OrderedDict()
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            self.count[step.kind] += 1
            name = f"{step.kind}{self.count[step.kind]}"
            if self.side == 0 and step.kind not in ("fc", "relu", "gelu"):
                raise ValueError(f"{step} stands after gap, where no picture is left; move it in front of gap")
            made[name] = self._module(step, following is not None and following.kind == "bn")
        return made

    def _module(self, step: Step, norm_follows: bool) -> nn.Module:
        if step.kind in ("conv", "dw"):
            return self._convolution(step, bias=not norm_follows)
        if step.kind in ("pool", "avgpool"):
            self._shrink(self.side // step.kernel, step)
            return nn.MaxPool2d(step.kernel) if step.kind == "pool" else nn.AvgPool2d(step.kernel)
        if step.kind in ("res", "cat"):
            return self._branch(step)
        if step.kind == "fc":
            return self._linear(step)
        if step.kind == "gap":
            self.side = 0
            return GlobalMean()
        if step.kind == "bn":
            return nn.BatchNorm2d(self.channels, track_running_stats=False)
        return nn.ReLU() if step.kind == "relu" else nn.GELU()

    def _convolution(self, step: Step, bias: bool) -> nn.Conv2d:
        inputs, groups = self.channels, self.channels if step.kind == "dw" else 1
        self.channels = inputs if step.kind == "dw" else step.channels
        self._shrink(-(-self.side // step.stride), step)
        return nn.Conv2d(inputs, self.channels, step.kernel, step.stride, step.kernel // 2, groups=groups, bias=bias)

    def _branch(self, step: Step) -> nn.Module:
        channels, side = self.channels, self.side
        made = self.modules(step.branch)
        if self.side != side:
            raise ValueError(
                f"{step} leaves {self.side or 1}×{self.side or 1} of {side}×{side} places; a branch must keep the size of the picture"
            )
        if step.kind == "cat":
            self.channels += channels
            return Concatenated(made)
        if self.channels != channels:
            raise ValueError(f"{step} gives {self.channels} channels and gets {channels}; end the branch with conv1x1-{channels}")
        return Residual(made)

    def _linear(self, step: Step) -> nn.Linear:
        if self.side:
            raise ValueError(f"{step} gets a picture of {self.side}×{self.side}; put gap in front of the first linear layer")
        inputs, self.channels = self.channels, step.channels
        return nn.Linear(inputs, step.channels)

    def _shrink(self, side: int, step: Step) -> None:
        if side < 1:
            raise ValueError(f"{step} leaves less than one pixel of a picture of {self.side}×{self.side}; take out a pool or a stride")
        self.side = side
