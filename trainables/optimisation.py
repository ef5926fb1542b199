"""Optimiser, learning-rate schedule and weight averaging, from the training parameters every family has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from search_spaces.domains import Params

PLATEAU_FACTOR = 0.5
PLATEAU_PATIENCE = 2  # epochs without a better objective before the rate is lowered


def build_optimizer(
    model: nn.Module, params: Params, factors: Mapping[str, float] | None = None
) -> torch.optim.Optimizer:
    """Return Adam or AdamW over the parameters that take a gradient.

    Args:
        model: The model.
        params: ``optimizer``, ``lr``, ``weight_decay`` and ``adam_beta2``.
        factors: Factors on the learning rate, by direct child; the first group is that of all other parameters.
    """
    kind = torch.optim.AdamW if params["optimizer"] == "adamw" else torch.optim.Adam
    groups: dict[str, list[nn.Parameter]] = {"": [], **{child: [] for child in factors or {}}}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            child = name.partition(".")[0]
            groups[child if child in groups else ""].append(parameter)
    rates = {"": 1.0, **(factors or {})}
    lr = float(params["lr"])
    return kind(
        [{"params": learned, "lr": lr * rates[child]} for child, learned in groups.items()],
        lr=lr,
        betas=(0.9, float(params["adam_beta2"])),
        weight_decay=float(params["weight_decay"]),
        fused=True,
    )


def build_schedule(optimizer: torch.optim.Optimizer, params: Params, n_steps: int) -> LambdaLR:
    """Return linear warm-up followed by a constant or cosine learning rate.

    Args:
        optimizer: Its learning rate is scheduled.
        params: ``warmup_steps`` and ``lr_schedule``.
        n_steps: Steps of the whole training; a cosine reaches zero there.

    Source:
        Loshchilov and Hutter 2017, SGDR, equation 5, without restarts.
    """
    warmup, cosine = int(params["warmup_steps"]), params["lr_schedule"] == "cosine"

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, n_steps - warmup))
        return 0.5 * (1 + math.cos(math.pi * progress)) if cosine else 1.0

    return LambdaLR(optimizer, factor)


def build_plateau(
    optimizer: torch.optim.Optimizer, params: Params, mode: Literal["min", "max"]
) -> ReduceLROnPlateau | None:
    """Return what lowers the learning rate when the objective stands still, None for other schedules."""
    if params["lr_schedule"] != "plateau":
        return None
    return ReduceLROnPlateau(optimizer, mode, factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE)


def lower_on_plateau(plateau: ReduceLROnPlateau, schedule: LambdaLR, value: float) -> None:
    """Tell ``plateau`` the objective of one epoch, and ``schedule`` the learning rates that follow from it."""
    groups = plateau.optimizer.param_groups
    before = [group["lr"] for group in groups]
    plateau.step(value)
    schedule.base_lrs = [
        base * group["lr"] / old for base, group, old in zip(schedule.base_lrs, groups, before, strict=True)
    ]


def build_average(model: nn.Module, params: Params) -> AveragedModel | None:
    """Return the exponential moving average of the weights that evaluation uses, None when it is off."""
    decay = float(params["ema_decay"])
    if decay == 0:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
