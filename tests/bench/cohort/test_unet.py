"""The plain U-Net beside learning."""

import numpy as np
import pytest

from napari_scribseg.annotate import Session
from napari_scribseg.bench.cohort.cohorts import open_cohort
from napari_scribseg.bench.cohort.judging import mean_dice
from napari_scribseg.bench.cohort.unet import train_plain_unet
from napari_scribseg.bench.cohort.work import source_of
from napari_scribseg.core import InputError, silent
from napari_scribseg.learn import examples_of

pytest.importorskip("monai")


def accepted(cohort, name):
    task = cohort.task(name)
    session = Session(source_of(task), "svcd", classes=cohort.classes)
    for index, truth in enumerate(task.truth):
        session.edit(truth, index)
        session.accept(index)
    return examples_of(session, name)


def test_it_learns_what_was_accepted(volumes):
    cohort = open_cohort(volumes(3))
    examples = [example for name in ("c0", "c1") for example in accepted(cohort, name)]
    network = train_plain_unet(examples, cohort.classes, steps=50)
    task = cohort.task("c2")
    source = source_of(task)
    drafts = list(network.draft(source, list(source.slices()), silent))
    assert [draft.slice_index for draft in drafts] == list(source.slices())
    labels = np.stack([draft.labels for draft in drafts])
    assert mean_dice(labels, task.truth, 3) > 0.6
    assert all(draft.certainty.min() > 0 and draft.certainty.max() <= 1.0001 for draft in drafts)


def test_it_needs_accepted_slices(cohort):
    with pytest.raises(InputError, match="no slice was accepted"):
        train_plain_unet([], cohort().classes, steps=1)
