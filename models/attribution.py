"""Where a classifier looks: attributions by Captum, as a map over the picture or over a layer's grid."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from models.structures import Attribution

Method = Literal["integrated gradients", "occlusion", "grad-cam"]
METHODS: tuple[Method, ...] = ("integrated gradients", "occlusion", "grad-cam")


def attribute(model: nn.Module, image: Tensor, target: int, method: Method, patch: int = 4, layer: nn.Module | None = None) -> Attribution:
    """How much each place of one picture speaks for class `target`.

    Args:
        image: [1, 3, H, W], prepared.
        patch: side of the occluding square, in pixels.
        layer: the module whose output Grad-CAM weighs; needed for "grad-cam" only. Its output must be [1, C, h, w].

    Returns:
        Attribution with a map [h, w]; positive speaks for the class.

    Sources: Sundararajan et al. 2017 (integrated gradients, 24 steps from the mean colour); Zeiler & Fergus 2014
    (occlusion); Selvaraju et al. 2017 (Grad-CAM).
    """
    from captum.attr import IntegratedGradients, LayerGradCam, Occlusion  # imported when first needed: two seconds

    image = image.detach().clone().requires_grad_(method != "occlusion")
    if method == "integrated gradients":
        found = IntegratedGradients(model).attribute(image, target=target, n_steps=24, internal_batch_size=8).sum(1)[0]
    elif method == "occlusion":
        with torch.no_grad():
            found = Occlusion(model).attribute(
                image,
                target=target,
                sliding_window_shapes=(3, patch, patch),
                strides=(3, patch, patch),
                baselines=0,
                perturbations_per_eval=32,
            )
        found = found.sum(1)[0]
    elif method == "grad-cam":
        if layer is None:
            raise ValueError("grad-cam needs a layer")
        found = LayerGradCam(model, layer).attribute(image, target=target, relu_attributions=True)[0, 0]
    else:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(METHODS)}")
    return Attribution(found.detach().float().cpu(), target, method)


def grad_cam_of_tokens(
    model: nn.Module, image: Tensor, target: int, layer: nn.Module, grid: tuple[int, int], prefix: int = 0
) -> Attribution:
    """Grad-CAM of a transformer: ReLU(Σ_d mean_patches(∂y/∂t)_d · t_d) on the tokens t that `layer` returns, as a map [h, w].

    Captum's version takes the last axis of its output for space and gives a map over the channels.

    Args:
        layer: a part whose output is [1, prefix + h·w, D]; what is answered must depend on its patches.
        prefix: tokens before the patches.

    Raises:
        ValueError: the layer returns tokens of another number.

    Source: Selvaraju et al. 2017, with patches in the place of pixels.
    """
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    try:
        with torch.enable_grad():
            answer = model(image.detach().clone().requires_grad_())[0, target]
    finally:
        hook.remove()
    tokens = kept[0]
    if tokens.ndim != 3 or tokens.shape[1] != prefix + grid[0] * grid[1]:
        raise ValueError(f"the layer returns tokens of shape {tuple(tokens.shape)}; expected {prefix} + {grid[0]} × {grid[1]} of them")
    slope = torch.autograd.grad(answer, tokens)[0][0, prefix:]
    weighed = (slope.mean(0) * tokens[0, prefix:].detach()).sum(1)
    return Attribution(weighed.relu().view(grid).float().cpu(), target, "grad-cam")
