# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation site: the pages of the repository, and those that antsibull-docs makes of modules, filters and roles.

A page has one source, which GitHub shows too. Only its links change on the way, and docs/README.md says how the site is ordered.
"""

from __future__ import annotations

import functools
import posixpath
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from . import environments
from .shell import BUILD, CHECKOUT, CommandFailed, Shell

PYTHONS = ("3.12", "3.13", "3.11")
SITE = BUILD / "site"
SETTINGS = CHECKOUT / "tools" / "site"
# What antsibull-docs reads. Not docs/docsite/extra-docs.yml, whose list of pages is for sites that do not have them, nor changelogs, of
# which it makes an empty page before the first release.
COLLECTION_PARTS = ("README.md", "docs/docsite/links.yml", "galaxy.yml", "meta", "plugins", "roles")

FRONT = "README.md"
LIST = "docs/README.md"
REFERENCE = "reference"
"""Where the pages of antsibull-docs are."""


def build_site(shell: Shell) -> None:
    """Make the site in build/site; raise CommandFailed for a page that is nowhere in its navigation, or a link that leads nowhere."""
    tools = environments.commands(shell, PYTHONS, "site", "the documentation site")
    shutil.rmtree(SITE, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="accel-qat-site-") as directory:
        source, tree = Path(directory) / "source", Path(directory) / "tree"
        (source / REFERENCE).mkdir(parents=True)
        shell.read(CHECKOUT / "tools" / "collection_tree", tree, *COLLECTION_PARTS)
        shell.run(
            *(tools / "antsibull-docs", "collection", "--use-current", "--squash-hierarchy", "--fail-on-error"),
            *("--no-add-antsibull-docs-version", "--dest-dir", source / REFERENCE, "accel.qat"),
            PATH=f"{tools}:{shell.environment['PATH']}",
            ANSIBLE_COLLECTIONS_PATH=tree,
        )
        for path in (source / REFERENCE).glob("*.rst"):
            path.write_text(without_contents(path.read_text(encoding="utf-8")), encoding="utf-8")
        write_pages(source)
        shell.run(
            *(tools / "sphinx-build", "--fail-on-warning", "--keep-going", "--nitpicky", "--quiet"),
            *("--conf-dir", SETTINGS, "--doctree-dir", Path(directory) / "doctrees", source, SITE),
        )
    if found := loaded_from_elsewhere(SITE):
        raise CommandFailed("\n".join(["the site loads from other hosts:", *found]))
    shell.say(f"open {SITE.relative_to(CHECKOUT)}/index.html")


def write_pages(source: Path) -> None:
    """Write the pages of the repository as Sphinx takes them."""
    for name in pages():
        path = source / place(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(name), encoding="utf-8")
    for name in images():
        shutil.copyfile(CHECKOUT / name, source / name)


@functools.cache
def images() -> tuple[str, ...]:
    """The images that pages show, which stand beside them."""
    return tuple(sorted(path.relative_to(CHECKOUT).as_posix() for path in CHECKOUT.glob("docs/*.svg")))


@functools.cache
def pages() -> tuple[str, ...]:
    """The pages of the repository that the site has: those of users, and those that docs/README.md names."""
    here = [*CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("docs/adr/*.md"), *CHECKOUT.glob("roles/*/README.md")]
    names = {path.relative_to(CHECKOUT).as_posix() for path in here}
    return (FRONT, *sorted(names.union(*groups().values())))


@functools.cache
def groups() -> Mapping[str, tuple[str, ...]]:
    """The headings of docs/README.md, each with the pages below it, a page where it stands first."""
    found: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()
    for part in re.split(r"^## ", _read(LIST), flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        linked = (_target(LIST, link)[0] for link in re.findall(r"\]\(([^)#]+\.md)\)", text))
        names = [name for name in dict.fromkeys(linked) if name not in seen]
        seen.update(names)
        if names:
            found[heading] = tuple(names)
    return found


def page(name: str) -> str:
    """The text of a page in the site. Its lines have the numbers that they have in the repository."""
    text = _without_notice(_read(name))
    if name == "docs/modules.md":
        text = re.sub(r"^\| `(\w+)` \|", rf"| [`\1`](../{REFERENCE}/\1_module.rst) |", text, flags=re.MULTILINE)
    return with_links(name, text) + navigation(name)


def place(name: str) -> str:
    """Where a page is in the source of the site."""
    return "index.md" if name == FRONT else name


def navigation(name: str) -> str:
    """What stands below a page in the sidebar, for those that have something there."""
    if name == FRONT:
        parts = [_toctree("", [LIST]), *(_toctree(heading, names) for heading, names in groups().items())]
        return "".join(parts)
    below = {
        "docs/variables.md": [page for page in pages() if page.startswith("roles/")],
        "docs/modules.md": [f"{REFERENCE}/index"],
        "docs/adr/README.md": [page for page in pages() if page.startswith("docs/adr/") and page != name],
    }
    return _toctree("", below[name]) if name in below else ""


def with_links(name: str, text: str) -> str:
    """The text of a page with its links as the site needs them: pages within it, all other files on GitHub."""
    lines, code = [], False
    for line in text.split("\n"):
        code ^= line.startswith("```")
        lines.append(line if code else re.sub(r"(?<=\]\()[^)\s]+(?=\))", lambda link: _link(name, link[0]), line))
    return "\n".join(lines)


def without_contents(text: str) -> str:
    """A page of antsibull-docs without its list of contents: the theme has one beside each page, and shows an error for another one."""
    return re.sub(r"^\.\. contents::\n(?: +:.*\n)*", "", text, flags=re.MULTILINE)


def loaded_from_elsewhere(site: Path) -> list[str]:
    """What pages and style sheets of a site have a browser load from other hosts. Links, which somebody has to click, are none."""
    loads = {
        "*.html": r"<(?!a\b)[a-z]+\b[^>]*\b(?:src|srcset|data|href)=[\"'](?:https?:)?//[^>]*>",
        "*.css": r"(?:url\(\s*[\"']?|@import\s+[\"'])(?:https?:)?//[^\s)\"']*",
    }
    return [
        f"{path.relative_to(site)}: {found}"
        for pattern, load in loads.items()
        for path in sorted(site.rglob(pattern))
        for found in re.findall(load, path.read_text(encoding="utf-8"))
    ]


def _read(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


@functools.cache
def _repository() -> str:
    (root,) = re.findall(r"^repository: (\S+)$", _read("galaxy.yml"), re.MULTILINE)
    return f"{root}/blob/main/"


def _without_notice(text: str) -> str:
    """The page without the comment at its head, which would come before its title."""
    return re.sub(r"\A<!--.*?-->", lambda notice: "\n" * notice[0].count("\n"), text, count=1, flags=re.DOTALL)


def _link(name: str, link: str) -> str:
    if link.startswith("#") or (":" in link and not link.startswith(_repository())):
        return link
    path, anchor = _target(name, link)
    if path in (*pages(), *images()):
        return posixpath.relpath(place(path), posixpath.dirname(place(name)) or ".") + anchor
    return link if path.startswith(f"{REFERENCE}/") else f"{_repository()}{path}{anchor}"


def _target(name: str, link: str) -> tuple[str, str]:
    """The file that a page links to, and the `#heading` in it."""
    path, mark, anchor = link.removeprefix(_repository()).partition("#")
    if not link.startswith(_repository()):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
    return path, mark + anchor


def _toctree(caption: str, names: Iterable[str]) -> str:
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "```{toctree}", *options, "", *(f"/{name.removesuffix('.md')}" for name in names), "```", ""])
