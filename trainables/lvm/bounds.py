"""Where a number of a next-vector model stops being healthy: one place for all bounds. Imports no torch."""

from __future__ import annotations

# The note: relative errors of mean and spread that count as a match.
MATCHED_MOMENTS = 0.1

# A decoder reads a vector when what it says of it encodes to nearly the same place; design.
DECODABLE_COS = 0.5

# Share of dimensions in which unit predictions still spread: below a tenth all predictions are one; design.
COLLAPSED_DIVERSITY = 0.1
