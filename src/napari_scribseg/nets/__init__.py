"""Network architectures and their weights; they know nothing of interaction."""
