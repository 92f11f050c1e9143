"""Memory and time of looking at a large encoder layer by layer: `python -m benchmarks.encoder_memory [--layers 24] [--side 336]`.

A CLIP of the size of ViT-L/14 with random weights, 577 tokens at 336 pixels. All that HiPrune's page shows is kept: scores of every
head and layer, attention as the mean over the heads, distance and entropy. Prints the layers as they are done, and the largest
resident memory before and after the look (weights included).
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch

from explorer.exhibits.tokens.look import chosen, curves, look_at
from models.image_graphs.patch_features import FAMILIES, PlainBackbone, Preprocessing
from models.tokens.attention_capture import PlainEncoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--side", type=int, default=336, help="pixels; patches are 14 wide")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    encoder = large(args.layers, args.side)
    before, begun = resident(), (time.perf_counter(), time.process_time())
    steps: list[float] = []

    def done(layer: int, layers: int) -> None:
        steps.append(time.perf_counter())
        print(f"layer {layer:2d} of {layers}: {steps[-1] - begun[0]:5.1f} s, {resident():.2f} GB", flush=True)

    pixels = np.random.default_rng(0).integers(0, 256, (args.side, args.side, 3), dtype=np.uint8)
    sight = look_at(encoder, encoder.prepare(pixels), done)
    selection = chosen(sight.maps, 192, 0.1, "clamp", (0, 0))
    curves(sight.maps)
    longest = max(b - a for a, b in zip([begun[0], *steps], steps, strict=False))
    print(
        f"{args.layers} layers, {sight.maps.received.shape[-1]} tokens, {sight.maps.received.shape[2]} heads: {int(selection.mask.sum())} kept; "
        f"{time.perf_counter() - begun[0]:.1f} s ({time.process_time() - begun[1]:.1f} s of CPU), longest step {longest:.2f} s; "
        f"largest resident memory {resident():.2f} GB ({before:.2f} GB before the look)"
    )


def large(layers: int, side: int) -> PlainEncoder:
    """A CLIP vision tower of the width of ViT-L/14 with random weights."""
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": layers}
    model = CLIPVisionModel(CLIPVisionConfig(image_size=side, patch_size=14, **sizes)).eval().requires_grad_(False)
    family = FAMILIES["clip_vision_model"]
    return PlainEncoder(PlainBackbone(model, family, Preprocessing.read({}, family, (side, side))))


def resident() -> float:
    """Largest resident memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
