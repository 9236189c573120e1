# SPDX-License-Identifier: GPL-2.0-only
"""How Sphinx makes the site: `make docs`.

The hand-written pages read as well on a code host: links between them are relative, and to .md files.
The API reference comes from the source without importing it; docs/library/ and docs/python/ are made
for a build and belong to nobody else.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent / "tools")]

import library_pages  # noqa: E402
import thplab  # noqa: E402

project = "thplab"
version = release = thplab.__version__
copyright = "the authors of thplab, GPL-2.0-only"  # noqa: A001 - Sphinx's name

extensions = ["myst_parser", "sphinx.ext.napoleon", "autoapi.extension"]
exclude_patterns = ["_build", "examples"]
nitpicky = True
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Names in single backticks are the kernel's, or keys of a file: code, whatever else they are.
default_role = "code"
highlight_language = "none"
# An option is --design, and a value "64", in text too.
smartquotes = False

myst_heading_anchors = 3

html_theme = "furo"
html_title = "thplab"
html_copy_source = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]

ROOMS = ("compare", "cpu", "designs", "errors", "kernel_version", "mm", "releases", "scenario")
autoapi_dirs = [str(HERE.parent / "src" / "thplab")]
autoapi_ignore = [
    f"*/thplab/{path.name}*"
    for path in (HERE.parent / "src" / "thplab").iterdir()
    if path.stem not in {*ROOMS, "__init__"}
]
autoapi_root = "python"
autoapi_add_toctree_entry = False
autoapi_options = ["members", "undoc-members"]
autoapi_member_order = "bysource"


def make_library(_app: Sphinx) -> None:
    """Write the scenario library as pages."""
    shutil.rmtree(HERE / "library", ignore_errors=True)
    library_pages.write(HERE / "library")


def keep_colon(
    _app: Sphinx, what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Have napoleon take "The tunables: as booted" for a sentence, not for a type and what it is."""
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]  # an empty comment


def find_home(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element
) -> Element | None:
    """Link a name that its module has from another one: the one object of ours that is called so.

    An annotation without a home (int, Path, T) stays text; what somebody wrote as a link is an error.
    """
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].rpartition(".")[2]
    objects = env.domaindata["py"]["objects"]
    homes = [path for path in objects if path.rpartition(".")[2] == name]
    if len(homes) == 1:
        found: Element | None = env.get_domain("py").resolve_xref(
            env, node["refdoc"], app.builder, "obj", homes[0], node, content
        )
        return found
    return None if "refexplicit" in node else content


def setup(app: Sphinx) -> None:
    """Sphinx calls this before it looks for pages."""
    app.connect("builder-inited", make_library)
    app.connect("autodoc-process-docstring", keep_colon, priority=400)
    app.connect("missing-reference", find_home)
