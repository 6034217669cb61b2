"""How the site is built: `make docs`."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "attrition"
author = "The attrition developers"
copyright = "2026, the attrition developers"  # noqa: A001 - Sphinx reads this name
release = metadata.version("attrition")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "_ext.links",
    "_ext.reference",
    "_ext.pictures",
    "_ext.mathml",
    "_ext.notebook",
    "_ext.access",
]
exclude_patterns = ["_build", "_generated", "results/*/**", "**/.ipynb_checkpoints", "_ext"]

myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 3
# A docstring writes code between single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False

html_theme = "furo"
html_title = "attrition"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = "$ "
