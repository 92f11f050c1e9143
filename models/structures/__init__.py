"""The typed internals that are worth seeing.

A structure is a frozen dataclass of tensors. It says what a part of a network decided (which patch listens to which,
which channel was won by whom) and knows nothing of drawing. Whatever module returns one is seen by `models.capture`.

Shapes use B pictures, N = H·W patches in raster order (n = row·W + col), C channels, S candidates per patch.
"""

from models.structures.base import NonFiniteError, Structure
from models.structures.graph import (
    AbstractGraph,
    EdgeAttribution,
    EdgeClusters,
    EdgeSelection,
    EdgeShares,
    GraphDrawing,
    GraphTruth,
    Hypergraph,
    NodeStates,
    Propagation,
)
from models.structures.hyperbolic import (
    BatchMidpoint,
    Distortion,
    Gyroplanes,
    NormProfile,
    PlanePoints,
    PoincarePoints,
    Reconstruction,
    TangentField,
    TextPoints,
)
from models.structures.hypergraph import Detections, HypergraphMessages, SoftHypergraph, Tunnel
from models.structures.patch_graph import Aggregation, PatchGraph, Rule
from models.structures.prediction import Attribution, Prediction
from models.structures.tokens import AttentionMaps, Connectivity, ExitStage, LayerAttention, SparseAttention, TokenDrop, TokenSelection
from models.structures.weights import (
    PRIMITIVES,
    ChunkDependency,
    ComputationGraph,
    GeneratedWeights,
    GraphEncoding,
    TaskAccuracy,
    WeightField,
    WeightPath,
)

__all__ = [
    "PRIMITIVES",
    "AbstractGraph",
    "Aggregation",
    "AttentionMaps",
    "Attribution",
    "BatchMidpoint",
    "ChunkDependency",
    "ComputationGraph",
    "Connectivity",
    "Detections",
    "Distortion",
    "EdgeAttribution",
    "EdgeClusters",
    "EdgeSelection",
    "EdgeShares",
    "ExitStage",
    "GeneratedWeights",
    "GraphDrawing",
    "GraphEncoding",
    "GraphTruth",
    "Gyroplanes",
    "Hypergraph",
    "HypergraphMessages",
    "LayerAttention",
    "NodeStates",
    "NonFiniteError",
    "NormProfile",
    "PatchGraph",
    "PlanePoints",
    "PoincarePoints",
    "Prediction",
    "Propagation",
    "Reconstruction",
    "Rule",
    "SoftHypergraph",
    "SparseAttention",
    "Structure",
    "TangentField",
    "TaskAccuracy",
    "TextPoints",
    "TokenDrop",
    "TokenSelection",
    "Tunnel",
    "WeightField",
    "WeightPath",
]
