"""How Sphinx builds the documentation: `make docs`. Nothing is fetched from a network."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import gpuqueue_spawner  # noqa: E402

project = "gpuqueue-spawner"
author = "the gpuqueue-spawner contributors"
project_copyright = "the gpuqueue-spawner contributors, BSD-3-Clause"
version = release = gpuqueue_spawner.__version__

extensions = [
    "generators.extension",  # pieces that are printed from the code
    "myst_parser",  # pages are Markdown
    "sphinx.ext.autodoc",  # configure() and the seams of the spawner
    "sphinx_copybutton",  # commands to copy
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "changes/*/*"]
suppress_warnings: list[str] = []
nitpicky = False

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "literal"  # docstrings put code between single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_class_signature = "separated"

html_theme = "pydata_sphinx_theme"
html_title = "gpuqueue-spawner"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": False,
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "show_toc_level": 2,
}
copybutton_prompt_text = r"\$ |# "
copybutton_prompt_is_regexp = True
