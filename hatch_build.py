"""Put the plugin manifest into the package before it is built or installed in place."""

import shutil
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManifestHook(BuildHookInterface):
    """Copies the top-level napari.yaml next to the package's modules."""

    def initialize(self, version, build_data):
        """Copy it; runs for wheels, source distributions and editable installs alike."""
        root = Path(self.root)
        shutil.copyfile(root / "napari.yaml", root / "src" / "napari_scribseg" / "napari.yaml")
