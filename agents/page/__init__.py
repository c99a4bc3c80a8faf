"""A self-contained HTML page and what it is made of: sections, tables, charts, pictures; every report uses this one.

:mod:`.markup` writes elements and escapes text, :mod:`.charts` draws, :mod:`.tables` tabulates, :mod:`.document` puts
it all into one file, for screen, phone and paper, light and dark.
"""

from agents.page.charts import Chart, legend, plot, standalone
from agents.page.document import Page, figure, image, panels
from agents.page.markup import Markup, join, tag
from agents.page.tables import Column, listing, table

__all__ = [
    "Chart",
    "Column",
    "Markup",
    "Page",
    "figure",
    "image",
    "join",
    "legend",
    "listing",
    "panels",
    "plot",
    "standalone",
    "table",
    "tag",
]
