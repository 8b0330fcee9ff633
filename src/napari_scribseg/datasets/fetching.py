"""Sets with people's strokes from where their authors publish them: on request only, checked, all of it or nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from os import PathLike
from pathlib import Path

from napari_scribseg.core import InputError
from napari_scribseg.datasets.built_in import built_in_data_set, data_root
from napari_scribseg.datasets.published import PUBLISHED, Published
from napari_scribseg.io.archives import open_archive
from napari_scribseg.io.atomic import clean_up, refusal, temporary_name, write_files
from napari_scribseg.io.download import download
from napari_scribseg.io.limits import read_text

__all__ = ["fetch_data_set"]

_MOST_BYTES = 64 << 20
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def fetch_data_set(
    name: str,
    root: str | PathLike[str] | None = None,
    *,
    announce: Callable[[str], object],
    progress: Callable[[int, int | None], object] | None = None,
) -> Path:
    """Fetch a built-in data set with people's strokes, unless its folder is there already.

    Parameters
    ----------
    name : str
        Of one of :func:`~napari_scribseg.datasets.built_in_data_sets`.
    root : str or PathLike, optional
        The folder with the folders of the built-in data sets; by default that in the environment variable
        ``SCRIBSEG_DATA``. ``NAME.sha256`` in it records the checksums of the authors' files at the first download;
        later downloads are compared with it.
    announce : callable
        Called with lines for people, among them the licence, before anything is fetched.
    progress : callable, optional
        Called with the bytes of an archive so far, and those in all, None where the server does not say.

    Returns
    -------
    Path
        The folder of the data set.

    Raises
    ------
    InputError
        If no address is known, its folder holds something else, a file cannot be fetched, is damaged or too large, or
        differs from that of the first download. What was there before is then as it was.
    """
    data_set = built_in_data_set(name)
    folder = data_root(name, root) / name
    if folder.exists():
        _check_present(name, folder)
        announce(f"{name}: it is in {folder} already; nothing is fetched")
        return folder
    published = _address_of(name, folder)
    announce(f"{name}: {data_set.title}")
    announce(f"{name}: licence: {published.licence}; read {published.about}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        clean_up(folder.parent)
        temporary = temporary_name(folder)
        try:
            count = _fill(temporary, name, published, folder, announce, progress)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({refusal(error) or error.strerror or error})") from error
    announce(f"{name}: {count} images are in {folder}; their checksums are in {_record(folder)}")
    return folder


def _check_present(name: str, folder: Path) -> None:
    try:
        built_in_data_set(name).open(folder)
    except InputError as error:
        raise InputError(
            f"{folder} is there, but is not the data set {name} ({error}); move it away to fetch the data set"
        ) from error


def _address_of(name: str, folder: Path) -> Published:
    published = PUBLISHED.get(name)
    if published is None:
        raise InputError(
            f"the data set {name} is not fetched; those that can be are "
            f"{', '.join(sorted(n for n, one in PUBLISHED.items() if one.files))}"
        )
    if not published.files:
        raise InputError(
            f"no address is known at which the authors of {name} publish it now; read about it at {published.about}, "
            f"and put the files into {folder}"
        )
    return published


def _fill(
    temporary: Path,
    name: str,
    published: Published,
    folder: Path,
    announce: Callable[[str], object],
    progress: Callable[[int, int | None], object] | None,
) -> int:
    """Fetch and convert in a temporary folder; rename what was made to the folder of the data set."""
    made = temporary / "made"
    made.mkdir(parents=True)
    with ExitStack() as stack:
        archives = []
        for number, file in enumerate(published.files):
            announce(f"{name}: fetching {file.url}")
            path = temporary / f"{number}-{Path(file.url).name}"
            instead = f"read {published.about}"
            download(file.url, path, limit=file.limit, instead=instead, progress=progress)
            archives.append(stack.enter_context(open_archive(path, limit=file.unpacked)))
        assert published.unpack is not None
        count = published.unpack(archives, made, published.only)
        digests = {member: digest for archive in archives for member, digest in archive.digests.items()}
    _compare(_record(folder), digests)
    source = "\n".join([built_in_data_set(name).title, f"licence: {published.licence}", f"about: {published.about}",
                        *(f"from: {file.url}" for file in published.files), ""])  # fmt: skip
    (made / "SOURCE.txt").write_text(source, encoding="utf-8")
    lines = "".join(f"{digest}  {member}\n" for member, digest in sorted(digests.items()))
    write_files({_record(folder): lines.encode()})
    made.rename(folder)
    return count


def _record(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.sha256")


def _compare(record: Path, digests: Mapping[str, str]) -> None:
    """Compare the checksums of the authors' files with those of the first download."""
    if not record.exists():
        return
    former = {}
    for line in read_text(record, _MOST_BYTES, "list of checksums").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise InputError(f"{record}: {line[:80]!r} is no checksum with a name; delete the file to begin anew")
        former[match[2]] = match[1]
    for member in sorted({*former, *digests}):
        before, now = former.get(member), digests.get(member)
        if before != now:
            raise InputError(
                f"{member} had the SHA-256 {before or 'of no file'} at the first download, and has {now or 'none'} "
                f"now; what was fetched is not kept. Where the authors say that they changed it, delete {record} and "
                "fetch again"
            )
