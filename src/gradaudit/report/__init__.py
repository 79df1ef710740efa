"""Results on one page: a single HTML file that needs nothing else."""

from gradaudit.markup.gallery import gallery
from gradaudit.markup.pictures import Pictures
from gradaudit.report.page import write_page

__all__ = ["Pictures", "gallery", "write_page"]
