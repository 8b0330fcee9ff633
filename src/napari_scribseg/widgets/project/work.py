"""The project that is open, and what is done with it: cases, learning, drafts, exports. No Qt here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_scribseg.annotate.drafter import Drafter
from napari_scribseg.annotate.session import Session
from napari_scribseg.core import InputError, Report, Source
from napari_scribseg.core.source import SliceIndex
from napari_scribseg.kernel import Deliver
from napari_scribseg.widgets.common.messages import user_message
from napari_scribseg.widgets.project.background import BackgroundJob, JobView
from napari_scribseg.widgets.project.case_in_view import CaseInView
from napari_scribseg.widgets.project.case_list import CaseRow
from napari_scribseg.widgets.project.overview import Overview, overview_of
from napari_scribseg.widgets.project.project_actions import ProjectState

if TYPE_CHECKING:
    from napari_scribseg.learn.adding import Added
    from napari_scribseg.learn.annotators import MeanAgreement
    from napari_scribseg.learn.merging import MergeReport
    from napari_scribseg.learn.network import LearnedNetwork
    from napari_scribseg.learn.project import Project
    from napari_scribseg.widgets.project.dialogs import ExportOrder

__all__ = ["FIRST", "ProjectView", "ProjectWork", "merge_message"]

FIRST = 5  # accepted slices, from which on it learns by itself


class ProjectView(Protocol):
    """The window, as the work on a project uses it."""

    def show_project(self, name: str) -> None:
        """The name of the project that is open."""

    def show_cases(self, rows: Sequence[CaseRow], shown: str) -> None:
        """The cases; ``shown`` is the one that is open in napari."""

    def show_progress_of(self, text: str) -> None:
        """How much of the work is done."""

    def show_network(self, text: str) -> None:
        """How good the learned network is."""

    def show_state(self, state: ProjectState) -> None:
        """Which buttons apply."""

    def show_message(self, text: str, *, error: bool = False) -> None:
        """A message in this window."""

    def show_news(self, text: str) -> None:
        """A message that is read while one paints, too."""

    def show_agreement(self, rows: Sequence[MeanAgreement]) -> None:
        """How far people agree."""

    def show_case(self) -> None:
        """A case was opened: show where it is painted on."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A case whose image was read, and where to begin in it."""

    name: str
    source: Source
    at: SliceIndex | None


@dataclass(frozen=True, slots=True)
class _Opened:
    """A project that was read; ``trouble`` is why its network cannot be used."""

    project: Project
    overview: Overview
    network: LearnedNetwork | None
    last: str
    trouble: str = ""


class ProjectWork:
    """One project at a time.

    Parameters
    ----------
    view : ProjectView
    case : callable
        ``case(changed)`` makes what opens cases in napari.
    deliver : callable
        ``deliver(function)`` calls a function in the window's thread.
    executors : three Executor
        For learning, for what the user waits for, and for what is read again and again.
    jobs : two JobView
        That show learning, and what the user waits for.
    later : callable
        ``later(milliseconds, function)``.

    Attributes
    ----------
    project : Project or None
        The project that is open.
    case : CaseInView
        The case that is open in napari.
    follows : bool
        Whether it learns again as slices are accepted.
    """

    def __init__(
        self,
        view: ProjectView,
        case: Callable[[Callable[[], object]], CaseInView],
        deliver: Deliver,
        executors: tuple[Executor, Executor, Executor],
        jobs: tuple[JobView, JobView],
        later: Callable[[int, Callable[[], object]], None],
    ) -> None:
        self.project: Project | None = None
        self.follows = False
        self.case = case(self._on_changed)
        self._view, self._deliver, self._later = view, deliver, later
        self._learning = BackgroundJob(executors[0], deliver, jobs[0])
        self._working = BackgroundJob(executors[1], deliver, jobs[1])
        self._reader = executors[2]
        self._reading = self._stale = False
        self._overview = Overview()
        self._network: LearnedNetwork | None = None
        self._learned_from = 0  # accepted slices, when it learned last
        self._accepted = -1  # slices of the case in front

    # the project ------------------------------------------------------------------------------------------------------

    def create(self, folder: Path, names: Sequence[str]) -> None:
        """Make a project with classes of these names, and open it."""

        def work(_report: Report) -> _Opened:
            from napari_scribseg.learn.project import Project

            return _opened(Project.create(folder, names))

        self._working.run(f"Making {folder.name}", work, self._on_opened)

    def open(self, folder: Path) -> None:
        """Open a project, and the case that was open last."""

        def work(_report: Report) -> _Opened:
            from napari_scribseg.learn.project import Project

            return _opened(Project.open(folder))

        self._working.run(f"Opening {folder.name}", work, self._on_opened)

    def _on_opened(self, found: _Opened) -> None:
        self.cancel_learning()
        self.case.leave()
        self.project, self._overview, self._network = found.project, found.overview, found.network
        self._learned_from = found.overview.accepted if found.network is not None else 0
        self._view.show_project(found.project.name)
        self._show_network()
        self.refresh_state()
        if found.trouble:
            self._view.show_message(found.trouble, error=True)
        elif found.last:
            self.open_case(found.last)
        else:
            n = len(found.overview.rows)
            self._view.show_message("Open a case by a double click" if n else "Add the images that you want to work on")

    def add(self, paths: Sequence[Path]) -> None:
        """Add files, or the images of folders, as cases."""
        project = self._required()

        def work(report: Report) -> tuple[Overview, Added]:
            added = project.add(paths, report=report)
            return overview_of(project), added

        def done(found: tuple[Overview, Added]) -> None:
            self._show_overview(found[0])
            n, skipped = len(found[1].cases), found[1].skipped
            added = f"Added {n} {'case' if n == 1 else 'cases'}"
            left_out = f"{len(skipped)} left out: {skipped[0]}" if skipped else ""
            then = "open one by a double click" if n and not skipped else ""
            self._view.show_message("; ".join(part for part in (added, left_out, then) if part), error=bool(skipped))

        self._working.run("Adding images", work, done, "Cancelled; the cases that were added stay")

    def export(self, order: ExportOrder) -> None:
        """Write images and labels for another program."""
        project = self._required()
        self._flush()

        def work(report: Report) -> Sequence[Path]:
            return project.export(order.kind, order.folder, only=order.only, report=report)

        def done(written: Sequence[Path]) -> None:
            n = len(written)
            self._view.show_message(f"Exported {n} {'file' if n == 1 else 'files'} to {order.folder}")

        self._working.run(f"Exporting to {order.folder.name}", work, done)

    def merge(self, folder: Path) -> None:
        """Take over the work in another copy of the project; the case in front is closed meanwhile."""
        project, shown = self._required(), self.case.name
        self.case.leave()

        def work(_report: Report) -> tuple[Overview, MergeReport]:
            merged = project.merge(folder)
            return overview_of(project), merged

        def done(found: tuple[Overview, MergeReport]) -> None:
            self._show_overview(found[0])
            text = merge_message(found[1])
            if shown:
                self.open_case(shown, text)
            else:
                self._view.show_message(text)

        self._working.run(f"Merging {folder.name}", work, done)

    def compare_people(self) -> None:
        """Compare what several people accepted, and show how far they agree."""
        project = self._required()
        self._flush()

        def work(_report: Report) -> list[MeanAgreement]:
            from napari_scribseg.learn.annotators import mean_agreement

            return list(mean_agreement(project.agreement()))

        def done(rows: list[MeanAgreement]) -> None:
            if rows:
                self._view.show_agreement(rows)
            else:
                self._view.show_message("No slice was accepted by two people yet; merge a colleague's copy first")

        self._working.run("Comparing what people accepted", work, done)

    def _required(self) -> Project:
        if self.project is None:
            raise InputError("no project is open; make one, or open one")
        return self.project

    # cases ------------------------------------------------------------------------------------------------------------

    def open_case(self, name: str, news: str = "") -> None:
        """Open a case in napari, its image is read in the background; ``news`` is shown then."""
        project = self._required()
        if name == self.case.name:
            self._view.show_case()
            return

        def work(_report: Report) -> _Read:
            case = project.case(name)
            return _Read(name, project.read_image(case), project.last_slice(case))

        self._working.run(f"Opening {name}", work, lambda read: self._show(project, read, news))

    def next_case(self) -> None:
        """Open the next case that is not finished at the slice to begin with, or report that there is none."""
        project = self.project
        if project is None or self._working.is_busy:
            return
        here, live = self.case.name, self._live()

        def work(_report: Report) -> _Read | None:
            place = project.next(after=here)
            return None if place is None else _Read(place.case, project.read_image(place.case), place.slice_index)

        def done(read: _Read | None) -> None:
            if read is not None:
                self._show(project, read)
            elif live.finished == len(live.rows):
                self._view.show_news("All cases of the project are finished: Export writes them for another program")
            else:
                self._view.show_news(f"{here} is the last case that is not finished")

        self._working.run("Opening the next case", work, done)

    def _show(self, project: Project, read: _Read, news: str = "") -> None:
        """Open a case whose image was read; a new one gets a draft, if there is a network."""
        self._flush()
        try:
            annotator = self.case.show(project, read.name, read.source, read.at)
        except InputError as error:
            self._view.show_message(user_message(error), error=True)
            self.refresh_state()
            return
        session = annotator.session
        self._accepted = len(session.accepted)
        self._view.show_case()
        self._read_again()
        self.refresh_state()
        is_new = not session.accepted and not session.painted_slices() and not session.labels.any()
        if is_new and self._network is not None:
            annotator.draft(self._network)
        elif news:
            self._view.show_news(news)

    def draft(self) -> None:
        """Draft the case in front."""
        annotator = self.case.annotator
        if annotator is not None and self._network is not None:
            annotator.draft(self._network)
            self._view.show_case()

    # learning ---------------------------------------------------------------------------------------------------------

    @property
    def drafter(self) -> Drafter | None:
        """The learned network; None until there is one."""
        return self._network

    def learn(self) -> None:
        """Learn from all accepted slices, in the background."""
        project = self._required()
        self._flush()
        n = self._live().accepted
        self._learned_from = n
        if self._network is None:
            slices = "slice" if n == 1 else "slices"
            self._view.show_network(f"Learning from {n} accepted {slices}; go on painting meanwhile")

        def work(report: Report) -> LearnedNetwork:
            return project.learn(report)

        def done(network: LearnedNetwork) -> None:
            if project is not self.project:  # another one was opened meanwhile
                return
            self._network = network
            self._show_network()
            self.refresh_state()
            then = "; Draft (Shift+D) fills the slices without labels" if self.case.annotator is not None else ""
            self._view.show_news(f"Learned from {n} accepted {'slice' if n == 1 else 'slices'}{then}")
            self._learn_again()

        cancelled = "Learning was cancelled; what was learned before stays, and Learn goes on from here"
        self._learning.run("Learning", work, done, cancelled, otherwise=self._not_learned)
        self.refresh_state()

    def _not_learned(self) -> None:
        """Learning was cancelled, or failed: show what there was before."""
        self._show_network()
        self.refresh_state()

    def cancel(self) -> None:
        """Stop what the user waits for."""
        self._working.cancel()

    def cancel_learning(self) -> None:
        """Stop learning; the former network stays."""
        self._learning.cancel()

    def set_follows(self, follows: bool) -> None:
        """Learn again as slices are accepted, or not."""
        self.follows = follows
        self._learn_again()

    def _learn_again(self) -> None:
        accepted = self._live().accepted
        can = self.follows and self.project is not None and not self._learning.is_busy
        if can and accepted >= FIRST and accepted > self._learned_from:
            self.learn()

    def _flush(self) -> None:
        """Write the session of the case in front, which others read from its file."""
        session = self.case.session
        if session is not None:
            session.flush()

    # what is shown ----------------------------------------------------------------------------------------------------

    def work_left(self, session: Session) -> str:
        """How much is done and left, in a sentence without an end; empty for an image that is no case."""
        return self._live().text if session is self.case.session else ""

    def _live(self) -> Overview:
        """The overview, with the case in front as it is now."""
        session = self.case.session
        return self._overview if session is None else self._overview.with_session(self.case.name, session)

    def _on_changed(self, _event: object = None) -> None:
        """The session in front changed."""
        session = self.case.session
        accepted = -1 if session is None else len(session.accepted)
        if accepted != self._accepted:
            self._accepted = accepted
            self.refresh_state()
            self._learn_again()
        if not self._stale:
            self._stale = True
            self._later(2500, self._read_again)  # the autosave is written by then

    def _read_again(self) -> None:
        """Read in the background how far the cases are."""
        self._stale = False
        project = self.project
        if project is None or self._reading:
            return
        self._reading = True

        def read() -> None:
            found: Overview | None = None
            with contextlib.suppress(InputError, OSError):
                found = overview_of(project)
            self._deliver(lambda: arrived(found))

        def arrived(found: Overview | None) -> None:
            self._reading = False
            if found is not None and project is self.project:
                self._show_overview(found)

        with contextlib.suppress(RuntimeError):  # the window is being closed
            self._reader.submit(read)

    def _show_overview(self, overview: Overview) -> None:
        self._overview = overview
        self.refresh_state()

    def _show_network(self) -> None:
        network = self._network
        if network is None:
            self._view.show_network("Nothing is learned yet: accept five slices or more (A), and press Learn")
            return
        card = network.card
        of = f"Learned from {card.examples} {'slice' if card.examples == 1 else 'slices'}"
        self._view.show_network(of if card.agreement is None else f"{of}: {card.agreement}")

    def refresh_state(self) -> None:
        """Show the cases, what is done, and which buttons apply."""
        live = self._live()
        self._view.show_cases(live.rows, self.case.name)
        self._view.show_progress_of(live.text if live.rows else "")
        self._view.show_state(
            ProjectState(
                opened=self.project is not None,
                cases=len(live.rows),
                finished=live.finished,
                accepted=live.accepted,
                learning=self._learning.is_busy,
                working=self._working.is_busy,
                learned=self._network is not None,
                in_front=self.case.annotator is not None,
            )
        )

    def close(self) -> None:
        """Stop what runs; the case stays open."""
        self._learning.cancel()
        self._working.cancel()
        self.case.release()


def merge_message(report: MergeReport) -> str:
    """What a merge brought, in one sentence without an end."""
    n, differ, added = sum(report.slices.values()), sum(report.conflicts.values()), len(report.added)
    parts = [f"Took over {n} {'slice' if n == 1 else 'slices'} of the copy"]
    if added:
        parts.append(f"{added} new {'case' if added == 1 else 'cases'}")
    if differ:
        slices = "slice differs" if differ == 1 else "slices differ"
        parts.append(f"{differ} {slices} from yours, which stay in sight; the other versions are stored")
    if report.in_use:
        parts.append(f"{', '.join(report.in_use)} left as it was, because it is open elsewhere")
    return "; ".join(parts)


def _opened(project: Project) -> _Opened:
    last, network, trouble = project.last, None, ""
    try:
        network = project.network()
    except InputError as error:
        trouble = user_message(error)
    return _Opened(project, overview_of(project), network, "" if last is None else last.name, trouble)
