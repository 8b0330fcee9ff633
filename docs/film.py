"""A camera that films the screen while somebody works at it; where the machine stands still, the film does not."""

from __future__ import annotations

import time
from pathlib import Path

from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QApplication

INTERVAL = 0.1  # seconds between two frames
LONGEST = 0.05  # seconds that a frame is shown: the film is faster than the session
SIZE = (960, 540)  # pixels of the film, without the line below
LINE = 36  # pixels of the line with what is being done
QUALITY = 50  # of WebP, 0 to 100
LAST = 2500  # milliseconds for which the last frame stays
ARROW = ((0, 0), (0, 17), (4, 13), (7, 19), (10, 18), (7, 12), (12, 12))


class Camera:
    """Takes a picture of the whole screen every tenth of a second, with the mouse pointer, and writes an animated WebP.

    Attributes
    ----------
    pace, pen_pace : float
        Pixels a second at which a hand moves while it is filmed, and at which it paints.
    caption : str
        What is being done, for the line below the pictures.
    """

    pace, pen_pace = 2200.0, 600.0

    def __init__(self) -> None:
        self.caption = ""
        self._frames: list[tuple[float, QImage, QPoint, str]] = []

    def look(self, pointer: QPoint) -> None:
        """Take a picture if it is time for one."""
        now = time.monotonic()
        if self._frames and now - self._frames[-1][0] < INTERVAL:
            return
        screen = QApplication.primaryScreen()
        smooth = Qt.TransformationMode.SmoothTransformation
        image = screen.grabWindow(0).toImage().scaled(*SIZE, Qt.AspectRatioMode.IgnoreAspectRatio, smooth)
        across, down = SIZE[0] / screen.size().width(), SIZE[1] / screen.size().height()
        place = QPoint(round(pointer.x() * across), round(pointer.y() * down))
        self._frames.append((now, image.convertToFormat(QImage.Format.Format_RGB888), place, self.caption))

    @property
    def seconds(self) -> float:
        """How long was filmed."""
        return self._frames[-1][0] - self._frames[0][0] if self._frames else 0.0

    def save(self, path: Path) -> None:
        """Write the film; pictures that follow each other and are equal become one."""
        pictures: list[Picture.Image] = []
        durations: list[int] = []
        times = [frame[0] for frame in self._frames]
        for start, end, (_, image, place, caption) in zip(times, [*times[1:], times[-1]], self._frames, strict=True):
            picture, duration = _frame(image, place, caption), round(1000 * min(end - start, LONGEST))
            if pictures and picture.tobytes() == pictures[-1].tobytes():
                durations[-1] += duration
            else:
                pictures.append(picture)
                durations.append(duration)
        durations[-1] += LAST
        pictures[0].save(
            path, save_all=True, append_images=pictures[1:], duration=durations, loop=0, quality=QUALITY, method=4
        )
        shown = (sum(durations) - LAST) / 1000
        print(
            f"{path} {path.stat().st_size // 1024} kB, {len(pictures)} pictures, {shown:.1f} s of {self.seconds:.1f} s"
        )
        for caption in dict.fromkeys(frame[3] for frame in self._frames):
            print(sum(frame[3] == caption for frame in self._frames), caption)


def _frame(image: QImage, place: QPoint, caption: str) -> Picture.Image:
    """A picture of the screen with the pointer, and the caption below."""
    screen = Picture.frombytes("RGB", SIZE, bytes(image.constBits()), "raw", "RGB", image.bytesPerLine())
    picture = Picture.new("RGB", (SIZE[0], SIZE[1] + LINE), (20, 22, 26))
    picture.paste(screen)
    pen = ImageDraw.Draw(picture)
    pen.polygon([(place.x() + x, place.y() + y) for x, y in ARROW], fill="white", outline="black")
    pen.text((14, SIZE[1] + LINE / 2), caption, fill="white", font=ImageFont.load_default(19), anchor="lm")
    return picture
