"""A recording of a terminal as an animated picture: `python .ci/recording.py NAME COMMAND…` in the repository's root.

What the command prints is recorded with its times (`pip install pyte`) and drawn as an SVG that plays by CSS alone: a film of
frames, one moved into sight after another. Waiting is shortened: no frame but the last stands longer than LONGEST. The last frame is
where the film stands by itself, for whoever asks for reduced motion and for what plays no animation (converters), and it is seen for
POSTER seconds before the film begins, for what takes a picture's first moment (browsers that print). docs/pictures/run.svg is of
`w2s-bench run` from an empty store. Look at it after making it.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
import time
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

PICTURES = Path("docs/pictures")
COLUMNS, ROWS = 152, 32
WIDE, HIGH, SIZE, EDGE, BAR = 7.2, 17, 12, 14, 30  # of a character, its letters, the margin and the bar above: pixels
MOST_FRAMES, SHORTEST, LONGEST, LAST = 40, 0.1, 0.4, 7.0  # seconds a frame stands
POSTER = 1.0  # of LAST
INK, PAPER = "#d7dae0", "#16181d"
COLOURS = {
    "default": INK, "black": "#5c6370", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b", "blue": "#61afef",
    "magenta": "#c678dd", "cyan": "#56b6c2", "white": INK, "brightblack": "#7f848e", "brightred": "#e06c75",
    "brightgreen": "#98c379", "brightbrown": "#e5c07b", "brightblue": "#61afef", "brightmagenta": "#c678dd",
    "brightcyan": "#56b6c2", "brightwhite": "#ffffff",
}  # fmt: skip
#: A line of a frame: runs of (column, text, colour, whether it is bold).
Line = tuple[tuple[int, str, str, bool], ...]


def recorded(command: Sequence[str]) -> list[tuple[float, bytes]]:
    """What a command prints to a terminal of COLUMNS by ROWS, each piece with its time in seconds."""
    pieces: list[tuple[float, bytes]] = []
    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.execvp(command[0], list(command))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    began = time.monotonic()
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # how a pseudo-terminal says that nobody writes any more
            break
        if not piece:
            break
        pieces.append((time.monotonic() - began, piece))
    _, status = os.waitpid(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return pieces


def frames(command: str, pieces: Iterable[tuple[float, bytes]]) -> list[tuple[float, tuple[Line, ...]]]:
    """(time, lines) of every picture that the terminal showed, from the prompt on."""
    import pyte

    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    stream.feed(f"$ {command}\r\n".encode())
    shown = [(0.0, lines_of(screen))]
    for at, piece in pieces:
        stream.feed(piece)
        if (lines := lines_of(screen)) != shown[-1][1]:
            shown.append((at, lines))
    return shown


def lines_of(screen: Any) -> tuple[Line, ...]:
    lines = []
    for row in range(ROWS):
        cells = [screen.buffer[row][column] for column in range(COLUMNS)]
        runs, column = [], 0
        for (colour, bold), group in groupby(cells, lambda cell: (cell.fg, cell.bold)):
            text = "".join(cell.data for cell in group)
            if text.strip():
                lead = len(text) - len(text.lstrip(" "))
                runs.append((column + lead, text.strip(" "), COLOURS.get(colour, f"#{colour}"), bold))
            column += len(text)
        lines.append(tuple(runs))
    return tuple(lines)


def chosen(shown: Sequence[tuple[float, tuple[Line, ...]]]) -> list[tuple[float, tuple[Line, ...]]]:
    """At most MOST_FRAMES of them, evenly spaced, first and last among them, each with the seconds that it stands."""
    count = min(len(shown), MOST_FRAMES)
    places = sorted({round(number * (len(shown) - 1) / max(count - 1, 1)) for number in range(count)})
    film = [shown[place] for place in places]
    ends = [after[0] - before[0] for before, after in pairwise(film)]
    stands = [min(max(seconds, SHORTEST), LONGEST) for seconds in ends] + [LAST]
    return [(seconds, lines) for seconds, (_, lines) in zip(stands, film, strict=True)]


def drawn(title: str, film: Sequence[tuple[float, tuple[Line, ...]]]) -> str:
    """The SVG. Every distinct line is drawn once; frames use it."""
    names: dict[Line, str] = {}
    for _, lines in film:
        for line in lines:
            if line:
                names.setdefault(line, f"l{len(names)}")
    width, height = COLUMNS * WIDE + 2 * EDGE, ROWS * HIGH + BAR + EDGE
    whole, at, steps = sum(seconds for seconds, _ in film), 0.0, []
    for number, (seconds, _) in enumerate(film):
        steps.append(f"{100 * at / whole:.2f}%{{transform:translateY({-number * height}px)}}")
        at += seconds
    style = (
        f"text{{font:{SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}}"
        f".film{{animation:film {whole:.2f}s steps(1,end) {POSTER - whole:.2f}s infinite}}@keyframes film{{{''.join(steps)}}}"
        "@media print,(prefers-reduced-motion:reduce){.film{animation:none}}"
    )
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" '
        'role="img" xml:space="preserve">',
        f"<title>{escape(title)}</title>",
        f"<style>{style}</style>",
        "<defs>",
        *(f'<g id="{name}">{_text(line)}</g>' for line, name in names.items()),
        "</defs>",
        f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>',
        *(
            f'<circle cx="{16 + 18 * n}" cy="15" r="5" fill="{dot}"/>'
            for n, dot in enumerate(("#e06c75", "#e5c07b", "#98c379"))
        ),
        # An attribute, which the animation overrules where it runs: not all that draw SVG know `transform` in a style.
        f'<svg y="{BAR}" width="{width:g}" height="{height - BAR:g}"><g class="film" '
        f'transform="translate(0,{-(len(film) - 1) * height:g})">',
    ]
    for number, (_, lines) in enumerate(film):
        uses = (f'<use href="#{names[line]}" y="{row * HIGH + HIGH - 4}"/>' for row, line in enumerate(lines) if line)
        out.append(f'<g transform="translate({EDGE},{number * height:g})">{"".join(uses)}</g>')
    return "\n".join([*out, "</g></svg>", "</svg>"]) + "\n"


def _text(line: Line) -> str:
    parts = []
    for column, text, colour, bold in line:
        ink = "" if colour == INK else f' fill="{colour}"'
        weight = ' font-weight="700"' if bold else ""
        length = f' textLength="{len(text) * WIDE:.4g}"'
        parts.append(f'<text x="{column * WIDE:.4g}"{length}{ink}{weight}>{escape(text)}</text>')
    return f'<g fill="{INK}">{"".join(parts)}</g>'


def main() -> None:
    name, *command = sys.argv[1:]
    shown = frames(" ".join(command), recorded(command))
    film = chosen(shown)
    picture = PICTURES / f"{name}.svg"
    picture.write_text(drawn(f"Recording of {' '.join(command)}", film), encoding="utf-8")
    print(
        f"{picture}: {len(film)} of {len(shown)} frames over {shown[-1][0]:.0f} s, {picture.stat().st_size >> 10} KiB"
    )


if __name__ == "__main__":
    main()
