"""What a network is shown of an image and of strokes, and how its answers are merged on the image grid."""

from napari_scribseg.prompting.network_input import (
    INPUT_CHANNELS,
    WITH_PREVIOUS,
    WITH_STROKES,
    interaction_maps,
    network_input,
)

__all__ = ["INPUT_CHANNELS", "WITH_PREVIOUS", "WITH_STROKES", "interaction_maps", "network_input"]
