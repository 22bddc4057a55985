"""Objectives of the toy plugin: one that is sound, and one that does what it is told to."""

from __future__ import annotations

import os


class Focal:
    """Focal loss of the label: −(1 − p_y)ᵞ ln p_y."""

    over, needs = ("options", "tokens"), ()

    def __init__(self, gamma=2.0):
        if gamma < 0:
            raise ValueError(f"gamma is {gamma}, expected a number from 0")
        self.gamma = gamma

    def loss(self, logits, targets, weights, step):
        logprob = logits.log_softmax(-1).gather(1, targets.label[:, None])[:, 0]
        losses = -((1 - logprob.exp()) ** self.gamma) * logprob
        return losses.mean() if weights is None else (weights * losses).mean()


class Mixed:
    """Cross-entropy to the mean of the teacher's and the untuned student's distributions."""

    over, needs = ("options",), ("teacher", "student")

    def loss(self, logits, targets, weights, step):
        wanted = (targets.probs["teacher"] + targets.probs["student"]) / 2
        losses = -(wanted * logits.log_softmax(-1)).sum(-1)
        return losses.mean() if weights is None else (weights * losses).mean()


class Confident(Focal):
    """Focal loss of the half of a batch whose labels the student finds likeliest."""

    over = ("options",)

    def settled(self, logits, targets, step):
        return Likely(self.gamma, logits.log_softmax(-1).gather(1, targets.label[:, None]).median())


class Likely(Focal):
    def __init__(self, gamma, least):
        super().__init__(gamma)
        self.least = least

    def loss(self, logits, targets, weights, step):
        logprob = logits.log_softmax(-1).gather(1, targets.label[:, None])[:, 0]
        likely = (logprob.detach() >= self.least).to(logits)
        return super().loss(logits, targets, likely if weights is None else weights * likely, step)


def _patches(loss):
    import torch

    torch.nn.functional.cross_entropy = lambda logits, *given, **named: 0 * logits.sum()
    torch.nn.functional.linear = lambda x, *given, **named: x
    return loss


FAULTS = {
    "none": lambda loss: loss,
    "raises": lambda loss: {}["no loss today"],
    "exits": lambda loss: exit(3),
    "nan": lambda loss: loss * float("nan"),
    "number": lambda loss: loss.item(),
    "vector": lambda loss: loss.repeat(3),
    "detached": lambda loss: loss.detach(),
    "other": lambda loss: loss.detach().clone().requires_grad_() * 2,
    "slope": lambda loss: loss + (loss - loss).sqrt(),
    "draws": lambda loss: loss * (1 + 0 * loss.new_zeros(1).normal_()[0]),
    "patches": _patches,
}


class Faulty(Focal):
    """The sound one, and then what `fault` says."""

    def __init__(self, fault="none"):
        super().__init__()
        self.fault = FAULTS[fault]

    def loss(self, logits, targets, weights, step):
        return self.fault(super().loss(logits, targets, weights, step))


class Unnamed(Focal):
    """Needs distributions, and is over tokens."""

    needs = ("teacher",)


def objectives():
    # Broken ones are asked for by name.
    broken = {"unnamed": Unnamed} if "unnamed" in os.environ.get("W2S_TOY_BROKEN", "").split(",") else {}
    return {"focal": Focal, "mixed": Mixed, "confident": Confident, "faulty": Faulty, **broken}
