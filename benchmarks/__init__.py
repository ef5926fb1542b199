"""Ratios within one run: this project's driver against stock Ray Tune and against bare training."""
