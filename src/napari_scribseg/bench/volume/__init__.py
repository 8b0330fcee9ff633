"""The protocols of whole volumes: a user who works on one slice after the other, and strokes on every n-th slice."""
