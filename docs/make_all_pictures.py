"""Make all pictures of the README and the documentation anew: ``xvfb-run -a -s "-screen 0 1500x1000x24" python
docs/make_all_pictures.py [--out FOLDER] [--only NAME ...]``, or ``tox run -e pictures``.

Each script runs by itself, with settings of its own: windows are as they are when napari is started for the first time.
Curves of measured figures are not made here, but by the command that measures them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent

# What each script makes.
MADE = {
    ("first_steps.py",): ("window-opened.png", "first-stroke.png", "window-result.png", "window-filled.png"),
    ("first_steps.py", "--film"): ("session.webp",),
    ("make_pictures.py",): (
        "fitted-network.png",
        "live-stroke.png",
        "unet-alone.png",
        "unet-corrected.png",
        "window-photograph.png",
        "window-uncertainty.png",
    ),
    ("make_explore_pictures.py",): (
        "explore-cut.png",
        "explore-embedding.png",
        "explore-learned.png",
        "explore-split.png",
    ),
    ("make_project_pictures.py",): ("project-cases.png", "project-drafted.png"),
    ("make_outline_pictures.py",): ("coarse-to-fine.png",),
    ("make_simulation_pictures.py",): ("simulated-correction.png", "simulated-steps.png"),
}

# Curves, by the command that measures what they show.
MEASURED = {
    "bench-clicks-acdc.png": "scribseg bench",
    "bench-clicks-graz.png": "scribseg bench",
    "bench-cost-acdc.png": "scribseg bench",
    "bench-cost-graz.png": "scribseg bench",
    "explore-oracle.png": "python benchmarks/explore.py oracle",
    "human-strokes.png": "python benchmarks/human_strokes.py",
    "study-figure3.png": "scribseg study",
}


def run(script: str, *options: str, folder: Path) -> None:
    """Run a script that makes pictures, with settings of its own.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails.
    """
    with tempfile.TemporaryDirectory() as settings:
        own = dict.fromkeys(("SCRIBSEG_AUTOSAVE", "XDG_CONFIG_HOME", "HOME"), settings)
        own["NAPARI_CONFIG"] = f"{settings}/napari.yaml"
        subprocess.run(
            [sys.executable, HERE / script, folder, *options], env={**os.environ, **own}, cwd=settings, check=True
        )


def main() -> int:
    """Make the pictures; 1 if a script failed, or made others than those that are listed for it."""
    parser = argparse.ArgumentParser(description="Make the pictures of the documentation anew.")
    parser.add_argument("--out", type=Path, default=HERE / "images", help="folder for the pictures")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="only the scripts that make these pictures"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if unknown := set(arguments.only) - {name for names in MADE.values() for name in names}:
        parser.error(f"no script makes {', '.join(sorted(unknown))}")
    failed = []
    for (script, *options), names in MADE.items():
        if arguments.only and not set(arguments.only) & set(names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                run(script, *options, folder=Path(folder))
            except subprocess.CalledProcessError as error:
                failed.append(f"{script} ended with {error.returncode}")
                continue
            made = {path.name: path for path in Path(folder).iterdir()}
            if made.keys() != set(names):
                failed.append(f"{script} made {', '.join(sorted(made))}; expected {', '.join(names)}")
            for name in made.keys() & set(names):
                (arguments.out / name).write_bytes(made[name].read_bytes())
    print("\n".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
