"""Vision transformers that keep a part of their tokens or of their attention: one file per paper."""
