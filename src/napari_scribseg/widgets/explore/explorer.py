"""The dock widget for feature-space annotation: embeddings and forms, with an exploration behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QLabel, QSplitter, QVBoxLayout

from napari_scribseg.core import ClassTable, InputError
from napari_scribseg.explore import CutSettings, Workspace
from napari_scribseg.explore.subprocesses import stop
from napari_scribseg.io.formats import label_extensions
from napari_scribseg.widgets.common.action import Action
from napari_scribseg.widgets.common.action_buttons import register_commands
from napari_scribseg.widgets.common.autosaves import WORKSPACE_EXTENSION, new_workspace_autosave, workspace_autosaves
from napari_scribseg.widgets.common.class_table import ClassTableView
from napari_scribseg.widgets.common.colors import DEFAULT_BACKGROUND
from napari_scribseg.widgets.common.device_combo import find_device, show_auto
from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.common.docked import Docked
from napari_scribseg.widgets.common.fold import Section, Sections
from napari_scribseg.widgets.common.key_sheet import KeySheet, on_question_mark
from napari_scribseg.widgets.common.messages import user_message
from napari_scribseg.widgets.common.status import StatusPanel
from napari_scribseg.widgets.explore.background_jobs import LongJobs
from napari_scribseg.widgets.explore.embedding_view import EmbeddingView
from napari_scribseg.widgets.explore.exploration import Exploration
from napari_scribseg.widgets.explore.explore_actions import ACTIONS, ExploreWindow
from napari_scribseg.widgets.explore.explore_view import ExploreState
from napari_scribseg.widgets.explore.groups import runs
from napari_scribseg.widgets.explore.images import ImagesPanel
from napari_scribseg.widgets.explore.keys import LAYER_ACTIONS, STROKE_ACTIONS
from napari_scribseg.widgets.explore.panels import CutPanel, EmbeddingBar, file_panel, label_bar
from napari_scribseg.widgets.explore.picture_layers import PictureLayers
from napari_scribseg.widgets.explore.tiles import Tiles
from napari_scribseg.widgets.explore.warming import warm_up
from napari_scribseg.widgets.explore.work import Work

if TYPE_CHECKING:
    import napari

__all__ = ["ExploreWidget"]

TITLE = "Explore segments"  # as in napari.yaml
_SHARE = 0.7  # of the height, for an embedding
_HELP = "Add images, cut them into segments, embed these, and label many at once with a box or lasso"
_EMPTY = (
    "The embedding appears here\n1  add images\n2  cut them into segments\n"
    "3  embed the segments: like ones come near one another"
)


class ExploreWidget(Docked):
    """Many images at once: an embedding of their segments, and classes for dozens of them with one box."""

    title, key_actions = TITLE, ACTIONS

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        # a plugin is handed a proxy that makes a new object of every layer asked for; ours are compared by identity
        self.viewer: Any = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._state = ExploreState()
        self._exploration: Exploration | None = None
        self._has_room = False  # whether the height of the embedding was decided
        self.dispatcher = Dispatcher(self)
        self.tiles = Tiles()
        self.embedding, self.local = EmbeddingView(self.tiles, _EMPTY), EmbeddingView(self.tiles)
        self.images = ImagesPanel(self.viewer)
        self.cutting, self.files = CutPanel(), file_panel()
        self.bar, self.labels = EmbeddingBar(), label_bar()
        self.count = QLabel("")
        self.classes = ClassTableView()
        self.status = StatusPanel()
        self.jobs = LongJobs(self.dispatcher.executor, self.dispatcher.post, self)
        self.work = Work(lambda: self.exploration, self.jobs, self.dispatcher, self)
        register_commands(ACTIONS, ExploreWidget, TITLE)
        self._lay_out()
        device, classes = self.cutting.device.currentData(), ClassTable.from_ids([1], background=DEFAULT_BACKGROUND)
        self._begin(Workspace(classes, device=device, subprocess=True))
        self._connect()
        self._on_theme()
        self.classes.select(1)
        autosaves = workspace_autosaves()
        self.show_message("An autosaved workspace exists: Resume continues it. " + _HELP if autosaves else _HELP)
        on_question_mark(self, self.show_keys)
        find_device(self.dispatcher, lambda found: show_auto(self.cutting.device, found))
        warm_up(self.dispatcher)

    # the workspace in front -------------------------------------------------------------------------------------------

    def _begin(self, workspace: Workspace) -> None:
        """Put a workspace in front; the former one is autosaved."""
        if self._exploration is not None:
            self._release(self._exploration)
        self.tiles.clear()
        layers = PictureLayers(
            self.viewer,
            workspace.pictures,
            self._keys(LAYER_ACTIONS),
            self._keys(STROKE_ACTIONS),
            self.dispatcher.later,
        )
        layers.lost.connect(self._on_lost)
        self._exploration = Exploration(workspace, layers, self, self.dispatcher, lambda: self.jobs.is_busy)
        self.exploration.edited.append(self._begin_autosave)
        for first, pictures in runs(workspace.pictures, 0):
            layers.add(first, len(pictures), self.images.source_of(pictures))
        self.show_classes(workspace.classes)
        self.show_settings(workspace.settings)
        self.show_encoder(*workspace.encoder)
        self.show_device(workspace.device)
        self.exploration.display.show_embedding(smoothly=False)
        self.exploration.display.show_local(None)
        if workspace.pictures:
            self.exploration.display.turn_to(0)
        else:
            self.show_picture(None, 0, "")

    @property
    def exploration(self) -> Exploration:
        """The workspace in front, with its commands."""
        assert self._exploration is not None
        return self._exploration

    def _release(self, exploration: Exploration) -> None:
        exploration.close()
        self.dispatcher.aside(exploration.workspace.close, lambda _none: None, self._not_autosaved, file=True)

    def _begin_autosave(self) -> None:
        """Autosave the workspace in front, from its first change on."""
        self.exploration.edited.remove(self._begin_autosave)
        try:
            self.exploration.workspace.autosave(new_workspace_autosave(), self._not_autosaved)
        except (OSError, InputError) as error:
            self._not_autosaved(error)

    def _not_autosaved(self, error: BaseException | str) -> None:
        self.dispatcher.post(lambda: self.notify(f"The workspace is not autosaved: {error}"))

    def resume(self, path: Path | None = None) -> None:
        """Continue with a workspace: the newest autosave where no image was added here, or one that the user names."""
        autosaves = [] if self.exploration.workspace.pictures else workspace_autosaves()
        named = path or (autosaves[0] if autosaves else self._workspace_dialog(save=False))
        if named is not None:
            self.work.load(named, self._begin)

    def _workspace_dialog(self, *, save: bool) -> Path | None:
        dialog = QFileDialog.getSaveFileName if save else QFileDialog.getOpenFileName
        filters = f"Workspaces (*{WORKSPACE_EXTENSION})"
        start = str(Path.home() / f"workspace{WORKSPACE_EXTENSION}") if save else str(Path.home())
        named, _ = dialog(self, "Save workspace" if save else "Resume", start, filters)
        if not named:
            return None
        path = Path(named)
        return path if path.suffix or not save else path.with_name(path.name + WORKSPACE_EXTENSION)

    # signals of the panels --------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        for view, local in ((self.embedding, False), (self.local, True)):
            view.outlined.connect(lambda c, how, at=local: self.exploration.outline(c, how, local=at))
            view.picked.connect(lambda identity, how: self.exploration.pick(identity, how))
            view.tiles_wanted.connect(lambda ids: self.exploration.display.make_tiles(ids))
            view.pressed.connect(self._run)
        self.images.pressed.connect(self._run)
        self.images.turned.connect(lambda index: self.exploration.display.turn_to(index))
        self.cutting.pressed.connect(self._run)
        self.cutting.previewed.connect(self._preview)
        self.cutting.encoder.chosen.connect(lambda view, backbone: self.work.use_encoder(view, backbone))
        self.cutting.device_chosen.connect(lambda device: self.work.use_device(device))
        self.images.refreshed.connect(self.cutting.show_layers)
        self.cutting.show_layers(self.images.layers)
        self.bar.tool_changed.connect(self._on_tool)
        self.bar.style_changed.connect(self._on_style)
        self.bar.filter_changed.connect(lambda which: self.exploration.set_filter(which))
        for panel in (self.bar, self.labels, self.files):
            panel.pressed.connect(self._run)
        self.classes.changed.connect(lambda classes: self.exploration.set_classes(classes))
        self.classes.selected.connect(lambda _identity: self.show_state(self._state))
        self.classes.refused.connect(lambda text: self.show_message(user_message(text), error=True))
        self.status.cancelled.connect(self.jobs.cancel)
        self.viewer.events.theme.connect(self._on_theme)

    def _run(self, action: Action[ExploreWindow, ExploreState]) -> None:
        action.call(self)

    def _keys(self, actions: Iterable[Action[ExploreWindow, ExploreState]]) -> dict[str, Callable[[], object]]:
        return {action.key: partial(self._run, action) for action in actions}

    def _on_tool(self, tool: str) -> None:
        self.embedding.tool = self.local.tool = tool

    def _on_style(self, style: str) -> None:
        self.embedding.set_style(style)
        self.local.set_style(style)

    def assign(self) -> None:
        """Assign the class that is chosen in the table."""
        if self.classes.current is None:
            self.show_message("No class is chosen; click a row of the table first", error=True)
        else:
            self.exploration.assign(self.classes.current)

    def cut(self) -> None:
        """Cut images by the settings of the form."""
        threshold = None if self.cutting.auto.isChecked() else self.cutting.threshold
        portion, regions = self.cutting.portion.currentData(), self.cutting.regions.value()
        self.work.cut(portion, threshold, regions, self.cutting.settings, self.cutting.edge_layer)

    def _preview(self) -> None:
        self.work.preview(self.cutting.threshold, self.cutting.settings, self.cutting.edge_layer)

    def take_brush(self, value: int) -> None:
        """Take up the brush for strokes that split a segment."""
        try:
            self.exploration.layers.paint(value)
        except InputError as error:
            self.show_message(user_message(error), error=True)
            return
        self.show_message("Draw one stroke of each sign in the segment, then press Split (S)")

    def add_layer(self) -> None:
        """Add the images of the chosen layer."""
        self.work.add_layer(self.images.source)

    def learn(self) -> None:
        """Learn a metric by the settings of the form."""
        self.work.learn(self.cutting.deep.isChecked())

    def add_folder(self) -> None:
        """Ask for a folder, and add its images."""
        named = QFileDialog.getExistingDirectory(self, "Add the images of a folder", str(Path.home()))
        if named:
            self.work.add_files([Path(named)])

    def add_files(self) -> None:
        """Ask for files, and add them."""
        named, _ = QFileDialog.getOpenFileNames(self, "Add images", str(Path.home()))
        if named:
            self.work.add_files([Path(name) for name in named])

    def save(self) -> None:
        """Ask for a file, and write the workspace."""
        path = self._workspace_dialog(save=True)
        if path is not None:
            self.work.save(path)

    def export(self) -> None:
        """Ask for a folder, and write the labels."""
        named = QFileDialog.getExistingDirectory(self, "Folder for the labels", str(Path.home()))
        if named:
            extension = label_extensions()[0]
            self.work.export(Path(named), extension)

    def finish(self) -> None:
        """Paint the middle lines of the labelled segments of the visible image as strokes in Scribble segmentation."""
        from napari_scribseg.widgets.segmentation.widget import TITLE

        try:
            image, painted, classes = self.exploration.strokes_to_finish()
            _, widget = self.viewer.window.add_plugin_dock_widget("napari-scribseg", TITLE, tabify=True)
            widget.annotator_of(image, classes).add_strokes(painted)
        except InputError as error:
            self.show_message(user_message(error), error=True)
            return
        self.exploration.layers.rest(True)
        self.show_message("The classes of this image are strokes in Scribble segmentation now; correct them there")

    def show_keys(self) -> None:
        """Open a window with all keys."""
        self._key_sheet = KeySheet(self.all_key_actions(), self)
        self._key_sheet.show()

    def _on_lost(self) -> None:
        self.show_message("A layer was deleted; it comes back when you turn to one of its images", error=True)

    def _on_theme(self, _event: Any = None) -> None:
        theme = get_theme(self.viewer.theme)
        for view, color in ((self.embedding, theme.canvas), (self.local, theme.background)):
            red, green, blue = (int(c) for c in color.as_rgb_tuple()[:3])
            view.set_ground(red + green + blue < 3 * 128, (red, green, blue))

    # the window for exploration and jobs ------------------------------------------------------------------------------

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a message in the status line."""
        self.status.show_message(text, error=error)

    def notify(self, text: str) -> None:
        """Show napari's own notification, which disappears by itself."""
        show_warning(text)

    def show_busy(self, busy: bool) -> None:
        """A job begins or ends."""
        self.status.show_busy(busy)
        self.exploration.refresh_state()

    def show_progress(self, fraction: float) -> None:
        """Show the fraction of the job that is done."""
        self.status.show_progress(fraction)

    def show_classes(self, classes: ClassTable) -> None:
        """The class table."""
        self.classes.show_classes(classes)
        self.show_state(self._state)

    def show_settings(self, settings: CutSettings) -> None:
        """How the images were cut."""
        self.cutting.show_settings(settings)

    def show_encoder(self, view: str, backbone: str) -> None:
        """What describes the segments."""
        self.cutting.encoder.show_encoder(view, backbone)

    def show_device(self, device: str) -> None:
        """Where networks compute."""
        self.cutting.show_device(device)

    def show_picture(self, index: int | None, count: int, name: str) -> None:
        """Which image is visible."""
        self.images.show_picture(index, count, name)

    def show_local(self, shown: bool) -> None:
        """Show the embedding of a selection, or hide it."""
        self.local.setVisible(shown)

    def show_state(self, state: ExploreState) -> None:
        """Which buttons make sense."""
        current, table = self.classes.current, self.classes.classes
        name = table[current].name if current is not None and current in table else ""
        self._state = state = replace(state, class_name=name)
        self.labels.show_state(state)
        self.cutting.show_state(state)
        self.files.show_state(state)
        self.count.setText(f"{state.segments} segments · {state.labelled} labelled · {state.selected} selected")
        self.count.setVisible(state.segments > 0)
        if state.embedded and not self._has_room:
            self._give_room()

    def _on_border(self, _where: int, _index: int) -> None:
        self._has_room = True

    def _give_room(self) -> None:
        """Make the first embedding large, with the classes below it; once, and not where the user moved the border."""
        self._has_room = True
        self.take_height()
        self.dispatcher.later(0, self._show_large)

    def _show_large(self) -> None:
        height = sum(self._parts.sizes())
        self._parts.setSizes([round(_SHARE * height), height - round(_SHARE * height)])
        self.sections.reveal(self.classes)

    # the widget itself ------------------------------------------------------------------------------------------------

    def _sections(self) -> tuple[Section, ...]:
        """The sections from top to bottom: a new one is a line here."""
        return (
            Section("Images", self.images, "explore/images"),
            Section("Segments", self.cutting, "explore/segments"),
            Section("Classes", self.classes, "explore/classes"),
            Section("Correct and save", self.files, "explore/files"),
        )

    def _lay_out(self) -> None:
        """The embeddings above, the sections below them, and always in sight the labels' buttons and the status."""
        embeddings = QSplitter(Qt.Orientation.Vertical)
        embeddings.addWidget(self.embedding)
        embeddings.addWidget(self.local)
        self.local.hide()
        self.sections = Sections(0)
        for section in self._sections():
            self.sections.add(section)
        self._parts = parts = QSplitter(Qt.Orientation.Vertical)  # the user decides how high they are
        parts.setChildrenCollapsible(False)
        parts.addWidget(embeddings)
        parts.addWidget(self.sections)
        parts.setStretchFactor(0, 1)
        parts.splitterMoved.connect(self._on_border)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 0)
        layout.setSpacing(4)
        for widget in (self.bar, parts, self.count, self.labels, self.status):
            layout.addWidget(widget, 1 if widget is parts else 0)

    def _end(self) -> None:
        """Autosave the workspace, end the workers and disconnect from the viewer."""
        self.jobs.cancel()
        self._release(self.exploration)
        self.viewer.events.theme.disconnect(self._on_theme)
        self.images.close_events()
        self.dispatcher.close()
        stop()
