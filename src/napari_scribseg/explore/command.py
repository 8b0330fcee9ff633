"""The commands ``scribseg explore``: prepare a workspace without a window, and write its labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_scribseg.core import Report
from napari_scribseg.options import Device, DeviceOption, Overwrite
from napari_scribseg.progress import ShowProgress, show_progress

__all__ = ["app"]

app = typer.Typer(help="Label many segments of many images at once (extra `explore`).", no_args_is_help=True)


@app.command()
def prepare(
    images: Annotated[list[Path], typer.Argument(help="Images, volumes, or one folder of them.")],
    out: Annotated[Path, typer.Option(help="Workspace file to write, .npz.")],
    regions: Annotated[
        float | None, typer.Option(min=1, help="Segments an image, on average; 50 where no threshold is given.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Importance below which segments merge, instead.")] = None,
    criterion: Annotated[str, typer.Option(help="Importance of a segment: volume, area or dynamics.")] = "volume",
    gradient: Annotated[str, typer.Option(help="Gradient that borders follow: gaussian or network.")] = "gaussian",
    view: Annotated[str, typer.Option(help="What the encoder is shown: maps (fast) or crops (as published).")] = "maps",
    backbone: Annotated[str, typer.Option(help="A .safetensors file or a timm model; else the shipped network.")] = "",
    device: DeviceOption = Device.auto,
    overwrite: Overwrite = False,
) -> None:
    """Cut IMAGES into segments, embed them, and write a workspace to continue with."""
    from napari_scribseg.explore.workspace import Workspace
    from napari_scribseg.io.atomic import check_writable
    from napari_scribseg.io.outputs import check_outputs

    check_writable(out)
    check_outputs([out], images, overwrite=overwrite)
    workspace = Workspace(device=device.value)
    workspace.use_encoder(view, backbone)
    added = workspace.add_images(images[0] if len(images) == 1 else images)
    for message in added.skipped:
        typer.echo(f"skipped: {message}", err=True)
    with show_progress("cutting", "%") as show:
        report = _percent(show)
        workspace.cut(threshold=threshold, regions=regions, criterion=criterion, gradient=gradient, report=report)
    with show_progress("embedding", "%") as show:
        workspace.embed(report=_percent(show))
    workspace.save(out)
    typer.echo(f"{out}: {len(added.indices)} images, {len(workspace.ids())} segments")


@app.command()
def labels(
    workspace: Annotated[Path, typer.Argument(help="Workspace file.")],
    out: Annotated[Path, typer.Option(help="Folder for the label files.")],
    extension: Annotated[str, typer.Option(help="Format: .nii.gz, .tif, .nrrd, .seg.nrrd, .mha.")] = ".nii.gz",
    overwrite: Overwrite = False,
) -> None:
    """Write the label image of each image or volume of a WORKSPACE, with names and colours."""
    from napari_scribseg.explore.workspace import Workspace

    for path in Workspace.load(workspace).save_labels(out, extension, overwrite=overwrite):
        typer.echo(path)


def _percent(show: ShowProgress) -> Report:
    return lambda fraction, preview=None: show(round(100 * fraction), 100)
