"""Shows a cell that begins with `%%bash` as what a reader types into a shell: without that line."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

MAGIC = "%%bash"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the change with Sphinx."""
    app.connect("doctree-read", show_shell_cells)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def show_shell_cells(app: Sphinx, page: nodes.document) -> None:
    """Take the first line from every shell cell, and colour the rest as shell."""
    for block in page.findall(nodes.literal_block):
        first, _, rest = block.rawsource.partition("\n")
        if first.startswith(MAGIC):
            block.rawsource = rest
            block.children = [nodes.Text(rest)]
            block["language"] = "bash"
