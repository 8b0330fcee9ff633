"""The measurements of the papers on networks for one image, repeated."""
