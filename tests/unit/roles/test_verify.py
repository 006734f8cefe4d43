# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role qat_verify: its arguments are those of the role qat_node and of the modules it calls."""

from __future__ import annotations

import re
import typing as t

import pytest
import yaml

from ansible_collections.accel.qat.plugins.modules import cluster_node_info, device_plugin_info, probe_pod
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

ROLE = CHECKOUT / "roles/qat_verify"


def options(role: str, entry: str = "main") -> t.Any:
    specs = yaml.safe_load((CHECKOUT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]
    return specs[entry]["options"]


OPTIONS = options("qat_verify")


def test_defaults_are_documented() -> None:
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    own = {name: option for name, option in OPTIONS.items() if name.startswith("qat_verify_")}
    assert {name: option["default"] for name, option in own.items()} == defaults


def test_what_the_role_node_is_given_is_documented_alike() -> None:
    wanted = options("qat_node", "verify")
    assert {name: OPTIONS[name] for name in wanted} == wanted


def test_the_image_is_one_and_the_same_for_ever() -> None:
    """A short name is what the runtime finds first, a tag what somebody pushed; some runtimes refuse a tag with a digest."""
    assert re.fullmatch(
        r"[a-z0-9-]+(\.[a-z0-9-]+)+/[a-z0-9/-]+@sha256:[0-9a-f]{64}", OPTIONS["qat_verify_image"]["default"]
    )


def documented(module: t.Any) -> t.Any:
    return yaml.safe_load(module.DOCUMENTATION)["options"]


def test_expectations_are_those_of_the_module() -> None:
    module = documented(cluster_node_info)["expectations"]["suboptions"]
    own = OPTIONS["qat_verify_expectations"]["options"]
    keys = ("type", "required")
    assert {name: [option.get(key) for key in keys] for name, option in own.items()} == {
        name: [option.get(key) for key in keys] for name, option in module.items()
    }


@pytest.mark.parametrize(
    ("option", "module", "its"),
    [
        ("qat_verify_image_pull_policy", probe_pod, "image_pull_policy"),
        ("qat_verify_image_pull_secrets", probe_pod, "image_pull_secrets"),
        ("qat_verify_namespace", probe_pod, "namespace"),
        ("qat_verify_timeout", probe_pod, "wait_timeout"),
        ("qat_verify_plugin_address", device_plugin_info, "plugin_address"),
    ],
)
def test_options_are_those_of_the_modules(option: str, module: t.Any, its: str) -> None:
    keys = ("type", "choices", "default", "elements")
    of_module = documented(module)[its]
    assert [OPTIONS[option].get(key) for key in keys] == [of_module.get(key) for key in keys]
