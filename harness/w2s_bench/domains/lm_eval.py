"""`lm-eval/TASK`: a task of the installed lm-eval, or of a folder that the user named, as a domain without any code.

`test` is the task's own; the other splits are cut from its training documents. What the YAML says is known without data, so
that a run is planned and its mistakes are told before anything is read.
"""

from __future__ import annotations

from w2s_bench.domains.files import task_files
from w2s_bench.domains.parameters import checked
from w2s_bench.domains.planned_task import LmEvalDomain
from w2s_bench.domains.task_index import find_task
from w2s_bench.domains.unfit import refuse_foreign, refuse_unfit
from w2s_bench.domains.usable import facts_of, has_several_contexts, merged
from w2s_bench.errors import PluginError
from w2s_bench.types import JSON


def from_name(
    name: str,
    *,
    data: JSON = None,
    revision: JSON = None,
    train: JSON = None,
    test: JSON = None,
    group: JSON = None,
    key: JSON = None,
    stratum: JSON = None,
    num_fewshot: JSON = 0,
    filter: JSON = None,
    metric: JSON = None,
    max_new_tokens: JSON = None,
    calculator_marks: JSON = True,
    chat_template: JSON = None,
    apply_chat_template: JSON = None,
    system_prompt: JSON = None,
    cluster: JSON = None,
) -> LmEvalDomain:
    """The domain that `lm-eval/TASK` names. What can be known to be wrong without its data is said here."""
    said = {**locals()}  # every parameter as given; those of a suite are all but the name
    del said["name"]
    who, short = f"domain {name!r}", name.removeprefix("lm-eval/")
    given = checked(who, said)
    path, root = find_task(short)
    files = task_files(path, who)
    refuse_foreign(files, root, who)
    facts = facts_of(short, merged(files), metric, several_contexts=has_several_contexts(files))
    if facts.fault:
        raise PluginError(
            f"{who} cannot be used: {facts.fault}; `w2s-bench list domains --lm-eval` shows which tasks can"
        )
    domain = LmEvalDomain(name, facts, path, root, given)
    refuse_unfit(domain, who)
    _ = domain.template  # a model without one is told before anything runs
    return domain
