"""How well the two global numbers of an event are known, in physical terms.

One definition for every predictor: a trained model, the closed form and the training mean all come through
`globals_metrics`, so that a table can hold them side by side. NumPy only.
"""

from __future__ import annotations

import numpy as np

from trainables.dataset import Array


def globals_metrics(predicted: Array, target: Array, mean: Array, std: Array) -> dict[str, float]:
    """Return ``rec_globals``, ``met_r2``, ``metphi_cos_err`` and ``met_resolution``.

    They are the mean squared error over the three standardised globals, R^2 of MET in GeV, the mean of
    1 - cos of the angle between predicted and true MET, and the standard deviation of (predicted - true) / true.

    Args:
        predicted: Standardised (log MET, sin METphi, cos METphi), shape ``(n, 3)``.
        target: The truth in the same form, shape ``(n, 3)``.
        mean: Mean of each global in the training split, shape ``(3,)``; MET in GeV under the logarithm.
        std: Its standard deviation, shape ``(3,)``.
    """
    predicted, target = np.asarray(predicted, np.float64), np.asarray(target, np.float64)
    predicted_met, predicted_phi = physical_globals(predicted, mean, std)
    true_met, true_phi = physical_globals(target, mean, std)
    return {
        "rec_globals": float(np.mean((predicted - target) ** 2)),
        "met_r2": r_squared(predicted_met, true_met),
        "metphi_cos_err": float(np.mean(1.0 - np.cos(predicted_phi - true_phi))),
        "met_resolution": float(np.std((predicted_met - true_met) / true_met)),
    }


def physical_globals(standardised: Array, mean: Array, std: Array) -> tuple[Array, Array]:
    """Return MET in GeV and METphi in radians, each of shape ``(n,)``, from standardised globals ``(n, 3)``.

    A predictor need not keep sin^2 + cos^2 = 1; the angle is that of the vector (cos, sin) it gives.
    """
    log_met, sin_phi, cos_phi = (np.asarray(standardised, np.float64) * std + mean).T
    return np.exp(log_met), np.arctan2(sin_phi, cos_phi)


def r_squared(predicted: Array, true: Array) -> float:
    """Return the coefficient of determination, 1 for a perfect prediction, 0 for the mean of ``true``.

    Args:
        predicted: Shape ``(n,)``.
        true: Shape ``(n,)``.

    Returns:
        ``1 - sum((true - predicted)^2) / sum((true - mean(true))^2)``; NaN when ``true`` does not vary,
        because there is then nothing to explain.
    """
    total = float(np.sum((true - true.mean()) ** 2))
    residual = float(np.sum((true - predicted) ** 2))
    return 1.0 - residual / total if total > 0 else float("nan")
