# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation site: its navigation is that of docs/README.md, its links lead within it, and it needs no other host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.accel.qat.tools.checks import site
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

GITHUB = f"{yaml.safe_load((CHECKOUT / 'galaxy.yml').read_text())['repository']}/blob/main"
PAGES = sorted(path.relative_to(CHECKOUT).as_posix() for path in CHECKOUT.glob("docs/**/*.md"))


def trees(name: str) -> list[tuple[str, list[str]]]:
    """The parts of the navigation that a page has below it: heading and pages."""
    found = re.findall(r"^```{toctree}\n(.*?)^```$", site.page(name), re.MULTILINE | re.DOTALL)
    assert all(":hidden:" in part for part in found)
    return [
        ("".join(re.findall(r"^:caption: (.+)$", part, re.MULTILINE)), re.findall(r"^/(.+)$", part, re.MULTILINE))
        for part in found
    ]


def test_the_navigation_has_the_headings_and_the_order_of_the_list_of_pages() -> None:
    text = (CHECKOUT / "docs/README.md").read_text()
    (first, *others) = trees("README.md")
    assert first == ("", ["docs/README"])
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [heading for heading, _pages in others] == [heading for heading in headings if heading != "Words"]
    listed = list(dict.fromkeys(re.findall(r"\]\((.+?)\.md\)", text)))
    assert [page for _heading, pages in others for page in pages] == [
        page.removeprefix("../") if page.startswith("../") else f"docs/{page}" for page in listed
    ]


def test_every_page_is_in_the_navigation_once() -> None:
    entries = [entry for page in site.pages() for _heading, entries in trees(page) for entry in entries]
    assert len(entries) > 40
    assert sorted(entries) == sorted({*(name.removesuffix(".md") for name in site.pages()[1:]), "reference/index"})
    assert {name.removesuffix(".md") for name in PAGES} <= {*entries}


@pytest.mark.parametrize(
    ("page", "link", "there"),
    [
        ("README.md", f"{GITHUB}/docs/drain.md", "docs/drain.md"),
        ("README.md", f"{GITHUB}/docs/drain.md#errors", "docs/drain.md#errors"),
        ("README.md", f"{GITHUB}/LICENSE", f"{GITHUB}/LICENSE"),
        ("docs/drain.md", "errors.md", "errors.md"),
        ("docs/drain.md", "#errors", "#errors"),
        ("docs/drain.md", "../README.md#licence", "../index.md#licence"),
        ("docs/drain.md", "../roles/qat_drain/README.md", "../roles/qat_drain/README.md"),
        ("docs/drain.md", "../examples/ansible.cfg", f"{GITHUB}/examples/ansible.cfg"),
        ("docs/drain.md", "../device_plugin/README.md#a", f"{GITHUB}/device_plugin/README.md#a"),
        ("docs/monitoring.md", "monitoring.svg", "monitoring.svg"),
        ("docs/drain.md", "https://kubernetes.io/docs/x.md", "https://kubernetes.io/docs/x.md"),
        ("roles/qat_drain/README.md", "../../docs/drain.md", "../../docs/drain.md"),
    ],
)
def test_a_link_leads_to_a_page_of_the_site_or_to_a_file_of_the_repository(page: str, link: str, there: str) -> None:
    assert site.with_links(page, f"See [it]({link}), [it]({link}).") == f"See [it]({there}), [it]({there})."


def test_what_code_has_is_left_alone() -> None:
    text = "```console\n$ f [a](../LICENSE)\n```\n"
    assert site.with_links("docs/drain.md", text) == text


@pytest.mark.parametrize("name", ["README.md", *PAGES])
def test_a_line_of_a_page_has_the_same_number_in_the_site(name: str) -> None:
    lines, there = (CHECKOUT / name).read_text().splitlines(), site.page(name).splitlines()
    headings = [number for number, line in enumerate(lines) if line.startswith("#")]
    assert headings == [number for number, line in enumerate(there) if line.startswith("#")]
    assert not any("SPDX-License" in line for line in there[: headings[0]])


def test_modules_are_links_where_they_are_listed() -> None:
    listed = re.findall(r"^\| \[`(\w+)`\]\(\.\./reference/\1_module\.rst\)", site.page("docs/modules.md"), re.MULTILINE)
    assert set(listed) == {path.stem for path in (CHECKOUT / "plugins/modules").glob("*.py")}


def test_a_page_of_the_reference_has_no_list_of_contents_of_its_own() -> None:
    text = "Title\n=====\n\n.. contents::\n   :local:\n   :depth: 1\n\n.. note::\n   :local: stays\n"
    assert site.without_contents(text) == "Title\n=====\n\n\n.. note::\n   :local: stays\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://example.com/a.js"></script>'),
        ("b/a.html", '<link rel="stylesheet" href="//example.com/a.css" />'),
        ("a.html", "<img alt='' src='http://example.com/a.png'>"),
        ("a.css", "@font-face { src: url('https://example.com/a.woff2') }"),
        ("a.css", '@import "https://example.com/a.css";'),
    ],
)
def test_what_is_loaded_from_another_host_is_found(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(f"before {text} after")
    (found,) = site.loaded_from_elsewhere(tmp_path)
    assert found.startswith(f"{name}: ")
    assert "//example.com" in found


def test_links_and_files_of_the_site_are_no_such_thing(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="https://example.com">x</a> <script src="_static/a.js"></script>')
    (tmp_path / "a.css").write_text("a { background: url(data:image/svg+xml;base64,AA) } b { src: url(a.woff2) }")
    assert site.loaded_from_elsewhere(tmp_path) == []
