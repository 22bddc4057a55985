"""Pictures of the documentation: a terminal as SVG, the report as PNG. `python .ci/pictures.py` in the repository's root.

The terminal's is of what the command prints, colours and all. The report's needs Debian's chromium. Look at them after making them.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURES = Path("docs/pictures")
COLUMNS = 152
BOARD = "leaderboards/tiny"


def printed(command: list[str]) -> str:
    """What a command prints to a terminal of COLUMNS columns."""
    os.environ |= {"COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    out = bytearray()

    def read(descriptor: int) -> bytes:
        out.extend(data := os.read(descriptor, 1 << 16))
        return data

    if status := pty.spawn([sys.executable, "-m", *command], read):
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return out.decode().replace("\r\n", "\n")


def terminal(command: str, name: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor")
    console.print(Text.from_ansi(f"$ {command}\n" + printed(command.replace("w2s-bench", "w2s_bench", 1).split())))
    text = console.export_svg(title="w2s-bench", clear=True, unique_id="w2s")
    text = re.sub(r"@font-face \{.*?\}", "", text, flags=re.DOTALL)  # a picture asks no other host for letters
    (PICTURES / name).write_text("\n".join(map(str.rstrip, text.splitlines())) + "\n", encoding="utf-8")


def screenshot(page: Path, name: str, width: int, height: int) -> None:
    command = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", "--force-device-scale-factor=1"]
    shot = [f"--screenshot={(PICTURES / name).resolve()}", f"--window-size={width},{height}", page.as_uri()]
    subprocess.run([*command, *shot], check=True, capture_output=True)


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    terminal(f"w2s-bench leaderboard {BOARD}", "terminal.svg")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        subprocess.run([sys.executable, "-m", "w2s_bench", "report", BOARD, "--out", page, "--quiet"], check=True)
        screenshot(page, "report.png", 1280, 1180)


if __name__ == "__main__":
    main()
