# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of configuration as code for AWX agrees with the collection, with its page and within itself."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml

from ansible_collections.accel.qat.plugins.plugin_utils._variables import faults, role_variables
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

AWX = CHECKOUT / "examples/awx"
PAGE = (CHECKOUT / "docs/execution_environments.md").read_text()


@pytest.fixture(scope="module")
def configuration() -> dict[str, t.Any]:
    return dict(yaml.safe_load((AWX / "controller.yml").read_text()))


def questions(configuration: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    return [
        question
        for template in configuration["controller_templates"]
        for question in template.get("survey_spec", {}).get("spec", [])
    ]


def test_a_survey_asks_for_variables_of_the_collection(configuration: dict[str, t.Any]) -> None:
    asked = [question["variable"] for question in questions(configuration)]
    assert asked
    assert faults(asked, role_variables(CHECKOUT / "roles")) == []
    assert "The survey asks for " + ", ".join(f"`{name}`" for name in asked[:-1]) + f" and `{asked[-1]}`." in PAGE


def test_its_defaults_are_those_of_the_collection(configuration: dict[str, t.Any]) -> None:
    """But for the number of nodes at once, where one is asked for who starts a job by hand."""
    defaults = {question["variable"]: question["default"] for question in questions(configuration)}
    role = yaml.safe_load((CHECKOUT / "roles/qat_drain/defaults/main.yml").read_text())
    assert defaults["qat_drain_timeout"] == role["qat_drain_timeout"]
    assert defaults["qat_drain"] == "false"


def test_templates_name_what_is_there(configuration: dict[str, t.Any]) -> None:
    credentials = {credential["name"] for credential in configuration["controller_credentials"]}
    projects = {project["name"] for project in configuration["controller_projects"]}
    environments = {one["name"] for one in configuration["controller_execution_environments"]}
    for template in configuration["controller_templates"]:
        (play,) = yaml.safe_load((AWX / template["playbook"]).read_text())
        playbook = play["ansible.builtin.import_playbook"].removeprefix("accel.qat.")
        assert (CHECKOUT / "playbooks" / f"{playbook}.yml").is_file()
        assert {*template["credentials"]} <= credentials
        assert template["project"] in projects
        assert template["execution_environment"] in environments


def test_kinds_of_credentials_are_on_the_page(configuration: dict[str, t.Any]) -> None:
    kinds = {credential["credential_type"] for credential in configuration["controller_credentials"]}
    assert kinds == set(re.findall(r"credential of type \*([^*]+)\*", PAGE))


def test_the_guides_of_the_documentation_site_are_the_pages() -> None:
    site = (CHECKOUT / "docs/docsite/rst/guides.rst").read_text()
    root = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["repository"]
    listed = re.findall(rf"<{re.escape(root)}/blob/main/docs/(\w+\.md)>", site)
    pages = re.findall(r"\((\w+\.md)\)", (CHECKOUT / "docs/README.md").read_text())
    assert set(listed) == set(pages) - {"architecture.md", "developing.md", "releasing.md"}
