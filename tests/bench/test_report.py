import csv
import dataclasses
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image as Picture

from napari_scribseg.bench import report
from napari_scribseg.bench.plan import Plan, run
from napari_scribseg.bench.play import Rules
from napari_scribseg.bench.report import write_report

RULES = Rules(corrections=2, clicks=4)


@pytest.fixture
def rows(make_row):
    """Three methods on three images: clicks in one data set, a person's strokes in another."""
    found = []
    for m, method in enumerate(("good", "fair:x=1", "poor")):
        for i in range(3):
            names = {"case": f"p{i}", "image": f"p{i}", "group": f"p{i}", "method": method}
            found.append(make_row(**names, data="drawn", protocol="human", unit="px", dice=0.9 - m / 10 + i / 100))
            for n in range(4):
                score = min(0.5 + n / 6 - m / 10 + i / 100, 0.99)
                found.append(make_row(**names, interaction=n + 1, dice=score, iou=score - 0.05, seconds=0.01 * 10**m))
    return found


@pytest.fixture
def out(data_set, tmp_path):
    """The folder of a run."""
    run(Plan(("watershed",), (data_set(1),), ("clicks",), RULES), tmp_path)
    return tmp_path


@pytest.fixture
def without_matplotlib(monkeypatch):
    monkeypatch.setattr(report, "find_spec", lambda name: None if name == "matplotlib" else find_spec(name))


def tables(text):
    """The cells of each table in a Markdown text."""
    found, now = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            now.append([cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|")])
        elif now:
            found.append(now)
            now = []
    return found


def test_a_table_for_each_data_set_and_protocol_holds_every_method(rows, out):
    pytest.importorskip("matplotlib")
    written = write_report(rows, RULES, out, "scribseg bench --out 'x y'")
    text = (out / "report.md").read_text()
    assert [p.name for p in written] == [
        "report.md", "summary.csv", "cost-drawn-human.png", "cost-made-clicks.png", "curves-made-clicks.png",
        "seconds-made-clicks.png",
    ]  # fmt: skip
    assert text.index("## drawn: a person's strokes") < text.index("## made: clicks of a simulated user")
    assert text.count("3 images.") == 2
    human, clicks = tables(text)
    for table in (human, clicks):
        assert len({len(line) for line in table}) == 1
        assert [line[0] for line in table[2:]] == ["good", "fair:x=1", "poor"]
    assert human[0][3] == "HD95, px"
    assert "HD95, mm" in clicks[0]
    assert human[2][1].startswith("0.910 (0.900 to 0.920)")
    cell = dict(zip(clicks[0], clicks[2], strict=True))
    assert cell["Dice at first"] == "0.510"
    assert cell["Dice after 4"].startswith("0.990 (")
    assert cell["NoC@85 of 4"] == "4.00 (100%)"
    assert cell["an answer, s"] == "0.010"
    assert cell["seed accuracy"] == "100 %"
    assert cell["failed"] == "0"
    assert "scribseg bench --out 'x y'" in text
    assert "seed 0." in text
    assert "## Failures" not in text
    for path in written[2:]:
        assert f"![{path.name}]({path.name})" in text


def test_the_best_method_comes_first(rows, out, without_matplotlib):
    write_report(rows[::-1], RULES, out)
    for table in tables((out / "report.md").read_text()):
        assert [line[0] for line in table[2:]] == ["good", "fair:x=1", "poor"]


def test_failures_are_listed(rows, out, without_matplotlib):
    reason = "TypeError: int | None"
    rows.append(dataclasses.replace(rows[-1], image="p9", case="p9", seconds=np.nan, dice=0.0, iou=0.0, failure=reason))
    write_report(rows, RULES, out)
    text = (out / "report.md").read_text()
    table = tables(text)[-1]
    assert table[0] == ["data", "image", "method", "interaction", "why"]
    assert table[2:] == [["made", "p9", "poor", "4", "TypeError: int \0 None"]]
    assert "1 in all; `rows.csv` has them all." in text
    assert [line[-1] for line in tables(text)[1][2:]] == ["0", "0", "1"]


def test_of_many_failures_some_are_listed(make_row, out, without_matplotlib):
    rows = [make_row(image=f"p{i}", case=f"p{i}", failure="ValueError: x", seconds=np.nan) for i in range(70)]
    write_report(rows, RULES, out)
    text = (out / "report.md").read_text()
    assert len(tables(text)[-1]) == 2 + 50
    assert "70 in all" in text


def test_the_summary_as_a_table_file(rows, out, without_matplotlib):
    write_report(rows, RULES, out)
    with (out / "summary.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6
    good = next(line for line in lines if (line["data"], line["method"]) == ("made", "good"))
    assert good["images"] == "3"
    assert float(good["dice"]) == pytest.approx(0.99)
    assert float(good["dice_low"]) <= float(good["dice"]) <= float(good["dice_high"])
    assert float(good["noc85"]) == 4
    assert (float(good["reached85"]), float(good["reached90"])) == (1, 1)
    assert {"iou", "hausdorff95", "surface", "seed_accuracy", "area", "seconds95", "peak_mib", "noc90"} <= set(good)


def test_figures_are_pictures(rows, out):
    pytest.importorskip("matplotlib")
    for path in write_report(rows, RULES, out)[2:]:
        with Picture.open(path) as picture:
            assert picture.format == "PNG"
            assert picture.size == (770, 495)
            pixels = np.asarray(picture.convert("RGB"))
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_without_matplotlib_a_line_states_it(rows, out, without_matplotlib):
    assert [p.name for p in write_report(rows, RULES, out)] == ["report.md", "summary.csv"]
    text = (out / "report.md").read_text()
    assert "No figures: matplotlib is not installed (`pip install 'napari-scribseg[bench]'`)." in text
    assert "![" not in text
    assert not list(out.glob("*.png"))


def test_a_figure_stands_with_its_own_data_set(rows, out):
    pytest.importorskip("matplotlib")
    names = {"made": "ct", "drawn": "made_ct"}
    rows = [dataclasses.replace(row, data=names[row.data], protocol="strokes") for row in rows]
    write_report(rows, RULES, out)
    text = (out / "report.md").read_text()
    for name in ("cost-ct-strokes.png", "cost-made_ct-strokes.png", "curves-ct-strokes.png"):
        assert text.count(f"]({name})") == 1
    sections = text.split("## ")
    assert "made_ct" not in next(s for s in sections if s.startswith("ct:"))


@pytest.mark.parametrize("name", ["set/source", "two words"])
def test_any_name_of_a_data_set_becomes_a_file(rows, out, name):
    pytest.importorskip("matplotlib")
    written = write_report([dataclasses.replace(row, data=name) for row in rows if row.data == "made"], RULES, out)
    assert {p.parent for p in written} == {out}
    assert len(written) == 5
    text = (out / "report.md").read_text()
    assert f"](curves-{name.replace('/', '-').replace(' ', '%20')}-clicks.png)" in text


def test_a_method_without_any_result_is_drawn_too(make_row, out):
    rows = [make_row(failure="ValueError: x", seconds=np.nan, prepare_seconds=0.0, dice=0.0, iou=0.0)]
    rows.append(make_row(method="other"))
    written = write_report(rows, RULES, out)
    assert "| toy | 0.000 |" in (out / "report.md").read_text()
    assert all(path.stat().st_size > 0 for path in written)


def test_processes_at_once_are_reported(rows, out, without_matplotlib):
    text = (out / "run.json").read_text()
    (out / "run.json").write_text(text.replace('"workers": 1', '"workers": 2'))
    write_report(rows, RULES, out)
    assert "in 2 processes at once; seed 0." in (out / "report.md").read_text()


def test_a_report_is_written_over_the_last_one(rows, out, without_matplotlib):
    write_report(rows, RULES, out)
    before = {p.name: p.read_bytes() for p in out.iterdir() if p.suffix in (".md", ".csv")}
    write_report(rows, RULES, out)
    assert {p.name: p.read_bytes() for p in out.iterdir() if p.suffix in (".md", ".csv")} == before


def test_an_initial_mask_is_reported_click_by_click(make_row, out):
    rows = []
    for i in range(3):
        names = {"case": f"p{i}", "image": f"p{i}", "group": f"p{i}", "protocol": "initial-mask"}
        for n in range(3 if i else 2):  # the first image has nothing left to click on after one click
            more = {"gain": 0.1 * n, "raw_seed_accuracy": 1.0} if n else {}
            rows.append(make_row(**names, interaction=n + 1, iou=0.8 + 0.05 * n, seconds=0.1 * n, **more))
    write_report(rows, RULES, out)
    (table,) = tables((out / "report.md").read_text())
    assert table[0] == ["method", "", "network alone", "1 click", "2 clicks"]
    iou, gain, accuracy, seconds = table[2:]
    assert [line[1] for line in table[2:]] == ["IoU", "gain", "raw seed accuracy", "median s"]
    assert [cell[:5] for cell in iou[2:]] == ["0.800", "0.850", "0.883"]
    assert [cell[:5] for cell in gain[2:]] == ["", "0.100", "0.200"]  # of the images that were clicked on
    assert [cell[:5] for cell in accuracy[2:]] == ["", "1.000", "1.000"]
    assert seconds[2:] == ["0.000", "0.100", "0.200"]
    if find_spec("matplotlib"):
        for kind in ("curves", "raw-seed-accuracy", "seconds"):
            assert np.asarray(Picture.open(out / f"{kind}-made-initial-mask.png")).std() > 10
