"""Network architectures, their weights, inference and export."""

from napari_scribseg.nets.brs_net import BRSNet, BRSNetConfig, load_encoder, widened
from napari_scribseg.nets.efficient_unet import EfficientUNet, EfficientUNetConfig
from napari_scribseg.nets.export import export_onnx
from napari_scribseg.nets.inference import Predictor, fold_batch_norm, for_inference
from napari_scribseg.nets.pixel_net import PixelNet, PixelNetConfig
from napari_scribseg.nets.plain_unet import PlainUNet, PlainUNetConfig
from napari_scribseg.nets.weights import build, load_model, load_shipped, save_model, shipped_weights

__all__ = [
    "BRSNet",
    "BRSNetConfig",
    "EfficientUNet",
    "EfficientUNetConfig",
    "PixelNet",
    "PixelNetConfig",
    "PlainUNet",
    "PlainUNetConfig",
    "Predictor",
    "build",
    "export_onnx",
    "fold_batch_norm",
    "for_inference",
    "load_encoder",
    "load_model",
    "load_shipped",
    "save_model",
    "shipped_weights",
    "widened",
]
