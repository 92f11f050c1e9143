"""Diagnostics: a structure (and maybe a mask) in, named numbers out. Nothing here knows a model or a view."""

from explorer.diagnostics import attention, detector, early_exit, hyperedges, selection, soft_hypergraph, sparse_attention, tokens
from explorer.diagnostics.choice import Fragility, Gauge, Utilisation, bias_share, fragility, gauge, threshold_error, utilisation
from explorer.diagnostics.compare import Agreement, agreement, flipped, shifted, stability, unmoved
from explorer.diagnostics.connectivity import Components, Reach, Spectrum, axial_pieces, components, heard_by, reach, spectrum
from explorer.diagnostics.cuts import Cut, cut_between_segments, cut_patch, cut_random
from explorer.diagnostics.degree import Degrees, Reciprocity, borders, corners, degrees, reciprocity
from explorer.diagnostics.features import Redundancy, Smoothness, dirichlet, effective_rank, grid_neighbours, redundancy, smoothness
from explorer.diagnostics.geometry import DIRECTIONS, Lengths, lengths, wrap_share, wraps
from explorer.diagnostics.labels import KMEANS_NOTE, Homophily, homophily, patch_labels, pooled_labels, segments
from explorer.diagnostics.measure import Measure, NotMeasurable
from explorer.diagnostics.patch_graph import DEPTH_KEYS, Triangle, depth_profile, folder_row, summary, triangle
from explorer.diagnostics.snapshot import Snapshot, snapshot

__all__ = [
    "DEPTH_KEYS",
    "DIRECTIONS",
    "KMEANS_NOTE",
    "Agreement",
    "Components",
    "Cut",
    "Degrees",
    "Fragility",
    "Gauge",
    "Homophily",
    "Lengths",
    "Measure",
    "NotMeasurable",
    "Reach",
    "Reciprocity",
    "Redundancy",
    "Smoothness",
    "Snapshot",
    "Spectrum",
    "Triangle",
    "Utilisation",
    "agreement",
    "attention",
    "axial_pieces",
    "bias_share",
    "borders",
    "components",
    "corners",
    "cut_between_segments",
    "cut_patch",
    "cut_random",
    "degrees",
    "depth_profile",
    "detector",
    "dirichlet",
    "early_exit",
    "effective_rank",
    "flipped",
    "folder_row",
    "fragility",
    "gauge",
    "grid_neighbours",
    "heard_by",
    "homophily",
    "hyperedges",
    "lengths",
    "patch_labels",
    "pooled_labels",
    "reach",
    "reciprocity",
    "redundancy",
    "segments",
    "selection",
    "shifted",
    "smoothness",
    "snapshot",
    "soft_hypergraph",
    "sparse_attention",
    "spectrum",
    "stability",
    "summary",
    "threshold_error",
    "tokens",
    "triangle",
    "unmoved",
    "utilisation",
    "wrap_share",
    "wraps",
]
