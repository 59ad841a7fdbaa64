"""Report: one self-contained page, and executed notebooks as reports."""

from scalekit.report.page import Report, Section, page, picture

__all__ = ["Report", "Section", "page", "picture"]
