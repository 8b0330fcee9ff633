"""The input of networks, from an image and strokes, and their predictions, merged on the image grid."""

from napari_scribseg.prompting.network_input import (
    INPUT_CHANNELS,
    WITH_PREVIOUS,
    WITH_STROKES,
    interaction_maps,
    network_input,
)

__all__ = ["INPUT_CHANNELS", "WITH_PREVIOUS", "WITH_STROKES", "interaction_maps", "network_input"]
