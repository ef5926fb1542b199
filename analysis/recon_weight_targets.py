"""The thresholds of the reconstruction-weight study, each with its source. "Note": the study note on the collapse."""

from __future__ import annotations

COLLAPSED_K_EFF = 1.5  # note: a K_eff of 1.00 is the collapse; below 1.5 one component has nearly everything
COLLAPSED_USAGE = 0.95  # note; it implies K_eff < 1.4 at ten components, so K_eff alone decides
SATURATED = 0.95  # share of images within 0.01 of a bound of sigma; design of the project
RECON_SHARE = 0.99  # of the weighted gradient; design of the project
FAR_BETA = (0.1, 10.0)  # beta_eff outside is far from the ELBO's 1: an order of magnitude either way
INFORMATIVE = 0.3  # Spearman of sigma with the image's error; note
CALIBRATED = (0.8, 1.25)  # std of (x - mean) / sigma; note
TARGET_K_EFF = 8.0  # note, of ten components
TARGET_ACCURACY = 0.3  # note
TARGET_SIGMA = (0.05, 0.3)  # bounds within which a mean sigma is taken as sensible
TARGET_SIGMA_NOTE = (0.1, 0.2)  # the note's own, narrower one
TARGET_SATURATED = 0.05  # share of images at either bound
TARGET_RECON = 50.0 / 25.6  # note: a reconstruction of 25 to 50 where the baseline has 25.6
BASELINE_WEIGHT = 500.0  # note: the reconstruction is quoted with this weight on the mean squared error
