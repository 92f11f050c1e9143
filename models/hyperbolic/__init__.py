"""Hyperbolic space: the Poincaré ball, networks and embeddings that live in it."""
