"""Image graphs: networks that turn a picture into a graph of patches and pass messages along its edges."""
