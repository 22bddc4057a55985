"""`docs/suites.md`, made from the models that suite files are checked by: `python -m w2s_bench.suites.page > docs/suites.md`."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import BaseModel

from w2s_bench.resolvers import resolvers_for
from w2s_bench.suite import Suite
from w2s_bench.suite_domain import DomainSpec, Sizes
from w2s_bench.suite_files import LARGEST, built_in_suites
from w2s_bench.suite_training import Training
from w2s_bench.untrusted import MOST_NESTED, MOST_VALUES, MOST_WRITTEN


def _resolved(entry_kind: str) -> str:
    """A row of a table for each way to name what no plugin brings."""
    return "".join(f"| `{resolver.written}` | {resolver.summary} |\n" for resolver in resolvers_for(entry_kind))


_HEAD: Final = f"""# Suite files

A suite is a YAML file: domains, models, sizes, recipe, coverage and seeds, all that a result rests on. `w2s-bench run
my-suite.yaml` runs it; `w2s-bench run -` reads it from the standard input. Of those that ship,
[tiny.yaml](../harness/w2s_bench/suites/tiny.yaml) is a good beginning,
[tiny-full.yaml](../harness/w2s_bench/suites/tiny-full.yaml) is the same with every trust function that is installed, and
[tiny-chain.yaml](../harness/w2s_bench/suites/tiny-chain.yaml) has models between teacher and student. `w2s-bench suite new NAME`
writes one of any domains with splits as large as their items let them be, and `w2s-bench suite check FILE --gap` looks at one
before hours are spent on it. `suite check FILE --budget` trains ceiling and naive at half, once and twice the steps on two seeds and
compares them on `dev`: freeze a suite where twice the steps change the ceiling by no more than .01. With `--keep DIR` that is kept in
`DIR/budget.json` beside the board of a run of this suite, whose page then has it as a table: one bit a dev item and student, the suite's
digest, seeds, models and versions; of all domains or of none. `w2s-bench check DIR` refuses a file of another suite, or one whose
figures its bits, the suite or the board's cells contradict.

No result hangs on a suite's trust functions, but it may name those of the harness that a plain `run` takes
(`trust_functions`); without the key it takes [all of them](trust-functions.md). Those of installed plugins run in either case,
so that `pip install` and `run` give a new method its rows. `--trust NAME`, once or more, takes what it names instead, and
`--trust all` every installed one. Those that a domain's kind rules out are passed over, and where a model does not give what
one needs, its row says why.

An unknown key is refused, with the nearest known one; so is a key that stands twice. A file is at most {LARGEST >> 10} KiB of
UTF-8, with at most {MOST_WRITTEN} values, nested at most {MOST_NESTED} deep. Aliases (`&a`, `*a`) may be used, as long as they stand for at
most {MOST_VALUES} values when written out. Everything but `description` and `trust_functions` makes the suite's digest, which
every cell carries: a changed suite is another one, so give it another `version`.

Reading a suite of somebody else runs nothing. To `run` it is to trust it as far as it goes: the folders of models that it
names are opened, models of the hub fetched, and its `parameters` handed to the domains' plugins. `verify`, which runs the suite
of a results folder, [asks first](protocol.md#verifying-a-row).

```yaml
{{example}}```
"""

_MODELS: Final = f"""## Models

| `model` | what it is |
|---|---|
| `tiny/NAME` | a bundled model (`w2s-bench list models`) |
| `DISTRIBUTION/NAME` | a model of an installed plugin |
{_resolved("model")}| `/FOLDER`, `./FOLDER`, `../FOLDER`, `~/FOLDER` | `local/FOLDER` |

A relative folder, `local/models/x` or `./models/x`, is the one beside the suite file (of the working directory, where the
suite comes from a stream). It enters the suite's digest as the absolute path that it stands for. A model is known by its
fingerprint, which every cell has; `w2s-bench verify DIR --model NAME=FOLDER` says where it lies on another machine.

An adapter is named with its base, as `adapter/./tuned+hf/OWNER/NAME@COMMIT` or `adapter/./tuned+local/./base`: the file
`adapter_config.json` says where its base lay when it was trained, which is never followed; a hub's base of another name than it
says is refused. LoRA (DoRA too), LoHa, LoKr and IA³ can be merged; the fingerprint is of both. The tokenizer is the adapter's
own where its folder has one.

## Domains

`name` is a domain of an installed plugin, or `lm-eval/TASK` ([lm-eval.md](lm-eval.md)). Its `parameters` are handed over as they
are written; a path among them is the domain's own affair, but for `apply_chat_template` of `lm-eval/TASK`, which names a model as
above. What is relative in a domain's own YAML is relative to that YAML.

This page is made from the code: `python -m w2s_bench.suites.page > docs/suites.md`.
"""


def page() -> str:
    """The page's whole text."""
    parts: list[tuple[str, str, type[BaseModel]]] = [
        ("The suite", "Top level of the file.", Suite),
        ("A domain", "Each entry of `domains`.", DomainSpec),
        ("Sizes", "The splits of a domain; no item, group or question stands in two of them.", Sizes),
        ("A model and its training", "`teacher` and `student` of a domain.", Training),
    ]
    blocks = [_HEAD.replace("{example}", _example())]
    for title, words, model in parts:
        blocks.append(f"## {title}\n\n{words}\n\n{_table(model)}\n")
    return "\n".join([*blocks, _MODELS])


def _example() -> str:
    """The shipped suite's head with its first domain."""
    lines = built_in_suites()["tiny"].read_text(encoding="utf-8").splitlines()
    starts = [number for number, line in enumerate(lines) if line.lstrip().startswith("- name:")]
    return "\n".join(line for line in lines[: starts[1]] if not line.startswith("#")).rstrip() + "\n"


def _table(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, field in schema["properties"].items():
        default = "required" if key in required else f"`{json.dumps(field.get('default', {}), ensure_ascii=False)}`"
        rows.append(f"| `{key}` | {_value(field)} | {default} | {field['description']} |")
    return "\n".join(rows)


def _value(field: dict[str, Any]) -> str:
    """A field's type and range in words."""
    if "const" in field or "enum" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if "anyOf" in field:
        return " or ".join("nothing" if choice == {"type": "null"} else _value(choice) for choice in field["anyOf"])
    json_type = field.get("type")
    if json_type == "boolean":
        return "`true`, `false`"
    if json_type == "array" and field["items"].get("type") == "string":
        return f"list of texts, at most {field['maxItems']}"
    if json_type == "array":
        items = _reference(field["items"]) if "$ref" in field["items"] else f"{_value(field['items'])} each"
        return f"list of {items}, {field.get('minItems', 0)} to {field['maxItems']}"
    if json_type == "object":
        return "mapping"
    if json_type == "string":
        pattern = f", `{field['pattern']}`" if "pattern" in field else ""
        return f"text, at most {field['maxLength']} characters{pattern}"
    if json_type == "integer":
        low = field.get("minimum", field.get("exclusiveMinimum", -1) + 1)
        high = field.get("maximum", field.get("exclusiveMaximum", 0) - 1)
        return f"integer, {low} to {f'{high:,}'.replace(',', ' ') if high < 1 << 62 else '2⁶³ − 1'}"
    if json_type == "number":
        words = {
            "minimum": "from {}",
            "exclusiveMinimum": "above {}",
            "maximum": "to {}",
            "exclusiveMaximum": "below {}",
        }
        return ", ".join(["number", *(text.format(field[name]) for name, text in words.items() if name in field)])
    return f"mapping: {_reference(field)}"


def _reference(field: dict[str, Any]) -> str:
    target = field["$ref"].rpartition("/")[2]
    titles = {"DomainSpec": "domains", "Sizes": "sizes", "Training": "a model and its training"}
    anchors = {"DomainSpec": "a-domain", "Sizes": "sizes", "Training": "a-model-and-its-training"}
    return f"[{titles[target]}](#{anchors[target]})"


if __name__ == "__main__":
    print(page(), end="")
