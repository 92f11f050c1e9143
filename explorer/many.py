"""What the layers of an exhibit do over many pictures: a visitor's folder, or a handful chosen on the page."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from explorer.diagnostics.measure import Measure
from explorer.diagnostics.soft_hypergraph import Usage, usage, usage_summary
from explorer.exhibit import Scene
from models.structures import SoftHypergraph


@dataclass
class ManyPictures:
    """The hypergraphs of one picture after the other, by layer, without what only drawing needs.

    Attributes:
        labels: what each layer is called on the page, by name.
        held: a hypergraph of one picture per scene, by name.
    """

    labels: dict[str, str] = field(default_factory=dict)
    held: dict[str, list[SoftHypergraph]] = field(default_factory=dict)

    def add(self, scene: Scene) -> None:
        """Keep what `usage` needs of the layers whose hyperedges are the same ones in every picture.

        These have learned prototypes; clusters and neighbourhoods are found anew, so that number m means nothing from one picture to the next.
        """
        for layer in scene.layers:
            found = layer.structures.get("hypergraph")
            if isinstance(found, SoftHypergraph) and found.static is not None:
                self.labels[layer.name] = layer.label
                bare = replace(found, logits=None, queries=None, static=None, offset=None, scores=None)
                self.held.setdefault(layer.name, []).append(bare)

    def usage(self) -> dict[str, Usage]:
        """How the hyperedges of each layer are used over the pictures, by name."""
        return {name: usage(found) for name, found in self.held.items()}

    def measures(self) -> dict[str, list[Measure]]:
        """The measures of each layer over all pictures that could be measured, by name."""
        found = {name: usage_summary(used) for name, used in self.usage().items()}
        return {name: [m for m in measures if m.value is not None and np.isfinite(m.value)] for name, measures in found.items()}
