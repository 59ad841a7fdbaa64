"""Widgets: where a person acts. Everything else in a notebook is a static view.

Importing this package is what needs ipywidgets and anywidget; ``import scalekit`` does not.
"""

from scalekit.widgets.adjudicator import Adjudicator
from scalekit.widgets.decision_desk import DecisionDesk
from scalekit.widgets.labeler import Labeler
from scalekit.widgets.slicer import Slicer
from scalekit.widgets.spec_writer import SpecWriter
from scalekit.widgets.stepper import Stepper
from scalekit.widgets.threshold import ThresholdSlider

__all__ = [
    "Adjudicator",
    "DecisionDesk",
    "Labeler",
    "Slicer",
    "SpecWriter",
    "Stepper",
    "ThresholdSlider",
]
