"""The user's settings of this package in napari's preferences, which napari has from 0.9 on."""

from __future__ import annotations

__all__ = ["preference"]


def preference(name: str) -> str:
    """A setting that ``napari.yaml`` declares; empty where this napari has no settings of plugins.

    Parameters
    ----------
    name : {"engine", "device", "autosave_folder"}
        Which one.
    """
    try:
        from napari.settings import get_plugin_settings

        settings = get_plugin_settings("napari-scribseg")
    except (ImportError, KeyError):
        return ""
    return str(getattr(getattr(settings, "start", None), name, "") or "")
