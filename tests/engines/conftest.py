import pytest

from napari_scribseg.engines.brs.minimise import Budget


@pytest.fixture
def unhurried(monkeypatch):
    """The engines end by their number of evaluations alone: how far ten seconds bring them is the machine's."""
    monkeypatch.setattr(Budget, "late", False)
