"""How every picture looks: colours, axes, and PNG bytes small enough for asset metadata.

matplotlib's global state is left alone, and equal inputs give equal bytes.
"""

import re
import warnings
from functools import cache
from io import BytesIO
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

# Okabe and Ito (2008): distinguishable with any colour vision; the line styles help in grey.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":")
REFERENCE = "#767676"
INK = "#333333"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def new_axes(title: str, x: str, y: str, *, width: float = 8.0, height: float = 5.0) -> "Axes":
    """Axes of a new figure in the style that all pictures share."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=80, layout="constrained")
    # A title of the figure may begin above the labels of the y axis, which leaves it the whole width.
    lines = fill(title, int(10 * width))
    figure.suptitle(lines, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    axes = figure.add_subplot()
    axes.set_xlabel(x, color=INK)
    axes.set_ylabel(y, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK)
    return axes


def as_text(value: object) -> str:
    r"""A name or value from data as text in a picture: matplotlib reads formulas between dollars, and fails on others.

    Characters that the font lacks, which would all be the same box, are written by their numbers in Unicode: that they
    differ can be read, and which they are can be looked up.

    >>> as_text("US$ and $^"), as_text("Größe, цена"), as_text("喜剧 1")
    ('US\\$ and \\$^', 'Größe, цена', 'U+559C U+5267 1')
    """
    text, glyphs = _CONTROL.sub(" ", str(value)).replace("$", r"\$"), _glyphs()
    if text.isascii() or all(ord(each) in glyphs for each in text):
        return text
    shown = "".join(each if ord(each) in glyphs else f" U+{ord(each):04X} " for each in text)
    return " ".join(shown.split())


@cache
def _glyphs() -> frozenset[int]:
    """The characters of the font of all pictures, which comes with matplotlib."""
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def to_png(axes: "Axes") -> bytes:
    """The figure as a PNG of 256 colours: a third of the size, and no difference to the eye."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(axes.get_figure(root=True))
    with warnings.catch_warnings():
        # A character that did not come from data; the user can do nothing about it.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        # Not saved by matplotlib, which would draw it twice, and once for nothing.
        canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba()))
    picture, packed = drawn.convert("RGB").quantize(256, dither=Image.Dither.NONE), BytesIO()
    picture.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def as_percent(axis: "Axis") -> None:
    axis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")


def make_logarithmic(axes: "Axes", *names: str) -> None:
    """Logarithmic x or y axes with few, round ticks."""
    from matplotlib.ticker import LogLocator, NullLocator

    for name in names:
        axes.set(**{f"{name}scale": "log"})
        axis: Axis = getattr(axes, f"{name}axis")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())


def no_picture(reason: str) -> bytes:
    axes = new_axes(reason, "", "", height=1.0)
    axes.set_axis_off()
    return to_png(axes)
