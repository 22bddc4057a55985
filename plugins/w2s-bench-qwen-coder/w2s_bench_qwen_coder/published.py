"""Which files there are, where they are looked for, and the model that the harness takes in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from w2s_bench import ModelError

if TYPE_CHECKING:
    from w2s_bench import GgufModel

#: The folder of the GGUF files, where the user names one.
FOLDER_VARIABLE: Final = "W2S_BENCH_QWEN_CODER"


@dataclass(frozen=True)
class Published:
    """A file as its maker's repository on the Hugging Face hub has it. `size` in bytes."""

    name: str
    repository: str
    file: str
    sha256: str
    size: int


MODELS: Final = {
    published.name: published
    for published in (
        Published(
            "0.5b",
            "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            491_400_064,
        ),
        Published(
            "1.5b",
            "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            1_117_320_768,
        ),
    )
}


@dataclass(frozen=True)
class PublishedModel:
    """A model whose file lies in `models_folder()`; it is unpacked the first time that it is loaded."""

    published: Published

    @property
    def name(self) -> str:
        return f"w2s-bench-qwen-coder/{self.published.name}"

    def fingerprint(self) -> str:
        """SHA-256 of the GGUF file, known before the file is there: the one that is loaded must have it."""
        return self.published.sha256

    def load(self) -> tuple[Any, Any]:
        """(model in float32 and evaluation mode, tokenizer)."""
        return self.in_its_file().load()

    def load_as(self, setup: Any, device: str) -> tuple[Any, Any]:
        """(model on `device` as `setup` has it, tokenizer), as the harness's own models give them."""
        return self.in_its_file().load_as(setup, device)

    def in_its_file(self) -> GgufModel:
        """The same model of the file; `ModelError` where it is missing or is another file."""
        from w2s_bench import GgufModel

        path = models_folder() / self.published.file
        if not path.is_file():
            raise ModelError(
                f"model {self.name!r}: there is no {path}; `w2s-bench-qwen-coder fetch {self.published.name}` gets it from the hub "
                f"({self.published.repository}), or name the folder that it lies in by {FOLDER_VARIABLE}"
            )
        found = GgufModel(self.name, path)
        if (sha256 := found.fingerprint()) != self.published.sha256:
            raise ModelError(
                f"model {self.name!r}: {path} is another file: its SHA-256 is {sha256}, that of the published one "
                f"{self.published.sha256}; remove it and fetch it again"
            )
        return found


def models_folder() -> Path:
    """Where the GGUF files lie: in the user's cache folder, or where `W2S_BENCH_QWEN_CODER` says."""
    from platformdirs import user_cache_path

    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else user_cache_path("w2s-bench") / "qwen-coder"
