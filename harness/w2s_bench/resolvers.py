"""Names that no plugin registers: one row a prefix, with what such a name is of and who makes something of it.

Where models or domains come from is added by a row here and its module. It stands this low since suite files, consent and
worker processes must know what a name is of before anything is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal


@dataclass(frozen=True)
class Resolver:
    """`PREFIX/REST`: names of one kind that lie in one place."""

    entry_kind: Literal["model", "domain"]
    prefix: str
    #: How what follows the prefix is written, and in which place that is looked up.
    rest: str
    place: str
    #: What it is, in a line.
    summary: str
    #: `module:function`, which makes it of the whole name: by text, as it lies above, and importing it may be slow.
    factory: str
    #: Where `REST` is a path on this disk: of what, and what that must hold.
    path_of: Literal["folder", "file"] | None = None
    holding: str = ""
    #: Whether a path that stands alone, without any prefix, is meant for it.
    takes_bare_paths: bool = False
    #: Whether the thing that it stands on is named after it: `PREFIX/REST+NAME`, see `parted`.
    stands_on_another: bool = False
    #: Parameters of a domain whose value is the name of a model.
    naming_models: tuple[str, ...] = ()

    @property
    def written(self) -> str:
        return f"{self.prefix}/{self.rest}"


RESOLVERS: Final = (
    Resolver(
        "model",
        "hf",
        "OWNER/NAME@COMMIT",
        place="a model hub",
        summary="a causal language model of the Hugging Face hub, at the 40 digits of a commit",
        factory="w2s_bench.models.origins:from_hub",
    ),
    Resolver(
        "model",
        "local",
        "FOLDER",
        place="this disk",
        summary="a folder that `save_pretrained` wrote: `config.json`, `*.safetensors`, tokenizer files",
        factory="w2s_bench.models.origins:from_folder",
        path_of="folder",
        holding="config.json and weights",
        takes_bare_paths=True,
    ),
    Resolver(
        "domain",
        "lm-eval",
        "TASK",
        place="the installed lm-eval, and folders of --include-path",
        summary="a task of lm-eval that grades right or wrong (docs/lm-eval.md); `list domains --lm-eval` shows which can be used",
        factory="w2s_bench.domains.lm_eval:from_name",
        naming_models=("apply_chat_template",),
    ),
    Resolver(
        "model",
        "gguf",
        "FILE",
        place="this disk",
        summary="a GGUF file with its tokenizer, unpacked once into the cache (takes `w2s-bench[gguf]`)",
        factory="w2s_bench.models.gguf:from_file",
        path_of="file",
        holding="the weights and tokenizer of a causal language model (GGUF)",
    ),
    Resolver(
        "model",
        "adapter",
        "FOLDER+BASE",
        place="this disk",
        summary="a folder that peft wrote (`adapter_config.json`, `adapter_model.safetensors`), merged into the model that BASE names "
        "(hf/…, local/…, gguf/…, or an adapter again)",
        factory="w2s_bench.models.adapters:from_name",
        path_of="folder",
        holding="adapter_config.json and adapter_model.safetensors",
        stands_on_another=True,
    ),
)
#: No distribution may be called so.
PREFIXES: Final = frozenset(resolver.prefix for resolver in RESOLVERS)


def resolvers_for(entry_kind: str) -> tuple[Resolver, ...]:
    """Those that give entries of a kind (`plugins.hooks.EntryKind`)."""
    return tuple(resolver for resolver in RESOLVERS if resolver.entry_kind == entry_kind)


def resolver_of(entry_kind: str, name: str) -> Resolver | None:
    """Who makes something of a name; None where it could be a plugin's alone."""
    prefix = name.partition("/")[0]
    for resolver in resolvers_for(entry_kind):
        if resolver.prefix == prefix or (resolver.takes_bare_paths and is_bare_path(name)):
            return resolver
    return None


def is_bare_path(name: str) -> bool:
    """Whether a name is a path and nothing else. `models/x` is none: it could be a plugin's, or a folder of a stranger's."""
    return bool(name) and (name.partition("/")[0] in {"", ".", ".."} or name.startswith("~"))


def is_on_disk(entry_kind: str, name: str) -> bool:
    """Whether a name is that of a folder or file of this disk."""
    resolver = resolver_of(entry_kind, name)
    return resolver is not None and resolver.path_of is not None


def with_prefix(resolver: Resolver, name: str) -> str:
    """A name that `resolver` takes, with the prefix that a bare path lacks."""
    return f"{resolver.prefix}/{name}" if is_bare_path(name) else name


def parted(entry_kind: str, name: str) -> tuple[str, str | None]:
    """`adapter/FOLDER+BASE` as `adapter/FOLDER` and the name BASE, which has its prefix; of any other name itself and None.

    The first `+` that a prefix follows parts them, so that a folder may have a `+` in its name.
    """
    resolver = resolver_of(entry_kind, name)
    if resolver is None or not resolver.stands_on_another:
        return name, None
    cuts = [cut for other in resolvers_for(entry_kind) if (cut := name.find(f"+{other.prefix}/")) >= 0]
    return (name[: min(cuts)], name[min(cuts) + 1 :]) if cuts else (name, None)


def beside(entry_kind: str, name: str, folder: Path) -> str:
    """A name with relative paths in it made absolute: `local/models/x` and `./models/x` beside `folder`."""
    # `..` goes by name, so that links stay as they are written.
    return _with_paths(entry_kind, name, lambda path: os.path.abspath(folder / path))  # noqa: PTH100


def named_from(entry_kind: str, name: str, working: Path, folder: Path) -> str:
    """A name with relative paths in it, which are of `working`, written as they are reached from `folder`: `./x` for a bare one."""
    return _with_paths(entry_kind, name, lambda path: os.path.relpath(working / path, folder))


def _with_paths(entry_kind: str, name: str, other: Callable[[str], str]) -> str:
    """A name, and what it stands on, with `other` of each relative path in it."""
    own, base = parted(entry_kind, name)
    if base is not None:
        return f"{_with_path(entry_kind, own, other)}+{_with_paths(entry_kind, base, other)}"
    return _with_path(entry_kind, own, other)


def _with_path(entry_kind: str, name: str, other: Callable[[str], str]) -> str:
    resolver = resolver_of(entry_kind, name)
    if resolver is None or resolver.path_of is None:
        return name
    bare = is_bare_path(name)
    path = name if bare else name.partition("/")[2]
    if not path or path.startswith(("/", "~")):
        return name
    path = other(path)
    if not bare:
        return f"{resolver.prefix}/{path}"
    return path if is_bare_path(path) else f"./{path}"


def at_path(entry_kind: str, name: str, path: str) -> str:
    """The name that a thing of this disk has once it lies at `path`; what it stands on is as before, unless `path` names it."""
    resolver = resolver_of(entry_kind, name)
    if resolver is None:
        return name
    moved, base = f"{resolver.prefix}/{path}", parted(entry_kind, name)[1]
    return moved if base is None or parted(entry_kind, moved)[1] is not None else f"{moved}+{base}"


def what_lacks(entry_kind: str, name: str) -> str | None:
    """What is wrong with the place that the name of a thing of this disk tells, and what to give; None where it is there."""
    resolver = resolver_of(entry_kind, name)
    path = Path(parted(entry_kind, name)[0].partition("/")[2])
    if resolver is None or (path.is_file() if resolver.path_of == "file" else path.is_dir()):
        return None
    if path.is_file() and path.suffix == ".gguf":
        return f"{path} is a GGUF file; write gguf/{path}"
    return f"there is no {resolver.path_of} {str(path)!r}; give one with {resolver.holding}"
