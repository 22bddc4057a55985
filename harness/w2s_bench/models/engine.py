"""A loaded model, tuned or not, and what the protocol asks of it: answers, readings of labels, training, weights on disk."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from w2s_bench.errors import ModelError
from w2s_bench.models import entropies, finetuning, gradients, options, scoring, weights
from w2s_bench.models.answering import refuse_other_than_greedy
from w2s_bench.models.assumptions import verdict_of
from w2s_bench.models.batching import drawn, order_of
from w2s_bench.models.encoding import Pair, encode_pairs, end_of, max_length_of
from w2s_bench.models.finetuning import Choices, Examples, as_examples
from w2s_bench.models.greedy import Generated, generate, prompts_with_room
from w2s_bench.models.memory import out_of_memory
from w2s_bench.models.objectives import XENT, Objective, OnPolicy, Paired, Stopping, Whose, held_out, over_of, relative
from w2s_bench.models.on_policy import OwnAnswers, Rolling, refuse_other_tokens, refuse_too_long
from w2s_bench.models.overflow import Overlong, overlong
from w2s_bench.models.peers import co_teach, peers_seed
from w2s_bench.models.sampling import Sampling
from w2s_bench.models.setup import USUAL, Effort, Setup
from w2s_bench.types import FloatArray, Item, Precision, RecipeName, TrainingRow

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")
A = TypeVar("A", bound=Sequence[NDArray[Any]] | NDArray[Any])


def _in_its_precision(method: Callable[Concatenate[Engine, P], R]) -> Callable[Concatenate[Engine, P], R]:
    """A method of `Engine` whose matrix products are computed in the engine's precision, as fast as this machine can."""

    @functools.wraps(method)
    def call(self: Engine, /, *args: P.args, **settings: P.kwargs) -> R:
        with self.computing():
            return method(self, *args, **settings)

    return call


@contextmanager
def _tensor_float(allowed: bool) -> Iterator[None]:
    """While open, CUDA's products of float32 are of 10 bits of mantissa where that is `allowed`, of 23 where not."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def as_it_is(model: Any) -> Any:
    """Of a model that nobody else uses."""
    return model


@dataclass
class Engine:
    """A causal language model with its tokenizer. `own(model)` has weights that may be written into."""

    model: Any
    tokenizer: Any
    precision: Precision = "float32"
    setup: Setup = USUAL
    own: Callable[[Any], Any] = as_it_is

    @contextmanager
    def computing(self) -> Iterator[None]:
        """While open, the model's matrix products are computed in the engine's precision, as fast as this machine can.

        Memory that runs out here, where no smaller batch is tried (an adapter, an optimizer's moments), is a `ModelError` too.
        """
        import torch

        from w2s_bench.models.fused import fused_layers
        from w2s_bench.models.onednn import fast_products

        # A cache would hold the weights as they were when training began.
        wide = self.model.dtype == torch.float32 and not self.setup.widened
        lower = wide and self.precision == "bfloat16"
        autocast = torch.autocast(self.model.device.type, torch.bfloat16, enabled=lower, cache_enabled=False)
        try:
            with autocast, fast_products(self.model), fused_layers(self.model), _tensor_float(self.precision == "tf32"):
                yield
        except torch.OutOfMemoryError as error:
            is_trained: bool = self.model.training
            what = "to be trained" if is_trained else "to do what is asked of it"
            raise out_of_memory(self.model, what, trained=is_trained) from error

    def notes(self) -> list[str]:
        """What the engine does without because this model does not allow it, one line each."""
        return verdict_of(self.model).notes()

    def refuse_unfit(self, *, recipe: RecipeName, lora_rank: int, generates: bool) -> None:
        """Raise whatever `train` and `generate` would raise, whatever the rows. The engine is of no use afterwards."""
        if generates:
            refuse_other_than_greedy(self.model)
            end_of(self.tokenizer)
        if recipe == "lora":
            finetuning.add_lora(self.model, rank=lora_rank, seed=0, setup=self.setup)

    def overlong(self, items: Sequence[Item], *, most_new: int | None, golds: Mapping[str, str]) -> Overlong | None:
        """Items that do not fit the model's positions, by prompt with options, or with an answer of `most_new` tokens or of
        their gold's; None where all do. `golds`: item → completion, of those that answers are generated to.
        """
        return overlong(self.tokenizer, items, limit=max_length_of(self.model), most_new=most_new, golds=golds)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, without those that a tokenizer adds."""
        return [len(ids) for ids in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]] if texts else []

    @_in_its_precision
    def choice_scores(self, items: Sequence[Item | TrainingRow]) -> list[NDArray[np.float64]]:
        """(options,) an item: the summed log-probability of each option's tokens."""
        return _numbers(options.option_logprobs(self.model, self._option_pairs(items)))

    @_in_its_precision
    def option_states(self, items: Sequence[Item | TrainingRow], layers: Sequence[int] = (-1,)) -> NDArray[np.float32]:
        """(options of all items, layers, d): states of the last token of each prompt + option, options in the items' order.

        Layer 0 is the embedding, -1 the last. All layers come of one pass, and no others are kept.
        """
        return _numbers(options.option_states(self.model, self._option_pairs(items, whole=True), layers))

    @_in_its_precision
    def option_readings(
        self, items: Sequence[Item | TrainingRow], layers: Sequence[int]
    ) -> tuple[list[NDArray[np.float64]], NDArray[np.float32]]:
        """What `choice_scores` and `option_states` give, of one pass (of two, where prompts are cut: one token apart)."""
        read = self._option_pairs(items, whole=True)
        if self._cuts and read != self._option_pairs(items):
            return self.choice_scores(items), self.option_states(items, layers)
        sums, states = options.option_readings(self.model, read, layers)
        return _numbers(sums), _numbers(states)

    @_in_its_precision
    def generate(self, items: Sequence[Item], *, max_new_tokens: int, until: Sequence[str]) -> list[Generated]:
        """One greedy answer an item."""
        prompts = [item.prompt for item in items]
        settings: dict[str, Any] = {"max_new_tokens": max_new_tokens, "until": until, "cut": self._cuts}
        return generate(self.model, self.tokenizer, prompts, **settings)

    @_in_its_precision
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
        """k answers a row, each token drawn at `temperature` (1: as the model says; towards 0: the most probable)."""
        by = Sampling(temperature, rng.random((len(rows) * k, max_new_tokens)))
        prompts = [row.prompt for row in rows for _ in range(k)]
        settings: dict[str, Any] = {"max_new_tokens": max_new_tokens, "until": until, "cut": self._cuts}
        answers = generate(self.model, self.tokenizer, prompts, sampling=by, **settings)
        return [[answer.text for answer in answers[start : start + k]] for start in range(0, len(answers), k)]

    @_in_its_precision
    def label_logprobs(self, rows: Sequence[TrainingRow]) -> list[NDArray[np.float64]]:
        """One natural log-probability a token of each row's completion (and of its end, where it ended)."""
        return _numbers(scoring.token_logprobs(self.model, self._row_pairs(rows)))

    @_in_its_precision
    def label_entropies(self, rows: Sequence[TrainingRow]) -> list[NDArray[np.float64]]:
        """The entropy in nats of what is expected in the place of each token that `label_logprobs` tells of."""
        return _numbers(entropies.token_entropies(self.model, self._row_pairs(rows)))

    @_in_its_precision
    def label_certainties(self, rows: Sequence[TrainingRow]) -> list[NDArray[np.float64]]:
        """How far what is expected in the place of each token that `label_logprobs` tells of is from a guess: nats, from 0."""
        return _numbers(entropies.token_certainties(self.model, self._row_pairs(rows)))

    @_in_its_precision
    def hidden_states(
        self,
        rows: Sequence[TrainingRow],
        layer: int | Literal["all"] | Sequence[int],
        *,
        over: Literal["last", "completion"] = "last",
    ) -> NDArray[np.float32]:
        """State of the last token of prompt + completion (the end token left out): (n, d) of one layer, (n, layers, d) of several.

        "all": the embedding first. `over` "completion": the mean over the completion's tokens.

        A completion without tokens (an answer that ended at once) leaves the prompt's last token.
        """
        texts = [(row.prompt, row.completion) for row in rows]
        pairs = self._pairs(texts, whole=True, may_be_empty=True)
        return _numbers(scoring.hidden_states(self.model, pairs, layer, over=over))

    @_in_its_precision
    def gradients(
        self, rows: Sequence[TrainingRow], *, recipe: RecipeName, lora_rank: int, dimensions: int, seed: int
    ) -> NDArray[np.float32]:
        """(n, dimensions) of every row the projected gradient of its loss, at the weights as they are.

        By every weight (`full`), or by an adapter (`lora`), a new one where the weights have none; the loss is the cross-entropy of the
        row's tokens. `seed` is that of the projection and of the adapter. The engine is of no other use afterwards.
        """
        if recipe == "lora" and not finetuning.has_adapter(self.model):
            self.model = finetuning.add_lora(self.model, rank=lora_rank, seed=seed, setup=self.setup)
        return _numbers(
            gradients.projected_gradients(self.model, self._row_pairs(rows), dimensions=dimensions, seed=seed)
        )

    @_in_its_precision
    def train(
        self,
        rows: Sequence[TrainingRow],
        *,
        recipe: RecipeName,
        steps: int,
        batch_size: int,
        learning_rate: float,
        lora_rank: int,
        seed: int,
        objective: Objective = XENT,
        probs: Mapping[Whose, Sequence[FloatArray]] | None = None,
        rolling: Rolling | None = None,
        groups: Mapping[str, str] | None = None,
    ) -> list[float]:
        """Train on `rows` in place, in the order of their turns where they have some; returns the loss of every step.

        Rows that no step draws are not looked at.
        `probs`, for those that the objective `needs`: a distribution over the options of every row, empty where it has none.
        `rolling`, where answers are generated and the objective is on policy: whom to ask about the answers that the model
        writes; they compute beside it, and are not trained.
        `groups`, where the objective holds rows out: of items, by id, that are held out together; others are each one by itself.
        """
        import torch

        if not rows:
            raise ModelError("no rows to train on; raise the coverage or the size of the split")
        if any(row.choices is None for row in rows):  # the caller will ask the model for answers
            refuse_other_than_greedy(self.model)
        held: Sequence[TrainingRow] = ()
        if isinstance(objective, Stopping):
            rows, held, probs = held_out(rows, probs or {}, share=objective.held_out, seed=seed, groups=groups or {})
        seeds = [seed, peers_seed(seed)] if isinstance(objective, Paired) else [seed]
        spans: dict[str, Any] = {"steps": steps, "batch_size": batch_size, "order": order_of(rows)}
        lots = (drawn(len(rows), **spans, rng=np.random.default_rng(own)) for own in seeds)
        places = sorted(set().union(*lots))
        examples: Sequence[Pair] | Examples
        if over_of(objective.over, chooses=all(row.choices is not None for row in rows)) == "tokens":
            examples = _placed(places, self._row_pairs([rows[i] for i in places]), len(rows), Pair((), ()))
            if isinstance(objective, OnPolicy):
                prompts = self._prompts_to_write_to(places, rows, objective, rolling)
                assert rolling is not None
                examples = OwnAnswers(examples, prompts, self.tokenizer, objective, rolling, seed)
        else:
            options = _placed(places, self._option_pairs([rows[i] for i in places]), len(rows), [])
            examples = Choices(options, [-1 if row.index is None else row.index for row in rows], probs or {})
        peer = copy.deepcopy(self.model) if isinstance(objective, Paired) else None
        if recipe == "lora":
            self.model = finetuning.add_lora(self.model, rank=lora_rank, seed=seed, setup=self.setup)
            if peer is not None:
                peer = finetuning.add_lora(peer, rank=lora_rank, seed=peers_seed(seed), setup=self.setup)
        elif self.setup.dtype != "float32" or self.model.dtype != torch.float32 or self.setup.quantization != "none":
            raise ModelError(
                f"recipe {recipe!r} trains every weight, and steps as small as training takes are lost in weights of "
                f"{self.setup.dtype}; take dtype float32 with precision bfloat16, or recipe 'lora'"
            )
        else:
            self.model, self.own = self.own(self.model), as_it_is
        how: dict[str, Any] = {**spans, "learning_rate": learning_rate, "seed": seed}
        how |= {"weights": relative([row.weight for row in rows]), "optimizer": self.setup.optimizer}
        how |= {"effort": Effort.of_environment(), "objective": objective}
        if peer is not None:
            return co_teach(self.model, peer, as_examples(examples), **how)
        agreement = (lambda: self._agreement(held)) if held else None
        return finetuning.finetune(self.model, examples, agreement=agreement, **how)

    def _prompts_to_write_to(
        self, places: Sequence[int], rows: Sequence[TrainingRow], objective: OnPolicy, rolling: Rolling | None
    ) -> list[list[int]]:
        """Ids of the prompts at `places`, as answers are generated to them; `ModelError` where nobody tells of the answers' tokens."""
        asked = rolling.others if rolling else {}
        if rolling is None or (lacking := [whose for whose in objective.needs if whose not in asked]):
            told = " and ".join(objective.needs if rolling is None else lacking)
            raise ModelError(
                f"the objective asks {told} about answers that the student writes, and none was given: give `rolling`"
            )
        prompts = [rows[place].prompt for place in places]
        refuse_other_tokens(self.tokenizer, rolling.others, prompts)
        settings: dict[str, Any] = {"max_new_tokens": rolling.max_new_tokens, "cut": self._cuts}
        encoded = prompts_with_room(self.model, self.tokenizer, prompts, **settings)
        refuse_too_long(encoded, rolling)
        return _placed(places, encoded, len(rows), [])

    def _agreement(self, rows: Sequence[TrainingRow]) -> float:
        """The share of rows whose label is the model's likeliest option, or made of the likeliest token at every place."""
        if all(row.choices is not None for row in rows):
            scores = options.option_logprobs(self.model, self._option_pairs(rows))
            return float(np.mean([int(np.argmax(each)) == row.index for each, row in zip(scores, rows, strict=True)]))
        return float(np.mean(finetuning.likeliest(self.model, self._row_pairs(rows))))

    def save_weights(self, folder: Path, *, recipe: RecipeName) -> None:
        """What training changed, in `weights.safetensors`: every tensor (`full`), or the adapter (`lora`)."""
        weights.save(self.model, folder, recipe=recipe)

    def _row_pairs(self, rows: Sequence[TrainingRow]) -> list[Pair]:
        texts = [(row.prompt, row.completion) for row in rows]
        return self._pairs(texts, ended=[row.ended for row in rows])

    @property
    def _cuts(self) -> bool:
        return self.setup.overflow == "truncate_left"

    def _pairs(self, texts: Sequence[tuple[str, str]], *, whole: bool = False, **settings: Any) -> list[Pair]:
        """`encode_pairs`, cut to the model's positions where the suite says so. `whole`: the last token is read too.

        Elsewhere it is predicted alone, so that lm-eval, which this must agree with, leaves a prompt one token more.
        """
        limit = max_length_of(self.model) + (1 if self._cuts and not whole else 0)
        return encode_pairs(self.tokenizer, texts, max_length=limit, cut=self._cuts, **settings)

    def _option_pairs(self, items: Sequence[Item | TrainingRow], *, whole: bool = False) -> list[list[Pair]]:
        """One list an item, of a pair an option."""
        texts = [(item.prompt, choice) for item in items for choice in _choices(item)]
        pairs = self._pairs(texts, whole=whole)
        bounds = np.cumsum([0, *(len(_choices(item)) for item in items)]).tolist()
        return [pairs[a:b] for a, b in itertools.pairwise(bounds)]


def _placed(places: Sequence[int], values: Sequence[V], count: int, absent: V) -> list[V]:
    """`count` values: these at their places, `absent` at all others."""
    out = [absent] * count
    for index, value in zip(places, values, strict=True):
        out[index] = value
    return out


def _numbers(arrays: A) -> A:
    """Arrays, if there is no NaN in them."""
    if any(np.isnan(array).any() for array in arrays):
        raise ModelError(
            "what the model says is no numbers (NaN): its training diverged (lower its learning rate), or its weights are damaged"
        )
    return arrays


def _choices(item: Item | TrainingRow) -> tuple[str, ...]:
    if item.choices is None:
        raise ModelError(f"item {item.id} has no options to score; its domain generates answers")
    return item.choices
