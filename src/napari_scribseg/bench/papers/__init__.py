"""What the papers on networks for one image measured, measured again."""
