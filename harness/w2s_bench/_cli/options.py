"""Options that several verbs have, in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from w2s_bench.names import DATA_VARIABLE, DEVICE_VARIABLE

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Where computed stages are kept (default: your cache folder, or $W2S_BENCH_STORE).",
        metavar="DIR|URL",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", "-w", help="Processes, one thread each (default: one a processor).", metavar="N", min=1),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="Where models run: cpu (default: the same bytes again), cuda, cuda:N or mps.",
        envvar=DEVICE_VARIABLE,
        metavar="D",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Folder with data files of lm-eval tasks (docs/lm-eval.md).", envvar=DATA_VARIABLE, metavar="DIR"
    ),
]
IncludePath = Annotated[
    list[Path] | None,
    typer.Option(
        "--include-path",
        help="Folder with YAML files of lm-eval tasks; their code is run. Repeat for more.",
        metavar="DIR",
    ),
]
AllowedSigners = Annotated[
    Path | None,
    typer.Option(
        "--allowed-signers",
        help="Your file of names and public keys (`man ssh-keygen`): signatures are verified by it.",
        metavar="FILE",
    ),
]
