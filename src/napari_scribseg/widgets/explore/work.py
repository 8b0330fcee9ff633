"""Long work of the explorer: adding, cutting, embedding, learning, files; in the background, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from napari_scribseg.core import ClassTable, InputError, Report, silent
from napari_scribseg.explore import Added, Workspace
from napari_scribseg.explore.task import WorkspaceTask
from napari_scribseg.kernel import Deliver
from napari_scribseg.numerics.device import choose_device
from napari_scribseg.prompting.semantic import open_encoder
from napari_scribseg.widgets.common.colors import class_colormap, class_features
from napari_scribseg.widgets.common.dispatch import Dispatcher
from napari_scribseg.widgets.common.layer_source import LayerSource
from napari_scribseg.widgets.common.messages import report_errors, user_message
from napari_scribseg.widgets.explore.background_jobs import LongJobs, QuickJobs
from napari_scribseg.widgets.explore.contours import contours
from napari_scribseg.widgets.explore.edge_maps import EdgeMaps
from napari_scribseg.widgets.explore.exploration import Exploration
from napari_scribseg.widgets.explore.explore_view import ExploreView, counted
from napari_scribseg.widgets.explore.groups import Group, as_images, runs

__all__ = ["PORTIONS", "Work"]

PORTIONS = ("all images", "next 15 images", "visible image")


class Work:
    """Long work on the exploration in front.

    Parameters
    ----------
    of : callable
        Gives the exploration in front.
    jobs : LongJobs
    dispatcher : Dispatcher
    view : ExploreView
    """

    def __init__(
        self, of: Callable[[], Exploration], jobs: LongJobs, dispatcher: Dispatcher, view: ExploreView
    ) -> None:
        self._of, self.jobs, self.view = of, jobs, view
        self._dispatcher = dispatcher
        self._edge_maps = EdgeMaps()
        self._previews = QuickJobs(dispatcher.background, dispatcher.post, view)

    @property
    def workspace(self) -> Workspace:
        """The workspace in front."""
        return self._of().workspace

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Show a message in the status line."""
        self.view.show_message(text, error=error)

    def refresh_state(self) -> None:
        """Show which buttons make sense."""
        self._of().refresh_state()

    def _run(self, title: str, task: WorkspaceTask[Any, Any], done: Callable[[Any], object]) -> None:
        """Run a task, and refresh the buttons when it begins and ends."""

        def ended(result: Any) -> None:
            done(result)
            self.refresh_state()

        self.jobs.run(title, task, ended)

    # images -----------------------------------------------------------------------------------------------------------

    @report_errors
    def add_layer(self, source: LayerSource | None) -> None:
        """Add an image layer: one image, or the slices of a volume or stack."""
        if source is None:
            raise InputError("there is no image layer to add; open one, or add a folder")
        if any(g.source is not None and g.source.layer is source.layer for g in self._of().layers.groups):
            raise InputError(f"the image {source.layer.name!r} was added before")
        task = self.workspace.add_task(lambda: as_images(source), source.layer.name)
        self._run(f"Adding {source.layer.name}", task, lambda added: self._on_added(added, source))

    @report_errors
    def add_files(self, paths: Sequence[Path]) -> None:
        """Add image files, or the images of a folder."""
        given: Any = [str(path) for path in paths] if len(paths) != 1 else paths[0]
        title = paths[0].name if len(paths) == 1 else f"{len(paths)} files"
        task = self.workspace.add_task(lambda: given)
        self._run(f"Adding {title}", task, lambda added: self._on_added(added, None))

    def _on_added(self, added: Added, source: LayerSource | None) -> None:
        exploration = self._of()
        first, count = added.indices[0], len(added.indices)
        if source is not None and count == (source.shape[0] if len(source.shape) == 3 else 1):
            exploration.layers.add(first, count, source)
        else:
            for begin, pictures in runs(self.workspace.pictures[first : first + count], first):
                exploration.layers.add(begin, len(pictures))
        shown = exploration.layers.index(exploration.layers.groups[-1]) if source is not None else None
        exploration.display.turn_to(first if shown is None else shown)
        exploration.layers.lay_down_brush()
        self.view.show_message(f"{counted(count, 'image')} added; Cut makes segments")
        if added.skipped:
            self.view.show_message(f"{count} added, {len(added.skipped)} skipped: {added.skipped[0]}", error=True)
            self.view.notify("\n".join(added.skipped[:8]))

    # segments ---------------------------------------------------------------------------------------------------------

    @report_errors
    def preview(self, threshold: float, settings: dict[str, Any], edges: Image | None = None) -> None:
        """Show the contours that a cut of the visible image would have."""
        exploration, workspace = self._of(), self.workspace
        index = exploration.layers.index()
        if index is None:
            return

        def preview() -> None:
            task = workspace.preview_task(index, threshold, **settings)

            def outline(report: Report, deliver: Deliver) -> tuple[Any, int]:
                regions = task.work(report, deliver)
                return contours(regions), int(regions.max()) + 1

            self._previews.run(WorkspaceTask(outline), show)

        def show(made: tuple[Any, int]) -> None:
            if self._of() is exploration and exploration.layers.index() == index:
                exploration.layers.show_contours(index, made[0])
                self.view.show_message(f"{counted(made[1], 'segment')} in this image at this threshold; Cut makes them")

        edge_task = self._edge_task([index], settings, edges)
        if edge_task is None:
            preview()
        else:
            self._previews.run(edge_task, lambda _none: preview())

    @report_errors
    def cut(
        self,
        portion: str,
        threshold: float | None,
        regions: float,
        settings: dict[str, Any],
        edges: Image | None = None,
    ) -> None:
        """Cut images into segments; without a threshold, so that an image has ``regions`` of them on average.

        ``edges`` is the layer of the user's edge map, for the images of the visible layer.
        """
        exploration, workspace = self._of(), self.workspace
        how: dict[str, Any] = {"regions": regions} if threshold is None else {"threshold": threshold}
        if not workspace.pictures:
            raise InputError("there are no images to cut; add some first")
        images: list[int] | None = None
        if portion == PORTIONS[1]:
            images = list(workspace.next_batch())
            if not images:
                raise InputError("every image was cut already; choose all images to cut them again")
        elif portion == PORTIONS[2]:
            index = exploration.layers.index()
            if index is None:
                raise InputError("no image is visible; turn to one, or cut all images")
            images = [index]
        every = range(len(workspace.pictures)) if images is None else images

        def cut() -> None:
            task = workspace.cut_task(images, **how, **settings)

            self._run("Cutting", task, done)

        def done(changed: tuple[int, ...]) -> None:
            self.view.show_settings(workspace.settings)
            exploration.display.show_contours()
            total = len(workspace.ids())
            self.view.show_message(
                f"New segments in {counted(len(changed), 'image')}, {total} in all; Embed embeds them"
            )

        edge_task = self._edge_task(every, settings, edges)
        if edge_task is None:
            cut()
        else:
            self._run("Reading the edge map", edge_task, lambda _none: cut())

    def _edge_task(
        self, images: Iterable[int], settings: dict[str, Any], edges: Image | None
    ) -> WorkspaceTask[Any, None] | None:
        if settings["gradient"] != "given":
            return None
        return self._edge_maps.task(self.workspace, self._of().layers.front, edges, images)

    @report_errors
    def use_encoder(self, view: str, backbone: str) -> None:
        """Describe segments by another encoder from now on, once its network is loaded."""
        workspace = self.workspace

        def load(report: Report, _deliver: Deliver) -> None:
            open_encoder(backbone, choose_device(workspace.device))
            report(1.0)

        def choose(_none: None) -> None:
            workspace.use_encoder(view, backbone)
            self.view.show_encoder(*workspace.encoder)
            self.view.show_message("Segments are described by this network from now on; Embed embeds them again")

        self._run("Opening the network", WorkspaceTask(load), choose)

    @report_errors
    def use_device(self, device: str) -> None:
        """Compute on another device from now on."""
        try:
            self.workspace.use_device(device)
        finally:
            self.view.show_device(self.workspace.device)

    @report_errors
    def embed(self) -> None:
        """Describe and embed the new segments; where there are none, embed all again, by their classes too."""
        workspace = self.workspace
        ids = workspace.ids()
        refit = bool(len(ids)) and bool(workspace.table.has_embedding[ids].all())
        how = "embedded again, by their classes too" if refit else "embedded"
        self._run(
            "Embedding",
            workspace.embed_task(refit=refit),
            lambda embedded: self.view.show_message(f"{counted(len(embedded), 'segment')} {how}: {_HINT}"),
        )

    @report_errors
    def learn(self, backbone: bool = False) -> None:
        """Learn a metric from the classes so far; train the network itself too where ``backbone`` says so."""
        self._run(
            "Learning",
            self.workspace.learn_task(backbone=backbone),
            lambda count: self.view.show_message(
                f"Learned from {counted(count, 'labelled segment')}; the embedding has changed"
            ),
        )

    @report_errors
    def local(self) -> None:
        """Embed the selected segments by themselves; without a selection, hide that embedding."""
        exploration = self._of()
        ids = exploration.selected
        if len(ids) < _FEWEST:
            exploration.display.show_local(None)
            raise InputError(f"the selection has {counted(len(ids), 'segment')}; at least {_FEWEST} are expected")
        self._run("Embedding the selection", self.workspace.local_task(ids), self._on_local)

    def _on_local(self, found: Any) -> None:
        self._of().display.show_local(found)
        self.view.show_message(f"{len(found[0])} segments in their own embedding, where near ones are most alike")

    @report_errors
    def split(self) -> None:
        """Split a segment by strokes; the parts are embedded where there is an embedding."""
        exploration, workspace = self._of(), self.workspace
        had_embedding = bool(workspace.table.has_embedding[workspace.ids()].any())
        if exploration.split() and had_embedding and not self.jobs.is_busy:
            self._run(
                "Embedding the parts",
                workspace.embed_task(),
                lambda embedded: self.view.show_message(f"Split and embedded: {counted(len(embedded), 'part')}"),
            )

    # files ------------------------------------------------------------------------------------------------------------

    @report_errors
    def save(self, path: Path) -> None:
        """Write the workspace to a file."""
        task = self.workspace.save_task(path)
        self.view.show_message(f"Saving {path.name}…")
        self._dispatcher.aside(
            lambda: task.work(silent, self._dispatcher.post),
            lambda _none: self.view.show_message(f"Saved {path.name} in {path.parent}"),
            self._not_saved,
            file=True,
        )

    @report_errors
    def export(self, folder: Path, extension: str) -> None:
        """Write the labels of all images to a folder."""
        workspace = self.workspace
        if not len(workspace.ids()):
            raise InputError("no image was cut into segments yet; there are no labels to save")
        labelling = workspace.labelling()
        self.view.show_message(f"Saving labels in {folder}…")
        self._dispatcher.aside(
            lambda: labelling.save(folder, extension, overwrite=True),
            lambda paths: self.view.show_message(f"Saved {counted(len(paths), 'file')} in {folder}"),
            self._not_saved,
            file=True,
        )

    def _not_saved(self, error: BaseException) -> None:
        self.view.show_message(f"Not saved: {user_message(error)}", error=True)
        self.view.notify(f"Not saved: {user_message(error)}")

    @report_errors
    def make_layers(self) -> None:
        """Add a labels layer for each image layer, with the background as 0: ready for napari's own saving."""
        exploration, workspace = self._of(), self.workspace
        groups = [g for g in exploration.layers.groups if g.source is not None]
        if not len(workspace.ids()) or not groups:
            raise InputError("no image was cut into segments yet; there are no labels to make layers of")
        labelling = workspace.labelling()

        def make(report: Report, _deliver: Deliver) -> list[tuple[Group, Any]]:
            made = []
            for n, group in enumerate(groups):
                assert group.source is not None
                labels = np.zeros(group.source.layer_shape, dtype=np.uint16)
                for index in range(group.first, group.first + group.count):
                    report((n + (index - group.first) / group.count) / len(groups))
                    values = labelling.image(index)
                    labels[group.at(index, values)] = values
                made.append((group, labels))
            return made

        self._run("Making labels layers", WorkspaceTask(make), lambda made: self._on_layers(made, labelling.classes))

    def _on_layers(self, made: list[tuple[Group, Any]], classes: ClassTable) -> None:
        for group, labels in made:
            if group.source is None:
                continue
            layer = Labels(
                labels,
                name=f"{group.source.layer.name} labels",
                opacity=0.5,
                colormap=class_colormap(classes),
                features=class_features(classes),
                metadata={"scribseg": group.source.metadata()},
                **group.source.placement(),
            )
            self._of().layers.viewer.add_layer(layer)
        text = (
            f"{counted(len(made), 'labels layer')} made; File > Save selected layers writes labels with their geometry"
        )
        self.view.show_message(text)

    @report_errors
    def load(self, path: Path, begin: Callable[[Workspace], object]) -> None:
        """Continue with a workspace from a file; ``begin`` puts it in front."""

        def done(workspace: Workspace) -> None:
            begin(workspace)
            count = len(workspace.pictures)
            self.view.show_message(
                f"Resumed {counted(count, 'image')} and {counted(len(workspace.ids()), 'segment')} from {path.name}"
            )

        device = self.workspace.device
        task = WorkspaceTask(
            lambda _report, _deliver: Workspace.load(path, device=device, subprocess=True), lambda workspace: workspace
        )
        self._run(f"Opening {path.name}", task, done)


_HINT = "draw a box or lasso around some, then press a class number"
_FEWEST = 3  # segments of an embedding of their own
