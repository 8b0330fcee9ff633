"""The dock widget: panels, and an annotator for each image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from napari.utils.notifications import show_warning
from qtpy.QtWidgets import QVBoxLayout

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import ClassTable, Engine, InputError, get_engine, pictures_of
from napari_scribseg.core.parameters import values_of
from napari_scribseg.core.registry import engine_infos
from napari_scribseg.io.lock import is_in_use
from napari_scribseg.widgets.common.action import KEYS_KEY, Action
from napari_scribseg.widgets.common.action_buttons import ActionBar, make_button, register_commands
from napari_scribseg.widgets.common.autosaves import autosaves
from napari_scribseg.widgets.common.class_table import ClassTableView
from napari_scribseg.widgets.common.colors import DEFAULT_BACKGROUND
from napari_scribseg.widgets.common.curve_view import CurvePanel
from napari_scribseg.widgets.common.device_combo import find_device
from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.common.docked import Docked
from napari_scribseg.widgets.common.fold import Section, Sections
from napari_scribseg.widgets.common.key_sheet import KeySheet, on_question_mark
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.messages import Message, user_message
from napari_scribseg.widgets.common.rows import in_column
from napari_scribseg.widgets.common.status import StatusPanel
from napari_scribseg.widgets.segmentation.actions import (
    ACTIONS,
    SegmentationWindow,
    add_installed_actions,
)
from napari_scribseg.widgets.segmentation.annotation_view import SliceState
from napari_scribseg.widgets.segmentation.annotator import Annotator
from napari_scribseg.widgets.segmentation.annotators import Annotators, Keys
from napari_scribseg.widgets.segmentation.display_panel import DisplayPanel
from napari_scribseg.widgets.segmentation.edit_panel import EditPanel
from napari_scribseg.widgets.segmentation.engine_panel import EnginePanel
from napari_scribseg.widgets.segmentation.file_panel import FilePanel
from napari_scribseg.widgets.segmentation.fill_panel import FillPanel
from napari_scribseg.widgets.segmentation.image_in_view import ImageInView
from napari_scribseg.widgets.segmentation.image_panel import ImagePanel
from napari_scribseg.widgets.segmentation.layer_set import LayerSet
from napari_scribseg.widgets.segmentation.measured import measured_now
from napari_scribseg.widgets.segmentation.numbers import NumbersWindow
from napari_scribseg.widgets.segmentation.offers import Offers
from napari_scribseg.widgets.segmentation.opening import choose_image_path, open_image
from napari_scribseg.widgets.segmentation.other_views import OtherViews
from napari_scribseg.widgets.segmentation.overlay_panel import OverlayPanel
from napari_scribseg.widgets.segmentation.pen_panel import PenPanel
from napari_scribseg.widgets.segmentation.preparing import PREPARING, READY, warm_up
from napari_scribseg.widgets.segmentation.review import Review
from napari_scribseg.widgets.segmentation.saving import Saver, choose_session_path, confirm_copy
from napari_scribseg.widgets.segmentation.slice_list import SliceListPanel
from napari_scribseg.widgets.segmentation.slice_panel import SlicePanel
from napari_scribseg.widgets.segmentation.starting import Request, adopt_session, open_annotation, resume_annotation
from napari_scribseg.widgets.segmentation.strokes_from_layer import StrokesFromLayer

if TYPE_CHECKING:
    import napari

__all__ = ["SegmentationWidget"]

TITLE = "Scribble segmentation"  # as in napari.yaml
_WIDTH = 300  # pixels
_HELP = "Press Start painting, and draw a stroke in what you want to label"
_EMPTY = "Open an image, or press Start painting to choose one"


class SegmentationWidget(Docked):
    """Scribble segmentation of the images in a viewer.

    Attributes
    ----------
    viewer : napari.components.ViewerModel
        The viewer.
    images, display, classes, pens, edits, slices, slice_list, engines, overlays, files, curve : QWidget
        The panels, from top to bottom, in sections that fold.
    fills, status, bar : QWidget
        Filling with the strip of slices, the status line, and the buttons below it, always in sight and always in the
        same place.
    annotators : Annotators
        One for each annotated image.
    saver : Saver
        Writes files.
    numbers : QDialog
        Measures of the classes.
    in_view : ImageInView
        Shows the image that is chosen, and hides others.
    offers : Offers
        What the button beside *Start painting* does.
    review : Review or None
        The project that the images are cases of.
    """

    title, key_actions = TITLE, ACTIONS
    classes: ClassTableView
    pens: PenPanel
    slices: SlicePanel
    slice_list: SliceListPanel
    edits: EditPanel
    overlays: OverlayPanel
    annotators: Annotators
    saver: Saver

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        add_installed_actions()
        # napari passes a proxy, whose layers are new objects each time; ours are compared by identity
        self.viewer: Any = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.dispatcher = Dispatcher(self)
        self.images = ImagePanel(self.viewer, ACTIONS["start"])
        self.display = DisplayPanel(self.viewer, ACTIONS["views"])
        self.classes = ClassTableView()
        self.engines = EnginePanel(engine_infos())
        self.slices = SlicePanel(ACTIONS)
        self.slice_list = SliceListPanel(ACTIONS)
        self.pens = PenPanel(ACTIONS)
        self.measure = make_button(ACTIONS["numbers"])
        self.edits = EditPanel(ACTIONS)
        self.overlays = OverlayPanel(ACTIONS["overlay"])
        self.files = FilePanel(ACTIONS)
        self.fills = FillPanel(ACTIONS)
        self.bar = ActionBar(ACTIONS.on("bar"))
        self.curve = CurvePanel()
        self.status = StatusPanel()
        self.show_status, self.show_busy = self.status.show_status, self.status.show_busy
        self.show_progress, self.show_notes = self.status.show_progress, self.status.show_notes
        self.show_curve = self.curve.show_curve
        self.show_duration = self.engines.chooser.show_duration
        self.show_classes, self.show_brush = self.classes.show_classes, self.classes.select
        self.annotators = Annotators(self, self.dispatcher, self._keys, self._show_front)
        self.strokes_from_layer = StrokesFromLayer(lambda: self.annotators.front, self.show_message)
        self.saver = Saver(self, self.dispatcher)
        self.numbers = NumbersWindow(
            self,
            lambda: measured_now(self.viewer, self.annotators.front, self._selected_labels()),
            self.dispatcher.post,
        )
        self.in_view = ImageInView(self.viewer)
        self.views: OtherViews | None = None  # once they are opened
        self._news: Message | None = None  # shown while no annotator is in front
        self.review: Review | None = None
        self.offers = Offers(self.viewer, self.images, self._is_begun, self.resume, self.dispatcher.later)
        self._classes_are_fresh = True  # those shown are not an annotator's
        self.classes.add.setToolTip(ACTIONS["new_class"].full_tooltip)
        self.status.cancel.setToolTip(ACTIONS["cancel"].full_tooltip)
        register_commands(ACTIONS, SegmentationWidget, TITLE)
        self._lay_out()
        self._connect()
        on_question_mark(self, self.show_keys)
        self.classes.show_classes(_fresh_classes())
        find_device(self.dispatcher, self.engines.show_device)
        warm_up(self.dispatcher, self._on_warm)
        self._on_image(self.images.image)

    # start and resume -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the layers that are missing, and take up the brush; without an image, ask for one."""
        source = self.images.source or self._open_image()
        if source is None:
            return
        former = self.annotators.of(source.layer)
        if former is not None and self._as_chosen(former):
            self.annotators.bring_back(former)
            self._show_image()
            return
        begun = self.annotators.begin(
            source, lambda view: open_annotation(self._request(source), self.dispatcher, view)
        )
        if begun is not None:
            self.display.begin()
            self._show_image()
            self.in_view.go_to_strokes(begun.layers)
            self._show_first_step(begun)

    def _open_image(self) -> LayerSource | None:
        """Let the user choose an image; None, with a message, if there is none then."""
        path = choose_image_path(self)
        try:
            if path is not None:
                open_image(self.viewer, path)
        except InputError as error:
            self.show_message(user_message(error), error=True)
            return None
        if self.images.source is None:
            self.show_message("There is no image to paint on; open one first", error=True)
        return self.images.source

    def _show_first_step(self, annotator: Annotator) -> None:
        """Show what to do after *Start painting*."""
        source = annotator.layers.source
        level = f" (on level {source.level} of the pyramid)" if source.level else ""
        alone = annotator.session.engine.info.min_classes == 1
        then = "another class or the background corrects it" if alone else "another class follows"
        chosen = next((c for c in annotator.session.classes if c.id == self.classes.current and c.is_named), None)
        what = "the selected class" if chosen is None else chosen.name
        self.show_message(f"Paint a stroke of {what}; a stroke of {then}{level}")

    def annotator_of(self, image: Image, classes: ClassTable) -> Annotator:
        """The annotator of an image layer, in front; begun with these classes where there is none.

        Raises
        ------
        InputError
            If it cannot be begun.
        """
        if self.annotators.of(image) is None:
            self.images.choose(image)
            self.classes.show_classes(classes)
            self.start()
        annotator = self.annotators.of(image)
        if annotator is None:
            raise InputError(self.status.line.text())
        self.annotators.turn_to(annotator)
        return annotator

    def adopt(self, image: Image, make: Callable[..., Session]) -> Annotator:
        """Annotate an image layer in a session that ``make`` gives, see :func:`adopt_session`; it is in front then.

        Raises
        ------
        InputError
            If it cannot be begun.
        """
        self.images.choose(image)
        source = self.images.source
        if source is None or source.layer is not image:
            raise InputError(f"the layer {image.name!r} is not in the viewer any more; open the image again")
        begun = self.annotators.begin(
            source, lambda view: adopt_session(self._request(source), make, self.dispatcher, view)
        )
        if begun is None:
            raise InputError(self.status.line.text().removeprefix("⚠ "))
        self.display.begin()
        self._show_image()
        self.in_view.go_to_strokes(begun.layers)
        return begun

    def resume(self, path: Path | None = None) -> None:
        """Continue with saved strokes: the autosave of this image, or a file that the user chooses."""
        source = self.images.source
        if source is None:
            self.show_message("There is no image to resume; open it first", error=True)
            return
        found = autosaves(source) if self.annotators.of(source.layer) is None else []
        named = path or (found[0] if found else choose_session_path(self, Path.home(), save=False))
        if named is None:
            return
        copy = is_in_use(named)
        if copy and not confirm_copy(self, named):
            self.show_message(f"{named.name} is open in another window")
            return
        begun = self.annotators.begin(
            source, lambda view: resume_annotation(self._request(source), named, self.dispatcher, view, copy=copy)
        )
        if begun is not None:
            count = len(begun.session.painted_slices())
            slices = "slice" if count == 1 else "slices"
            self.show_message(f"Resumed {count} {slices} with strokes from {named.name}")

    def _request(self, source: LayerSource) -> Request:
        return Request(
            self.viewer,
            source,
            self._make_engine(),
            self.engines.device,
            self.engines.overlap,
            self.images.strokes,
            self.images.result,
            self.classes.classes,
        )

    def _make_engine(self) -> Engine[Any]:
        return get_engine(self.engines.engine, **self.engines.parameters)

    def _as_chosen(self, annotator: Annotator) -> bool:
        """Whether an annotator works on the chosen layers."""
        layers = annotator.layers
        return layers.source == self.images.source and all(
            chosen is None or chosen is used
            for chosen, used in ((self.images.strokes, layers.strokes), (self.images.result, layers.result))
        )

    # signals of the panels --------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self.images.start.clicked.connect(lambda: self.start())
        if self.display.views_button is not None:
            self.display.views_button.clicked.connect(lambda: ACTIONS["views"].call(self))
        self.images.image_chosen.connect(self._on_image)
        self.images.picked.connect(self._show_image)
        self.offers.opened.connect(self._on_opened)
        self.images.channels_combo.currentIndexChanged.connect(lambda _index: self.display.follow(self.images.source))
        self.images.clicks_chosen.connect(self.strokes_from_layer.use)
        self.classes.changed.connect(self._on_classes)
        self.classes.selected.connect(lambda i: self.call_annotator(lambda annotator: annotator.paint_with(i)))
        self.classes.refused.connect(lambda text: self.show_message(user_message(text), error=True))
        self.engines.changed.connect(self._on_engine)
        self.engines.network_requested.connect(self._on_network)
        self.engines.picture_requested.connect(self._on_picture)
        self.measure.clicked.connect(lambda: ACTIONS["numbers"].call(self))
        self.pens.changed.connect(lambda brush: self.call_annotator(lambda a: a.use_brush(brush)))
        for panel in (self.slices, self.edits, self.slice_list, self.files, self.fills, self.bar):
            panel.pressed.connect(lambda action: action.call(self))
        self.overlays.changed.connect(self._on_overlay)
        self.slices.follows_chosen.connect(lambda on: self.call_annotator(lambda a: a.set_follows(on)))
        for panel in (self.slice_list, self.fills):
            panel.chosen.connect(lambda i: self.call_annotator(lambda annotator: annotator.layers.go_to(i)))
        self.status.cancelled.connect(lambda: ACTIONS["cancel"].call(self))

    def call_annotator(self, call: Callable[[Annotator], object]) -> None:
        """Call ``call(annotator)`` for the image in front; nothing happens before *Start painting*."""
        if self.annotators.front is not None:
            call(self.annotators.front)

    def _on_overlay(self, kind: str, opacity: float) -> None:
        self.call_annotator(lambda annotator: annotator.set_overlay(kind, opacity))

    def _on_image(self, image: Any) -> None:
        source = self.images.source
        self.offers.follow(source)
        self._news = None
        self.display.follow(source)
        annotator = self.annotators.of(image)
        if annotator is None and not self._classes_are_fresh:
            self.classes.show_classes(_fresh_classes())
            self._classes_are_fresh = True
        self.annotators.turn_to(annotator)
        self._follow_views()

    def _is_begun(self, image: Image | None) -> bool:
        return self.annotators.of(image) is not None

    def _on_opened(self, text: str) -> None:
        self.sections.reveal(self.images)
        self.show_message(text)

    def _show_image(self) -> None:
        """Bring the chosen image into view, and hide others."""
        source = self.images.source
        if source is None:
            return
        annotator = self.annotators.of(source.layer)
        layers = LayerSet(self.viewer, source) if annotator is None else annotator.layers
        if annotator is None:
            layers.strokes, layers.result = self.images.strokes, self.images.result
        self.in_view.show(layers, (each.layers for each in self.annotators.all))
        if annotator is None:
            self.viewer.layers.selection.active = source.layer  # the pen would go on on the layer of another image
        else:
            layers.take_up_brush()

    def _on_classes(self, classes: ClassTable) -> None:
        if self.annotators.front is not None:
            self.annotators.front.set_classes(classes)
        else:
            self.classes.show_classes(classes)

    def _name_engine(self) -> None:
        """Show the chosen engine also while its section is folded."""
        self.engine_section.fold.setText(f"Engine: {self.engines.engine_combo.currentText()}")

    def _on_engine(self) -> None:
        front = self.annotators.front
        self._name_engine()
        try:
            engine = self._make_engine()
        except InputError as error:
            self.engines.show_pictures(())
            if front is not None:
                self.show_message(user_message(error), error=True)
            return
        self.engines.show_pictures(pictures_of(engine))
        if front is not None:
            front.set_engine(engine, self.engines.mode, self.engines.device, self.engines.overlap)

    def _on_warm(self, text: str) -> None:
        """Show that the engine is being prepared; and then what to do, if nothing else was shown since."""
        if text == READY and PREPARING not in self.status.line.text():
            return
        if text != READY:
            self.show_message(text)
        elif self.annotators.front is not None:
            self._show_first_step(self.annotators.front)
        elif self.images.image is not None:
            self.show_message(f"{READY}. {self.offers.message or _HELP}")
        else:
            self.show_message(READY)

    def _on_network(self) -> None:
        """Segment the displayed slice by the network alone, on new layers if there are none."""
        if self.annotators.front is None:
            self.start()
        self.call_annotator(lambda annotator: annotator.run_network())

    def _on_picture(self, name: str) -> None:
        if self.annotators.front is None:
            self.show_message("Press Start painting first: the picture is of the displayed slice", error=True)
        self.call_annotator(lambda annotator: annotator.show_picture(name))

    def save_labels(self) -> None:
        """Ask for a file and write the result, or without one the selected labels layer, with the image's geometry."""
        front, selected = self.annotators.front, self._selected_labels()
        self.saver.save_labels(self.viewer, front, selected, self.files.tables, measure=self.files.measure)

    def show_views(self) -> None:
        """Open the dock of other views, where there is none."""
        if self.views is None or self.views.is_ended:
            self.views = OtherViews(self.viewer, self.display.view)
            self.viewer.window.add_dock_widget(self.views, name="Other views", area="bottom")
        self._follow_views()

    def _follow_views(self) -> None:
        if self.views is not None and not self.views.is_ended:
            front = self.annotators.front
            self.views.follow(self.images.source if front is None else front.layers.source, front)

    def show_numbers(self) -> None:
        """Open the window of measures, and measure."""
        self.numbers.show()
        self.numbers.raise_()
        self.numbers.measure()

    def _selected_labels(self) -> Labels | None:
        selected = self.viewer.layers.selection.active
        return selected if isinstance(selected, Labels) else None

    def show_keys(self) -> None:
        """Open a window with all keys."""
        classes = {f"class_{row}": label.name for row, label in enumerate(self.classes.classes, 1)}
        self._key_sheet = KeySheet(self.all_key_actions(), self, classes)
        self._key_sheet.show()

    def _keys(self, annotator: Annotator) -> Keys:
        """The actions by their keys on an annotator's layers; a key brings the annotator to the front."""

        def run(action: Action[SegmentationWindow, SliceState]) -> None:
            self.annotators.turn_to(annotator)
            action.call(self)

        return {action.key: partial(run, action) for action in ACTIONS if action.key not in ("", KEYS_KEY)}

    # view of the annotator in front -----------------------------------------------------------------------------------

    def _show_front(self, annotator: Annotator) -> None:
        """Show the layers and the engine of an annotator, and apply the window's settings to it."""
        layers, session = annotator.layers, annotator.session
        self._classes_are_fresh = False
        self.slice_list.follow(session, annotator)
        self.fills.follow(session)
        self.offers.follow(layers.source)
        self.images.choose(layers.source.layer, layers.strokes, layers.result)
        self.display.follow(layers.source)
        engine = session.engine
        self.engines.choose(engine.info.name, values_of(engine), session.overlap, session.device)
        self._name_engine()
        self.engines.show_pictures(pictures_of(engine))
        annotator.mode = self.engines.mode
        annotator.set_overlay(*self.overlays.overlay)
        self.strokes_from_layer.sync()
        self._follow_views()

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a message until the next event."""
        if self.annotators.front is not None:
            self.annotators.front.show_message(text, error=error)
        else:
            self._news = Message(text, error)
            self._show_nobody()

    def _show_nobody(self) -> None:
        """Show the status line of a window without an annotator in front."""
        text = _EMPTY if self.images.image is None else self.offers.message or _HELP
        self.status.show_status(self._news or Message(text))

    def notify(self, text: str) -> None:
        """Show a notification, also where the widget is hidden."""
        show_warning(text)

    def show_state(self, state: SliceState) -> None:
        """Enable the buttons that apply."""
        state = replace(state, can_draft=self.review is not None and self.review.drafter is not None)
        for panel in (self.pens, self.slices, self.edits, self.slice_list, self.files, self.fills, self.bar):
            panel.show_state(state)
        front = self.annotators.front
        self.pens.show_pen("strokes" if front is None else front.editor.brush.kind)
        self.edits.show_annotator(front)
        if front is None:
            self.slice_list.follow(None)
            self.fills.follow(None)
            self._show_nobody()

    def work_left(self, session: Session) -> str:
        """How much of a project is done and left, in a sentence without an end; empty without a project."""
        return "" if self.review is None else self.review.work_left(session)

    # the widget itself ------------------------------------------------------------------------------------------------

    def _sections(self) -> tuple[Section, ...]:
        """The sections from top to bottom, those of every minute first: a new one is a line here."""
        classes = in_column(self.classes, self.pens)
        self.engine_section = Section("Engine", self.engines, "segmentation/engine", opened=False)
        return (
            Section("Image", self.images, "segmentation/image"),
            Section("Display", self.display, "segmentation/display", opened=False),
            Section("Classes and pen", classes, "segmentation/classes", beside=self.measure),
            Section("Edit", self.edits, "segmentation/tools"),
            Section("This slice", self.slices, "segmentation/slice"),
            Section("All slices", self.slice_list, "segmentation/slices"),
            self.engine_section,
            Section("Overlay", self.overlays, "segmentation/overlay"),
            Section("Files", self.files, "segmentation/files", opened=False),
        )

    def _lay_out(self) -> None:
        """Lay out the sections in an area that scrolls, with the status and the bar below it.

        The bar is at the very bottom, so that no message moves it.
        """
        self.sections = Sections(_WIDTH)
        for section in self._sections():
            self.sections.add(section)
        self.sections.add(self.curve)
        self._name_engine()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(1)
        layout.addWidget(self.sections, 1)
        layout.addWidget(self.fills)
        layout.addWidget(self.status)
        layout.addWidget(self.bar)

    def _end(self) -> None:
        """Save, end the worker and release the viewer."""
        self.slice_list.follow(None)
        self.fills.follow(None)
        self.annotators.end_all()
        self.saver.finish()
        self.images.close_events()
        self.offers.close_events()
        self.display.close_events()
        self.strokes_from_layer.use(None)
        self.numbers.end()
        if self.views is not None:
            self.views.end_all()
        self.dispatcher.close()


def _fresh_classes() -> ClassTable:
    """The classes of an image before anything is painted on it."""
    return ClassTable.from_ids([1], background=DEFAULT_BACKGROUND)
