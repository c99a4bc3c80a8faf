"""mkdocs hooks: every page is filled with its generated parts as the site is built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cards import fill, with_site_links

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links first: what is generated has them right already."""
    assert page.file.abs_src_path is not None
    return fill(with_site_links(markdown, Path(page.file.abs_src_path).parent))
