"""Govern: training whose every update passes a governor and is recorded."""

from scalekit.govern.classifier import TextClassifier
from scalekit.govern.run import Governor, Plain, Run, fit

__all__ = ["Governor", "Plain", "Run", "TextClassifier", "fit"]
