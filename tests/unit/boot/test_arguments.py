# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking command lines apart, and changing them."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import (
    REPEATABLE,
    Request,
    State,
    amend,
    difference,
    in_force,
    merge,
    names_of,
    parse,
    read_request,
    satisfied,
    unsatisfied,
)
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError

ITEMS = ("on", "off", "sm_on", "sm_off", "strict", "pt", "nopt", "force", "soft")
KEYS = (
    "intel_iommu",
    "iommu",
    "iommu.passthrough",
    "vfio-pci.ids",
    "vfio_pci.ids",
    "quiet",
    "console",
    "hugepages",
    "ro",
)
VALUES = ("on", "off", "8086:4941", "tty0", "ttyS0,115200", '"two words"')

texts = st.one_of(
    st.sampled_from(KEYS),
    st.builds("{}={}".format, st.sampled_from(KEYS), st.sampled_from(VALUES)),
)
lines = st.builds(
    lambda words, init: " ".join([*words, *init]),
    st.lists(texts, max_size=8),
    st.sampled_from([(), ("--", "single", "intel_iommu=maybe")]),
)
states: st.SearchStrategy[State] = st.sampled_from(["present", "absent"])
requests = st.lists(texts, min_size=1, max_size=4)


def read_consistent(wanted: t.Sequence[str], state: State) -> t.Any:
    """The longest part of the list that does not contradict itself."""
    for length in range(len(wanted), 0, -1):
        try:
            return read_request(wanted[:length], state)
        except ConfigurationError:
            continue
    raise AssertionError("one argument cannot contradict itself")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quiet", [("quiet", None)]),
        ("intel_iommu=on  iommu=pt\n", [("intel_iommu", "on"), ("iommu", "pt")]),
        ('dyndbg="file a.c +p" ro', [("dyndbg", "file a.c +p"), ("ro", None)]),
        # As GRUB hands a quoted value on: the quotes stand around the whole word.
        ('"dyndbg=file a.c +p" ro', [("dyndbg", "file a.c +p"), ("ro", None)]),
        ("key=", [("key", "")]),
        ("crashkernel=1G-4G:192M,4G-:256M@16M=x", [("crashkernel", "1G-4G:192M,4G-:256M@16M=x")]),
        ('a="b', [("a", "b")]),
        ('a=""', [("a", "")]),
        ('a="', [("a", "")]),
        ('a=b"c"', [("a", 'b"c"')]),
        # A `=` in front parts nothing.
        ("=on ro", [("=on", None), ("ro", None)]),
        ("ro -- single intel_iommu=on", [("ro", None)]),
        ("", []),
    ],
)
def test_parses_as_the_kernel_does(text: str, expected: list[tuple[str, str | None]]) -> None:
    assert [(argument.key, argument.value) for argument in parse(text).arguments] == expected


@pytest.mark.parametrize(
    ("line", "wanted", "expected"),
    [
        ("ro quiet", ["intel_iommu=on", "iommu=pt"], "ro quiet intel_iommu=on iommu=pt"),
        ("ro intel_iommu=off quiet", ["intel_iommu=on"], "ro intel_iommu=on quiet"),
        ("intel_iommu=on ro intel_iommu=off", ["intel_iommu=on"], "intel_iommu=on ro"),
        ("intel_iommu=on ro intel_iommu=on", ["intel_iommu=on"], "intel_iommu=on ro intel_iommu=on"),
        ("ro intel_iommu=on,sm_on quiet", ["intel_iommu=on"], "ro intel_iommu=on,sm_on quiet"),
        ("ro intel_iommu=on,sm_on", ["intel_iommu=sm_on,on"], "ro intel_iommu=on,sm_on"),
        # Lists: what is missing is added, what contradicts goes, all else stays.
        ("ro intel_iommu=igfx_off", ["intel_iommu=on"], "ro intel_iommu=igfx_off intel_iommu=on"),
        ("intel_iommu=on intel_iommu=sm_on", ["intel_iommu=on"], "intel_iommu=on intel_iommu=sm_on"),
        ("intel_iommu=sm_on quiet", ["intel_iommu=on"], "intel_iommu=sm_on quiet intel_iommu=on"),
        ("intel_iommu=sm_on", ["intel_iommu=on,sm_on"], "intel_iommu=sm_on intel_iommu=on"),
        ("intel_iommu=on,off,sm_on", ["intel_iommu=on"], "intel_iommu=on,sm_on"),
        ("intel_iommu=off,on", ["intel_iommu=on"], "intel_iommu=off,on"),
        ("intel_iommu=sm_on,off quiet", ["intel_iommu=on"], "intel_iommu=sm_on,on quiet"),
        ("intel_iommu=off quiet intel_iommu=off", ["intel_iommu=on"], "intel_iommu=on quiet"),
        ("intel-iommu=strict,off", ["intel_iommu=on"], "intel-iommu=strict,on"),
        ('intel_iommu="off"', ["intel_iommu=on"], "intel_iommu=on"),
        ("intel_iommu=on,sm_off", ["intel_iommu=on", "intel_iommu=sm_on"], "intel_iommu=on,sm_on"),
        ("intel_iommu=on,sm_off", ["intel_iommu=on,sm_on"], "intel_iommu=on,sm_on"),
        # Without any IOMMU that of Intel is not on.
        ("iommu=off ro", ["intel_iommu=on"], "ro intel_iommu=on"),
        ("intel_iommu=on iommu=force,off", ["intel_iommu=on"], "intel_iommu=on iommu=force"),
        ("iommu=off", ["intel_iommu=sm_on"], "iommu=off intel_iommu=sm_on"),
        ("iommu=pt iommu=off", ["amd_iommu=on"], "iommu=pt amd_iommu=on"),
        # Another key for the same switch.
        ("ro iommu.passthrough=0", ["iommu=pt"], "ro iommu.passthrough=0 iommu=pt"),
        ("iommu=pt ro iommu.passthrough=0", ["iommu=pt"], "iommu=pt ro"),
        ("iommu=pt ro iommu.passthrough=off", ["iommu=pt"], "iommu=pt ro"),
        ("iommu.passthrough=0 ro iommu=pt", ["iommu=pt"], "iommu.passthrough=0 ro iommu=pt"),
        ("iommu=nopt,force iommu.passthrough=0", ["iommu=pt"], "iommu=pt,force"),
        ("iommu.passthrough=1", ["iommu=pt"], "iommu.passthrough=1"),
        ("iommu=pt iommu.passthrough=maybe", ["iommu=pt"], "iommu=pt iommu.passthrough=maybe"),
        ("iommu=pt iommu.passthrough", ["iommu=pt"], "iommu=pt iommu.passthrough"),
        ("iommu.passthrough=0 iommu=force", ["iommu=force"], "iommu.passthrough=0 iommu=force"),
        ("iommu.passthrough=0 quiet", ["iommu.passthrough=1"], "iommu.passthrough=1 quiet"),
        ("iommu.passthrough=1 iommu=nopt,force", ["iommu.passthrough=1"], "iommu.passthrough=1 iommu=force"),
        ("iommu=nopt iommu.passthrough=1", ["iommu.passthrough=1"], "iommu=nopt iommu.passthrough=1"),
        ("iommu=nopt ro", ["iommu.passthrough=1"], "iommu=nopt ro iommu.passthrough=1"),
        ("iommu=off ro", ["iommu.passthrough=1"], "ro iommu.passthrough=1"),
        ("iommu=pt ro", ["iommu.passthrough=0"], "iommu=pt ro iommu.passthrough=0"),
        ("ro", ["iommu=pt", "iommu.passthrough=1"], "ro iommu=pt iommu.passthrough=1"),
        ("ro", ["iommu.passthrough=1", "iommu=pt"], "ro iommu.passthrough=1 iommu=pt"),
        ("ro", ["intel_iommu=on", "intel_iommu=on,sm_on"], "ro intel_iommu=on intel_iommu=sm_on"),
        ("iommu=pt,forcesac", ["iommu=pt"], "iommu=pt,forcesac"),
        ("iommu=force,nopt", ["iommu=pt"], "iommu=force,pt"),
        ("iommu=force iommu.passthrough=0", ["iommu=pt"], "iommu=force iommu.passthrough=0 iommu=pt"),
        ("iommu=force,pt ro iommu.passthrough=0", ["iommu=force,pt"], "iommu=force,pt ro"),
        ("iommu=pt amd_iommu=off iommu.passthrough=0", ["iommu=pt"], "iommu=pt amd_iommu=off"),
        # With `off` no other item counts, wherever it stands.
        ("iommu=off,pt", ["iommu=pt"], "iommu=pt"),
        ("iommu=pt iommu=off", ["iommu=pt"], "iommu=pt"),
        ("iommu=off,force", ["iommu=noforce"], "iommu=noforce"),
        ("iommu=pt", ["iommu=off"], "iommu=off"),
        ("amd_iommu=off,pgtbl_v2", ["amd_iommu=on"], "amd_iommu=on,pgtbl_v2"),
        ("iommu=,pt,", ["iommu=pt"], "iommu=,pt,"),
        ("iommu iommu=soft", ["iommu=pt"], "iommu iommu=soft iommu=pt"),
        ("pci=noaer", ["pci=realloc"], "pci=noaer pci=realloc"),
        ('dyndbg="file a.c +p"', ['dyndbg="file b.c +p"'], 'dyndbg="file a.c +p" dyndbg="file b.c +p"'),
        ('vfio_pci.dyndbg="+p"', ["vfio-pci.dyndbg=+t"], 'vfio_pci.dyndbg="+p" vfio-pci.dyndbg=+t'),
        ("cgroup_disable=memory", ["cgroup_disable=pressure"], "cgroup_disable=memory cgroup_disable=pressure"),
        ("vfio_pci.disable_denylist=0", ["vfio-pci.disable_denylist=1"], "vfio-pci.disable_denylist=1"),
        ("ro quiet=1 splash", ["quiet"], "ro quiet splash"),
        ("quiet=1 ro quiet=2", ["quiet"], "quiet ro"),
        ("vfio_pci.disable_denylist=1", ["vfio-pci.disable_denylist=1"], "vfio_pci.disable_denylist=1"),
        ("console=tty0", ["console=ttyS0"], "console=tty0 console=ttyS0"),
        ("console=tty0 ro", ["console=tty0"], "console=tty0 ro"),
        ("ro -- single", ["intel_iommu=on"], "ro intel_iommu=on -- single"),
        ("ro -- intel_iommu=on", ["intel_iommu=on"], "ro intel_iommu=on -- intel_iommu=on"),
        ('"dyndbg=file a.c +p"', ['dyndbg="file a.c +p"'], '"dyndbg=file a.c +p"'),
        ("intel_iommu_x=on xintel_iommu=on", ["intel_iommu=on"], "intel_iommu_x=on xintel_iommu=on intel_iommu=on"),
        ("quiet=1", ["quiet"], "quiet"),
        ("", ["a", "a", "b"], "a b"),
    ],
)
def test_present(line: str, wanted: list[str], expected: str) -> None:
    assert merge(parse(line), read_request(wanted, "present")).render() == expected


@pytest.mark.parametrize(
    ("line", "unwanted", "expected"),
    [
        ("ro intel_iommu=on quiet", ["intel_iommu"], "ro quiet"),
        ("ro intel_iommu=on quiet", ["intel_iommu=on"], "ro quiet"),
        ("ro intel_iommu=off quiet", ["intel_iommu=on"], "ro intel_iommu=off quiet"),
        ("ro intel_iommu=on,sm_on intel_iommu=on", ["intel_iommu=on"], "ro intel_iommu=on,sm_on"),
        ("ro intel_iommu=on,sm_on intel_iommu=on", ["intel_iommu"], "ro"),
        ("vfio_pci.ids=1 vfio-pci.ids=2", ["vfio-pci.ids"], ""),
        ("console=tty0 console=ttyS0 ro", ["console=ttyS0"], "console=tty0 ro"),
        ("console=tty0 console=ttyS0", ["console"], "console=tty0 console=ttyS0"),
        ("ro -- intel_iommu=on", ["intel_iommu"], "ro -- intel_iommu=on"),
    ],
)
def test_absent(line: str, unwanted: list[str], expected: str) -> None:
    assert merge(parse(line), read_request(unwanted, "absent")).render() == expected


@given(lines, requests, states)
def test_merging_twice_is_merging_once(line: str, wanted: list[str], state: State) -> None:
    request = read_consistent(wanted, state)
    once = merge(parse(line), request)
    assert merge(once, request) == once
    assert satisfied(once, request)


@given(lines, requests, states)
def test_what_is_not_asked_for_stays_as_it_is(line: str, wanted: list[str], state: State) -> None:
    request = read_consistent(wanted, state)
    names = {name for argument in request.arguments for name in names_of(argument)}
    before, after = parse(line), merge(parse(line), request)
    assert [each for each in after.arguments if each.name not in names] == [
        each for each in before.arguments if each.name not in names
    ]
    assert after.init == before.init


@given(lines, requests)
def test_what_is_present_is_in_force(line: str, wanted: list[str]) -> None:
    request = read_consistent(wanted, "present")
    after = merge(parse(line), request)
    assert all(in_force(after, argument) for argument in request.arguments)


@given(lines, requests)
def test_absent_after_present_restores_a_line_that_had_none(line: str, wanted: list[str]) -> None:
    present = read_consistent(wanted, "present")
    absent = read_request([argument.text for argument in present.arguments], "absent")
    clean = merge(parse(line), absent)
    spoken_of = {name for each in present.arguments for name in names_of(each)}
    untouched = {argument.name for argument in clean.arguments}.isdisjoint(spoken_of)
    if untouched or all(argument.repeatable for argument in present.arguments):
        assert merge(merge(clean, present), absent) == clean


@given(lines, requests, st.randoms())
def test_the_order_of_the_request_does_not_matter(line: str, wanted: list[str], random: t.Any) -> None:
    request = read_consistent(wanted, "present")
    shuffled = list(request.arguments)
    random.shuffle(shuffled)
    one, other = merge(parse(line), request), merge(parse(line), request.only(shuffled))
    assert sorted(one.texts()) == sorted(other.texts())


@pytest.mark.parametrize(
    ("line", "argument", "expected"),
    [
        ("intel_iommu=off intel_iommu=on", "intel_iommu=on", True),
        ("intel_iommu=on intel_iommu=off", "intel_iommu=on", False),
        ("intel_iommu=on,sm_on", "intel_iommu=on", True),
        ("intel_iommu=on iommu=off", "intel_iommu=on", False),
        ("iommu=off intel_iommu=on", "intel_iommu=on", False),
        ("iommu=pt intel_iommu=on", "intel_iommu=on", True),
        ("iommu=pt iommu.passthrough=0", "iommu=pt", False),
        ("iommu.passthrough=0 iommu=pt", "iommu=pt", True),
        ("iommu=nopt iommu.passthrough=on", "iommu=pt", True),
        ("iommu=off iommu.passthrough=1", "iommu=pt", False),
        ("iommu.passthrough=1 iommu=nopt", "iommu.passthrough=1", False),
        ("iommu=pt", "iommu.passthrough=1", True),
        ("iommu.passthrough=1 iommu.passthrough=0", "iommu.passthrough=1", False),
        ("intel_iommu=sm_on", "intel_iommu=on", False),
        ("intel_iommu=on intel_iommu=sm_on", "intel_iommu=on", True),
        ("intel_iommu=on intel_iommu=sm_on", "intel_iommu=sm_on,on", True),
        ("intel_iommu=on,off", "intel_iommu=on", False),
        ("intel_iommu=off,on", "intel_iommu=on", True),
        ("intel_iommu=off,on", "intel_iommu=off", False),
        ("iommu=pt,forcesac", "iommu=pt", True),
        ("iommu=pt,nopt", "iommu=pt", False),
        ("iommu=off iommu=pt", "iommu=pt", False),
        ("iommu=off iommu=pt", "iommu=off", True),
        ("iommu=soft", "iommu", False),
        ("console=ttyS0 console=tty0", "console=ttyS0", True),
        ("vfio_pci.disable_denylist=1", "vfio-pci.disable_denylist=1", True),
        ("vfio_pci.disable_denylist=1 vfio_pci.disable_denylist=0", "vfio-pci.disable_denylist=1", False),
        ("vfio_pci.disable_denylist=0 vfio_pci.disable_denylist=1", "vfio-pci.disable_denylist=1", True),
        ("quiet", "intel_iommu=on", False),
        ("-- intel_iommu=on", "intel_iommu=on", False),
    ],
)
def test_of_several_the_last_is_in_force(line: str, argument: str, expected: bool) -> None:
    (wanted,) = read_request([argument], "present").arguments
    assert in_force(parse(line), wanted) is expected


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ([], "arguments: the list is empty; name at least one kernel argument"),
        (["ro", " "], "arguments[1]: the argument is empty; write it as key or key=value"),
        (
            ["ro iommu=pt"],
            (
                "arguments[0]: 'ro iommu=pt' is more than one argument; give each an item of its own, or quote the"
                ' value: key="a b"'
            ),
        ),
        (["--"], "arguments[0]: '--' is no kernel argument; write it as key or key=value"),
        (['""'], "arguments[0]: '\"\"' is no kernel argument; write it as key or key=value"),
        (["=on"], "arguments[0]: '=on' is no kernel argument; write it as key or key=value"),
        (
            ['a="b'],
            "arguments[0]: 'a=\"b' has an unpaired quote or a control character; write it as key or key=value",
        ),
        (
            ["a\nb"],
            "arguments[0]: 'a\\nb' has an unpaired quote or a control character; write it as key or key=value",
        ),
        (
            ["intel_iommu=sm_on", "intel_iommu=on", "intel_iommu=off"],
            "arguments[2]: intel_iommu=off contradicts intel_iommu=on; keep one of the two",
        ),
        (["intel_iommu=on,off"], "arguments[0]: intel_iommu=on,off contradicts itself; keep one of the two"),
        # Each in force by itself; of two lists one is stopped by the other.
        (["intel_iommu=on", "iommu=off"], "arguments[1]: iommu=off contradicts intel_iommu=on; keep one of the two"),
        (["iommu=off", "amd_iommu=on"], "arguments[1]: amd_iommu=on contradicts iommu=off; keep one of the two"),
        (
            ["vfio-pci.ids=1", "ro", "vfio_pci.ids=2"],
            "arguments[2]: vfio_pci.ids=2 contradicts vfio-pci.ids=1; keep one of the two",
        ),
    ],
)
def test_a_bad_request_is_reported_by_its_place(wanted: list[str], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_request(wanted, "present")
    assert str(caught.value) == sentence


lists = st.builds(
    lambda key, items: f"{key}={','.join(items)}",
    st.sampled_from(["intel_iommu", "iommu"]),
    st.lists(st.sampled_from(ITEMS), min_size=1, max_size=4),
)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            ["intel_iommu=on", "iommu=pt quiet"],
            (
                "/notes line 2: 'iommu=pt quiet' is more than one argument; fix or remove that line, and see to its argument by"
                " hand"
            ),
        ),
        (["", "ro"], "/notes line 1: the argument is empty; fix or remove that line, and see to its argument by hand"),
        (
            ["a\x1b[31m"],
            (
                "/notes line 1: 'a\\x1b[31m' has an unpaired quote or a control character; fix or remove that line, and see to its"
                " argument by hand"
            ),
        ),
    ],
)
def test_a_damaged_note_is_reported_by_its_file_and_line(lines: list[str], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_request(lines, "absent", "/notes")
    assert str(caught.value) == sentence


def test_of_a_noted_list_that_contradicts_itself_what_counted_comes_back() -> None:
    request = read_request(["intel_iommu=on,strict,off"], "present", "/notes")
    after = merge(parse("ro intel_iommu=on"), request).render()
    assert after == "ro intel_iommu=off intel_iommu=strict"


@pytest.mark.parametrize(("wanted", "stays"), [("iommu=off", True), ("iommu=nopt", False)])
def test_what_counts_wherever_it_stands_takes_nothing_out_that_comes_behind_it(wanted: str, stays: bool) -> None:
    behind = parse("iommu.passthrough=1").arguments
    request = read_request([wanted], "present")
    assert amend(behind, request, in_front=True) == [behind[0] if stays else None]


def as_the_kernel_reads(line: str, key: str) -> dict[str, bool]:
    """What the functions intel_iommu_setup and iommu_setup come to, without their prefixes."""
    switches = {"on": ("on", True), "off": ("on", False), "pt": ("pt", True), "nopt": ("pt", False)}
    switches |= {"sm_on": ("sm", True), "sm_off": ("sm", False), "force": ("force", True)}
    state: dict[str, bool] = {}
    for word in line.split():
        name, _equals, value = word.partition("=")
        for item in value.split(",") if name == key else ():
            switch, on = switches.get(item, (item, True))
            if key == "iommu" and item == "off":
                switch, on = "no_iommu", True
            state[switch] = on
    return state


@given(st.lists(lists, max_size=4), st.sampled_from(["intel_iommu=on", "intel_iommu=sm_on", "iommu=pt", "iommu=nopt"]))
def test_of_lists_only_what_contradicts_changes(words: list[str], wanted: str) -> None:
    line = " ".join(words)
    after = merge(parse(line), read_request([wanted], "present")).render()
    key, _equals, item = wanted.partition("=")
    switch, on = {"on": ("on", True), "sm_on": ("sm", True), "pt": ("pt", True), "nopt": ("pt", False)}[item]
    before, now = (as_the_kernel_reads(text, key) for text in (line, after))
    assert now[switch] is on
    assert not (key == "iommu" and now.get("no_iommu"))
    changed = {name for name in {*before, *now} if before.get(name) != now.get(name)}
    assert changed <= ({switch, "no_iommu"} if key == "iommu" else {switch})
    other = "iommu" if key == "intel_iommu" else "intel_iommu"
    others_before, others_now = (as_the_kernel_reads(text, other) for text in (line, after))
    if wanted == "intel_iommu=on":
        assert not others_now.get("no_iommu")
        others_before.pop("no_iommu", None)
    assert others_now == others_before


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("quiet", {"quiet"}),
        ("pci=realloc", {"pci"}),
        ("intel_iommu=sm_on", {"intel_iommu"}),
        ("intel-iommu=on", {"intel_iommu", "iommu"}),
        ("iommu=pt", {"iommu", "iommu.passthrough"}),
        ("iommu.passthrough=1", {"iommu", "iommu.passthrough"}),
    ],
)
def test_the_names_of_what_can_contradict(wanted: str, names: set[str]) -> None:
    (argument,) = parse(wanted).arguments
    assert names_of(argument) == names


def test_only_what_a_file_notes_is_a_way_back() -> None:
    wanted = parse("quiet").arguments
    assert read_request(["quiet"], "absent") == Request(wanted, "absent")
    assert read_request(["quiet"], "absent", "/notes") == Request(wanted, "absent", is_way_back=True)
    assert Request(wanted, "absent") != Request(wanted, "absent", is_way_back=True)


def test_the_difference_of_two_lines_counts_how_often_an_argument_stands() -> None:
    before, after = parse("ro quiet quiet iommu=pt -- single"), parse("iommu=pt ro quiet iommu=pt intel_iommu=on")
    assert difference(before, after) == (["quiet"], ["iommu=pt", "intel_iommu=on"])
    assert difference(before, before) == ([], [])


def test_what_a_line_does_not_meet_of_a_request() -> None:
    request = read_request(["iommu=pt", "intel_iommu=on", "quiet"], "present")
    assert [each.text for each in unsatisfied(parse("ro intel_iommu=on"), request).arguments] == ["iommu=pt", "quiet"]
    absent = read_request(["iommu", "intel_iommu", "quiet"], "absent")
    assert unsatisfied(parse("ro intel_iommu=on"), absent) == read_request(["intel_iommu"], "absent")


def test_repeatable_keys_do_not_contradict_each_other() -> None:
    request = read_request(["console=tty0", "console=ttyS0"], "present")
    assert [argument.text for argument in request.arguments] == ["console=tty0", "console=ttyS0"]


def test_several_values_of_a_key_can_be_removed() -> None:
    request = read_request(["intel_iommu=off", "intel_iommu=on"], "absent")
    assert merge(parse("ro intel_iommu=on intel_iommu=igfx_off"), request).texts() == ["ro", "intel_iommu=igfx_off"]


def test_repeatable_keys_are_written_as_they_are_compared() -> None:
    assert all(key == key.replace("-", "_") for key in REPEATABLE)
