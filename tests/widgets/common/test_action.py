"""The registry of actions: names, keys, texts."""

import pytest

from napari_scribseg.widgets.common.action import Action, Actions, key_text


def action(name, **options):
    return Action(name, name.title(), f"Do {name}", lambda window: window.append(name), **options)


def test_the_text_and_the_tooltip_have_the_key():
    made = action("clear", key="Shift-C")
    assert made.button_text() == "Clear (Shift+C)"
    assert made.full_tooltip == "Do clear (Shift+C)"
    assert action("clear").button_text() == "Clear"


def test_a_label_follows_the_state():
    made = action("accept", key="A", label=lambda state: f"{state} accepted")
    assert made.button_text(3) == "3 accepted (A)"
    assert made.button_text() == "Accept (A)"


@pytest.mark.parametrize(
    ("platform", "text"), [("linux", "Ctrl+Shift+Z"), ("win32", "Ctrl+Shift+Z"), ("darwin", "Cmd+Shift+Z")]
)
def test_a_key_is_written_as_on_the_system(platform, text):
    assert key_text("Control-Shift-Z", platform) == text


def test_names_and_keys_are_unique():
    actions = Actions([action("undo", key="Control-Z")])
    with pytest.raises(ValueError, match="'undo' already"):
        actions.add(action("undo"))
    with pytest.raises(ValueError, match="the key Control-Z of 'back' is the key of 'undo' already"):
        actions.add(action("back", key="Control-Z"))
    actions.add(action("plain"))
    actions.add(action("plainer"))
    actions.remove("undo")
    assert [made.name for made in actions] == ["plain", "plainer"]


def test_panels_and_the_table():
    actions = Actions([action("undo", key="Control-Z", panel="slice"), action("save", panel="file"), action("next")])
    assert [made.name for made in actions.on("slice")] == ["undo"]
    assert actions.table().splitlines()[2:] == [
        "| Ctrl+Z | Undo | Do undo |",
        "|  | Save | Do save |",
        "|  | Next | Do next |",
    ]
    pressed = []
    actions["save"].call(pressed)
    assert pressed == ["save"]
