"""Answers that a student writes itself while it is trained, and what other models expect in the place of each of their tokens.

Nobody grades them, and no gold is at hand here: rows give prompts, and labels that a model of the run made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from w2s_bench.errors import ModelError
from w2s_bench.models.assumptions import anatomy_of, verdict_of
from w2s_bench.models.capabilities import Anatomy
from w2s_bench.models.decoding import PaddedRows
from w2s_bench.models.encoding import Pair, encode_prompts, max_length_of
from w2s_bench.models.finetuning import Asked
from w2s_bench.models.greedy import Pick, Picks, continued, stops_of
from w2s_bench.models.losses.trb import blended
from w2s_bench.models.objectives import OnPolicy, Step, Targets, Whose
from w2s_bench.models.sampling import Sampling
from w2s_bench.models.scoring import completion_logits


class Told(Protocol):
    """A loaded model that is asked beside the student, never trained."""

    model: Any
    tokenizer: Any

    def computing(self) -> AbstractContextManager[None]:
        """While open, it computes in its own precision."""


@dataclass(frozen=True)
class Rolling:
    """What writing answers takes: models to ask beside the student, and where an answer ends (after so many tokens, or a text)."""

    others: Mapping[Whose, Told]
    max_new_tokens: int
    until: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Answer:
    """A prompt with what was written to it, of which the first `given` tokens are the label's."""

    pair: Pair
    given: int


@dataclass
class OwnAnswers:
    """Rows to train on whose completions the model writes (`finetuning.Examples`, `finetuning.Written`).

    `pairs` are the rows with their labels, `prompts` the same prompts as answers are generated to; both are empty for rows that no
    step draws. Rows share a batch as they do where labels are trained on. `seed` decides every token, however rows are batched.
    """

    pairs: Sequence[Pair]
    prompts: Sequence[Sequence[int]]
    tokenizer: Any
    objective: OnPolicy
    rolling: Rolling
    seed: int
    _written: dict[int, list[_Answer]] = field(default_factory=dict, init=False)

    @property
    def lengths(self) -> list[int]:
        return [len(pair) for pair in self.pairs]

    @property
    def most_tokens(self) -> list[int]:
        return [self.objective.rollouts * (len(pair) + self.rolling.max_new_tokens) for pair in self.pairs]

    def asks(self, row: int) -> int:
        return sum(len(answer.pair.completion) for answer in self._written[row])

    def write(self, model: Any, rows: Sequence[int], step: Step) -> None:
        """Answers to these rows, by the student as it is, or by the blend that the objective allows at this step.

        Of a row that stands twice in a batch both places have the answers that were written last.
        """
        times, most = self.objective.rollouts, self.rolling.max_new_tokens
        rng = np.random.default_rng([self.seed, 2, step.number])
        uniforms, shares = rng.random((len(rows) * times, most)), rng.random(len(rows) * times)
        places = [row for row in rows for _ in range(times)]
        opening = self.objective.opening(step)
        limit = min(max_length_of(each) for each in self._models(model))
        begun = [self._begun(row, opening * share, limit) for row, share in zip(places, shares.tolist(), strict=True)]
        prompts = [[*prompt, *given] for prompt, given in begun]
        sampling, budget = Sampling(1.0, uniforms), self.objective.budget(step)
        own, blend = self._own(model, sampling), self._blending(prompts, sampling, budget)
        picks = own if budget <= 0 else blend
        stops = stops_of(self.tokenizer, self.rolling.until)
        new = continued(model, self.tokenizer, prompts, max_new_tokens=most, stops=stops, picks=picks)
        self._written |= {row: [] for row in rows}
        for place, (row, tokens) in enumerate(zip(places, new, strict=True)):
            prompt, given = begun[place]
            answers = self._written[row]
            self._written[row] = [*answers, _Answer(Pair(prompt, (*given, *tokens)), len(given))][-times:]

    def logits(self, model: Any, anatomy: Anatomy | None, rows: Sequence[int]) -> Asked:
        answers = [answer for row in rows for answer in self._written[row]]
        pairs = [answer.pair for answer in answers]
        logits, tokens, own = completion_logits(model, pairs, anatomy)
        told = {whose: _expected(other, pairs) for whose, other in self.rolling.others.items()}
        width = self._width(model)
        of = torch.arange(len(rows), device=own.device).repeat_interleave(self.objective.rollouts)
        labels = np.concatenate([np.arange(len(a.pair.completion)) < a.given for a in answers])
        off_policy = torch.from_numpy(labels).to(own.device) if labels.any() else None
        probs = {whose: each[:, :width].softmax(-1) for whose, each in told.items()}
        return logits[:, :width].float(), Targets(tokens, probs, off_policy), of[own]

    def _begun(self, row: int, share: float, limit: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The row's prompt and the first tokens of its label: at most this share of it, never its last, and room is left for an answer."""
        pair, prompt = self.pairs[row], tuple(self.prompts[row])
        whole = pair.prompt + pair.completion
        # Prompt and label may share a token, such as the space between them: then the label begins where it does in training.
        start = prompt if whole[: len(prompt)] == prompt else pair.prompt
        label = whole[len(start) :]
        most = min(len(label) - 1, limit - len(start) - self.rolling.max_new_tokens)
        given = label[: max(0, min(int(share * len(label)), most))]
        return (start, given) if given else (prompt, ())

    def _models(self, model: Any) -> tuple[Any, ...]:
        return (model, *(other.model for other in self.rolling.others.values()))

    def _width(self, model: Any) -> int:
        """How many tokens all models know: a vocabulary may be padded, to another size than the next model's."""
        return min(int(each.config.get_text_config().vocab_size) for each in self._models(model))

    def _own(self, model: Any, sampling: Sampling) -> Picks:
        width = self._width(model)

        def picks(places: Sequence[int]) -> Pick:
            draw = sampling.picks(places)
            return lambda logits, active, step: draw(logits[:, :width], active, step)

        return picks

    def _blending(self, prompts: Sequence[Sequence[int]], sampling: Sampling, budget: float) -> Picks:
        teacher, most = self.rolling.others["teacher"], self.rolling.max_new_tokens

        def picks(places: Sequence[int]) -> Pick:
            return _Blending(teacher, [prompts[place] for place in places], most, sampling.picks(places), budget)

        return picks


class _Blending:
    """Draws the tokens of a batch of a blend of the student with a teacher, who reads along (`greedy.Pick`)."""

    def __init__(self, teacher: Told, prompts: Sequence[Sequence[int]], most: int, draw: Pick, budget: float) -> None:
        model = teacher.model
        anatomy, verdict = anatomy_of(model), verdict_of(model)
        if anatomy is None or not verdict.neighbours or max(map(len, prompts)) + most > verdict.padded_cache:
            raise ModelError(
                f"teacher {model.config.name_or_path!r} does not allow answers to unequal prompts to be written side by side, so that it "
                "cannot be blended with a student token by token: take objective 'opd' or 'tropd', or another teacher"
            )
        self._teacher, self._draw, self._budget = teacher, draw, budget
        self._rows = PaddedRows(anatomy, model, prompts, most)
        self._active: list[int] = []
        self._chosen: torch.Tensor | None = None

    def __call__(self, logits: torch.Tensor, active: Sequence[int], step: int) -> torch.Tensor:
        if self._chosen is not None and len(active) < len(self._active):
            places = {row: place for place, row in enumerate(self._active)}
            keep = torch.tensor([places[row] for row in active], device=logits.device)
            self._rows.keep(keep)
            self._chosen = self._chosen[keep]
        with self._teacher.computing():
            other = self._rows.read(self._chosen if self._chosen is None else self._chosen.clamp(min=0))
        width = min(logits.shape[-1], other.shape[-1])
        mixed, _ = blended(logits[:, :width], other[:, :width], self._budget)
        chosen = self._draw(mixed, active, step)
        self._active, self._chosen = list(active), chosen
        return chosen


@torch.no_grad()
def _expected(other: Told, pairs: Sequence[Pair]) -> torch.Tensor:
    """(tokens of all completions, vocabulary) the logits of another model in the place of each token."""
    with other.computing():
        return completion_logits(other.model, pairs, anatomy_of(other.model))[0].float()


def refuse_other_tokens(tokenizer: Any, others: Mapping[Whose, Told], prompts: Sequence[str] = ()) -> None:
    """Raises `ModelError` where another model's tokens are not the student's: its distributions would be of other words.

    Two vocabularies may be one, and texts become other tokens by each, such as a first one that only one of them adds; `prompts`
    are texts to try.
    """
    words, end = tokenizer.get_vocab(), tokenizer.eos_token_id
    for whose, other in others.items():
        theirs, other_end = other.tokenizer.get_vocab(), other.tokenizer.eos_token_id
        name = f"{whose.replace('_', ' ')} {other.model.config.name_or_path!r}"
        next_step = "take a teacher and a student of one tokenizer, or an objective that is not on policy"
        if words != theirs:
            unlike = len(words.items() ^ theirs.items())
            raise ModelError(
                f"the tokenizers of student and {name} differ: {len(words)} and {len(theirs)} tokens, of which {unlike} are not the "
                f"same in both, so that a distribution over one's tokens says nothing of the other's; {next_step}"
            )
        if end != other_end:
            raise ModelError(f"student and {name} end an answer by tokens {end} and {other_end}; {next_step}")
        read_by_both = (encode_prompts(each, prompts) for each in (tokenizer, other.tokenizer))
        for prompt, own_ids, other_ids in zip(prompts, *read_by_both, strict=True):
            if own_ids != other_ids:
                raise ModelError(
                    f"student and {name} read a prompt as other tokens ({own_ids[:4]} and {other_ids[:4]} at its beginning, "
                    f"{len(own_ids)} and {len(other_ids)} in all): {prompt[:80]!r}; {next_step}"
                )


def refuse_too_long(prompts: Sequence[Sequence[int]], rolling: Rolling) -> None:
    """Raises `ModelError` where a model that is asked beside the student has no place for a prompt and the longest answer."""
    longest = max(map(len, prompts), default=0)
    for whose, other in rolling.others.items():
        if longest + rolling.max_new_tokens > (limit := max_length_of(other.model)):
            raise ModelError(
                f"a prompt of {longest} tokens with an answer of up to {rolling.max_new_tokens} does not fit into the {limit} that "
                f"{whose.replace('_', ' ')} {other.model.config.name_or_path!r} reads: it is asked about answers to the prompts that "
                "the student sees; allow fewer new tokens, shorten the items, or take a model with a longer context"
            )
