"""Scripts that reproduce every weight file that ships: `python -m training.<name>`."""
