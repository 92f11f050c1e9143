"""Graphs on their own: eyes against message passing, graphs turned inside out, groups lost in pairs, and depth."""
