"""Results on one page: a single HTML file that needs nothing else."""

from gradaudit.report.gallery import gallery
from gradaudit.report.page import write_page
from gradaudit.report.pictures import Pictures

__all__ = ["Pictures", "gallery", "write_page"]
