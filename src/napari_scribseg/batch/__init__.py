"""A cohort of images segmented by one engine, on this machine or on many."""
