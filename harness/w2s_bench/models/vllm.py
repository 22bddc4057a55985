"""vLLM in the engine's place, for what it can: answers, and log-probabilities of tokens. It is started anew for every call.

Its numbers differ from the engine's by round-off, so that a greedy answer may differ: who asks it says so in its keys. It knows nothing
of states, gradients and training. It has not been run here on a GPU; its tests have a stand-in that computes as transformers does.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s_bench.errors import ModelError, said
from w2s_bench.models.answering import obeys_more, refuse_other_than_greedy
from w2s_bench.models.encoding import Pair
from w2s_bench.models.engine import Engine
from w2s_bench.models.greedy import Ending, Generated, prompts_with_room
from w2s_bench.types import Item, TrainingRow

#: How vLLM starts the process that it computes in.
_START = "VLLM_WORKER_MULTIPROCESSING_METHOD"


class VllmEngine(Engine):
    """`Engine` of a whole model that lies in the processor's memory, which vLLM is given in a folder."""

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Around whatever is not said below."""
        raise ModelError(
            f"vLLM gives answers and log-probabilities of model {self.model.config.name_or_path!r}, and nothing else of it; unset "
            "W2S_BENCH_ENGINE"
        )
        yield

    def notes(self) -> list[str]:
        return ["vLLM answers and reads labels"]

    def choice_scores(self, items: Sequence[Item | TrainingRow]) -> list[NDArray[np.float64]]:
        pairs = self._option_pairs(items)
        told = iter(self._logprobs([pair for each in pairs for pair in each]))
        return [np.array([next(told).sum() for _ in each]) for each in pairs]

    def label_logprobs(self, rows: Sequence[TrainingRow]) -> list[NDArray[np.float64]]:
        return self._logprobs(self._row_pairs(rows))

    def generate(self, items: Sequence[Item], *, max_new_tokens: int, until: Sequence[str]) -> list[Generated]:
        prompts = [item.prompt for item in items]
        answers = self._answers(prompts, [{"temperature": 0.0}] * len(prompts), max_new_tokens, until)
        return [answer for (answer,) in answers]

    def samples(
        self,
        rows: Sequence[Item | TrainingRow],
        k: int,
        temperature: float,
        *,
        max_new_tokens: int,
        until: Sequence[str] = (),
        rng: np.random.Generator,
    ) -> list[list[str]]:
        seeds = rng.integers(1 << 31, size=len(rows)).tolist()
        drawn = [{"n": k, "temperature": temperature, "seed": seed} for seed in seeds]
        answers = self._answers([row.prompt for row in rows], drawn, max_new_tokens, until)
        return [[answer.text for answer in each] for each in answers]

    def _answers(
        self, prompts: Sequence[str], drawn: Sequence[dict[str, Any]], most: int, until: Sequence[str]
    ) -> list[list[Generated]]:
        """As the engine ends and writes them; `drawn` a prompt: how its tokens are chosen."""
        refuse_other_than_greedy(self.model)
        if obeys_more(self.model):
            raise ModelError(
                f"the generation settings of model {self.model.config.name_or_path!r} change greedy answers, which vLLM is not told; "
                "unset W2S_BENCH_ENGINE"
            )
        encoded = prompts_with_room(self.model, self.tokenizer, prompts, max_new_tokens=most, cut=self._cuts)
        ending = Ending.of(self.model, self.tokenizer, until)
        ends: dict[str, Any] = {"stop_token_ids": sorted(ending.tokens), "skip_special_tokens": False}
        # With them vLLM ends where they are complete; where exactly an answer ends is then seen as everywhere.
        ends |= {"stop": list(ending.stops.texts)} if ending.stops.texts else {"detokenize": False}
        with self._running() as (vllm, llm):
            settings = [vllm.SamplingParams(max_tokens=most, **ends, **how) for how in drawn]
            given = llm.generate([{"prompt_token_ids": ids} for ids in encoded], settings, use_tqdm=False)
        return [[ending.finished(list(answer.token_ids)) for answer in each.outputs] for each in given]

    def _logprobs(self, pairs: Sequence[Pair]) -> list[NDArray[np.float64]]:
        """One natural log-probability a token of each pair's completion."""
        rows = [[*pair.prompt, *pair.completion] for pair in pairs]
        with self._running() as (vllm, llm):
            asked = vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
            given = llm.generate([{"prompt_token_ids": row} for row in rows], asked, use_tqdm=False)
        out = []
        for pair, row, told in zip(pairs, rows, given, strict=True):
            places = range(len(pair.prompt), len(row))
            out.append(np.array([told.prompt_logprobs[i][row[i]].logprob for i in places], dtype=np.float64))
        if any(np.isnan(each).any() for each in out):
            raise ModelError(
                "what vLLM says of the model is no numbers (NaN): its training diverged, or its weights are damaged"
            )
        return out

    @contextmanager
    def _running(self) -> Iterator[tuple[Any, Any]]:
        """(the module, its engine with this model); afterwards the accelerator is free again."""
        vllm = installed_vllm()
        name, narrow = self.model.config.name_or_path, self.precision == "bfloat16"
        dtype = "bfloat16" if narrow else str(self.model.dtype).removeprefix("torch.")
        with tempfile.TemporaryDirectory(prefix="w2s-bench-vllm-") as folder:
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
            llm = None
            before = os.environ.get(_START)
            os.environ[_START] = "spawn"  # a fork would inherit what torch is set to here, as to refuse fast kernels
            try:
                llm = vllm.LLM(model=folder, dtype=dtype, seed=0, trust_remote_code=False, disable_log_stats=True)
                yield vllm, llm
            except Exception as error:  # vLLM raises kinds of its own
                raise ModelError(
                    f"vLLM cannot read model {name!r}: {' '.join(said(error).split())}; unset W2S_BENCH_ENGINE"
                ) from error
            finally:
                os.environ.pop(_START)
                if before is not None:  # the user's own
                    os.environ[_START] = before
                if llm is not None and hasattr(llm.llm_engine.engine_core, "shutdown"):
                    llm.llm_engine.engine_core.shutdown()


def installed_vllm() -> Any:
    """The module; `ModelError` where it is not installed or does not load."""
    try:
        return importlib.import_module("vllm")
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelError(
            f"engine vllm cannot be imported here ({error}); pip install 'w2s-bench[vllm]', or unset W2S_BENCH_ENGINE"
        ) from error
