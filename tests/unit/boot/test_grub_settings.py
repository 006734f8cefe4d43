# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's settings as text; a real shell says what they come to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import (
    State,
    merge,
    parse,
    read_argument,
    read_request,
)
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders import grub_settings
from ansible_collections.accel.qat.tests.unit.boot.machines import DEBIAN_SETTINGS, sourced


def edit(text: str, wanted: list[str], state: State = "present") -> str:
    return grub_settings.edit(text, read_request(wanted, state))


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ('GRUB_CMDLINE_LINUX="ro intel_iommu=off quiet"\n', "intel_iommu=on", 'GRUB_CMDLINE_LINUX="ro intel_iommu=on quiet"\n'),
        ("GRUB_CMDLINE_LINUX='intel_iommu=off'\n", "intel_iommu=on", "GRUB_CMDLINE_LINUX='intel_iommu=on'\n"),
        ("GRUB_CMDLINE_LINUX=intel_iommu=off\n", "intel_iommu=on", 'GRUB_CMDLINE_LINUX="intel_iommu=on"\n'),
        ("export GRUB_CMDLINE_LINUX=iommu=off # off\n", "iommu=pt", 'export GRUB_CMDLINE_LINUX="iommu=pt" # off\n'),
        ('  GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT  iommu=off"', "iommu=pt",
         '  GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT  iommu=pt"'),
        # The first place gets the value, the others go.
        ('GRUB_CMDLINE_LINUX="a=1 ro a=2"', "a=3", 'GRUB_CMDLINE_LINUX="a=3 ro"'),
        ('GRUB_CMDLINE_LINUX="x=\\"1 2\\" ro"', 'x="3 4"', 'GRUB_CMDLINE_LINUX="x=\\"3 4\\" ro"'),
        ("GRUB_CMDLINE_LINUX='x=\"1 2\" ro'", 'x="3 4"', "GRUB_CMDLINE_LINUX='x=\"3 4\" ro'"),
        # Nothing to do, or nothing that is certain.
        ('GRUB_CMDLINE_LINUX="ro"\n', "intel_iommu=on", 'GRUB_CMDLINE_LINUX="ro"\n'),
        ('#GRUB_CMDLINE_LINUX="a=1"\n', "a=2", '#GRUB_CMDLINE_LINUX="a=1"\n'),
        ('GRUB_CMDLINE_LINUX="a=1 `true`"\n', "a=2", 'GRUB_CMDLINE_LINUX="a=1 `true`"\n'),
        ('GRUB_CMDLINE_LINUX="a=1"b\n', "a=2", 'GRUB_CMDLINE_LINUX="a=1"b\n'),
        ('GRUB_CMDLINE_LINUX="a=1"#b\n', "a=2", 'GRUB_CMDLINE_LINUX="a=1"#b\n'),
        ('GRUB_CMDLINE_LINUX="a=1 \\\n b"\n', "a=2", 'GRUB_CMDLINE_LINUX="a=1 \\\n b"\n'),
        ('GRUB_CMDLINE_XEN="a=1"\n', "a=2", 'GRUB_CMDLINE_XEN="a=1"\n'),
        ('GRUB_CMDLINE_LINUX="a=$X"\n', "a=2", 'GRUB_CMDLINE_LINUX="a=$X"\n'),
        ('GRUB_CMDLINE_LINUX="ro -- a=1"\n', "a=2", 'GRUB_CMDLINE_LINUX="ro -- a=1"\n'),
    ],
)  # fmt: skip
def test_changes_only_what_is_plain(before: str, wanted: str, after: str) -> None:
    assert edit(before, [wanted]) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"iommu=pt"', '""'),
        ('"iommu=pt ro"', '"ro"'),
        ('"ro iommu=pt"', '"ro"'),
        ('"ro  iommu=pt  quiet"', '"ro  quiet"'),
        ('"iommu=pt $GRUB_CMDLINE_LINUX"', '"$GRUB_CMDLINE_LINUX"'),
        ("iommu=pt", '""'),
        ("", ""),
    ],
)
def test_takes_out_an_argument_and_its_space(before: str, after: str) -> None:
    assert edit(f"GRUB_CMDLINE_LINUX={before}\n", ["iommu"], "absent") == f"GRUB_CMDLINE_LINUX={after}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('GRUB_CMDLINE_LINUX=""\n', 'GRUB_CMDLINE_LINUX="iommu=pt"\n'),
        ('GRUB_CMDLINE_LINUX="ro -- x"\n', 'GRUB_CMDLINE_LINUX="iommu=pt ro -- x"\n'),
        ("GRUB_CMDLINE_LINUX='a=\"b c\"'\n", "GRUB_CMDLINE_LINUX='iommu=pt a=\"b c\"'\n"),
        ('GRUB_CMDLINE_LINUX="  ro"\n', 'GRUB_CMDLINE_LINUX="iommu=pt   ro"\n'),
        # Nothing that could be taken out again byte for byte, or nothing that is certain.
        ("GRUB_CMDLINE_LINUX=ro\n", None),
        ('GRUB_CMDLINE_LINUX_DEFAULT="ro"', None),
        ("", None),
        ('cat <<EOF\nGRUB_CMDLINE_LINUX="ro"\nEOF\n', None),
    ],
)
def test_adds_in_front(before: str, after: str | None) -> None:
    assert grub_settings.add(before, [read_argument("iommu=pt")]) == after
    if after is not None:
        assert edit(after, ["iommu"], "absent") == before


@pytest.mark.parametrize("text", ["", "A=1", "A=1\n", "A=1\n\n", "A=1\r\n", f"{grub_settings.ALWAYS}=`x`\n"])
@pytest.mark.parametrize("behind", ["", "B=2", "B=2\n"])
def test_a_part_of_our_own_comes_and_goes(text: str, behind: str) -> None:
    arguments = [read_argument("iommu=pt"), read_argument('dyndbg="file a.c +p"')]
    own = grub_settings.with_own_part(text, arguments)
    assert grub_settings.own_part_arguments(own) == arguments
    assert grub_settings.without_own_part(own) == text
    assert grub_settings.with_own_part(own, arguments[:1]) == grub_settings.with_own_part(text, arguments[:1])
    if behind and own.endswith("\n"):
        assert grub_settings.without_own_part(own + behind) == text + behind


def test_a_drop_in_keeps_what_others_set() -> None:
    arguments = [read_argument("intel_iommu=on"), read_argument('dyndbg="file a.c +p"')]
    text = grub_settings.drop_in(arguments)
    assert grub_settings.drop_in_arguments(text) == arguments
    assert sourced('GRUB_CMDLINE_LINUX="ro -- x"\n', [text])[0] == 'intel_iommu=on dyndbg="file a.c +p" ro -- x'


words = st.sampled_from(["ro", "a=1", "a=2", "b-c=1", "b_c=2", 'd="x y"', "console=tty0", "e=$HOME", "f=\\x", "--"])


@given(
    st.lists(words, max_size=6),
    st.sampled_from(['"', "'"]),
    st.sampled_from(["a=1", "b-c=2", 'd="z w"', "console=tty0"]),
)
@settings(max_examples=60)
def test_the_shell_reads_an_edit_as_the_merge_of_the_line(line: list[str], quote: str, wanted: str) -> None:
    text = " ".join(line)
    escaped = text if quote == "'" else text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    request = read_request([wanted], "absent")
    edited = grub_settings.edit(f"GRUB_CMDLINE_LINUX={quote}{escaped}{quote}\n", request)
    assert parse(sourced(edited)[0]) == merge(parse(text), request)


def test_leaves_the_rest_of_a_real_file_byte_for_byte() -> None:
    edited = edit(DEBIAN_SETTINGS, ["quiet"], "absent")
    assert edited == DEBIAN_SETTINGS.replace('"quiet"', '""')
