# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from the log of galaxy-importer, and what Galaxy shows of the collection."""

from __future__ import annotations

import re

import pytest

from ansible_collections.accel.qat.tools.checks.galaxy import complaints
from ansible_collections.accel.qat.tools.checks.shell import CHECKOUT

BEGUN = "Importing with galaxy-importer 0.4.44\nGetting doc strings via ansible-doc\n"
ENDED = "Importer processing completed successfully\n"


def test_a_clean_log() -> None:
    assert complaints(f"{BEGUN}Loading role qat_node\n{ENDED}") == []


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: plugins/modules/files.py:63:9: W503 line break before binary operator",
        "ERROR: Timeout on call to ansible-lint",
        "CRITICAL: no more",
    ],
)
def test_what_is_complained_of_counts_although_it_ends(line: str) -> None:
    assert complaints(f"{BEGUN}{line}\n{ENDED}") == [line]


@pytest.mark.parametrize("log", ["", BEGUN, "No module named galaxy_importer\n"])
def test_a_log_that_is_cut_off_is_not_a_clean_one(log: str) -> None:
    assert complaints(log)[0] == "it did not come to its end:"
    assert complaints(log)[1:] == log.splitlines()


def test_links_of_the_readme_work_where_it_is_shown() -> None:
    """Galaxy shows it without the files beside it, so its links are those of galaxy.yml's repository, and lead to files of it."""
    root = re.search(r"^repository: (\S+)$", (CHECKOUT / "galaxy.yml").read_text(), re.M)
    assert root is not None
    here = f"{root[1]}/blob/main/"
    links = re.findall(r"\]\(([^)]+)\)", (CHECKOUT / "README.md").read_text())
    assert len(links) > 10
    for link in links:
        assert link.startswith("https://"), link
        if link.startswith(root[1]):
            assert link.startswith(here), link
            assert (CHECKOUT / link.removeprefix(here).partition("#")[0]).is_file(), link
