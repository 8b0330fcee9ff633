"""The network of paper 003, and the encoder's weights from a file."""

import math
from dataclasses import replace

import pytest
import torch

from napari_scribseg.core import InputError
from napari_scribseg.nets import BRSNet, BRSNetConfig, load_encoder, load_model, save_model, widened
from napari_scribseg.prompting import interaction_maps, network_input

SMALL = BRSNetConfig(
    stem=8,
    growth=4,
    blocks=(2, 2, 2, 2),
    squeeze=(2, 2, 4, 4),
    skips=(4, 6, 8),
    coarse=(16, 12, 8, 8),
    branch=(6, 6, 4),
)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_the_encoder_is_densenet_121():
    model = BRSNet()
    assert count(model.features) == 6_953_856 + 2 * 64 * 49  # torchvision's, and two interaction maps
    assert [conv.in_channels for conv in model.skips] == [256, 512, 1024]
    assert [squeeze.squeeze.in_channels for squeeze in model.excite] == [256, 512, 1024, 1024]
    assert [squeeze.squeeze.out_channels for squeeze in model.excite] == [16, 32, 64, 64]
    widths = [[m.out_channels for m in stage if isinstance(m, torch.nn.Conv2d)] for stage in model.coarse]
    assert widths == [[512, 512, 256], [256, 256, 128], [128, 128, 64], [64, 64, 32]]
    assert [branch[0].dilation for branch in model.branches] == [(1, 1), (2, 2), (3, 3)]
    assert {branch[0].in_channels for branch in model.branches} == {6}
    assert (model.weigh.squeeze.in_channels, model.weigh.squeeze.out_channels) == (48, 3)


@pytest.mark.parametrize("fine", [True, False])
@pytest.mark.parametrize("size", [(64, 64), (45, 70)])
def test_logits_have_the_size_of_the_image(fine, size):
    model = BRSNet(replace(SMALL, fine=fine)).eval()
    with torch.no_grad():
        coarse, last = model.both(torch.rand(2, 5, *size))
    assert coarse.shape == last.shape == (2, 1, *size)
    assert torch.equal(coarse, last) is not fine
    assert torch.isfinite(last).all()


def test_training_reaches_every_parameter():
    torch.manual_seed(0)
    model = BRSNet(SMALL)
    coarse, last = model.both(torch.rand(2, 5, 64, 64))
    (coarse.square().mean() + last.square().mean()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_saved_and_loaded(tmp_path):
    model = BRSNet(SMALL).eval()
    again, card = load_model(save_model(tmp_path / "net.safetensors", model))
    assert card["architecture"] == "brs-net"
    x = torch.rand(1, 5, 40, 40)
    with torch.no_grad():
        assert torch.equal(again.eval()(x), model(x))


def test_an_encoder_from_a_file_of_either_spelling(tmp_path):
    torch.manual_seed(1)
    donor = BRSNet(replace(SMALL, in_channels=3))
    state = {f"features.{name}": value for name, value in donor.features.state_dict().items()}
    old = {name.replace("norm1", "norm.1").replace("conv2", "conv.2"): v for name, v in state.items()}
    for number, given in enumerate((state, old | {"classifier.bias": torch.zeros(3)})):
        path = tmp_path / f"{number}.pth"
        torch.save(given, path)
        model = BRSNet(SMALL)
        maps = model.features.conv0.weight[:, 3:].clone()
        load_encoder(model, path)
        found = model.features.state_dict()
        assert torch.equal(found["conv0.weight"][:, :3], state["features.conv0.weight"])
        assert torch.equal(found["conv0.weight"][:, 3:], maps)
        assert all(torch.equal(v, state[f"features.{k}"]) for k, v in found.items() if k != "conv0.weight")


def test_foreign_encoders_give_one_message(tmp_path):
    model = BRSNet(SMALL)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    (tmp_path / "text.pth").write_text("no weights")
    torch.save({"features.conv0.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "other.pth")
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    torch.save(model, tmp_path / "pickle.pth")
    cases = {"none": "missing", "text": "cannot be read", "other": "shape", "list": "list", "pickle": "cannot be read"}
    for name, words in cases.items():
        with pytest.raises(InputError, match=words):
            load_encoder(model, tmp_path / f"{name}.pth")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_configuration_that_does_not_fit():
    with pytest.raises(InputError, match="4 counts"):
        BRSNetConfig(blocks=(1, 2, 3))
    with pytest.raises(InputError, match="below 1"):
        BRSNetConfig(growth=0)


def test_the_input_of_the_paper():
    image, stroke_map = torch.full((2, 3, 20, 300), 1.0), torch.zeros(2, 20, 300, dtype=torch.int8)
    stroke_map[0, 10, 5], stroke_map[0, 3, 8] = 1, -1
    x = network_input(image, stroke_map, None, 5)
    assert x.shape == (2, 5, 20, 300)
    assert torch.allclose(x[:, 0], torch.tensor((255 - 123.68) * 0.017))
    assert x[0, 3, 10, 5] == x[0, 4, 3, 8] == 1
    assert x[0, 3, 10, 15].item() == pytest.approx(1 - 10 / 255)
    assert x[0, 3, 10, 299] == 0  # 255 pixels away and more
    assert (x[1, 3:] == 0).all()
    assert torch.equal(x[:, 3:], interaction_maps(stroke_map))


def test_what_lies_close_to_a_click_and_the_last_result_come_behind():
    image, stroke_map = torch.rand(2, 3, 20, 30), torch.zeros(2, 20, 30, dtype=torch.int8)
    stroke_map[0, 10, 5], stroke_map[0, 3, 8] = 1, -1
    previous = torch.rand(2, 20, 30)
    x = network_input(image, stroke_map, previous, 8)
    assert torch.equal(x[:, :5], network_input(image, stroke_map, None, 5))
    assert x[0, 5, 10, 5] == x[0, 6, 3, 8] == 1
    assert x[0, 5, 10, 9].item() == pytest.approx(math.exp(-1))
    assert (x[1, 5:7] == 0).all()
    assert torch.equal(x[:, 7], previous)
    assert (network_input(image, stroke_map, None, 8)[:, 7] == 0).all()


@pytest.mark.parametrize("fine", [True, False])
def test_a_widened_network_results_as_before_whatever_the_new_channels_hold(fine):
    torch.manual_seed(2)
    model = BRSNet(replace(SMALL, fine=fine)).eval()
    wider = widened(model, 8)
    assert (wider.config, wider.training) == (replace(SMALL, fine=fine, in_channels=8), False)
    x = torch.rand(1, 8, 45, 70)
    with torch.no_grad():
        assert torch.equal(torch.cat(wider.both(x)), torch.cat(model.both(x[:, :5])))
    wider.both(x)[1].sum().backward()
    assert (wider.features.conv0.weight.grad[:, 5:] != 0).any()  # and can learn
    with pytest.raises(InputError, match="at least the 8 of the network"):
        widened(wider, 5)
