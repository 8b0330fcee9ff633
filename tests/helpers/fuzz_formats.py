"""Every kind of file that is read: valid ones, how they fall into fields, and what reads them.

A new format is one entry of :data:`FORMATS`, by the name that it has in the registry. ``samples`` writes valid files,
each into a folder of its own with all that belongs to it, and returns the files that are changed by the tests.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzz_layouts as layouts
import nibabel
import numpy as np
import SimpleITK as sitk
import tifffile
from PIL import Image as Picture

from napari_scribseg.core import ClassTable, LabelClass


@dataclass(frozen=True)
class Format:
    """How a kind of file is made, taken apart and read."""

    samples: Callable[[Path], Sequence[Path]]
    layout: layouts.Layout
    read: Callable[[Path], Any]


VOXELS = np.arange(4 * 6 * 7, dtype=np.int16).reshape(4, 6, 7)
LABELS = (VOXELS % 3).astype(np.uint8)
CLASSES = ClassTable((LabelClass(1, "liver", (1, 0, 0, 1)), LabelClass(2, "spleen", (0, 1, 0, 1))))


def read_image(path: Path) -> None:
    """What a user gets: the voxels, and a place for them that can be shown."""
    from napari_scribseg.io import is_label_file, read_volume

    is_label_file(path)
    volume = read_volume(path)
    np.asarray(volume.array).max()
    if not (np.isfinite(volume.geometry.spacing).all() and min(volume.geometry.spacing) > 0):
        raise AssertionError(f"the spacing is {volume.geometry.spacing}")
    if volume.geometry.affine is not None and not np.isfinite(volume.geometry.affine).all():
        raise AssertionError(f"the affine is {volume.geometry.affine.tolist()}")


def read_labels(path: Path) -> None:
    from napari_scribseg.io import is_label_file, read_labels

    is_label_file(path)
    read_labels(path)


def _numbered(folder: Path, names: Sequence[str]) -> list[Path]:
    """A path for each name, in folders of their own."""
    paths = []
    for n, name in enumerate(names):
        (folder / str(n)).mkdir(parents=True)
        paths.append(folder / str(n) / name)
    return paths


def _itk(array: np.ndarray[Any, Any], **keywords: bool) -> sitk.Image:
    image = sitk.GetImageFromArray(array, **keywords)
    image.SetSpacing([0.7, 0.8, 2.5][: image.GetDimension()])
    return image


def nifti_samples(folder: Path) -> Sequence[Path]:
    paths = _numbered(folder, ["plain.nii", "scaled.nii.gz", "series.nii", "two.nii", "colours.nii"])
    affine = np.diag([0.7, 0.8, 2.5, 1])
    images = [nibabel.Nifti1Image(VOXELS.T, affine), nibabel.Nifti1Image(VOXELS.T.astype(np.float32), affine)]
    images += [nibabel.Nifti1Image(np.zeros((3, 4, 5, 2), np.uint8), affine), nibabel.Nifti2Image(VOXELS.T, affine)]
    images += [nibabel.Nifti1Image(np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")]), affine)]
    images[1].header.set_slope_inter(0.5, 3)
    for path, image in zip(paths, images, strict=True):
        nibabel.save(image, path)
    return paths


def nrrd_samples(folder: Path) -> Sequence[Path]:
    paths = _numbered(folder, ["packed.nrrd", "raw.nrrd", "colours.nrrd", "detached.nhdr", "slices.nhdr", "text.nrrd"])
    for path, compressed in ((paths[0], True), (paths[1], False), (paths[3], False)):
        sitk.WriteImage(_itk(VOXELS), str(path), useCompression=compressed)
    sitk.WriteImage(_itk(np.zeros((4, 5, 6, 3), np.uint8), isVector=True), str(paths[2]))
    head = "NRRD0004\ntype: int16\ndimension: 3\nsizes: 7 6 4\nspacings: 1 2 3\nendian: little\n"
    paths[4].write_text(f"{head}encoding: raw\nbyte skip: 0\ndata file: s%02d.raw 1 4 1 2\n")
    for n, slice_values in enumerate(VOXELS, start=1):
        (paths[4].parent / f"s{n:02d}.raw").write_bytes(slice_values.tobytes())
    paths[5].write_text(
        f'{head}encoding: ascii\nold min: 0\nlabels: "x" "y" "z"\n\n{" ".join(map(str, VOXELS.ravel()))}\n'
    )
    return paths


def metaimage_samples(folder: Path) -> Sequence[Path]:
    paths = _numbered(folder, ["packed.mha", "raw.mha", "colours.mha", "detached.mhd", "slices.mhd", "list.mhd"])
    for path, compressed in ((paths[0], True), (paths[1], False), (paths[3], True)):
        sitk.WriteImage(_itk(VOXELS), str(path), useCompression=compressed)
    sitk.WriteImage(_itk(np.zeros((4, 5, 6, 3), np.uint8), isVector=True), str(paths[2]))
    head = "NDims = 3\nBinaryData = True\nElementSpacing = 1 2 3\nHeaderSize = -1\nDimSize = 7 6 4\n"
    head += "ElementType = MET_SHORT\n"
    for path, named in ((paths[4], "s%02d.raw 1 4 1"), (paths[5], "LIST 2\ns01.raw\ns02.raw\ns03.raw\ns04.raw")):
        path.write_text(f"{head}ElementDataFile = {named}\n")
        for n, slice_values in enumerate(VOXELS, start=1):
            (path.parent / f"s{n:02d}.raw").write_bytes(slice_values.tobytes())
    return paths


def tiff_samples(folder: Path) -> Sequence[Path]:
    names = ["imagej.tif", "many.ome.tif", "lzw.tif", "jpeg.tif", "tiles.tif", "bits.tif", "palette.tif"]
    paths = _numbered(folder, names)
    metadata = {"axes": "ZYX", "unit": "mm", "spacing": 2.5}
    tifffile.imwrite(paths[0], VOXELS, imagej=True, resolution=(2, 2), metadata=metadata)
    sizes = {"PhysicalSizeX": 0.7, "PhysicalSizeY": 0.7, "PhysicalSizeZ": 2.5, "PhysicalSizeXUnit": "mm"}
    tifffile.imwrite(paths[1], np.zeros((2, 3, 6, 7), np.uint16), ome=True, metadata={"axes": "CZYX"} | sizes)
    Picture.fromarray(LABELS[0]).save(paths[2], compression="tiff_lzw")
    Picture.fromarray(np.zeros((16, 16, 3), np.uint8)).save(paths[3], compression="jpeg")
    tifffile.imwrite(paths[4], np.zeros((64, 48), np.float32), tile=(16, 16), compression="zlib")
    Picture.fromarray(LABELS[0] > 0).save(paths[5], compression="group4")
    Picture.fromarray(LABELS[0]).convert("P").save(paths[6], compression="packbits")
    return paths


def picture_samples(folder: Path) -> Sequence[Path]:
    modes = ["L", "RGB", "P", "1", "LA", "RGBA", "I;16"]
    paths = _numbered(folder, [f"{mode.replace(';', '')}.png" for mode in modes])
    colours = Picture.fromarray(np.arange(18 * 13 * 3, dtype=np.uint16).astype(np.uint8).reshape(18, 13, 3))
    for path, mode in zip(paths, modes, strict=True):
        (Picture.fromarray(VOXELS[0].astype(np.uint16)) if mode == "I;16" else colours.convert(mode)).save(path)
    return paths


def jpeg_samples(folder: Path) -> Sequence[Path]:
    paths = _numbered(folder, ["grey.jpg", "colours.jpeg", "progressive.jpg"])
    colours = Picture.fromarray(np.arange(18 * 13 * 3, dtype=np.uint16).astype(np.uint8).reshape(18, 13, 3))
    colours.convert("L").save(paths[0])
    colours.save(paths[1])
    colours.save(paths[2], progressive=True)
    return paths


def dicom_samples(folder: Path) -> Sequence[Path]:
    paths = _numbered(folder, ["slice.dcm", "frames.dcm", "colours.dcm", "jpeg.dcm"])
    for path, array in ((paths[0], VOXELS[:1]), (paths[1], LABELS), (paths[3], VOXELS[:1])):
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetUseCompression(path.stem == "jpeg")
        writer.SetFileName(str(path))
        writer.Execute(_itk(array))
    sitk.WriteImage(_itk(np.zeros((1, 5, 6, 3), np.uint8), isVector=True), str(paths[2]))
    return paths


def segmentation_samples(folder: Path) -> Sequence[Path]:
    from napari_scribseg.core import Geometry
    from napari_scribseg.io import write_labels

    paths = _numbered(folder, ["one.seg.nrrd", "layers.seg.nrrd"])
    write_labels(paths[0], LABELS, Geometry(LABELS.shape, (2.5, 0.8, 0.7), np.eye(4), "millimeter"), CLASSES)
    image = _itk(np.stack([LABELS, LABELS > 1], axis=-1).astype(np.uint8), isVector=True)
    for n, (layer, name) in enumerate((("0", "liver"), ("1", "spleen"))):
        values = {
            "ID": f"S{n}",
            "Name": name,
            "Layer": layer,
            "LabelValue": "1",
            "Color": "1 0 0",
            "Extent": "0 6 0 5 0 3",
        }
        for key, value in values.items():
            image.SetMetaData(f"Segment{n}_{key}", value)
    sitk.WriteImage(image, str(paths[1]), useCompression=True)
    return paths


def table_samples(folder: Path) -> Sequence[Path]:
    from napari_scribseg.io import write_classes

    paths = _numbered(folder, ["x_dseg.tsv", "x_labels.txt"])
    for path in paths:
        write_classes(path, CLASSES)
    return paths


def session_samples(folder: Path) -> Sequence[Path]:
    from napari_scribseg.annotate import Session
    from napari_scribseg.io import read_volume

    paths = _numbered(folder, ["plain.scribseg", "painted.scribseg"])
    for path in paths:
        image = path.parent / "image.nii"
        nibabel.save(nibabel.Nifti1Image(VOXELS.T, np.eye(4)), image)
        session = Session(read_volume(image), "svcd", classes=CLASSES, device="cpu")
        if path.stem == "painted":
            for index in (1, 2):
                strokes = np.zeros((6, 7), np.uint8)
                strokes[1, 1:4], strokes[4, 2:6] = 1, 2
                session.draw(strokes, session.volume.slice_index(index)).result()
            session.accept(session.volume.slice_index(1))
        session.save(path)
        session.close()
    return paths


def read_session(path: Path) -> None:
    from napari_scribseg.annotate import Session

    session = Session.load(path)
    session.labels.max()
    session.close()


def workspace_samples(folder: Path) -> Sequence[Path]:
    from napari_scribseg.explore import Workspace

    paths = _numbered(folder, ["arrays.npz", "file.npz"])
    image = paths[1].parent / "image.png"
    grey = np.kron(np.array([[0, 200], [90, 255]]), np.ones((12, 12))).astype(np.uint8)
    Picture.fromarray(grey).save(image)
    for path, given in ((paths[0], [grey]), (paths[1], [image])):
        workspace = Workspace(CLASSES, device="cpu", cache=path.parent)
        workspace.add_images(given)
        workspace.cut(regions=4)
        workspace.assign(workspace.ids()[:2], 1)
        workspace.save(path)
    return paths


def read_workspace(path: Path) -> None:
    from napari_scribseg.explore import Workspace

    workspace = Workspace.load(path, device="cpu", cache=path.parent)
    for index in range(len(workspace.pictures)):
        workspace.labels(index)


def weights_samples(folder: Path) -> Sequence[Path]:
    from napari_scribseg.nets import build, save_model

    paths = _numbered(folder, ["plain.safetensors", "efficient.safetensors"])
    scales = {
        "channels": [2, 2],
        "repeats": [1, 1],
        "expansion": [1, 2],
        "fused": [True, False],
        "squeeze": [False, True],
    }
    save_model(paths[0], build("plain-unet", {"channels": [2, 2], "detail": 1}), {"data": "none"}, "float16")
    save_model(paths[1], build("efficient-unet", scales), {"data": "none"}, "float16")
    return paths


def read_weights(path: Path) -> None:
    from napari_scribseg.nets import load_model

    load_model(path)


def card_samples(folder: Path) -> Sequence[Path]:
    from napari_scribseg.engines.brs.card import ModelCard, write_card

    (path,) = _numbered(folder, ["net.pt"])
    card = ModelCard(channels=1, classes=("liver",), ids=(1,), spacing=(0.5, 0.5), percentiles=(1.0, 99.0), multiple=16)
    return [write_card(path, card)]


def read_card(path: Path) -> None:
    from napari_scribseg.engines.brs.card import read_card

    read_card(path.with_name("net.pt"))


def pack_samples(folder: Path) -> Sequence[Path]:
    (path,) = _numbered(folder, ["a.pack"])
    item = {"name": "a", "source": "s", "group": "g", "data_set": "d", "licence": "CC0", "background": 0,
            "instances": False, "image": "image/0", "labels": "labels/0"}  # fmt: skip
    with zipfile.ZipFile(path, "w") as file:
        for name, array in (("image/0", LABELS[0] * 80), ("labels/0", LABELS[0])):
            buffer = io.BytesIO()
            Picture.fromarray(array).save(buffer, format="PNG")
            file.writestr(name, buffer.getvalue())
        index = {"format": "napari-scribseg training pack 1", "options": {}, "items": [item]}
        file.writestr("index.json", json.dumps(index))
    return [path]


def read_pack(path: Path) -> None:
    from napari_scribseg.train.pack import read_pack

    pack = read_pack(path)
    for item in pack.items:
        pack.load(item)


def checkpoint_samples(folder: Path) -> Sequence[Path]:
    import torch

    from napari_scribseg.kernel.checkpoint import Checkpoint, write_checkpoint
    from napari_scribseg.nets import build

    nets = [build("plain-unet", {"channels": [2, 2], "detail": 1}) for _ in range(2)]
    optimizer = torch.optim.SGD(nets[0].parameters(), lr=0.1)  # type: ignore[arg-type]
    written = write_checkpoint(folder, Checkpoint(5, nets[0], nets[1], optimizer.state_dict(), 0.5))
    return [written / "optimizer.pt"]


def read_checkpoint(path: Path) -> None:
    from napari_scribseg.kernel.checkpoint import read_checkpoint

    read_checkpoint(path.parent)


def cohort_samples(folder: Path) -> Sequence[Path]:
    paths = _numbered(folder, ["cohort.csv", "cohort.tsv"])
    rows = [
        ["image", "scribbles", "out", "background", "axis"],
        ["a.nii", "s.nii", "o.nii.gz", "2", "0"],
        ["b.nii", "t.nii", "", "", ""],
    ]
    for path, separator in zip(paths, ",\t", strict=True):
        path.write_text("".join(separator.join(row) + "\n" for row in rows))
    return paths


def read_cohort(path: Path) -> None:
    from napari_scribseg.batch import read_table
    from napari_scribseg.batch.cohort import check_jobs

    jobs = read_table(path)
    check_jobs(list(jobs), path.parent)


def read_classes(path: Path) -> None:
    from napari_scribseg.io import read_classes

    read_classes(path)


FORMATS = {
    "NIfTI": Format(nifti_samples, layouts.nifti, read_image),
    "NRRD": Format(nrrd_samples, layouts.text, read_image),
    "MetaImage": Format(metaimage_samples, layouts.text, read_image),
    "TIFF": Format(tiff_samples, layouts.tiff, read_image),
    "PNG": Format(picture_samples, layouts.png, read_image),
    "JPEG": Format(jpeg_samples, layouts.jpeg, read_image),
    "DICOM": Format(dicom_samples, layouts.dicom, read_image),
    "3D Slicer segmentation": Format(segmentation_samples, layouts.text, read_labels),
    "class table": Format(table_samples, layouts.text, read_classes),
    "session": Format(session_samples, layouts.archive, read_session),
    "workspace": Format(workspace_samples, layouts.archive, read_workspace),
    "weights": Format(weights_samples, layouts.safetensors, read_weights),
    "model card": Format(card_samples, layouts.json_text, read_card),
    "train pack": Format(pack_samples, layouts.archive, read_pack),
    "checkpoint": Format(checkpoint_samples, layouts.archive, read_checkpoint),
    "cohort": Format(cohort_samples, layouts.text, read_cohort),
}
