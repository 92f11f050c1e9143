"""The wing of image graphs: three papers and the constructors side by side."""
