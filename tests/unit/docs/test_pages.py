# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages for users say what the code does: tables, examples and links."""

from __future__ import annotations

import itertools
import re
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.plugins.module_utils._node.cli import qatctl
from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import (
    RULE,
    SELECT,
    WHEN_IN_USE,
    parse_configuration,
)
from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import FAMILIES, family_of_vf
from ansible_collections.accel.qat.plugins.module_utils._node.facts.services import (
    RESOURCE_PREFIX,
    SERVICES,
    for_vms,
    resource_name,
)
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT
from ansible_collections.accel.qat.tools.checks.stages import STAGES

DOCS = sorted((CHECKOUT / "docs").glob("*.md"))
ROLES = sorted((CHECKOUT / "roles").glob("*/README.md"))
PAGES = [CHECKOUT / "README.md", *DOCS, *ROLES]

DECISIONS = sorted((CHECKOUT / "docs/adr").glob("*.md"))
FOR_CONTRIBUTORS = [*sorted(CHECKOUT.glob("[!R]*.md")), *DECISIONS, CHECKOUT / "tests/README.md"]
"""Pages that say nothing of inventories and modules, but have links too."""

REPOSITORY = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["repository"]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))


def text_of(name: str) -> str:
    return (CHECKOUT / name).read_text()


def table(name: str, heading: str) -> dict[str, list[str]]:
    """The table whose first column has this heading: the other cells of each row by what its first cell has in backticks."""
    lines = text_of(name).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows: dict[str, list[str]] = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        first, *rest = (cell.strip() for cell in line.strip("|").split(" | "))
        rows.update(dict.fromkeys(re.findall(r"`([^`]+)`", first), rest))
    return rows


def examples(page: Path) -> list[t.Any]:
    return [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.M | re.S)]


def anchors(page: Path) -> set[str]:
    """What headings are called in links."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings_of(page)}


def headings_of(page: Path) -> list[str]:
    """The headings of a page, without what stands in its examples."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    return re.findall(r"^#+ (.+)$", text, re.M)


def rules_in(document: t.Any) -> t.Iterator[t.Any]:
    """Every value of qat_node_devices, however deep it stands."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "qat_node_devices":
                yield value
            else:
                yield from rules_in(value)
    elif isinstance(document, list):
        for entry in document:
            yield from rules_in(entry)


def test_tasks_that_wait_are_those_of_the_roles() -> None:
    tasks = ""
    defaults: dict[str, t.Any] = {}
    for role in sorted((CHECKOUT / "roles").iterdir()):
        tasks += "".join(path.read_text() for path in role.glob("tasks/*.yml"))
        path = role / "defaults/main.yml"
        defaults.update((yaml.safe_load(path.read_text()) or {}) if path.exists() else {})
    rows = table("docs/provision.md", "task")
    assert len(rows) > 4
    for name, (_what, limit) in rows.items():
        assert re.search(rf"(name|__qat_\w+): {re.escape(name)}$", tasks, re.M), name
        variable, seconds = re.findall(r"`(\w+)`, (\d+)", limit)[0]
        assert defaults[variable] == int(seconds)


# Links.


@pytest.mark.parametrize("page", [*PAGES, *FOR_CONTRIBUTORS], ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Those of README.md have the repository before them, since Galaxy shows it without the files beside it."""
    text = page.read_text().replace(f"]({REPOSITORY}/blob/main/", "](")
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", [*PAGES, *FOR_CONTRIBUTORS], ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_headings_of_a_page_differ(page: Path) -> None:
    """A link leads to the first of two, and what is said in both is soon not the same."""
    headings = headings_of(page)
    assert headings
    assert [heading for heading in set(headings) if headings.count(heading) > 1] == []


def test_every_page_is_in_the_list_of_pages() -> None:
    listed = set(re.findall(r"\(([\w.]+\.md)\)", text_of("docs/README.md")))
    assert listed == {page.name for page in DOCS} - {"README.md"}


def test_every_decision_is_in_the_list_of_decisions() -> None:
    listed = re.findall(r"\((\w+\.md)\)", text_of("docs/adr/README.md"))
    assert listed == [page.name for page in DECISIONS if page.name != "README.md"]


@pytest.mark.parametrize("page", [page for page in DECISIONS if page.name != "README.md"], ids=lambda page: page.stem)
def test_a_decision_has_all_its_parts(page: Path) -> None:
    parts = re.findall(r"^\*\*(\w+)\.\*\*", page.read_text(), re.M)
    assert parts == ["Situation", "Decision", "Consequences", "Rejected"]


# Examples.


@each_page
def test_examples_are_yaml_and_their_rules_are_sound(page: Path) -> None:
    for example in examples(page):
        for rules in rules_in(example):
            assert parse_configuration({"devices": rules})


@each_page
def test_no_example_has_the_first_host_decide_for_all(page: Path) -> None:
    """Ansible judges the condition of a task that runs once by the first host alone."""
    tasks = [one for example in examples(page) if isinstance(example, list) for one in example if isinstance(one, dict)]
    tasks += [task for one in tasks for key in ("pre_tasks", "tasks", "post_tasks") for task in one.get(key, ())]
    assert [task["name"] for task in tasks if task.get("run_once") and "when" in task] == []


def test_there_are_examples_of_rules() -> None:
    assert sum(len(list(rules_in(example))) for page in PAGES for example in examples(page)) >= 3


@pytest.mark.parametrize("page", ROLES, ids=lambda page: page.parent.name)
def test_example_of_a_role_refuses_misspelt_variables_first(page: Path) -> None:
    """No role does so itself: that would be one more task for each role on each node."""
    plays = [play for example in examples(page) for play in example if isinstance(play, dict) and "hosts" in play]
    assert plays
    for play in plays:
        first = [*play.get("pre_tasks", []), *play.get("roles", []), *play.get("tasks", [])][0]
        assert "accel.qat.check_variables" in first, play


def test_what_kubevirt_is_to_permit() -> None:
    documents = [one for one in examples(CHECKOUT / "docs/virtual_machines.md") if one.get("apiVersion")]
    kubevirt, _machine = (one for one in documents if one["apiVersion"].startswith("kubevirt.io/"))
    for device in kubevirt["spec"]["configuration"]["permittedHostDevices"]["pciHostDevices"]:
        assert family_of_vf(*(int(number, 16) for number in device["pciVendorSelector"].split(":")))


@each_page
def test_resources_in_examples_are_those_of_services(page: Path) -> None:
    blocks = "".join(re.findall(r"^```\w+\n(.*?)^```$", page.read_text(), re.M | re.S))
    sets = (services for number in range(4) for services in itertools.combinations(SERVICES, number))
    names = {RESOURCE_PREFIX + resource_name(frozenset(services)) for services in sets}
    assert set(re.findall(r"qat\.intel\.com/[a-z][a-z-]*", blocks)) <= names | set(map(for_vms, names))


# Tables.


def test_keys_of_a_rule() -> None:
    keys = table("docs/provision.md", "key")
    assert list(keys) == list(RULE["properties"])
    for name, entry in RULE["properties"].items():
        assert not entry.get("default") or keys[name][1] == f"`{entry['default']}`", name


def test_values_of_a_rule() -> None:
    keys = table("docs/provision.md", "key")
    for name, entry in RULE["properties"].items():
        values = entry.get("enum") or entry.get("items", {}).get("enum") or []
        said = re.findall(r"`([^`]+)`", keys[name][0])
        assert said == values or not values, f"docs/provision.md should list the values of {name}: {values}"


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("docs/device_plugin.md", f"in the order {', '.join(SERVICES)},"),
        ("docs/nfd.md", f"have this service: {', '.join(f'`{one}`' for one in SERVICES)};"),
    ],
)
def test_pages_list_the_services(page: str, words: str) -> None:
    assert words in text_of(page), f"{page} should list them so: {words}"


def test_each_service_is_explained() -> None:
    explained = next(line for line in text_of("docs/README.md").splitlines() if line.startswith("compute: "))
    assert [one for one in SERVICES if f"`{one}` " not in explained] == [], "docs/README.md says what a service is for"


def test_families_without_a_driver_in_the_kernel() -> None:
    said = set(re.findall(r"^\| (\w+) \|.*\(not in-tree\)", text_of("docs/hardware.md"), re.M))
    assert said == {one.name for one in FAMILIES if not one.in_tree}
    assert said, "docs/hardware.md names those that only Intel's package drives"


def test_services_of_a_family() -> None:
    rows = table("docs/provision.md", "devices")
    said = {name: set(re.findall(r"`(\w+)`", cells[0])) for name, cells in rows.items()}
    known = {one.name: set(one.services) for one in FAMILIES if one.services}
    assert {name: said.get(name) for name in known} == known, "docs/provision.md has what each family can be given"


def test_keys_of_a_selection() -> None:
    assert list(table("docs/provision.md", "selected by")) == list(SELECT["properties"])


def test_what_happens_in_use() -> None:
    assert list(table("docs/in_use.md", "value")) == list(WHEN_IN_USE)


def test_modules() -> None:
    modules = {path.stem for path in (CHECKOUT / "plugins/modules").glob("*.py")}
    documented, internal = (table("docs/modules.md", heading) for heading in ("module", "internal module"))
    assert {*documented, *internal} == modules
    for name in modules:
        documentation = (CHECKOUT / f"plugins/modules/{name}.py").read_text()
        assert bool(re.search(r"^short_description: .* \(internal\)$", documentation, re.M)) is (name in internal), name


def test_playbooks() -> None:
    playbooks = {f"accel.qat.{path.stem}" for path in (CHECKOUT / "playbooks").glob("*.yml")}
    assert set(table("README.md", "playbook")) == playbooks


def test_files_of_the_role() -> None:
    variables = yaml.safe_load(text_of("roles/qat_node/vars/main.yml"))
    # A link to the unit is not worth a line.
    named = {path for name, path in variables["__qat_node_files"].items() if name != "unit_link"}
    written = named | {variables["__qat_node_configuration_file"]}
    expected = {name.replace("{{ __qat_node_configuration_directory }}", "/etc/accel-qat") for name in written}
    assert expected - set(table("docs/persistence.md", "file")) == set(), "docs/persistence.md needs a row for each"


def test_targets() -> None:
    targets = table("docs/developing.md", "target")
    assert [name.removeprefix("test-") for name in targets] == list(STAGES)
    assert set(targets) <= set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.M))


def test_files_that_pages_for_contributors_name() -> None:
    """By their name in one of the rooms, or by their path in the checkout."""
    rooms = CHECKOUT / "plugins/module_utils"
    places = [CHECKOUT, rooms, *(path for path in rooms.rglob("*") if path.is_dir())]
    places += [
        CHECKOUT / name for name in ("plugins/plugin_utils/_kubelet", "device_plugin/src/qat_device_plugin", "tools")
    ]
    places += [CHECKOUT / "device_plugin/src/qat_device_plugin" / name for name in ("vm_attach", "exporter")]
    pages = ["docs/architecture.md", "docs/developing.md", *(f"docs/adr/{page.name}" for page in DECISIONS)]
    named = {name for page in pages for name in re.findall(r"`([\w./]+\.(?:py|yml)|_boot/\w*)`", text_of(page))}
    assert len(named) > 50
    assert sorted(name for name in named if not any((place / name).exists() for place in places)) == []


def help_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        qatctl.main([*arguments, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_commands_of_qatctl(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^    (\w+)", help_of([], capsys), re.M)
    assert [name.removeprefix("qatctl ") for name in table("docs/qatctl.md", "command")] == commands


def test_options_of_qatctl(capsys: pytest.CaptureFixture[str]) -> None:
    options = set(re.findall(r"--[\w-]+", help_of(["show"], capsys))) - {"--help"}
    assert {name.split()[0] for name in table("docs/qatctl.md", "option")} == options


def test_options_of_top(capsys: pytest.CaptureFixture[str]) -> None:
    own, common = (set(re.findall(r"--[\w-]+", help_of([command], capsys))) for command in ("top", "show"))
    assert {name.split()[0] for name in table("docs/qatctl.md", "option of `top`")} == own - common


@pytest.mark.parametrize("role", [page.parent for page in ROLES], ids=lambda role: role.name)
def test_variables_of_a_role(role: Path) -> None:
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    options: dict[str, t.Any] = {}
    for entry in specs.values():
        options.update(entry.get("options", {}))
    rows = table(str(role.relative_to(CHECKOUT) / "README.md"), "variable")
    assert set(rows) == set(options)
    for name, option in options.items():
        stated = rows[name][0]
        if option.get("required"):
            assert stated == "required", name
        elif stated.startswith("`"):
            assert yaml.safe_load(stated.strip("`")) == option.get("default"), name
        else:
            assert len(option["default"]) > 2, f"{name}: write its default, only long lists are described in words"


def test_places_that_the_page_of_the_tests_names() -> None:
    """With those of `_node` and its neighbours in the code, where the page shortens a path."""
    text = text_of("tests/README.md").partition("## Where a test goes")[2]
    named = {name for name in re.findall(r"`([\w./]+)`", text) if "/" in name or name.endswith(".py")} - {
        "tests/README.md"
    }
    homes = [
        CHECKOUT / name
        for name in ("tests", "tests/unit/cluster", "device_plugin/tests/harness", "plugins", "plugins/module_utils")
    ]
    known = {name for name in named if "X.py" not in name}
    assert len(known) > 40
    assert sorted(name for name in known if not any((home / name).exists() for home in homes)) == []


def test_doubles_and_helpers_of_tests_are_on_their_page() -> None:
    """Whatever tests import from beside them, so that nobody has to search for it."""
    text = text_of("tests/README.md")
    helpers = [
        path
        for place in ("tests/unit", "tests/properties", "tests/machine", "tests/cluster", "device_plugin/tests")
        for path in (CHECKOUT / place).rglob("*.py")
        if not path.name.startswith(("test_", "__"))
    ]
    assert len(helpers) > 20
    assert sorted(str(path.relative_to(CHECKOUT)) for path in helpers if path.name not in text) == []
