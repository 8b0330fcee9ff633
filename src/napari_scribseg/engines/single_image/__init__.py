"""Networks fitted to the strokes of one image, without any training before: paper 000's learned half."""

from napari_scribseg.engines.single_image.engine import CNN, PWN, CNNReg, FineTune, UNetSingle

__all__ = ["CNN", "PWN", "CNNReg", "FineTune", "UNetSingle"]
