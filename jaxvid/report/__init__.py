"""The report of an evaluation: plots and a page."""

from jaxvid.report.report import write_report

__all__ = ["write_report"]
