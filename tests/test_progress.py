import logging
import sys

import pytest

from napari_scribseg import progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def test_elsewhere_a_line_every_ten_seconds_and_at_the_end(clock, caplog):
    with caplog.at_level(logging.INFO, logger="scribseg"), progress.show_progress("segmenting", "images") as show:
        for done, clock[0] in ((1, 1.0), (2, 10.5), (3, 12.0), (4, 13.0)):
            show(done, 4, "a [b]" if done == 2 else "")
            show.note("only on a terminal")
    assert [record.getMessage() for record in caplog.records] == [
        "segmenting: 2 of 4 images, 10.5 s: a [b]",
        "segmenting: 4 of 4 images, 13.0 s",
    ]


def test_on_a_terminal_a_bar_that_goes_and_notes_that_stay(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.show_progress("measuring", "jobs") as show:
        show(1, 2, "x" * 200)
        show.note("i001: [bold]no[/bold] file")
        show(2, 2)
    captured = capsys.readouterr()
    assert "i001: [bold]no[/bold] file" in captured.err
    assert captured.out == ""
