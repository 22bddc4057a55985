"""An objective that is not the harness's own, under guard: whatever it gives but a sound loss is an error that names it and the step.

It gets logits that hang on nothing, so that no path leads from it to the model, and the model gets the gradient that it
gave by them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from w2s_bench.errors import ObjectiveError, W2SBenchError, said
from w2s_bench.models.objectives import Objective, Over, Step, Targets, Whose


def guarded(name: str, objective: Objective, raised_at: Callable[[BaseException], str]) -> Objective:
    """The same objective under guard. `raised_at` tells the line that an error of its own came from."""
    made = GuardedOfBatch if hasattr(objective, "settled") else Guarded
    return made(name, objective, raised_at)


class Guarded:
    """See `hookspecs.Objective`; a derivative of the objective's own is not asked for."""

    def __init__(self, name: str, objective: Objective, raised_at: Callable[[BaseException], str]) -> None:
        self._name, self._objective, self._raised_at = name, objective, raised_at
        self.over: tuple[Over, ...] = tuple(objective.over)
        self.needs: tuple[Whose, ...] = tuple(objective.needs)

    def loss(self, logits: torch.Tensor, targets: Targets, weights: torch.Tensor | None, step: Step) -> torch.Tensor:
        """As `hookspecs.Objective.loss` has it, or an `ObjectiveError`."""
        own = logits.detach()
        asked = logits.requires_grad and torch.is_grad_enabled()
        if asked:
            own.requires_grad_()
        with torch.set_grad_enabled(asked):
            loss = self._called("loss", step, lambda: self._objective.loss(own, targets, weights, step))
        self._refuse_unsound(loss, own, step)
        if not asked:
            return loss.detach()
        if not loss.requires_grad:
            self._refuse(
                step, "gave a loss that no longer hangs on the logits; compute it of them, without detach() or item()"
            )
        (slopes,) = torch.autograd.grad(loss, own, allow_unused=True)
        if slopes is None:
            self._refuse(step, "gave a loss that hangs on something else than the logits; compute it of them")
        if bool(own.isfinite().all()) and not bool(slopes.isfinite().all()):
            self._refuse(
                step, "gave a loss whose derivative is not finite, of finite logits; keep logarithms and roots from 0"
            )
        given: torch.Tensor = _Given.apply(logits, slopes, loss.detach())
        return given

    def _called(self, what: str, step: Step, call: Callable[[], Any]) -> Any:
        """Run the objective's own code; it leaves torch's generator as it was, which orders what the trainer draws."""
        before = torch.get_rng_state()
        try:
            given = call()
        except (
            KeyboardInterrupt,
            W2SBenchError,
            torch.OutOfMemoryError,
        ):  # of memory there is more with fewer rows at once
            raise
        except BaseException as error:  # a plugin may raise anything, SystemExit too
            fault = f"{what} raised {type(error).__name__}: {said(error)} ({self._raised_at(error)})"
            raise ObjectiveError(f"{self._where(step)} {fault}") from error
        if not torch.equal(before, torch.get_rng_state()):
            self._refuse(step, f"drew from torch's global generator in {what}; an objective draws nothing")
        return given

    def _refuse_unsound(self, loss: Any, logits: torch.Tensor, step: Step) -> None:
        if not isinstance(loss, torch.Tensor):
            self._refuse(step, f"gave a {type(loss).__name__} as its loss; give a torch tensor without dimensions")
        if loss.shape != () or not loss.is_floating_point():
            told = f"a tensor of {str(loss.dtype).removeprefix('torch.')} of shape {tuple(loss.shape)}"
            self._refuse(step, f"gave {told} as its loss; give one number, the mean over the rows")
        if not bool(loss.isfinite()) and bool(logits.isfinite().all()):  # of others the trainer tells that it diverged
            self._refuse(step, f"gave {loss.item()} as its loss, of finite logits; keep logarithms and roots from 0")

    def _refuse(self, step: Step, fault: str) -> None:
        raise ObjectiveError(f"{self._where(step)} {fault}")

    def _where(self, step: Step) -> str:
        return f"objective {self._name!r}, step {step.number + 1} of {step.of}:"


class GuardedOfBatch(Guarded):
    """One with a figure of the whole batch in it."""

    def settled(self, logits: torch.Tensor, targets: Targets, step: Step) -> Objective:
        """As `objectives.OfBatch.settled` has it."""
        inner: Any = self._objective
        made = self._called("settled", step, lambda: inner.settled(logits, targets, step))
        if not callable(getattr(made, "loss", None)):
            self._refuse(step, f"gave a {type(made).__name__} for settled, which has no loss; give an objective")
        return Guarded(self._name, Settled(self.over, self.needs, made), self._raised_at)


class Settled:
    """What a figure of a batch is in, with the attributes of whom it was made of: it need have none of its own."""

    def __init__(self, over: tuple[Over, ...], needs: tuple[Whose, ...], made: Any) -> None:
        self.over, self.needs, self.loss = over, needs, made.loss


class _Given(torch.autograd.Function):
    """A number whose derivative by the logits is known."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, slopes: torch.Tensor, loss: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(slopes)
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return slopes * gradients[0], None, None
