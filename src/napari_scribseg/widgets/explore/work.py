"""What takes long: adding, cutting, embedding, learning, files; each in the background, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from napari_scribseg.core import ClassTable, InputError, Report
from napari_scribseg.explore import Added, Workspace
from napari_scribseg.explore.subprocesses import start
from napari_scribseg.numerics.device import choose_device
from napari_scribseg.prompting.semantic import open_encoder
from napari_scribseg.widgets.common.colors import class_colormap, class_features
from napari_scribseg.widgets.common.messages import report_errors, user_message
from napari_scribseg.widgets.common.sources import LayerSource
from napari_scribseg.widgets.explore.contours import contours
from napari_scribseg.widgets.explore.edges import EdgeMaps
from napari_scribseg.widgets.explore.exploration import Exploration
from napari_scribseg.widgets.explore.groups import Group, as_images, runs
from napari_scribseg.widgets.explore.jobs import Jobs, Newest
from napari_scribseg.widgets.explore.view import ExploreView, Services

__all__ = ["PORTIONS", "Work"]

PORTIONS = ("all images", "next 15 images", "image in sight")


class Work:
    """Long work on the exploration in front.

    Parameters
    ----------
    of : callable
        Gives the exploration in front.
    jobs, services, view
        Where it runs, and where it is told.
    """

    def __init__(self, of: Callable[[], Exploration], jobs: Jobs, services: Services, view: ExploreView) -> None:
        self._of, self.jobs, self.view = of, jobs, view
        self._services = services
        self._edge_maps = EdgeMaps()
        self._previews = Newest(services.aside, lambda error: view.show_message(user_message(error), error=True))

    @property
    def workspace(self) -> Workspace:
        """The workspace in front."""
        return self._of().workspace

    def show_message(self, text: str, *, error: bool = False) -> None:
        """Tell the user."""
        self.view.show_message(text, error=error)

    def refresh_state(self) -> None:
        """Renew the buttons."""
        self._of().refresh_state()

    def _start(self, title: str, function: Callable[[Report], Any], done: Callable[[Any], object]) -> None:
        """Run a job, and renew the buttons when it begins and ends."""

        def ended(result: Any) -> None:
            try:
                done(result)
            except InputError as error:
                self.view.show_message(user_message(error), error=True)
            self.refresh_state()

        self.jobs.start(title, function, ended)

    # images -----------------------------------------------------------------------------------------------------------

    @report_errors
    def add_layer(self, source: LayerSource | None) -> None:
        """Add an image layer: one image, or the slices of a volume or stack."""
        if source is None:
            raise InputError("there is no image layer to add; open one, or add a folder")
        if any(g.source is not None and g.source.layer is source.layer for g in self._of().canvas.groups):
            raise InputError(f"the image {source.layer.name!r} was added before")
        workspace = self.workspace

        def add(report: Report) -> Added:
            return workspace.add_images(as_images(source), source.layer.name, report=report)

        self._start(f"Adding {source.layer.name}", add, lambda added: self._on_added(added, source))

    @report_errors
    def add_files(self, paths: Sequence[Path]) -> None:
        """Add image files, or the images of a folder."""
        workspace = self.workspace
        given: Any = [str(path) for path in paths] if len(paths) != 1 else paths[0]
        title = paths[0].name if len(paths) == 1 else f"{len(paths)} files"
        self._start(
            f"Adding {title}",
            lambda report: workspace.add_images(given, report=report),
            lambda added: self._on_added(added, None),
        )

    def _on_added(self, added: Added, source: LayerSource | None) -> None:
        exploration = self._of()
        first, count = added.indices[0], len(added.indices)
        if source is not None and count == (source.shape[0] if len(source.shape) == 3 else 1):
            exploration.canvas.add(first, count, source)
        else:
            for begin, pictures in runs(self.workspace.pictures[first : first + count], first):
                exploration.canvas.add(begin, len(pictures))
        in_sight = exploration.canvas.index(exploration.canvas.groups[-1]) if source is not None else None
        exploration.shown.turn_to(first if in_sight is None else in_sight)
        exploration.canvas.lay_down_brush()
        told_of = f"{count} image{'s' if count > 1 else ''} added; cut them into segments"
        self.view.show_message(told_of)
        if added.skipped:
            self.view.show_message(f"{count} added, {len(added.skipped)} skipped: {added.skipped[0]}", error=True)
            self.view.notify("\n".join(added.skipped[:8]))

    # segments ---------------------------------------------------------------------------------------------------------

    @report_errors
    def preview(self, threshold: float, settings: dict[str, Any], edges: Image | None = None) -> None:
        """Show the contours that a cut of the image in sight would have."""
        exploration, workspace = self._of(), self.workspace
        index = exploration.canvas.index()
        if index is None:
            return
        give = self._giver([index], settings, edges)

        def make() -> tuple[Any, int]:
            give()
            regions = workspace.preview(index, threshold, **settings)
            return contours(regions), int(regions.max()) + 1

        def show(made: tuple[Any, int]) -> None:
            if self._of() is exploration and exploration.canvas.index() == index:
                exploration.canvas.show_contours(index, made[0])
                self.view.show_message(f"{made[1]} segments in this image at this threshold; Cut makes them")

        self._previews.ask(make, show)

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

        ``edges`` is the layer of the user's edge map, for the images of the layer in sight.
        """
        exploration, workspace = self._of(), self.workspace
        how: dict[str, Any] = {"regions": regions} if threshold is None else {"threshold": threshold}
        if not workspace.pictures:
            raise InputError("there are no images to cut; add some first")
        images: list[int] | None = None
        if portion == PORTIONS[1]:
            images = list(workspace.next_batch())
            if not images:
                raise InputError("every image was cut already; choose all images to cut them anew")
        elif portion == PORTIONS[2]:
            index = exploration.canvas.index()
            if index is None:
                raise InputError("no image is in sight; turn to one, or cut all images")
            images = [index]
        give = self._giver(range(len(workspace.pictures)) if images is None else images, settings, edges)

        def cut(report: Report) -> tuple[int, ...]:
            start()  # it gets ready meanwhile
            give()
            return workspace.cut(images, **how, report=report, **settings)

        def done(changed: tuple[int, ...]) -> None:
            self.view.show_settings(workspace.settings)
            exploration.shown.show_contours()
            total = len(workspace.ids())
            self.view.show_message(f"{len(changed)} images cut anew; {total} segments in all. Embed lays them out")

        self._start("Cutting", cut, done)

    def _giver(self, images: Iterable[int], settings: dict[str, Any], edges: Image | None) -> Callable[[], None]:
        if settings["gradient"] != "given":
            return lambda: None
        return self._edge_maps.giver(self.workspace, self._of().canvas.front, edges, images)

    @report_errors
    def use_encoder(self, view: str, backbone: str) -> None:
        """Describe segments in another way from now on, once its network is there."""
        workspace = self.workspace

        def choose(report: Report) -> None:
            open_encoder(backbone, choose_device("auto"))
            report(1.0)
            workspace.use_encoder(view, backbone)

        def done(_none: None) -> None:
            self.view.show_encoder(*workspace.encoder)
            self.view.show_message("Segments are described in another way from now on; Embed lays them out anew")

        self._start("Opening the network", choose, done)

    @report_errors
    def embed(self) -> None:
        """Describe and place segments: the new ones; where there are none, all anew, by their classes too."""
        workspace = self.workspace
        ids = workspace.ids()
        if not len(ids):
            raise InputError("there are no segments to embed; cut the images first")
        refit = bool(workspace.table.has_embedding[ids].all())

        def embed(report: Report) -> int:
            return len(workspace.embed(refit=refit, report=report))

        how = "all placed anew, by their classes too" if refit else "placed"
        self._start("Embedding", embed, lambda count: self.view.show_message(f"{count} segments {how}: {_HINT}"))

    @report_errors
    def learn(self, backbone: bool = False) -> None:
        """Learn from the classes so far what is alike, on the network itself too where ``backbone`` says so."""
        workspace = self.workspace
        self._start(
            "Learning",
            lambda report: workspace.learn(report, backbone=backbone),
            lambda count: self.view.show_message(f"Learned from {count} labelled segments; the plane has moved"),
        )

    @report_errors
    def local(self) -> None:
        """Lay the selected segments out in a plane of their own; without a selection, hide it."""
        exploration, workspace = self._of(), self.workspace
        ids = exploration.selected
        if len(ids) < _FEWEST:
            exploration.shown.show_local(None)
            raise InputError(f"{len(ids)} segments are selected; select at least {_FEWEST} for a plane of their own")
        self._start("Laying out the selection", lambda report: workspace.local_embedding(ids, report), self._on_local)

    def _on_local(self, found: Any) -> None:
        self._of().shown.show_local(found)
        self.view.show_message(f"{len(found[0])} segments in a plane of their own, where near ones are most alike")

    @report_errors
    def split(self) -> None:
        """Split a segment by strokes; the parts are described and placed where the plane is made already."""
        exploration = self._of()
        had_plane = bool(self.workspace.table.has_embedding[self.workspace.ids()].any())
        if exploration.split() and had_plane and not self.jobs.is_busy:
            workspace = self.workspace
            self._start(
                "Placing the parts",
                lambda report: workspace.embed(report=report),
                lambda placed: self.view.show_message(f"Split; {len(placed)} parts have found their places"),
            )

    # files ------------------------------------------------------------------------------------------------------------

    @report_errors
    def save(self, path: Path) -> None:
        """Write the workspace to a file."""
        workspace = self.workspace
        self.view.show_message(f"Saving {path.name}…")
        self._services.aside(
            lambda: workspace.save(path),
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
        self.view.show_message(f"Saving labels in {folder}…")
        self._services.aside(
            lambda: workspace.save_labels(folder, extension),
            lambda paths: self.view.show_message(f"Saved {len(paths)} files in {folder}"),
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
        groups = [g for g in exploration.canvas.groups if g.source is not None]
        if not len(workspace.ids()) or not groups:
            raise InputError("no image was cut into segments yet; there are no labels to make layers of")
        classes = workspace.classes

        def make(report: Report) -> list[tuple[Group, Any]]:
            made = []
            for n, group in enumerate(groups):
                assert group.source is not None
                labels = np.zeros(group.source.layer_shape, dtype=np.uint16)
                for index in range(group.first, group.first + group.count):
                    report((n + (index - group.first) / group.count) / len(groups))
                    values = workspace.labels(index)
                    labels[group.at(index, values)] = values
                made.append((group, labels))
            return made

        self._start("Making labels layers", make, lambda made: self._on_layers(made, classes))

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
            self._of().canvas.viewer.add_layer(layer)
        text = f"{len(made)} labels layers made; File > Save selected layers writes them with their geometry"
        self.view.show_message(text)

    @report_errors
    def load(self, path: Path, begin: Callable[[Workspace], object]) -> None:
        """Go on with a workspace from a file; ``begin`` puts it in front."""

        def done(workspace: Workspace) -> None:
            begin(workspace)
            count = len(workspace.pictures)
            self.view.show_message(f"Resumed {count} images and {len(workspace.ids())} segments from {path.name}")

        self._start(f"Opening {path.name}", lambda _report: Workspace.load(path, subprocess=True), done)


_HINT = "draw a box or lasso around some, then press a class number"
_FEWEST = 3  # segments of a plane of their own
