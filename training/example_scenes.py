"""The composed scenes among the example pictures: garments that the detector never saw, on photographs that it never saw.

python -m training.example_scenes --data-dir FASHION_MNIST --photos FOLDER --out assets/examples

Garments are of Fashion-MNIST's test split (MIT, Zalando SE 2017). The photographs must be ones that may be passed on: here the
CC0 and public-domain pictures of scikit-image and of the clothing data set. Beside each picture lies a mask: 0 is the ground, the
objects count from 1 in the order in which they were painted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from training.composed import CLASSES, ComposedScene, Stock, compose, read_photos, tiles_of

SERIES, SIDE = 7, 448
SCENES = {"night": 0, "stars": 9, "kitten": 43, "cup": 3}  # name → number of the series


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of Fashion-MNIST (idx files or mosaic pack)")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs that may be passed on")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    stock = Stock(*tiles_of(args.data_dir, "test"), read_photos(args.photos))
    for name, number in SCENES.items():
        scene = compose(stock, SERIES, number, SIDE)
        Image.fromarray(scene.pixels.permute(1, 2, 0).numpy()).save(args.out / f"{name}.jpg", quality=86, optimize=True)
        Image.fromarray(numbered(scene)).save(args.out / f"{name}.mask.png", optimize=True)
        print(f"{name}: {', '.join(CLASSES[label] for label in scene.labels.tolist())}")


def numbered(scene: ComposedScene) -> np.ndarray:
    """Number of the object at each pixel, from 1; 0 where the ground is seen. uint8 [side, side]."""
    numbers = np.zeros(scene.pixels.shape[1:], np.uint8)
    for i, mask in enumerate(scene.masks.numpy(), 1):
        numbers[mask] = i
    return numbers


if __name__ == "__main__":
    main()
