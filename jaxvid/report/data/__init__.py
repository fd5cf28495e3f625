"""The page about data before training."""

from jaxvid.report.data.page import DATA_PAGE, write_data_page

__all__ = ["DATA_PAGE", "write_data_page"]
