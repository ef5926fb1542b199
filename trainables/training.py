"""The one training loop: every family supplies parts, none writes a loop, a checkpoint or a log call.

A `Training` is one trial under way. It is advanced an epoch at a time, and between epochs its whole
state fits in a checkpoint: on a CPU an interrupted trial ends with the same bits as an uninterrupted
one. It talks to nobody: what it learns is returned, and the caller reports it.
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from trainables.accounting import account, set_gradient, weighted_gradients
from trainables.contract import Family, LossTerms, State
from trainables.dataset import Array, Dataset, Split
from trainables.guard import first_broken, refuse_unknown
from trainables.optimisation import (
    build_average,
    build_optimizer,
    build_plateau,
    build_schedule,
    lower_on_plateau,
)
from trainables.trial_spec import TrialSpec

TRAIN_EVAL = "train_eval"  # training samples that are evaluated as the validation split is


class DivergedError(ArithmeticError):
    """A term of the loss is no longer a finite number."""


class ObjectiveError(LookupError):
    """The study's objective is not among the metrics that a trial reports."""


class Training:
    """One trial under way.

    Args:
        family: Supplies model, loss and evaluation.
        spec: The trial.
        dataset: Its data.
        device: Where it trains.
    """

    def __init__(self, family: Family, spec: TrialSpec, dataset: Dataset, device: str = "cpu") -> None:
        self.family, self.spec, self.dataset = family, spec, dataset
        self.device = torch.device(device)
        self.splits = {name: tensors(dataset.split(name), self.device) for name in ("train", "valid", "test")}
        if n := int(spec.params["train_rows"]):
            self.splits[TRAIN_EVAL] = {name: values[:n] for name, values in self.splits["train"].items()}
        self.model = family.build(spec.params, dataset, spec.seed).to(self.device)
        self.state = on_device(family.initial_state(self.model, spec.params), self.device)
        self.optimizer = build_optimizer(self.model, spec.params, family.learning_rates(spec.params))
        self.steps_per_epoch = len(self.batches(0))
        self.schedule = build_schedule(self.optimizer, spec.params, spec.epochs * self.steps_per_epoch)
        self.plateau = build_plateau(self.optimizer, spec.params, spec.mode)
        self.average = build_average(self.model, spec.params)
        self.generator = torch.Generator(self.device).manual_seed(spec.seed)
        self.refresh_state()
        self.epoch, self.wall_s = 0, 0.0
        self.history: list[dict[str, float]] = []
        self.broken: tuple[str, int] | None = None  # the first rule that broke, and the epoch
        self.best_value: float | None = None
        self.best_epoch = 0
        self.best_weights: dict[str, Tensor] = {}
        self.best_state: State = {}

    def batches(self, epoch: int) -> list[Tensor]:
        """Return the training rows of every optimiser step of an epoch, counted from 0."""
        return self.family.batches(self.dataset.train, self.spec.params, self.spec.seed, epoch)

    @property
    def done(self) -> bool:
        """Whether every epoch is trained, or the objective has not improved for ``patience`` epochs."""
        patience = int(self.spec.params["patience"])
        return self.epoch >= self.spec.epochs or 0 < patience <= self.epoch - self.best_epoch

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch, validate, and return the epoch's metrics.

        The last epoch also carries ``test/...``: the test split under the weights of the best epoch.

        Raises:
            DivergedError: If a term became non-finite; names term and step.
            ObjectiveError: If the objective's metric is not reported.
        """
        started = time.perf_counter()
        metrics = self.train_epoch()
        self.refresh_state()
        for split in ("valid", TRAIN_EVAL):
            metrics |= self.evaluate(split) if split in self.splits else {}
        self.epoch += 1
        self.keep_if_best(metrics)
        if self.plateau is not None and math.isfinite(value := metrics[self.spec.metric]):
            lower_on_plateau(self.plateau, self.schedule, value)
        if self.done:
            if self.best_value is None:
                raise DivergedError(f"{self.spec.metric} was never finite, so no epoch is the best one")
            metrics |= self.evaluate_best("test")
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        self.history.append(finite)
        refuse_unknown(self.spec.guards, metrics)
        if self.broken is None and (guard := first_broken(self.spec.guards, self.history)) is not None:
            self.broken = (guard.text, self.epoch)
        self.wall_s += time.perf_counter() - started
        return finite

    def train_epoch(self) -> dict[str, float]:
        """Run the optimiser steps of one epoch and return means over them."""
        self.model.train()
        losses: list[Tensor] = []
        accounts: list[dict[str, float]] = []
        names: list[str] = []
        curves: dict[str, Tensor] = {}
        for step, rows in enumerate(self.batches(self.epoch)):
            at = rows.to(self.device)
            batch = {name: values[at] for name, values in self.splits["train"].items()}
            loss, norm = self.train_step(batch, accounts, step)
            curves = {**loss.terms, "total_loss": loss.total, **loss.metrics}
            names = list(loss.terms)
            losses.append(torch.stack([norm, *curves.values()]).detach())
        curve = torch.stack(losses)
        self.refuse_non_finite(curve[:, : 2 + len(names)], names)
        columns = ["grad_norm", *(f"train/{name}" for name in curves)]
        # a metric that some steps do not have is not a number there; terms are finite by now
        means = dict(zip(columns, curve.nanmean(dim=0).tolist(), strict=True))
        return means | mean_of(accounts) | {"train/lr": self.optimizer.param_groups[0]["lr"]}

    def train_step(
        self, batch: dict[str, Tensor], accounts: list[dict[str, float]], place: int
    ) -> tuple[LossTerms, Tensor]:
        """Take one optimiser step, number ``place`` of its epoch.

        The first one of an epoch and every ``grad_every``-th after it append their accounting to ``accounts``.
        """
        params = self.spec.params
        batch = batch | self.family.noise(batch, params, self.generator)
        loss, self.state = self.family.loss(self.model, self.state, batch, params)
        self.optimizer.zero_grad(set_to_none=True)
        every = int(params["grad_every"])
        if every and place % every == 0:
            gradients = weighted_gradients(loss, self.model)
            accounts.append(account(gradients, self.model))
            set_gradient(self.model, gradients)
        else:
            loss.total.backward()  # type: ignore[no-untyped-call]
        for module in self.family.frozen(params, self.schedule.last_epoch + 1):
            self.model.get_submodule(module).zero_grad(set_to_none=True)
        clip = float(params["clip_norm"])
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), clip if clip > 0 else math.inf)
        self.optimizer.step()
        self.schedule.step()
        n_steps = self.spec.epochs * self.steps_per_epoch
        self.state = self.family.update_state(
            self.model, self.state, params, self.schedule.last_epoch, n_steps
        )
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss, norm

    def refuse_non_finite(self, curve: Tensor, names: list[str]) -> None:
        """Raise `DivergedError` unless norm, terms and total in ``curve`` ``(steps, terms + 2)`` are finite."""
        bad = ~torch.isfinite(curve)
        if not bool(bad.any()):
            return
        row = int(bad.any(dim=1).nonzero()[0])
        terms_bad = bad[row, 1:-1].tolist()
        blown = [name for name, is_bad in zip(names, terms_bad, strict=True) if is_bad] or ["the gradient"]
        step = self.epoch * self.steps_per_epoch + row + 1
        raise DivergedError(
            f"{' and '.join(blown)} became non-finite at step {step} (epoch {self.epoch + 1})"
        )

    @property
    def evaluated_model(self) -> nn.Module:
        """The weights that evaluation uses: the moving average where there is one."""
        return self.model if self.average is None else self.average.module

    @torch.no_grad()
    def refresh_state(self) -> None:
        """Let the family rebuild what it derives from the whole training split."""
        model = self.evaluated_model.eval()
        self.state = self.family.refresh_state(model, self.state, self.splits["train"], self.spec.params)

    @torch.no_grad()
    def evaluate(self, split: str) -> dict[str, float]:
        """Return the metrics of a split under the current weights, named ``<split>/<metric>``."""
        model = self.evaluated_model.eval()
        metrics = self.family.evaluate(model, self.state, self.splits[split], self.spec.params)
        return {f"{split}/{name}": value for name, value in metrics.items()}

    def evaluate_best(self, split: str) -> dict[str, float]:
        """Return the metrics of a split under the weights of the best epoch."""
        current = {name: value.clone() for name, value in self.evaluated_model.state_dict().items()}
        state, self.state = self.state, self.best_state
        self.evaluated_model.load_state_dict(self.best_weights)
        metrics = self.evaluate(split)
        self.evaluated_model.load_state_dict(current)
        self.state = state
        return metrics

    def keep_if_best(self, metrics: dict[str, float]) -> None:
        """Keep the weights when the objective is better than at every epoch before."""
        spec = self.spec
        if spec.metric not in metrics:
            listed = ", ".join(sorted(name for name in metrics if name.startswith("valid/")))
            raise ObjectiveError(f"Objective {spec.metric!r} is not reported. It takes one of {listed}.")
        value = metrics[spec.metric]
        worse = self.best_value is not None and (
            value >= self.best_value if spec.mode == "min" else value <= self.best_value
        )
        if math.isfinite(value) and not worse:
            self.best_value, self.best_epoch = value, self.epoch
            self.best_weights = {
                name: w.detach().clone() for name, w in self.evaluated_model.state_dict().items()
            }
            needed = self.family.evaluation_state(self.state)
            self.best_state = {name: s.clone() for name, s in needed.items()}

    @torch.no_grad()
    def examples(self) -> dict[str, Array]:
        """Return inputs beside their reconstructions under the weights of the best epoch."""
        model = copy.deepcopy(self.evaluated_model)
        model.load_state_dict(self.best_weights)
        return self.family.examples(model.eval(), self.best_state, self.dataset, self.spec.params)

    def checkpoint(self) -> dict[str, Any]:
        """Return all that `restore` needs to go on as if nothing had happened; plain values and tensors only."""
        return {
            "trial_id": self.spec.trial_id,
            "epoch": self.epoch,
            "wall_s": self.wall_s,
            "history": self.history,
            "model": self.model.state_dict(),
            "state": self.state,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "plateau": None if self.plateau is None else self.plateau.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "generator": self.generator.get_state(),
            "torch_rng": torch.get_rng_state(),
            "broken": self.broken,
            "best_value": self.best_value,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "best_state": self.best_state,
        }

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Take up a trial where `checkpoint` left it."""
        self.epoch, self.wall_s = checkpoint["epoch"], checkpoint["wall_s"]
        self.history = checkpoint["history"]
        self.model.load_state_dict(checkpoint["model"])
        self.state = on_device(checkpoint["state"], self.device)
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.schedule.load_state_dict(checkpoint["schedule"])
        if self.plateau is not None:
            self.plateau.load_state_dict(checkpoint["plateau"])
        if self.average is not None:
            self.average.load_state_dict(checkpoint["average"])
        self.generator.set_state(checkpoint["generator"].cpu())
        torch.set_rng_state(checkpoint["torch_rng"].cpu())
        self.broken = checkpoint["broken"]
        self.best_value, self.best_epoch = checkpoint["best_value"], checkpoint["best_epoch"]
        self.best_weights = checkpoint["best_weights"]
        self.best_state = on_device(checkpoint["best_state"], self.device)


def tensors(split: Split, device: torch.device) -> dict[str, Tensor]:
    """Return a split's arrays as tensors; on the host they share the arrays' memory."""
    with warnings.catch_warnings():  # Ray maps shared arrays read-only, and the loop never writes to its data
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return {name: torch.as_tensor(array).to(device) for name, array in split.items()}


def on_device(state: State, device: torch.device) -> State:
    """Return the state's tensors on ``device``."""
    return {name: tensor.to(device) for name, tensor in state.items()}


def mean_of(accounts: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the accountings that have it."""
    names = dict.fromkeys(name for one in accounts for name in one)
    found = {name: [one[name] for one in accounts if name in one] for name in names}
    return {name: sum(values) / len(values) for name, values in found.items()}
