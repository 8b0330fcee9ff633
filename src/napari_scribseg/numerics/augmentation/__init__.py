"""Random changes of pictures for training: warps and intensities."""
