"""Which modules no gradient reaches at given parameters, and why. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

from search_spaces.domains import Params

_DECODER_MODULES = ("decoder", "mean_head", "sigma_head")


def without_gradient(params: Params) -> dict[str, str]:
    """Return the modules that get no gradient, or less than all of it, each with the reason."""
    reasons = sigma_head_reasons(params)
    name = recon_weight_name(params)
    if params[name] == 0:
        reasons |= dict.fromkeys(_DECODER_MODULES, f"{name} is 0: nothing else reads what is decoded")
    if params["prior"] == "mixture":
        reasons |= prior_reasons(params, decodes=params[name] != 0)
    elif params["label_weight"] == 0:
        reasons["encoder"] = (
            "label_weight is 0: under the standard prior only labels reach the component logits"
        )
    return reasons


def recon_weight_name(params: Mapping[str, object]) -> str:
    """Return which parameter weighs the reconstruction: that of heteroscedastic decoders when it is separate."""
    separate = bool(params["heteroscedastic"]) and bool(params["separate_recon_weight"])
    return "heteroscedastic_recon_weight" if separate else "recon_weight"


def sigma_head_reasons(params: Params) -> dict[str, str]:
    """Return why a softplus_clip head does not learn: the clip passes no gradient above sigma_max.

    Its s starts near 0, so sigma starts near sigma_min + log 2 before the clip. Where that is above sigma_max
    every image has sigma = sigma_max, d sigma / d s is exactly 0, and the head's weights never move.
    """
    if not params["heteroscedastic"] or params["sigma_head"] != "softplus_clip":
        return {}
    start, high = float(params["sigma_min"]) + math.log(2.0), float(params["sigma_max"])
    if start <= high:
        return {}
    return {
        "sigma_head": f"softplus_clip starts at {start:.3f}, above sigma_max={high:g}: the clip passes no gradient"
    }


def prior_reasons(params: Params, *, decodes: bool) -> dict[str, str]:
    """Return why the mixture's weights or embeddings stay as they are."""
    if params["kl_c_weight"] == 0:
        return {"prior": "kl_c_weight is 0: the mixture weights rest at the Dirichlet's mode, uniform"}
    if params["component_aware"] and not decodes:
        return {"prior": "nothing is decoded: the embeddings have no reader"}
    return {}
