"""A project learns from its cases, and drafts the next one."""

import nibabel
import numpy as np
import pytest
from two_discs import QUICK, volume_of

from napari_scribseg.core import ClassTable, InputError
from napari_scribseg.io.lock import FileLock
from napari_scribseg.learn import LearnSettings, Project
from napari_scribseg.numerics.comparison import overlap

SHORT = LearnSettings(steps=4, again=3, batch=2, side=32)
CLASSES = ClassTable.from_ids([2, 5], background=1)


def write(folder, seed):
    source, labels = volume_of(seed)
    image = nibabel.Nifti1Image(source.array.T, np.diag([0.5, 0.5, 3.0, 1.0]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, folder / f"discs{seed}.nii.gz")
    return folder / f"discs{seed}.nii.gz", labels


@pytest.fixture
def taught(tmp_path):
    """A project of three volumes with discs, the first of which is finished; and their labels."""
    project = Project.create(tmp_path / "project", CLASSES, engine="svcd", annotator="anna")
    truths = {}
    for seed in range(3):
        path, labels = write(tmp_path, seed)
        truths[project.add_image(path).name] = labels
    with_labels(project, "discs0", truths["discs0"])
    return project, truths


def with_labels(project, name, labels):
    session = project.annotate(name)
    for index, values in enumerate(labels):
        session.edit(values.astype(np.uint8), index)
    project.finish(session)
    session.close()


def test_the_next_case_opens_with_a_draft(taught):
    project, truths = taught
    seen = []
    network = project.learn(lambda done, preview=None: seen.append(done), settings=QUICK)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)
    assert network.card.cases == ("discs0",)
    assert project.network().checksum == network.checksum
    assert [path.name for path in project.network_files()] == ["0001.safetensors"]
    assert project.case("discs1").state == "new"
    assert len(project.draft("discs1")) == 8
    assert project.case("discs1").state == "drafted"
    assert project.status().states == {"new": 1, "drafted": 1, "started": 0, "finished": 1}
    session = project.annotate("discs1")
    for identity in (2, 5):
        assert overlap(session.labels == identity, truths["discs1"] == identity)[0] > 0.8
    session.close()
    place = project.next()
    assert place.case == "discs1"
    assert 0 < place.doubt < 1


def test_it_goes_on_from_the_last_network_while_the_classes_are_the_same(taught):
    project, truths = taught
    first = project.learn(settings=SHORT)
    with_labels(project, "discs1", truths["discs1"])
    second = project.learn(settings=SHORT)
    assert second.card.cases == ("discs0", "discs1")
    assert second.card.steps > first.card.steps
    project.classes = project.classes.with_ids([7])
    third = project.learn(settings=SHORT)
    assert len(third.ids) == 4
    assert third.card.steps < second.card.steps
    assert project.network().checksum == third.checksum
    content = project.network_files()[-1].read_bytes()
    for number in range(4, 8):
        (project.networks_folder / f"{number:04d}.safetensors").write_bytes(content)
    project.learn(settings=SHORT)
    assert [path.stem for path in project.network_files()] == ["0004", "0005", "0006", "0007", "0008"]


def test_an_open_case_is_learned_from_as_it_was_saved(taught):
    project, truths = taught
    session = project.annotate("discs1")
    session.edit(truths["discs1"][3].astype(np.uint8), 3)
    session.accept(3)
    session.flush()
    assert project.learn(settings=SHORT).card.cases == ("discs0", "discs1")
    session.close()


def test_bad_input_is_refused(taught, tmp_path):
    project, _ = taught
    with pytest.raises(InputError, match="no network was learned"):
        project.draft("discs1")
    empty = Project.create(tmp_path / "empty", ["a"], engine="svcd")
    with pytest.raises(InputError, match="there is nothing to learn from"):
        empty.learn()
    (project.networks_folder / "learning").mkdir(parents=True)
    lock = FileLock(project.networks_folder / "learning" / "lock")
    with pytest.raises(InputError, match="another program learns in"):
        project.learn(settings=SHORT)
    lock.release()
