"""Hyperbolic space: hierarchies in the Poincaré disk, networks whose features live in the ball, graphs with texts."""
