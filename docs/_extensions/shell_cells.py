"""Shows a cell that begins with `%%bash` as what a reader types into a shell, and what it printed in one piece."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

MAGIC = "%%bash"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the changes with Sphinx."""
    app.connect("doctree-read", show_shell_cells)
    app.connect("doctree-read", join_streams)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def show_shell_cells(app: Sphinx, page: nodes.document) -> None:
    """Take the first line from every shell cell, and colour the rest as shell."""
    for block in page.findall(nodes.literal_block):
        first, _, rest = block.rawsource.partition("\n")
        if first.startswith(MAGIC):
            _write(block, rest)
            block["language"] = "bash"


def join_streams(app: Sphinx, page: nodes.document) -> None:
    """Join the pieces of 100 bytes in which a notebook gets what a shell prints."""
    for output in page.findall(lambda node: "cell_output" in getattr(node, "attributes", {}).get("classes", ())):
        pieces = [
            node for node in output.children if isinstance(node, nodes.literal_block) and "stream" in node["classes"]
        ]
        for piece in pieces[1:]:
            _write(pieces[0], pieces[0].rawsource + piece.rawsource)
            output.remove(piece)


def _write(block: nodes.literal_block, text: str) -> None:
    block.rawsource = text
    block.children = [nodes.Text(text)]
