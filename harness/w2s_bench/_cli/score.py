"""`w2s-bench score`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from w2s_bench._cli.options import Device

EPILOG = """
**Examples**

`w2s-bench score labels.jsonl --list` — which trust functions apply to these columns, and what the others lack

`w2s-bench score labels.jsonl --trust confidence --out scored` — the half of the rows that the teacher is surest of

`w2s-bench score labels.csv --column prompt=question --column label=answer --trust probe --trust-set gold.csv --out scored`

`w2s-bench score labels.parquet --trust calibrated --trust-set gold.jsonl --purity .95 --out scored` — what is 95 % pure, or nothing

`w2s-bench score labels.jsonl --trust mean_logprob --teacher ./my-model --out scored` — log-probabilities read of a model

**Columns**: `prompt` and `label` in every row; `id`, `options`; signals: `probs` or `logprobs` (over the options), `votes`,
`token_logprobs`, `token_entropies`, `embedding`, `prompt_embedding`, `option_embeddings`, each with `student_` before it for another
model; gold in some rows: `correct`, or `gold`. Those rows are the trust set: they teach and certify, each scored by a function that
has not learnt from it; one that gold calls wrong is never kept. docs/score.md says what each holds.

`OUT/` gets `README.md` (the report), `scored.parquet` and `.jsonl`, the kept rows as `training/` (of `datasets`) and `training.jsonl`,
two plots and `score.json`; all of it or nothing. Trust functions run in this process. Where no purity can be guaranteed, nothing
is kept, and that is a result. Exit codes: 0 done, 1 the disk, 2 a mistake in the call or the file.
"""


class Guarantee(StrEnum):
    LTT = "ltt"
    SGR = "sgr"
    HOEFFDING = "hoeffding"
    CONFORMAL = "conformal"


def score(
    labels: Annotated[
        str, typer.Argument(help="Weak labels: a .jsonl, .csv, .tsv or .parquet file, or a folder of `datasets`.")
    ],
    trust: Annotated[
        list[str] | None,
        typer.Option(
            "--trust",
            "-t",
            help="A trust function, as NAME or NAME:key=value,…; repeat for more. The first decides what is kept. `all`: every "
            "one that applies.",
            metavar="T",
        ),
    ] = None,
    trust_set: Annotated[
        str | None,
        typer.Option(
            "--trust-set",
            help="A file with gold: `id` and `correct` or `gold` for rows of the labels, or whole rows beside them.",
            metavar="GOLD",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder to write; it must not be there yet.", metavar="DIR")
    ] = None,
    keep: Annotated[
        float | None, typer.Option("--keep", help="Share of the rows to keep (default: .5).", metavar="SHARE")
    ] = None,
    purity: Annotated[
        float | None,
        typer.Option("--purity", help="Keep as much as has this share of right labels, guaranteed.", metavar="P"),
    ] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", help="Of the guarantee, and of intervals.", metavar="C")
    ] = 0.95,
    guarantee: Annotated[
        Guarantee,
        typer.Option("--guarantee", help="How: Learn then Test, SGR, Hoeffding's bound; or on average: conformal."),
    ] = Guarantee.LTT,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher", help="A model that reads what columns lack of the teacher: a name or a folder.", metavar="M"
        ),
    ] = None,
    student: Annotated[
        str | None, typer.Option("--student", help="The same of the student, untuned.", metavar="M")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            "-c",
            help="What a column is called in the file, `a.b` for one within another; empty leaves it out. Repeat for more.",
            metavar="OURS=YOURS",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Which split of a folder of `datasets`.", metavar="NAME")
    ] = None,
    delimiter: Annotated[
        str,
        typer.Option("--delimiter", help="What models read between prompt and label (default: a space).", metavar="S"),
    ] = " ",
    seed: Annotated[int, typer.Option("--seed", help="Of folds, ties and trust functions.", metavar="N", min=0)] = 0,
    device: Device = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Say of every installed trust function what it lacks; score nothing.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Put the result in the place of an earlier one.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the figures as JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table; errors only.")] = False,
) -> None:
    """Score weak labels of your own, keep the part that can be trusted, and say how pure it is."""
    from w2s_bench._cli.errors import explained

    with explained():
        from typing import cast

        from w2s_bench._cli.preflight import use_device
        from w2s_bench._cli.scored import print_functions, print_scored, shown_phases
        from w2s_bench._cli.waiting import told_waits
        from w2s_bench.errors import LabelsError
        from w2s_bench.scoring.outcome import Asked
        from w2s_bench.scoring.schema import Columns
        from w2s_bench.scoring.score import applicable, score_labels
        from w2s_bench.scoring.selecting import Goal
        from w2s_bench.types import Reader

        use_device(device)
        named = {"teacher": teacher, "student": student}
        models = {cast(Reader, of): name for of, name in named.items() if name is not None}
        goal = Goal(0.5 if keep is None and purity is None else keep, purity, confidence, guarantee.value)
        asked = Asked(
            labels, Columns.parse(column or ()), tuple(trust or ()), trust_set, models, goal, split, delimiter, seed
        )
        if list_:
            with shown_phases(quiet=quiet or json_output) as progress, told_waits(quiet=quiet) as awaits:
                checked_labels, functions = applicable(asked, progress, awaits)
            print_functions(checked_labels, functions, as_json=json_output)
            raise typer.Exit
        if out is None:
            raise LabelsError(
                "--out is not given; name the folder that the result goes to, or give --list to see what applies"
            )
        with shown_phases(quiet=quiet or json_output) as progress, told_waits(quiet=quiet) as awaits:
            scored = score_labels(asked, out, force=force, progress=progress, awaits=awaits)
        print_scored(scored, out, as_json=json_output, quiet=quiet)
