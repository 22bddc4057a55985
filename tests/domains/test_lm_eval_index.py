"""The index of names agrees with lm-eval's own, which parses every file."""

from __future__ import annotations

import pytest

from w2s_bench.domains.task_index import installed_tasks, names_below


@pytest.mark.slow
def test_names_and_files_are_those_of_lm_evals_own_index() -> None:
    from lm_eval.tasks import TaskManager

    manager, root = TaskManager(), installed_tasks()
    found = names_below(root)
    tasks = {name for name, at in found.items() if at.startswith("task ")}
    theirs = set(manager.all_subtasks)
    assert len(theirs) > 5000
    assert sorted(theirs - tasks) == []
    assert sorted(tasks - theirs) == []
    for name in theirs:  # of two files with one name the same one
        assert root / found[name].removeprefix("task ") == manager.task_index[name].yaml_path
