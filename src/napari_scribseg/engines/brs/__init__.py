"""Backpropagating refinement: any network, its input corrected until it agrees with every stroke."""

from napari_scribseg.engines.brs.card import ModelCard, card_path, read_card, write_card
from napari_scribseg.engines.brs.engine import BRS, FBRS
from napari_scribseg.engines.brs.model_source import runs_code

__all__ = ["BRS", "FBRS", "ModelCard", "card_path", "read_card", "runs_code", "write_card"]
