"""How the documentation site is made of this folder: `make docs`.

The guides are run while the site is built, so that what they show is what their commands print today.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

from qualityfm import __version__ as release  # noqa: E402

project = "QualityFM"
author = "The QualityFM contributors"
copyright = author
version = release

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "plain_values",
    "shell_cells",
]
exclude_patterns = ["_build"]
suppress_warnings = ["ref.python"]  # public names have two homes: the face of the package, and their room
default_role = "code"  # docstrings write `name` as Markdown does

# Pages
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Guides: run in a folder of their own; progress goes to stderr and is not shown; a cell that fails fails the site.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "guides")
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_output_stderr = "remove"

# Reference
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Source"]

# Look: nothing is loaded from elsewhere, so that the pages can be read without a network.
html_theme = "pydata_sphinx_theme"
html_title = "QualityFM"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 4,
    "show_prev_next": True,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
