"""Engines and their peers measured on data sets with people's strokes or simulated users."""
