# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's settings for the documentation site, whose source tools/checks/site.py puts together. Nothing is loaded from other hosts."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

project = "accel.qat"
author = "accel.qat contributors"
project_copyright = f"2026 {author}"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
# Links name headings as GitHub does.
myst_heading_anchors = 6

html_theme = "furo"
html_title = project
html_static_path = [str(Path(__file__).parent / "static")]
html_css_files = ["site.css"]
html_copy_source = False
# As the theme, which takes light or dark from the browser.
antsibull_ext_color_scheme = "default-autodark"

ANSIBLE = "https://docs.ansible.com/ansible/latest"
# What antsibull-docs refers to in ansible-core's documentation. Its list of labels would have to be downloaded for each build.
ANSIBLE_PAGES = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
    **{
        f"ansible_collections.ansible.builtin.{name}_module": f"collections/ansible/builtin/{name}_module.html"
        for name in ("copy", "stat", "template")
    },
}


def link_to_ansible(
    _app: Sphinx, _environment: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Resolve a reference to ansible-core's documentation; any other stays a warning."""
    page = ANSIBLE_PAGES.get(node["reftarget"])
    return nodes.reference("", "", content, internal=False, refuri=f"{ANSIBLE}/{page}") if page else None


def setup(app: Sphinx) -> None:
    """Have Sphinx ask for what it does not find."""
    app.connect("missing-reference", link_to_ansible)
