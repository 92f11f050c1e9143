"""The networks. Plain torch, usable alone: nothing here knows of pages, figures or servers."""
