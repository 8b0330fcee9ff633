"""A network learns classes from accepted slices and strokes, and goes on from where it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from two_discs import CLASSES, QUICK, examples_from, volume_of

from napari_scribseg.annotate import Session
from napari_scribseg.core import Cancelled, ClassTable, InputError, silent
from napari_scribseg.core.source import Source
from napari_scribseg.learn import LearnedNetwork, LearnSettings, examples_of, learn
from napari_scribseg.learn.agreement import Agreement, agreement_of
from napari_scribseg.learn.beginning import beginning, with_classes
from napari_scribseg.learn.crops import IGNORED, CropSource, prepared
from napari_scribseg.learn.training import learning_loss
from napari_scribseg.nets import load_shipped
from napari_scribseg.prompting import network_input


def dice(drafted, labels, identity):
    one, other = drafted == identity, labels == identity
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def drafts(network, source):
    return np.stack([draft.labels for draft in network.draft(source, list(source.slices()), silent)])


class StopAtError(Exception):
    pass


def stop_after(count):
    calls = []

    def report(fraction, preview=None):
        calls.append(fraction)
        if len(calls) > count:
            raise StopAtError

    return report


# examples


def session_of(seed=0):
    source, labels = volume_of(seed)
    session = Session(source, "svcd", classes=CLASSES)
    for index in (1, 4):
        session.edit(labels[index].astype(np.uint8), index)
        session.accept(index)
    return session, labels


def test_accepted_slices_are_examples_as_a_whole_and_strokes_elsewhere():
    session, labels = session_of()
    painted = np.zeros(labels.shape[1:], np.uint8)
    painted[2, 3:20], painted[20, 12:16] = 1, 2
    session.draw(painted, 6)
    first, second, third = examples_of(session, "patient")
    assert [e.slice_index.position[0] for e in (first, second, third)] == [1, 4, 6]
    assert [e.accepted for e in (first, second, third)] == [True, True, False]
    assert (first.labels == labels[1]).all()
    assert (third.labels[2, 3:20] == 0).all()  # strokes of the background
    assert (third.labels[20, 12:16] == 2).all()
    assert (third.labels >= 0).sum() == 21
    assert first.spacing == (0.5, 0.5)
    assert first.case == "patient"


def test_a_slice_stands_between_its_neighbours_on_the_scale_of_the_volume():
    session, _ = session_of()
    example = examples_of(session)[0]
    values = np.asarray(session.volume.array)
    assert example.image.shape == (3, 40, 48)
    assert -1 <= example.image.min() < example.image.max() <= 1
    inside = np.abs(example.image) < 1
    for channel, index in enumerate((0, 1, 2)):
        at = inside[channel]
        assert np.corrcoef(example.image[channel][at], values[index][at])[0, 1] > 0.9999


def test_the_first_slice_stands_in_for_its_missing_neighbour():
    session, labels = session_of()
    session.edit(labels[0].astype(np.uint8), 0)
    session.accept(0)
    image = examples_of(session)[0].image
    assert (image[0] == image[1]).all()
    assert (image[1] != image[2]).any()


def test_colours_keep_three_channels_a_slice():
    picture = np.random.default_rng(0).integers(0, 255, (20, 24, 3)).astype(np.uint8)
    session = Session(Source.from_array(picture, channels=True), "svcd", classes=CLASSES)
    session.accept()
    (example,) = examples_of(session)
    assert example.image.shape == (9, 20, 24)
    assert (example.image[:3] == example.image[3:6]).all()


# the beginning


def test_the_first_layer_sees_the_slice_as_it_saw_a_picture_without_strokes():
    base = load_shipped("scribble-net")[0].eval()
    examples = examples_from(0)
    network = beginning(examples, CLASSES)
    image = torch.from_numpy(examples[3].image)[None]
    picture = image[:, 1:2].repeat(1, 3, 1, 1)
    strokes = network_input(picture, torch.zeros(1, *image.shape[-2:]), None, 11)
    strokes[:, 10] = (picture[:, 0] + 1) / 2  # the equalised brightness becomes the brightness

    def first(model, x):
        return model.down[0][0](torch.nn.functional.pixel_unshuffle(x, 2))

    with torch.no_grad():
        then, now = first(base, strokes)[..., 1:-1, 1:-1], first(network.model, image)[..., 1:-1, 1:-1]
    difference = now - then
    assert (difference - difference.mean((2, 3), keepdim=True)).abs().max() < 1e-4  # batch norm takes a constant away
    neighbours = image.clone()
    neighbours[:, [0, 2]] = 0.3
    with torch.no_grad():
        assert torch.allclose(first(network.model, image), first(network.model, neighbours), atol=1e-6)


def test_the_resolution_follows_from_the_size_of_the_regions():
    examples = examples_from(0)
    small = beginning(examples, CLASSES).card.spacing
    wide = [
        replace(e, labels=e.labels.repeat(4, 0).repeat(4, 1), image=e.image.repeat(4, 1).repeat(4, 2)) for e in examples
    ]
    assert small == pytest.approx(0.25)  # 15 pixels of 0.5: twice as fine
    assert 0.5 < beginning(wide, CLASSES).card.spacing <= 1.0


def test_classes_that_a_network_knows_keep_their_outputs(learned):
    more = with_classes(learned, ClassTable.from_ids([1, 3, 5, 2], background=1))
    assert more.ids == (0, 3, 5, 2)
    image = examples_from(3)[0].image
    x = torch.from_numpy(image)[None]
    with torch.no_grad():
        before, after = learned.model(x), more.model.eval()(x)
    assert torch.allclose(after[:, [0, 2, 3]], before[:, [0, 2, 1]], atol=1e-5)


# crops and the loss


def test_crops_have_classes_and_nothing_beyond_the_rim():
    network = beginning(examples_from(0), CLASSES)
    crops = CropSource([prepared(e, network) for e in examples_from(0)], mirrored=False, side=64)
    images, targets = crops.batch(16, np.random.default_rng(0))
    assert images.shape == (16, 3, 64, 64)
    assert images.dtype == torch.float32
    assert -1 <= images.min() < images.max() <= 1
    assert set(targets.unique().tolist()) == {IGNORED, 0, 1, 2}
    again = crops.batch(16, np.random.default_rng(0))
    assert (again[0] == images).all()


def test_no_stroke_is_lost_on_a_coarser_grid():
    labels = np.full((64, 64), -1, np.int32)
    labels[10, 10], labels[40, 41:43] = 2, 0
    example = replace(examples_from(0)[0], labels=labels, image=np.zeros((3, 64, 64), np.float32), accepted=False)
    network = beginning(examples_from(0), CLASSES).with_card(spacing=2.0)
    targets = prepared(example, network).targets
    assert targets.shape == (16, 16)
    assert sorted(targets[targets != IGNORED].tolist()) == [0, 1]


def test_pixels_that_nobody_labelled_do_not_count():
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    targets = torch.full((2, 8, 8), IGNORED)
    targets[0, 2], targets[1, 3] = 1, 2
    changed = logits.clone()
    changed[0, :, 4:] = 5.0
    assert learning_loss(logits, targets) == learning_loss(changed, targets)
    changed[0, 1, 2] = 9.0
    assert learning_loss(changed, targets) < learning_loss(logits, targets)
    assert torch.isfinite(learning_loss(logits, torch.full_like(targets, IGNORED)))


# learning


def test_it_drafts_an_image_that_it_has_not_seen(learned):
    source, labels = volume_of(7)
    drafted = drafts(learned, source)
    assert dice(drafted, labels, 2) > 0.7
    assert dice(drafted, labels, 5) > 0.7
    assert set(np.unique(drafted)) <= {0, 2, 5}


def test_the_card_states_what_it_learned_from_and_how_well_it_agrees(learned):
    card = learned.card
    assert (card.examples, card.cases, card.steps) == (8, ("case 0",), 180)
    assert card.agreement.slices == 2
    assert set(card.agreement.dice) == {2, 5}
    assert 0.3 < card.agreement.mean <= 1
    percent = f"{100 * card.agreement.mean:.0f}"
    assert str(card.agreement) == f"drafts agree {percent} % with 2 slices you accepted that it had not seen"


def test_going_on_measures_what_is_new_and_keeps_what_was_learned(learned):
    state = {name: value.clone() for name, value in learned.model.state_dict().items()}
    network = learn([*examples_from(0), *examples_from(4, 3)], CLASSES, start=learned, settings=QUICK)
    assert network.card.steps == 210
    assert network.card.cases == ("case 0", "case 4")
    assert network.card.agreement.slices == 3
    assert network.card.agreement.mean > 0.7
    assert all((value == state[name]).all() for name, value in learned.model.state_dict().items())
    assert any((value != state[name]).any() for name, value in network.model.state_dict().items())


def test_of_few_slices_none_is_left_out():
    network = learn(examples_from(0, 3), CLASSES, settings=replace(QUICK, steps=3))
    assert network.card.agreement is None


def test_strokes_alone_are_learned_from():
    examples = []
    for example in examples_from(0):
        labels = np.full_like(example.labels, -1)
        labels[::5] = example.labels[::5]
        examples.append(replace(example, labels=labels, accepted=False))
    source, labels = volume_of(7)
    assert dice(drafts(learn(examples, CLASSES, settings=QUICK), source), labels, 2) > 0.5


def test_an_interrupted_call_goes_on_from_its_checkpoint(tmp_path):
    settings = LearnSettings(steps=8, batch=2, side=32)
    whole = learn(examples_from(0, 5), CLASSES, settings=settings)
    with pytest.raises(StopAtError):
        learn(examples_from(0, 5), CLASSES, settings=settings, checkpoints=tmp_path, report=stop_after(6))
    seen = []
    resumed = learn(
        examples_from(0, 5), CLASSES, settings=settings, checkpoints=tmp_path, report=lambda f, p=None: seen.append(f)
    )
    assert seen[0] == pytest.approx(6 / 8)
    state, other = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.allclose(state[name].float(), other[name].float(), atol=1e-5) for name in state)
    assert resumed.card == whole.card


def test_a_checkpoint_of_other_examples_is_left_behind(tmp_path):
    settings = LearnSettings(steps=4, batch=2, side=32)
    learn(examples_from(0, 2), CLASSES, settings=settings, checkpoints=tmp_path)
    seen = []
    learn(
        examples_from(1, 2), CLASSES, settings=settings, checkpoints=tmp_path, report=lambda f, p=None: seen.append(f)
    )
    assert seen[0] == 0


def test_a_class_is_drafted_as_often_as_it_is_there(learned):
    source, labels = volume_of(7)
    drafted = drafts(learned, source)
    for identity in (2, 5):  # a third of the crops are drawn anywhere, the others around these classes
        assert 0.6 < (drafted == identity).sum() / (labels == identity).sum() < 1.4


def test_a_cancelled_call_raises_what_its_report_raises():
    def report(fraction, preview=None):
        raise Cancelled

    with pytest.raises(Cancelled):
        learn(examples_from(0, 2), CLASSES, report=report)


def test_nothing_to_learn_from_is_refused():
    empty = [replace(e, labels=np.zeros_like(e.labels)) for e in examples_from(0, 2)]
    with pytest.raises(InputError, match="none of the 2 slices has labels of class 2, class 5"):
        learn(empty, CLASSES)
    with pytest.raises(InputError, match="no class but the background"):
        learn(examples_from(0), ClassTable.from_ids([1], background=1))


def test_agreement_counts_all_slices_together():
    one, other = np.array([[2, 2, 0, 0]]), np.array([[2, 0, 0, 3]])
    found = agreement_of([(one, other), (other, other)])
    assert found == Agreement({2: 4 / 5, 3: 2 / 3}, 2)
    assert agreement_of([(np.zeros((2, 2), int),) * 2]).mean == 1.0


# files


def test_a_saved_network_drafts_the_same(learned, tmp_path):
    learned.save(tmp_path / "some.safetensors")
    loaded = LearnedNetwork.load(tmp_path / "some.safetensors")
    source, _ = volume_of(7)
    assert (drafts(loaded, source) == drafts(learned, source)).all()
    assert (loaded.card, loaded.classes, loaded.checksum) == (learned.card, learned.classes, learned.checksum)


def test_other_files_are_no_learned_networks(learned, tmp_path):
    from napari_scribseg.nets import save_model

    save_model(tmp_path / "plain.safetensors", load_shipped("scribble-net")[0])
    with pytest.raises(InputError, match="no learned network"):
        LearnedNetwork.load(tmp_path / "plain.safetensors")
    save_model(tmp_path / "bad.safetensors", learned.model, {"learned": '{"classes": [], "card": {}}'})
    with pytest.raises(InputError, match="damaged"):
        LearnedNetwork.load(tmp_path / "bad.safetensors")


# drafts


def test_a_draft_has_a_certainty_for_each_pixel(learned):
    source, _ = volume_of(7)
    found = list(learned.draft(source, list(source.slices())[2:5], silent))
    assert [draft.slice_index.position[0] for draft in found] == [2, 3, 4]
    assert found[0].certainty.shape == (40, 48)
    assert 1 / 3 <= found[0].certainty.min() < found[0].certainty.max() <= 1


def test_an_image_of_another_resolution_is_drafted_on_its_own_grid(learned):
    source, labels = volume_of(7)
    fine = Source.from_array(
        np.kron(np.asarray(source.array), np.ones((1, 2, 2), np.float32)), spacing=(3.0, 0.25, 0.25)
    )
    drafted = drafts(learned, fine)
    assert drafted.shape == (8, 80, 96)
    assert dice(drafted, np.kron(labels, np.ones((1, 2, 2), np.int32)), 2) > 0.7


def test_other_channels_are_refused(learned):
    colours = Source.from_array(np.zeros((20, 24, 3), np.uint8), channels=True)
    with pytest.raises(InputError, match="9 channels; the network was learned from slices with 3"):
        list(learned.draft(colours, list(colours.slices()), silent))


def test_a_session_is_drafted(learned):
    source, labels = volume_of(7)
    session = Session(source, "svcd", classes=CLASSES)
    session.edit(labels[2].astype(np.uint8), 2)
    session.accept(2)
    assert len(session.draft(learned).result()) == 7
    assert dice(session.labels, labels, 5) > 0.7
    assert all(0.5 < certainty <= 1 for certainty in session.drafted.values())
