"""Where a number of a next-vector model stops being healthy: one place for all bounds. Imports no torch."""

from __future__ import annotations

# The note: relative errors of mean and spread that count as a match.
MATCHED_MOMENTS = 0.1

# A decoder reads a vector when what it says of it encodes to nearly the same place; design.
DECODABLE_COS = 0.5

# Share of dimensions in which unit predictions still spread: below a tenth all predictions are one; design.
COLLAPSED_DIVERSITY = 0.1

# Of the way from the spread of the targets to one vector for all, by the mean cosine between predictions; design.
COLLAPSED_WAY = 0.9

# Cosine to the last vector of the context from which on a prediction repeats it: near one. Being nearer to it than to
# what follows is not copying, every summary of a context is; design.
COPIED_COS = 0.9

# Of the mean vector's cosine: a gain below it is none; as everywhere in a report.
SAME_SHARE = 0.05

# Held-out documents without which no interval over documents is taken, and training windows below which a model learns
# little of a language; design.
FEWEST_DOCUMENTS, FEWEST_WINDOWS = 5, 1000
