"""Whether what lies of a model in the hub client's cache is all of it, where no hub can be asked. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from w2s_bench.models.folders import TOKENIZER_FILES, pickled_in

#: Files without which a model loads and is another: other special tokens, other ends of answers.
_CHANGE_IT: Final = ("config.json", "tokenizer_config.json", "generation_config.json")
_OF_TOKENIZER: Final = _CHANGE_IT[1:2]


def lacks(folder: Path, repo: str, revision: str, patterns: Sequence[str], *, whole: bool) -> list[str]:
    """Names of files that the snapshot in `folder` should have and has not, as far as that is known; `whole`: for loading, not its
    tokenizer's template alone.

    Newer hub clients keep the list of a commit's files and hold the snapshot to it themselves. Without that list the hub is asked;
    without a hub, a snapshot that somebody fetched whole (`hf download`) is known by `.gitattributes`, which every repository has,
    and a file that was asked for and is not in the repository by the client's note of it (`.no_exist`).
    """
    cache = folder.parent.parent
    if (cache / "trees" / f"{revision}.json").is_file():
        return []
    if (listed := _listed(repo, revision, patterns)) is not None:
        return [file for file in listed if not (folder / file).is_file()]
    if (folder / ".gitattributes").is_file():
        return []
    asked = cache / ".no_exist" / revision
    needed = _CHANGE_IT if whole else _OF_TOKENIZER
    missing = [file for file in needed if not (folder / file).is_file() and not (asked / file).exists()]
    if whole and not any(folder.glob("*.safetensors")) and not pickled_in(folder):
        missing.append("*.safetensors")
    if whole and not any((folder / file).is_file() for file in TOKENIZER_FILES) and not any(folder.glob("*.tiktoken")):
        missing.append(TOKENIZER_FILES[0])
    return missing


def _listed(repo: str, revision: str, patterns: Sequence[str]) -> list[str] | None:
    """The commit's files of these patterns, as the hub tells them; None where it does not answer."""
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        return None
    try:
        files = HfApi().list_repo_files(repo, revision=revision)
    except Exception:  # noqa: BLE001 - the hub client raises many kinds, and what is here may be whole
        return None
    return [file for file in files if any(fnmatch(file, pattern) for pattern in patterns)]  # as the client does
