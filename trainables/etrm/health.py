"""Where a number of the encoder, the context or the halting stops being healthy: one place for all bounds.

Used by the guards, by `sweeps probe` and by the analyses. Imports no torch.
"""

from __future__ import annotations

# The note on encoder variance: below this the contexts of different puzzles are the same one.
COLLAPSED_CROSS_RATIO = 0.05
SUSPICIOUS_CROSS_RATIO = 0.15

# The same note expects more than this of a variational encoder; twice the sampling variance.
LEAST_WITHIN_VAR = 0.01

# The hybrid note: healthy is 0.2 to 0.5 of the gradient's norm; less than this and the encoder starves.
STARVED_GRAD_RATIO = 0.1

# Cells whose prediction changes under another puzzle's context: less than one in a hundred, and it is not read.
IGNORED_CONTEXT_FLIP = 0.01

# Predictions equal to their input, where the answer is another grid.
COPYING_RATE = 0.5

# Root mean square of the context over that of the token embeddings, before both are scaled alike.
CONTEXT_SCALE = (0.1, 10.0)

# Mean steps to halting, as shares of the way from the first step to the last one.
HALTING_SHARE = (0.05, 0.95)
