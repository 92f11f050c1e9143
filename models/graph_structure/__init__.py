"""Graphs themselves: drawn with known answers, seen as pictures or as adjacency, turned inside out, flattened and rebuilt."""
