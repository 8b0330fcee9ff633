"""An annotated image without a window, for tests."""

from unittest.mock import MagicMock

from napari.components import ViewerModel

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.segmentation.annotation_view import AnnotationView
from napari_scribseg.widgets.segmentation.annotator import Annotator
from napari_scribseg.widgets.segmentation.layer_set import LayerSet
from napari_scribseg.widgets.segmentation.layer_watcher import LayerWatcher

CLASSES = ClassTable.from_ids([1], background=255)


def at_once(_milliseconds, function):
    function()


def computed_at_once(function, done, _failed):
    done(function())


def no_wait(until, _seconds):
    return until()


class Bench:
    """One annotated image, watched."""

    def __init__(self, array, engine, *, later=at_once, wait=no_wait, aside=computed_at_once, **options):
        self.viewer = ViewerModel()
        session_options = {k: options.pop(k) for k in ("executor", "deliver", "labels") if k in options}
        channel_axis = options.pop("channels", None)
        self.image = self.viewer.add_image(array, name="image", **options)
        self.layers = LayerSet(self.viewer, LayerSource(self.image, channel_axis=channel_axis))
        self.view = MagicMock(spec=AnnotationView)
        self.view.work_left.return_value = ""  # no project
        volume = self.layers.source.volume()
        self.session = Session(volume, engine, classes=CLASSES, **session_options)
        self.layers.make_strokes(CLASSES)
        self.layers.show_result(self.session.labels, CLASSES)
        self.lost = []
        self.annotator = Annotator(self.layers, self.session, self.view, aside)
        self.watcher = LayerWatcher(self.annotator, later, wait, self.lost.append, lambda: None)

    @property
    def strokes(self):
        return self.layers.strokes

    @property
    def result(self):
        return self.layers.result

    def paint(self, identity, *points):
        """One stroke, with napari's own brush."""
        self.strokes.selected_label = identity
        with self.strokes.block_history():
            for point in points:
                self.strokes.paint(point, identity)

    def messages(self):
        """Every message of the status line."""
        return [line.text for line in self.lines()]

    def lines(self):
        return [call.args[0] for call in self.view.show_status.call_args_list]

    def shown(self):
        return self.result.data[self.layers.slice_index().slicer]
