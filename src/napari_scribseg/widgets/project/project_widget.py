"""The dock widget *Project*: its cases, what was learned from them, and ways in and out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QSize
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDockWidget,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_scribseg.annotate.session import Session
from napari_scribseg.core import InputError
from napari_scribseg.io.formats import image_extensions
from napari_scribseg.kernel import Worker
from napari_scribseg.widgets.common.action import Action
from napari_scribseg.widgets.common.action_buttons import ActionButtons, register_commands
from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.common.docked import Docked
from napari_scribseg.widgets.common.fold import window_settings
from napari_scribseg.widgets.common.messages import user_message
from napari_scribseg.widgets.common.rows import in_column
from napari_scribseg.widgets.common.status import StatusPanel
from napari_scribseg.widgets.project.case_in_view import CaseInView
from napari_scribseg.widgets.project.case_list import CaseList, CaseRow
from napari_scribseg.widgets.project.dialogs import AgreementDialog, ExportDialog, NewProjectDialog
from napari_scribseg.widgets.project.project_actions import ACTIONS, ProjectState, ProjectWindow
from napari_scribseg.widgets.project.work import ProjectWork
from napari_scribseg.widgets.segmentation.widget import TITLE as SEGMENTATION
from napari_scribseg.widgets.segmentation.widget import SegmentationWidget

if TYPE_CHECKING:
    import napari

    from napari_scribseg.annotate.drafter import Drafter
    from napari_scribseg.learn.annotators import MeanAgreement

__all__ = ["ProjectWidget"]

TITLE = "Project"  # as in napari.yaml
_SIZE = 300, 420  # pixels that it asks for
_LAST, _FOLLOWS = "project/last", "project/learns"  # settings
_EMPTY = (
    "A project is a folder for many images of one kind. Accept some slices of the first ones: it learns from them, "
    "and drafts the rest.\n\nMake one with New…, or open one with Open…"
)
_STEPS = 1000  # of a progress bar
_FOLDER = "Dataset001_{}"  # that is proposed for an export: nnU-Net accepts no other names
_PANELS = "project", "add", "cases", "learn", "share"  # of actions, from top to bottom


class ProjectWidget(Docked):
    """A project in a dock beside *Scribble segmentation*, where its cases are painted.

    Attributes
    ----------
    cases : CaseList
        Its cases.
    follows : QCheckBox
        Whether it learns as slices are accepted.
    buttons : dict of str to QPushButton
        By the name of an action.
    status : StatusPanel
        Messages, and the progress of what the user waits for.
    work : ProjectWork
        What is done.
    """

    title, key_actions = TITLE, ()

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer: Any = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.dispatcher = Dispatcher(self)
        self._learner = Worker()
        self._state = ProjectState()
        self._was_tabified = False
        self._images = str(Path.home())  # the folder of those that were added last
        self._groups = {panel: ActionButtons(ACTIONS.on(panel)) for panel in _PANELS}
        self.buttons: dict[str, QPushButton] = {}
        for group in self._groups.values():
            self.buttons |= group.buttons
            group.pressed.connect(self._run)
        self.name, self.done, self.network = QLabel(""), QLabel(""), QLabel("")
        self.cases = CaseList()
        self.follows = QCheckBox("learn as I accept")
        self.follows.setToolTip("Learn again in the background whenever further slices are accepted, from five on")
        self.learning = _LearningBar()
        self.status = StatusPanel()
        self.status.cancel.setToolTip("Stop what is running")
        self.work = ProjectWork(
            self,
            lambda changed: CaseInView(self.viewer, self.segmentation, self._segmentation, changed),
            self.dispatcher.post,
            (self._learner, self.dispatcher.executor, self.dispatcher.background),
            (self.learning, _WaitedFor(self)),
            self.dispatcher.later,
        )
        register_commands(ACTIONS, ProjectWidget, TITLE)
        self._lay_out()
        self.cases.opened.connect(lambda name: self._call(lambda: self.work.open_case(name)))
        self.cases.chosen.connect(lambda _name: self.show_state(self._state))
        self.follows.toggled.connect(self._on_follows)
        self.follows.setChecked(str(window_settings().value(_FOLLOWS, True)).lower() == "true")
        self.learning.ended.connect(lambda text, error: self.show_message(user_message(text), error=error))
        self.learning.cancelled.clicked.connect(lambda: self._run(ACTIONS["cancel_learning"]))
        self.status.cancelled.connect(lambda: self.work.cancel())
        last = self._last
        self.show_message(f"Open… begins with {last.name}, the last project" if last is not None else "")
        self.show_state(ProjectState())
        self.dispatcher.later(0, self._join)  # once it is docked

    # actions ----------------------------------------------------------------------------------------------------------

    def _run(self, action: Action[ProjectWindow, ProjectState]) -> None:
        self._call(lambda: action.call(self))

    def _call(self, function: Callable[[], object]) -> None:
        """Call a function, and show what it refuses."""
        try:
            function()
        except InputError as error:
            self.show_message(user_message(error), error=True)

    def make_project(self) -> None:
        """Ask for a folder and classes, and make a project."""
        window = self._segmentation()
        table = () if window is None else window.classes.classes
        named = tuple(label.name for label in table if label.is_named and not label.background)
        beside = Path.home() if self._last is None else self._last.parent
        dialog = NewProjectDialog(self, _unused(beside / "project"), named)
        if dialog.exec() == QDialog.DialogCode.Accepted and dialog.folder.path is not None:
            self.work.create(dialog.folder.path, dialog.names)
        dialog.deleteLater()

    def open_project(self, folder: Path | None = None) -> None:
        """Open a project; asks for its folder where none is given."""
        if folder is None:
            begin = str(self._last or Path.home())
            named = QFileDialog.getExistingDirectory(self, "Open the folder of a project", begin)
            folder = Path(named) if named else None
        if folder is not None:
            self.work.open(folder)

    def add_files(self) -> None:
        """Ask for files, and add them as cases."""
        filters = f"Images ({' '.join(f'*{extension}' for extension in image_extensions())});;All files (*)"
        named, _ = QFileDialog.getOpenFileNames(self, "Add images", self._images, filters)
        if named:
            self._images = str(Path(named[0]).parent)
            self.work.add([Path(name) for name in named])

    def add_folder(self) -> None:
        """Ask for a folder, and add its images as cases."""
        named = QFileDialog.getExistingDirectory(self, "Add the images of a folder", self._images)
        if named:
            self._images = named
            self.work.add([Path(named)])

    def open_chosen(self) -> None:
        """Open the case that is chosen in the list."""
        if self.cases.current:
            self.work.open_case(self.cases.current)

    def next_case(self) -> None:
        """Open the next case that is not finished, when what is happening now has happened."""
        self.dispatcher.later(0, self.work.next_case)

    def learn(self) -> None:
        """Learn from all accepted slices."""
        self.work.learn()

    def draft(self) -> None:
        """Draft the case in front."""
        self.work.draft()

    def cancel_learning(self) -> None:
        """Stop learning."""
        self.work.cancel_learning()

    def export(self) -> None:
        """Ask for a format and a folder, and write the cases there."""
        project = self.work.project
        if project is None:
            raise InputError("no project is open; make one, or open one")
        dialog = ExportDialog(self, _unused(project.folder.parent / _FOLDER.format(project.name)), self._state.finished)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self.work.export(dialog.order)
        dialog.deleteLater()

    def merge(self) -> None:
        """Ask for a copy of the project, and take over the work in it."""
        named = QFileDialog.getExistingDirectory(self, "The folder of the other copy", str(self._last or Path.home()))
        if named:
            self.work.merge(Path(named))

    def compare_people(self) -> None:
        """Show how far people agree."""
        self.work.compare_people()

    # what a project adds to Scribble segmentation ---------------------------------------------------------------------

    @property
    def drafter(self) -> Drafter | None:
        """The learned network; None until there is one."""
        return self.work.drafter

    def work_left(self, session: Session) -> str:
        """How much is done and left, in a sentence without an end."""
        return self.work.work_left(session)

    def segmentation(self) -> SegmentationWidget:
        """*Scribble segmentation* of this viewer, opened where it is not, as a tab beside this widget."""
        window = self._segmentation()
        if window is None:
            _, window = self.viewer.window.add_plugin_dock_widget("napari-scribseg", SEGMENTATION, tabify=True)
        assert isinstance(window, SegmentationWidget)
        window.review = self
        self._tabify(window)
        return window

    def _segmentation(self) -> SegmentationWidget | None:
        docked = self.viewer.window.dock_widgets.values()
        return next((each for each in docked if isinstance(each, SegmentationWidget) and not each.is_ended), None)

    def _join(self) -> None:
        """Become a tab beside *Scribble segmentation*, where that is open, in front of it."""
        window, own = self._segmentation(), _dock_of(self)
        if window is not None and own is not None:
            window.review = self
            self._tabify(window)
            own.raise_()

    def _tabify(self, window: SegmentationWidget) -> None:
        """Put both widgets into one place, unless the user has moved one of them."""
        own, other, main = _dock_of(self), _dock_of(window), self.window()
        if own is None or other is None or not isinstance(main, QMainWindow) or self._was_tabified:
            return
        self._was_tabified = True
        if main.dockWidgetArea(own) == main.dockWidgetArea(other) and other not in main.tabifiedDockWidgets(own):
            main.tabifyDockWidget(other, own)

    # what is shown ----------------------------------------------------------------------------------------------------

    def show_project(self, name: str) -> None:
        """The name of the project that is open."""
        self.name.setText(name)
        self.name.setVisible(bool(name))
        self._help.setVisible(not name)
        self._body.setVisible(bool(name))
        project = self.work.project
        if project is not None:
            self.name.setToolTip(str(project.folder))
            window_settings().setValue(_LAST, str(project.folder))

    def show_cases(self, rows: Sequence[CaseRow], shown: str) -> None:
        """The cases; ``shown`` is the one that is open in napari."""
        self.cases.show_cases(rows, shown)

    def show_progress_of(self, text: str) -> None:
        """How much of the work is done."""
        if self.done.text() != text:
            self.done.setText(text)

    def show_network(self, text: str) -> None:
        """How good the learned network is."""
        self.network.setText(text)

    def show_state(self, state: ProjectState) -> None:
        """Which buttons apply."""
        self._state = replace(state, chosen=bool(self.cases.current))
        for group in self._groups.values():
            group.show_state(self._state)
        window = self._segmentation()
        if window is not None and window.review is self and window.annotators.front is not None:
            window.annotators.front.refresh_state()

    def show_message(self, text: str, *, error: bool = False) -> None:
        """A message in this window."""
        self.status.show_message(text, error=error)

    def show_news(self, text: str) -> None:
        """A message that is read while one paints, too."""
        self.show_message(text)
        window = self._segmentation()
        if window is not None and window.review is self:
            window.show_message(text)

    def show_agreement(self, rows: Sequence[MeanAgreement]) -> None:
        """How far people agree."""
        self.agreement = AgreementDialog(self, rows)
        self.agreement.show()

    def show_case(self) -> None:
        """A case was opened: bring Scribble segmentation to the front."""
        self.show_message("")
        dock = _dock_of(self.segmentation())
        if dock is not None:
            dock.raise_()

    def _on_follows(self, follows: bool) -> None:
        window_settings().setValue(_FOLLOWS, follows)
        self._call(lambda: self.work.set_follows(follows))

    # the widget itself ------------------------------------------------------------------------------------------------

    @property
    def _last(self) -> Path | None:
        """The project that was open last, where it is still there."""
        text = str(window_settings().value(_LAST, "") or "")
        return Path(text) if text and Path(text).is_dir() else None

    def _lay_out(self) -> None:
        """The project above, its cases below, then what was learned, and ways out; the status line at the bottom."""
        self.name.setStyleSheet("font-weight: bold;")
        for label in (self.done, self.network):
            label.setWordWrap(True)
        self._help = QLabel(_EMPTY)
        self._help.setWordWrap(True)
        learn = QWidget()
        row = QHBoxLayout(learn)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(_heading("Learning"), 1)
        row.addWidget(self.follows)
        parts = (
            in_column(_heading("Cases"), self._groups["add"]),
            self.cases,
            in_column(self.done, self._groups["cases"]),
            in_column(learn, self.network, self._groups["learn"], self.learning),
            in_column(_heading("Data sets and colleagues"), self._groups["share"]),
        )
        self._body = QWidget()
        body = QVBoxLayout(self._body)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(6)
        for part in parts:
            body.addWidget(part, 1 if part is self.cases else 0)
        self._body.hide()
        self.name.hide()
        top = in_column(self.name, self._groups["project"], self._help)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 0)
        column.setSpacing(6)
        column.addWidget(top)
        column.addWidget(self._body, 1)
        column.addStretch(0)
        column.addWidget(self.status)
        self.setMinimumWidth(_SIZE[0])

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        """Less than its texts would take in one line each."""
        return QSize(*_SIZE)

    def _end(self) -> None:
        """Stop what runs; the case in front stays open in Scribble segmentation."""
        self.work.close()
        window = self._segmentation()
        if window is not None and window.review is self:
            window.review = None
        self._learner.shutdown(wait=False, cancel_futures=True)
        self.dispatcher.close()


class _LearningBar(QWidget):
    """The progress of learning, with a button that cancels it; in sight while it learns.

    ``ended`` carries how it ended, where that is not as expected, and whether that is an error.
    """

    ended = Signal(str, bool)

    def __init__(self) -> None:
        super().__init__()
        self.bar, self.text, self.cancelled = QProgressBar(), QLabel(""), QPushButton("Cancel")
        self.bar.setRange(0, _STEPS)
        self.bar.setTextVisible(False)
        self.cancelled.setToolTip(ACTIONS["cancel_learning"].full_tooltip)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self.text, self.bar, self.cancelled):
            row.addWidget(widget, 1 if widget is self.bar else 0)
        self.hide()

    def show_job(self, title: str) -> None:
        """It learns; empty: no longer."""
        self.text.setText(f"{title}…")
        self.bar.setValue(0)
        self.setVisible(bool(title))

    def show_fraction(self, fraction: float) -> None:
        """How far it is."""
        step = round(_STEPS * fraction)
        if abs(step - self.bar.value()) >= _STEPS // 100:  # each step repaints the whole window
            self.bar.setValue(step)

    def show_end(self, text: str, *, error: bool = False) -> None:
        """Why it ended."""
        self.ended.emit(text, error)


class _WaitedFor:
    """The progress of what the user waits for, in the status line of the widget."""

    def __init__(self, widget: ProjectWidget) -> None:
        self._widget = widget

    def show_job(self, title: str) -> None:
        """A job of this title runs; empty: none."""
        widget = self._widget
        if title:
            widget.show_message(f"{title}…")
        widget.status.show_busy(bool(title))
        widget.work.refresh_state()

    def show_fraction(self, fraction: float) -> None:
        """How far it is."""
        self._widget.status.show_progress(fraction)

    def show_end(self, text: str, *, error: bool = False) -> None:
        """How it ended."""
        self._widget.show_message(user_message(text), error=error)


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold;")
    return label


def _unused(folder: Path) -> Path:
    """The folder, or one with a number where it is there."""
    names = (folder, *(folder.with_name(f"{folder.name}-{n}") for n in range(2, 1000)))
    return next((each for each in names if not each.exists()), folder)


def _dock_of(widget: QWidget) -> QDockWidget | None:
    """The dock that a widget is in."""
    around = widget.parentWidget()
    while around is not None and not isinstance(around, QDockWidget):
        around = around.parentWidget()
    return around
