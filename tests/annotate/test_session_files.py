"""Session files: save, resume, replay, and what is not a session file."""

import gc
import json
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import nibabel
import numpy as np
import pytest

from napari_scribseg.annotate import compare
from napari_scribseg.annotate.session import Session
from napari_scribseg.annotate.sidecar import FORMAT, read
from napari_scribseg.core import ClassTable, EngineInfo, InputError, LabelClass, silent
from napari_scribseg.core.source import SliceIndex, Source
from napari_scribseg.io import read_volume
from napari_scribseg.io.lock import InUseError, is_in_use
from napari_scribseg.kernel import ContainerWriter, Inbox, autosave


@pytest.fixture
def make_engine(engines):
    return lambda name, **parameters: engines[name](**parameters)


@pytest.fixture
def worked(volume, engines, painted, steps):
    """A session with all that can happen, by an engine whose answers depend on the warm start."""
    old = np.zeros(steps.shape, np.uint8)
    old[1, :3] = 7
    old[5] = 4
    session = Session(
        volume, engines["nearest"](trail=True), labels=old, classes=ClassTable.from_ids([1, 2], background=1)
    )
    rng = np.random.default_rng(3)
    strokes = painted.copy()
    for i in range(6):
        strokes[i, rng.integers(16)] = 1 + i % 3
        session.draw(strokes, 0)
    session.undo()
    strokes[11, 11] = 2
    session.draw(strokes, 0)
    session.overlap = "keep"
    session.draw(painted, 1)
    session.classes = session.classes.with_class(LabelClass(7, "old", (1, 0, 0, 1), locked=True))
    session.draw(np.where(painted != 0, 3 - painted, 0), 1)
    session.accept(0)
    session.use(engines["nearest"](bias=40.0, trail=True))
    across = np.zeros((6, 16), np.uint16)
    across[:, 2], across[:, 13] = 1, 300
    session.draw(across, SliceIndex((0, 2), (5,)))
    session.overlap = "overwrite"
    session.use(engines["nearest"](trail=True))
    session.draw(across[:, ::-1], SliceIndex((0, 2), (5,)))
    session.draw(painted, SliceIndex((1, 2), (2,)))
    session.clear(SliceIndex((1, 2), (2,)))
    session.draw(painted, SliceIndex((1, 2), (3,)))
    session.draw(strokes, SliceIndex((1, 2), (3,)))
    session.edit(np.full((12, 16), 5), SliceIndex((1, 2), (4,)))
    session.draw(np.where(painted == 1, painted, 0), SliceIndex((1, 2), (4,)))
    return session


def assert_same(one, two):
    assert one.labels.dtype == two.labels.dtype
    assert (one.labels == two.labels).all()
    assert one.accepted == two.accepted
    assert one.classes == two.classes
    assert one.engine == two.engine
    assert one.overlap == two.overlap
    for displayed in [(1, 2), (0, 2), (0, 1)]:
        assert one.painted_slices(displayed) == two.painted_slices(displayed)
        for slice_index in one.painted_slices(displayed):
            assert (one.painted(slice_index) == two.painted(slice_index)).all()


def test_a_session_goes_on_where_it_was(worked, volume, make_engine, tmp_path, painted):
    path = tmp_path / "a.scribseg"
    worked.save(path)
    session = Session.load(path, volume, make_engine=make_engine)
    assert_same(worked, session)
    assert not session.can_undo
    slice_index = SliceIndex((1, 2), (1,))
    for s in (worked, session):
        s.clear(slice_index)
    assert_same(worked, session)
    with pytest.raises(InputError, match="accepted"):
        session.draw(painted, SliceIndex((1, 2), (0,))).result()


def test_a_replay_gives_the_same_labels(worked, volume, make_engine, tmp_path):
    path = tmp_path / "a.scribseg"
    worked.save(path)
    again = Session.replay(path, volume, make_engine=make_engine)
    assert_same(worked, again)
    session = Session.load(path, volume, make_engine=make_engine)
    session.draw(worked.painted(SliceIndex((1, 2), (3,)))[:, ::-1], SliceIndex((1, 2), (3,)))
    session.save(path)
    assert_same(session, Session.replay(path, volume, make_engine=make_engine))
    again.save(tmp_path / "b.scribseg")
    assert_same(again, Session.load(tmp_path / "b.scribseg", volume, make_engine=make_engine))


def test_a_replay_may_use_another_device(volume, engines, painted, tmp_path):
    devices = []

    @dataclass(frozen=True)
    class Noting(engines["nearest"]):
        def prepare(self, image, device="auto"):
            devices.append(device)
            return super().prepare(image, device)

    session = Session(volume, Noting(), device="cuda")
    session.draw(painted, 0)
    session.save(tmp_path / "a")
    again = Session.replay(tmp_path / "a", volume, device="cpu", make_engine=lambda name, **p: Noting(**p))
    assert devices == ["cuda", "cpu"]
    assert (again.labels == session.labels).all()


def test_a_replay_really_computes(worked, steps, make_engine, tmp_path):
    path = tmp_path / "a.scribseg"
    worked.save(path)
    other = steps.copy()
    other[0, 0, 0] = 55
    with pytest.raises(InputError, match="differs"):
        Session.replay(path, Source.from_array(other), make_engine=make_engine)
    calls = []

    def counted(name, **parameters):
        calls.append(name)
        return make_engine(name, **parameters)

    Session.replay(path, Source.from_array(steps), make_engine=counted)
    assert len(calls) >= 2


def test_the_state_of_warm_starts_is_bounded_without_changing_a_replay(volume, engines, make_engine, painted, tmp_path):
    session = Session(volume, engines["nearest"](trail=True), state_bytes=3000)
    strokes = painted.copy()
    for i in range(12):
        strokes[i, i] = 2 - i % 2
        session.draw(strokes, i % 3)
    session.save(tmp_path / "a")
    assert_same(session, Session.replay(tmp_path / "a", volume, make_engine=make_engine))


def test_a_volume_of_another_shape_is_refused(worked, tmp_path, make_engine):
    worked.save(tmp_path / "a")
    with pytest.raises(InputError, match=r"\(6, 12, 16\).*\(6, 12, 17\)"):
        Session.load(tmp_path / "a", Source.from_array(np.zeros((6, 12, 17))), make_engine=make_engine)
    with pytest.raises(InputError, match="does not name its image"):
        Session.load(tmp_path / "a", make_engine=make_engine)


def test_an_engine_that_is_gone(worked, volume, tmp_path, engines):
    def gone(name, **parameters):
        raise InputError(f"there is no engine {name!r}")

    worked.save(tmp_path / "a")
    with pytest.raises(InputError, match="no engine"):
        Session.load(tmp_path / "a", volume, make_engine=gone)
    session = Session.load(tmp_path / "a", volume, engine=engines["nearest"](), make_engine=gone)
    assert (session.labels == worked.labels).all()
    session.save(tmp_path / "b")
    with pytest.raises(InputError, match="no engine"):
        Session.replay(tmp_path / "b", volume, make_engine=gone)


def test_a_parameter_without_a_place_in_the_file(volume, tmp_path, engines):
    @dataclass(frozen=True)
    class Odd(engines["nearest"]):
        info: ClassVar[EngineInfo] = EngineInfo("odd", "Odd", "")
        table: Any = None

    with pytest.raises(InputError, match="'table' of the engine 'odd' is a dict"):
        Session(volume, Odd(table={})).save(tmp_path / "a")
    session = Session(volume, Odd(table=(1, (2.5, "x"), np.float32(1))))
    session.save(tmp_path / "a")
    loaded = Session.load(tmp_path / "a", volume, make_engine=lambda name, **p: Odd(**p))
    assert loaded.engine == session.engine


def test_what_is_not_a_session(volume, tmp_path, worked, make_engine):
    def refused(path, words):
        with pytest.raises(InputError, match=words) as caught:
            Session.load(path, volume, make_engine=make_engine)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    refused(tmp_path / "missing", "No such file")
    refused(tmp_path, "cannot be read")
    (tmp_path / "text").write_text("hello")
    refused(tmp_path / "text", "not a session")
    (tmp_path / "empty").write_bytes(b"")
    refused(tmp_path / "empty", "not a session")
    with (tmp_path / "foreign").open("wb") as file:
        np.savez(file, a=np.zeros(3))
    refused(tmp_path / "foreign", "not a session")
    with (tmp_path / "pickle").open("wb") as file:
        np.savez(file, header=np.array([{}], object), pieces=np.zeros(0, np.uint8))
    refused(tmp_path / "pickle", "damaged")
    with (tmp_path / "bomb").open("wb") as file:
        np.savez_compressed(file, header=np.zeros(10**7, np.uint8), pieces=np.zeros(0, np.uint8))
    refused(tmp_path / "bomb", "larger than the file")


def _parts(path):
    with zipfile.ZipFile(path) as archive, archive.open("header.npy") as h, archive.open("pieces.npy") as p:
        return json.loads(np.lib.format.read_array(h).tobytes()), np.lib.format.read_array(p)


def _put(path, header, pieces):
    with path.open("wb") as file:
        np.savez(file, header=np.frombuffer(json.dumps(header).encode(), np.uint8), pieces=pieces)


def test_newer_and_damaged_files(worked, volume, tmp_path, make_engine):
    path = tmp_path / "a"
    worked.save(path)
    header, pieces = _parts(path)
    assert header["format"] == FORMAT.name

    def refused(words, pieces=pieces, **changes):
        _put(tmp_path / "b", {**header, **changes}, pieces)
        with pytest.raises(InputError, match=words) as caught:
            Session.load(tmp_path / "b", volume, make_engine=make_engine)
        assert str(tmp_path / "b") in str(caught.value)

    refused("newer version", version=99)
    refused("damaged", version="x")
    refused("not a session", format="something")
    refused("damaged", pieces=pieces[:50])
    refused("damaged", pieces=np.zeros_like(pieces))
    for key in header:
        if key not in ("format", "source", "plane", "spacing"):
            refused("damaged|not a session", **{key: None})
    refused("damaged", shape=[6, 12])
    refused("damaged", shape=[6, 12, 10**30])
    run = next(e for e in header["entries"] if e[1] == "run")
    for field, value in [(1, "what"), (2, [[1, 2], [99]]), (3, [0, 99, 0, 1, "uint8", 0, 5]), (4, None), (5, [99] * 7)]:
        bad = [*run]
        bad[field] = value
        refused("damaged", entries=[bad])
    refused("damaged", entries=header["entries"][::-1])
    refused("damaged", strokes={**header["strokes"], "count": 10**15})
    refused("damaged", shape=[6])
    refused("damaged", engines=[])


@pytest.mark.parametrize(
    ("part", "value"),
    [(0, 99), (0, -1), (2, "mixed"), (3, None), (4, 0), (4, 2**31), (5, 3), (6, "x")],
    ids=lambda value: str(value),
)
def test_a_damaged_recipe_of_a_result_is_refused(worked, volume, tmp_path, make_engine, part, value):
    worked.save(tmp_path / "a")
    header, pieces = _parts(tmp_path / "a")
    run = next(entry for entry in header["entries"] if entry[1] == "run")
    run[5][part] = value
    _put(tmp_path / "b", header, pieces)
    with pytest.raises(InputError, match=r"b is damaged") as caught:
        Session.load(tmp_path / "b", volume, make_engine=make_engine)
    assert "\n" not in str(caught.value)


def _saved_with_an_image(tmp_path, engines, painted):
    """The path of a session on an image file, both in a folder of their own."""
    folder = tmp_path / "then"
    folder.mkdir()
    values = np.arange(16 * 12 * 6, dtype=np.int16).reshape(16, 12, 6)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "image.nii")
    session = Session(read_volume(folder / "image.nii"), engines["nearest"]())
    session.draw(painted, 0)
    session.save(folder / "a")
    return folder / "a"


def test_the_image_of_a_session_is_found_beside_it_once_both_are_moved(tmp_path, engines, make_engine, painted):
    path = _saved_with_an_image(tmp_path, engines, painted)
    here = Session.load(path, make_engine=make_engine)
    path.parent.rename(tmp_path / "now")
    moved = Session.load(tmp_path / "now" / "a", make_engine=make_engine)
    assert moved.volume.path == str(tmp_path / "now" / "image.nii")
    for session in (here, moved):
        assert (session.painted(0) == painted).all()
        assert session.labels.any()


def test_a_session_whose_image_is_gone_names_it(tmp_path, engines, make_engine, painted):
    path = _saved_with_an_image(tmp_path, engines, painted)
    (path.parent / "image.nii").unlink()
    with pytest.raises(InputError, match=r"the image .*image\.nii of .*a is not there any more; give the volume"):
        Session.load(path, make_engine=make_engine)


def test_a_session_on_an_array_needs_its_volume(worked, tmp_path, make_engine):
    worked.save(tmp_path / "a")
    with pytest.raises(InputError, match="a does not name its image; give the volume"):
        Session.load(tmp_path / "a", make_engine=make_engine)


def test_every_flipped_byte_is_noticed_or_harmless(worked, volume, tmp_path, make_engine):
    path = tmp_path / "a"
    worked.save(path)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(content), 60):
        damaged = bytearray(content)
        damaged[at] ^= 0x41
        (tmp_path / "b").write_bytes(damaged)
        try:
            session = Session.load(tmp_path / "b", volume, make_engine=make_engine)
        except InputError:
            continue
        assert (session.labels == worked.labels).all()
    for length in rng.integers(0, len(content), 20):
        (tmp_path / "b").write_bytes(content[:length])
        with pytest.raises(InputError):
            Session.load(tmp_path / "b", volume, make_engine=make_engine)


def test_a_failed_save_leaves_the_old_file(worked, tmp_path, monkeypatch):
    path = tmp_path / "a"
    worked.save(path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ContainerWriter, "_write", full)
        with pytest.raises(InputError, match="No space left"):
            worked.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    with pytest.raises(InputError, match="cannot be saved"):
        worked.save(tmp_path / "no" / "folder")


def test_the_sidecar_follows(volume, engines, make_engine, painted, tmp_path):
    path = tmp_path / "side"
    session = Session(volume, engines["nearest"](), sidecar=path)
    assert not path.exists()
    session.draw(painted, 0)
    session.flush()
    crashed = Session.load(path, volume, make_engine=make_engine)
    assert_same(session, crashed)
    session.close()
    with pytest.raises(InputError, match="exists"):
        Session(volume, engines["nearest"](), sidecar=path)
    (tmp_path / "other").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        Session.load(path, volume, sidecar=tmp_path / "other", make_engine=make_engine)
    resumed = Session.load(path, volume, sidecar=path, make_engine=make_engine)
    resumed.draw(painted, 1)
    resumed.accept(1)
    resumed.close()
    assert_same(resumed, Session.load(path, volume, make_engine=make_engine))


def test_saves_are_spaced_and_closing_saves_the_rest(volume, engines, make_engine, painted, tmp_path, monkeypatch):
    monkeypatch.setattr(autosave, "EVERY", 1e9)
    path = tmp_path / "side"
    session = Session(volume, engines["nearest"](), sidecar=path)
    session.draw(painted, 0)
    session.flush()
    first = path.read_bytes()
    session.draw(painted, 1)
    assert path.read_bytes() == first
    session.flush()
    assert path.read_bytes() != first
    session.draw(painted, 2)
    session.close()
    assert_same(session, Session.load(path, volume, make_engine=make_engine))


def test_a_sidecar_that_cannot_be_written_is_reported_once(volume, engines, painted, tmp_path):
    hints = []
    session = Session(volume, engines["nearest"](), sidecar=tmp_path / "no" / "side")
    session.events.hint.connect(hints.append)
    for z in range(3):
        assert session.draw(painted, z).result().final
        session.flush()
    assert len(hints) == 1
    assert "cannot be saved" in hints[0]
    (tmp_path / "no").mkdir()
    session.close()
    assert (tmp_path / "no" / "side").exists()


def test_the_sidecar_is_written_while_a_worker_works(volume, engines, make_engine, painted, tmp_path, monkeypatch):
    monkeypatch.setattr(autosave, "EVERY", 0.0)
    inbox = Inbox()
    path = tmp_path / "side"
    with ThreadPoolExecutor(1) as executor:
        session = Session(volume, engines["nearest"](), executor=executor, deliver=inbox.deliver, sidecar=path)
        for z in range(4):
            inbox.wait(session.draw(painted, z), 120)
        session.close()
    inbox.run()
    assert_same(session, Session.load(path, volume, make_engine=make_engine))
    assert [p.name for p in tmp_path.iterdir()] == ["side"]


def test_the_file_of_a_large_volume_is_small(engines, tmp_path):
    volume = Source.from_array(np.broadcast_to(np.arange(256, dtype=np.int16), (600, 256, 256)))
    session = Session(volume, engines["nearest"]())
    strokes = np.zeros((256, 256), np.uint8)
    strokes[20:200, 40:44], strokes[20:200, 200:204] = 1, 2
    for z in range(0, 600, 10):
        session.draw(strokes, z)
    session.save(tmp_path / "a")
    assert (tmp_path / "a").stat().st_size < 200_000


def test_an_image_that_differs_is_reported(worked, steps, make_engine, tmp_path, recwarn):
    worked.save(tmp_path / "a")
    Session.load(tmp_path / "a", worked.volume, make_engine=make_engine)
    assert not recwarn.list
    other = steps.copy()
    other[3, 0, 0] = 55  # in z 3, and in no slice along y
    with pytest.warns(UserWarning, match=r"differs on 1 of the \d+ slices that were segmented .first z 3"):
        session = Session.load(tmp_path / "a", Source.from_array(other, spacing=(3, 1, 1)), make_engine=make_engine)
    assert (session.labels == worked.labels).all()
    with pytest.warns(UserWarning, match=r"measure 1 x 1 x 1 and measured 3 x 1 x 1"):
        Session.load(tmp_path / "a", Source.from_array(steps), make_engine=make_engine)


def test_an_image_that_differs_is_reported_by_a_hint_where_one_listens(
    worked, steps, make_engine, tmp_path, monkeypatch
):
    monkeypatch.setattr(compare, "PATIENCE", 0.0)  # slice by slice
    worked.save(tmp_path / "a")
    inbox, hints = Inbox(), []
    with ThreadPoolExecutor(1) as executor:
        session = Session.load(
            tmp_path / "a", Source.from_array(steps + 1, spacing=(3, 1, 1)), make_engine=make_engine,
            executor=executor, deliver=inbox.deliver,
        )  # fmt: skip
        session.events.hint.connect(hints.append)
        inbox.wait(session.draw(np.eye(12, 16, dtype=np.uint8) + 1, SliceIndex((1, 2), (5,))), 120)
        while not hints:
            inbox.run()
        closed = Session.load(
            tmp_path / "a", worked.volume, make_engine=make_engine, executor=executor, deliver=inbox.deliver
        )
        closed.close()
    inbox.run()
    assert len(hints) == 1
    assert "this is not the image that the strokes were painted on" in hints[0]


def test_a_session_file_is_as_readable_as_any_other_and_a_link_stays_one(worked, tmp_path):
    (tmp_path / "plain").touch()
    worked.save(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "link").symlink_to(tmp_path / "a")
    worked.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()


def test_an_autosave_that_breaks_is_reported_and_tried_again(volume, engines, painted, tmp_path, monkeypatch):
    hints = []
    session = Session(volume, engines["nearest"](), sidecar=tmp_path / "side")
    session.events.hint.connect(hints.append)

    def broken(*_args, **_more):
        raise MemoryError("none left")

    with monkeypatch.context() as patch:
        patch.setattr(ContainerWriter, "_write", broken)
        session.draw(painted, 0)
        session.flush()
    assert "MemoryError" in hints[0]
    session.close()
    assert (tmp_path / "side").exists()


def test_two_sessions_do_not_work_on_one_file(volume, engines, make_engine, painted, tmp_path):
    path = tmp_path / "side"
    first = Session(volume, engines["nearest"](), sidecar=path)
    with pytest.raises(InUseError, match="another session; name another file to work on a copy"):
        Session(volume, engines["nearest"](), sidecar=path)
    first.draw(painted, 0)
    first.flush()
    (tmp_path / "link").symlink_to(path)
    for name in ("side", "link"):
        with pytest.raises(InUseError, match="another session"):
            Session.load(path, volume, sidecar=tmp_path / name, make_engine=make_engine)
    copy = Session.load(path, volume, sidecar=tmp_path / "copy", make_engine=make_engine)
    with pytest.raises(InUseError, match="another session"):
        copy.save(path)
    copy.draw(painted, 1)
    copy.close()
    first.draw(painted, 2)
    first.save(path)  # its own
    first.draw(painted, 3)
    first.close()
    assert [p.position for p in Session.load(path, volume, make_engine=make_engine).painted_slices()] == [
        (0,), (2,), (3,),
    ]  # fmt: skip
    back = Session.load(tmp_path / "copy", volume, sidecar=tmp_path / "copy", make_engine=make_engine)
    assert [p.position for p in back.painted_slices()] == [(0,), (1,)]
    back.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy", "link", "side"]


def test_a_session_of_another_process_holds_its_file_until_it_is_killed(volume, engines, make_engine, tmp_path):
    path = tmp_path / "side"
    code = f"""
import sys, numpy as np
from napari_scribseg.annotate import Session
from napari_scribseg.core import Source
session = Session(Source.from_array(np.zeros((6, 12, 16), np.int16)), sidecar={str(path)!r})
session.draw(np.eye(12, 16, dtype=np.uint8), 0)
session.flush()
print("ready", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "ready\n"
        with pytest.raises(InUseError, match="another session"):
            Session.load(path, volume, sidecar=path, engine=engines["nearest"]())
        child.kill()
    session = Session.load(path, volume, sidecar=path, engine=engines["nearest"]())
    assert session.painted(0).any()
    session.close()
    assert [p.name for p in tmp_path.iterdir()] == ["side"]


def test_a_session_that_cannot_be_loaded_lets_its_file_go(worked, volume, engines, tmp_path):
    worked.save(tmp_path / "a")
    with pytest.raises(InputError, match="there is no engine") as kept:
        Session.load(tmp_path / "a", volume, sidecar=tmp_path / "a")
    Session.load(tmp_path / "a", volume, sidecar=tmp_path / "a", engine=engines["nearest"]()).close()
    with pytest.raises(InputError, match="exists; continue") as again:
        Session(volume, engines["nearest"](), sidecar=tmp_path / "a")
    assert not is_in_use(tmp_path / "a")
    assert kept is not again


def test_a_session_without_references_releases_its_file(volume, engines, tmp_path):
    session = Session(volume, engines["nearest"](), sidecar=tmp_path / "side")
    assert is_in_use(tmp_path / "side")
    del session
    gc.collect()
    assert not is_in_use(tmp_path / "side")
    Session(volume, engines["nearest"](), sidecar=tmp_path / "side").close()


@pytest.fixture
def trusting(engines):
    """An engine that runs code where it is trusted."""

    @dataclass(frozen=True)
    class Trusting(engines["nearest"]):
        info: ClassVar[EngineInfo] = EngineInfo("trusting", "Trusting", "")
        model: str = ""
        trust: bool = False

        def segment(self, image, scribbles, state, report=silent):
            if not self.trust:
                raise InputError(f"{self.model} is a function; say trust=True")
            return super().segment(image, scribbles, state, report)

    return Trusting


def test_trust_is_never_stored_and_requested_again(volume, painted, trusting, tmp_path):
    path = tmp_path / "a"
    session = Session(volume, trusting(model="os:abort", trust=True))
    session.draw(painted, 0)
    session.use(trusting(model="os:_exit", trust=True))
    session.draw(painted, 0)
    session.save(path)
    header, pieces = _parts(path)
    assert [e["parameters"]["trust"] for e in header["engines"]] == [False] * 3
    for engine in header["engines"]:
        engine["parameters"]["trust"] = True  # a file from somebody else
    _put(path, header, pieces)

    def load(**options):
        return Session.load(path, volume, make_engine=lambda name, **p: trusting(**p), **options)

    loaded = load()
    assert loaded.engine == trusting(model="os:_exit")
    assert (loaded.labels == session.labels).all()
    with pytest.raises(InputError, match="say trust=True"):
        loaded.draw(painted, 1).result()
    assert load(trust=True).draw(painted, 1).result().final
    with pytest.raises(InputError, match="say trust=True"):
        Session.replay(path, volume, make_engine=lambda name, **p: trusting(**p))
    again = Session.replay(path, volume, make_engine=lambda name, **p: trusting(**p), trust=True)
    assert (again.labels == session.labels).all()


@pytest.mark.parametrize("trust", [True, 1, "yes"])
def test_a_factory_in_a_session_file_is_not_called(volume, engines, painted, tmp_path, trust):
    session = Session(volume, engines["nearest"]())
    session.draw(painted, 0)
    session.save(tmp_path / "a")
    header, pieces = _parts(tmp_path / "a")
    header["engines"][-1] = {"name": "brs", "parameters": {"model": "os:abort", "trust": trust}}
    _put(tmp_path / "a", header, pieces)
    loaded = Session.load(tmp_path / "a", volume)
    with pytest.raises(InputError, match="os:abort is a function.*trust=True"):
        loaded.draw(painted, 1).result()


def test_a_file_that_grows_and_shrinks_is_whole_each_time(volume, engines, make_engine, painted, tmp_path):
    old = np.zeros((6, 12, 16), np.uint8)
    old[4, :3] = 7
    session = Session(volume, engines["nearest"](), labels=old, sidecar=tmp_path / "side")
    rng = np.random.default_rng(1)

    def agrees():
        session.flush()
        again = Session.load(tmp_path / "side", volume, make_engine=make_engine)
        session.save(tmp_path / "whole")
        assert_same(session, again)
        assert (tmp_path / "side").read_bytes() == (tmp_path / "whole").read_bytes()

    for step in range(40):
        what = rng.integers(5)
        if what == 0:
            session.undo()
        elif what == 1:
            session.redo()
        else:
            strokes = painted.copy()
            strokes[rng.integers(12), rng.integers(16)] = 1 + step % 2
            session.draw(strokes, int(rng.integers(6)))
        if rng.random() < 0.7:
            agrees()
    session.close()
    agrees()


def test_a_writer_that_writes_again_points_to_what_is_in_the_file(volume, engines, painted, tmp_path):
    session = Session(volume, engines["nearest"](), sidecar=tmp_path / "again")
    for index in (0, 1, 0, 2):
        painted[0, index] = 1
        session.draw(painted, index)
        session.flush()
        session.device = session.device  # to be saved once more, with the same content
        session.flush()
        session.save(tmp_path / "once")
        again, once = read(tmp_path / "again"), read(tmp_path / "once")
        for mine, other in zip(again.strokes.voxels(), once.strokes.voxels(), strict=True):
            assert (mine == other).all()
        pairs = [(e.labels, o.labels) for e, o in zip(again.entries, once.entries, strict=True)]
        assert all(mine.values == other.values for mine, other in pairs if mine is not None)


def test_a_session_file_names_who_did_what_and_when(volume, engines, make_engine, painted, tmp_path):
    session = Session(volume, engines["nearest"]())
    session.annotator = "anna"
    session.draw(painted, 0)
    session.accept(0)
    session.save(tmp_path / "s")
    again = Session.load(tmp_path / "s", volume, make_engine=make_engine)
    again.annotator = "ben"
    again.draw(painted, 1)
    again.save(tmp_path / "s")
    entries = read(tmp_path / "s").entries
    assert [(entry.kind, entry.by) for entry in entries] == [("run", "anna"), ("accept", "anna"), ("run", "ben")]
    times = [entry.at for entry in entries]
    assert times == sorted(times)
    assert times[0] > 1.7e9


def test_entries_of_earlier_versions_name_nobody(worked, volume, tmp_path):
    worked.save(tmp_path / "s")

    header, pieces = _parts(tmp_path / "s")
    _put(tmp_path / "s", {**header, "version": 4, "entries": [entry[:10] for entry in header["entries"]]}, pieces)
    entries = read(tmp_path / "s").entries
    assert entries
    assert {(entry.by, entry.at) for entry in entries} == {("", 0.0)}
