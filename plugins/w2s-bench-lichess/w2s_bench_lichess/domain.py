"""Domains `puzzles` (choice) and `move` (generate), made of a file of puzzles below the folder of `--data`."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_bench import PluginError, TaskDomain
from w2s_bench_lichess.reading import FILE, MOST_OPTIONS, SMALLEST, questions

#: The variable that `--data DIR` sets.
DATA = "W2S_BENCH_DATA"
_HERE = Path(__file__).parent
_LONGEST_MOVE = 8  # tokens; a move has four or five characters


@dataclass(frozen=True)
class Puzzles(TaskDomain):
    """Positions of a Lichess file with the best move.

    `file` lies below the folder of `--data`; `most` puzzles of it are taken, those whose digests are least; `options` is how
    many legal moves stand to choice, the best one among them (0: all of them).
    """

    file: str = FILE
    most: int = 10_000
    options: int = 8

    def task(self) -> Any:
        """The lm-eval task of the YAML, with its documents made here: a file's name is a parameter."""
        import yaml
        from lm_eval.api.task import ConfigurableTask

        # lm-eval tells of `--metadata`, an option of its own command line, at every load.
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        config = yaml.safe_load(self.yaml.read_text(encoding="utf-8"))
        return ConfigurableTask(config={**config, "custom_dataset": self.dataset})

    def dataset(self, **_metadata: Any) -> dict[str, Any]:
        """What lm-eval asks for: split → documents."""
        import datasets

        path = self._path()
        with path.open(encoding="utf-8", newline="") as lines:
            documents = questions(lines, path.name, most=self.most, options=self.options)
        return {"test": datasets.Dataset.from_list(documents)}

    def fingerprint(self) -> str:
        """That of the YAML and this package's code, and the parameters; what the file holds is read at every run."""
        parameters = f"{super().fingerprint()} {self.most} {self.options}"
        return hashlib.sha256(parameters.encode()).hexdigest()

    def _path(self) -> Path:
        folder = os.environ.get(DATA)
        if not folder:
            raise PluginError(
                f"domain {self.name!r} is made of {self.file!r} in the data folder: run with --data DIR. The file is "
                "Lichess's own: https://database.lichess.org/#puzzles (CC0), unpacked"
            )
        root = Path(folder).resolve()
        path = (root / self.file).resolve()
        if not path.is_relative_to(root):
            raise PluginError(f"domain {self.name!r}: file {self.file!r} lies outside {root}; put it below that folder")
        if not path.is_file():
            raise PluginError(
                f"domain {self.name!r}: no file {self.file!r} in {root}; put Lichess's puzzles there (unpacked CSV from "
                "https://database.lichess.org/#puzzles), or give parameter `file`"
            )
        return path


def puzzles(file: str = FILE, most: int = 10_000, options: int = 8) -> Puzzles:
    """The best move of a Lichess puzzle, chosen among `options` legal ones (0: all)."""
    if options != 0 and not 2 <= options <= MOST_OPTIONS:
        raise PluginError(f"options is {options}; expected 0 (all legal moves), or 2 to {MOST_OPTIONS}")
    return _domain("puzzles", "choice", file, most, options)


def move(file: str = FILE, most: int = 10_000) -> Puzzles:
    """The best move of a Lichess puzzle, written out in UCI notation (`e7e8q`)."""
    return _domain("move", "generate", file, most, 0)


def _domain(name: str, kind: Any, file: str, most: int, options: int) -> Puzzles:
    if most < SMALLEST:
        raise PluginError(f"most is {most}; expected at least {SMALLEST} puzzles")
    return Puzzles(
        name=name,
        version="1",
        kind=kind,
        yaml=_HERE / f"{name}.yaml",
        task_name=f"w2s_lichess_{name}",
        max_new_tokens=_LONGEST_MOVE if kind == "generate" else None,
        file=file,
        most=most,
        options=options,
    )
