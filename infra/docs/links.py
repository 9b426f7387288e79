"""A hook of mkdocs: links from ``docs/`` to files of the checkout, which have no page, become their names.

On a forge such a link leads to the file. It must be there, or the build fails.
"""

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.exceptions import PluginError

_OUTWARD: Final = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>(?:\.\./)+[^)#\s]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Rewrite one page."""
    root, docs = Path(config.config_file_path).parent, Path(config.docs_dir)

    def rewritten(link: "re.Match[str]") -> str:
        path = posixpath.normpath(
            posixpath.join(docs.name, posixpath.dirname(page.file.src_uri), link["target"])
        )
        if path.startswith(f"{docs.name}/"):
            return link[0]  # another page
        if not (root / path).exists():
            raise PluginError(f"{page.file.src_uri} links to {path}, which is not there")
        return f"{link['text']}" if f"`{path}`" in link["text"] else f"{link['text']} (`{path}`)"

    return _OUTWARD.sub(rewritten, markdown)
