"""Structures → pictures: payloads for the canvas, coordinates, and vector figures to take home. Knows no model."""
