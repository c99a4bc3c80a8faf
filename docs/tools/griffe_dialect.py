"""Shows mkdocstrings the docstrings as Markdown."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import griffe

sys.path.insert(0, str(Path(__file__).parent))

from dialect import to_markdown


class Dialect(griffe.Extension):
    """Translates each docstring once, as it is read; its headings become bold, so that the contents list names only."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            text = to_markdown(obj.docstring.value)
            obj.docstring.value = re.sub(r"^#+ (.+)$", r"**\1**\n", text, flags=re.MULTILINE)
