# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change of a command line must leave."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import (
    CommandLine,
    State,
    merge,
    parse,
    read_request,
)
from ansible_collections.accel.qat.plugins.module_utils._boot.detect import Firmware
from ansible_collections.accel.qat.plugins.module_utils._boot.ensure import ensure
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders import LOADERS
from ansible_collections.accel.qat.plugins.module_utils._boot.plan import LineChange, Plan
from ansible_collections.accel.qat.plugins.module_utils._boot.running import Running
from ansible_collections.accel.qat.plugins.module_utils._boot.unharmed import harm
from ansible_collections.accel.qat.plugins.module_utils._node.errors import RefusedError
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine
from ansible_collections.accel.qat.tests.unit.boot import machines

LINE = 'ro rd.lvm.lv=vg/root rd.lvm.lv=vg/swap rd.lvm.lv=vg/root dyndbg="file a.c +p" iommu=off quiet'


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (LINE, LINE, None),
        (LINE, LINE.replace("iommu=off", "iommu=pt"), None),
        (LINE, "iommu=pt " + LINE.replace(" iommu=off", ""), None),
        (LINE, LINE.replace("rd.lvm.lv=vg/swap ", ""), "would lose rd.lvm.lv=vg/swap"),
        # As often as before.
        (LINE, LINE.replace("rd.lvm.lv=vg/root dyn", "dyn"), "would lose rd.lvm.lv=vg/root"),
        (LINE, "", f"would lose {LINE.replace(' iommu=off', '')}"),
        # Written alike.
        (LINE, LINE.replace('dyndbg="file a.c +p"', '"dyndbg=file a.c +p"'), 'would lose dyndbg="file a.c +p"'),
        (LINE, LINE.replace("a.c +p", "a.c  +p"), 'would lose dyndbg="file a.c +p"'),
        (LINE, LINE.replace("quiet", "Quiet"), "would lose quiet"),
        # In the same order.
        (LINE, "quiet " + LINE[: -len(" quiet")], "would have its arguments in another order"),
        ("console=tty0 console=ttyS0", "console=ttyS0 console=tty0", "would have its arguments in another order"),
        (LINE, f"{LINE} nosmt quiet", "would get nosmt quiet, for which nobody asked"),
        ("ro -- single", "ro iommu=pt -- single", None),
        ("ro -- single", "ro -- single iommu=pt", "would have -- single iommu=pt for init in place of -- single"),
        ("ro -- single", "ro single", "would have nothing for init in place of -- single"),
        ("ro", "ro --", "would have -- for init in place of nothing"),
    ],
)
def test_says_what_is_lost(before: str, after: str, expected: str | None) -> None:
    assert harm(parse(before), parse(after), read_request(["iommu=pt", "console=hvc0"], "present")) == expected


@pytest.mark.parametrize("line", ['ro "x=a quiet', 'dyndbg="file a.c +p root=/dev/sda1 ro'])
def test_nothing_is_put_behind_a_quote_that_is_not_closed(line: str) -> None:
    machine = machines.core_os()
    machine.files["/deployment"] = line
    with pytest.raises(RefusedError, match="has a quote that is not closed"):
        ensure(machine, read_request(["iommu=pt"], "present"), Running(parse(""), False), Firmware(True, ""))
    assert machine.files["/deployment"] == line
    assert machine.done == []


@pytest.mark.parametrize(
    ("before", "after", "exact", "expected"),
    [
        ("ro quiet", "nosmt ro quiet iommu=pt", False, None),
        ("ro quiet", "quiet ro", False, "would have its arguments in another order"),
        ("ro quiet", "ro", False, "would lose quiet"),
        ("console=tty0 console=ttyS0 ro", "ro console=tty0 console=ttyS0 console=hvc0", True, None),
        ("console=tty0 console=ttyS0", "console=hvc0 console=ttyS0 console=tty0", True, "would have its arguments in another order"),
    ],
)  # fmt: skip
def test_what_is_made_again_may_bring_more(before: str, after: str, exact: bool, expected: str | None) -> None:
    assert harm(parse(before), parse(after), read_request(["iommu=pt", "console=hvc0"], "present"), exact) == expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("hugepagesz=1G hugepages=4 hugepagesz=2M hugepages=512", None),
        ("hugepagesz=2M hugepages=512 hugepagesz=1G hugepages=4", None),
        ("hugepagesz=1G hugepagesz=2M hugepages=4 hugepages=512", "would have its arguments in another order"),
        ("hugepages=4 hugepages=512 hugepagesz=1G hugepagesz=2M", "would have its arguments in another order"),
    ],
)
def test_a_size_of_pages_stays_with_its_number(after: str, expected: str | None) -> None:
    request = read_request(["hugepagesz=2M", "hugepages=512"], "present")
    assert harm(parse("hugepagesz=1G hugepages=4"), parse(after), request) == expected


words = st.sampled_from(
    ["ro", "quiet", "iommu=pt", "iommu=off", "console=tty0", "console=ttyS0", "rd.lvm.lv=a", 'd="x y"']
)
lines = st.lists(words, max_size=8).map(lambda texts: parse(" ".join(texts)))


@given(lines, words, st.sampled_from(["present", "absent"]))
def test_merging_does_no_harm(line: CommandLine, wanted: str, state: State) -> None:
    request = read_request([wanted], state)
    assert harm(line, merge(line, request), request) is None


@given(lines, lines)
def test_nothing_is_lost_unseen(before: CommandLine, after: CommandLine) -> None:
    """What the word says is what a count of the words says."""
    request = read_request(["nosmt"], "present")
    lost = Counter(before.texts()) - Counter(after.texts())
    said = harm(before, after, request) or ""
    assert said.startswith("would lose") is bool(lost)
    assert bool(said) is (before.texts() != after.texts())


class Careless:
    """A boot loader whose plan loses an argument, in its line or in one of those it touches."""

    name = "careless"

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def plan(self, _request: object) -> Plan:
        return self._plan


GOOD, BAD = parse("ro rd.lvm.lv=a iommu=pt"), parse("ro iommu=pt")
NONE = parse("ro rd.lvm.lv=a")
EDITED = (("careless",),)


@pytest.mark.parametrize(
    ("plan", "label"),
    [
        (Plan(GOOD, BAD, commands=EDITED), "the next boot"),
        (Plan(GOOD, GOOD, commands=EDITED, changes=(LineChange("an entry", GOOD, BAD),)), "an entry"),
        (Plan(GOOD, GOOD, commands=EDITED, lines=(LineChange("a line", GOOD, BAD),)), "a line"),
    ],
)
def test_a_plan_that_loses_an_argument_is_refused_whatever_boot_loader_made_it(
    monkeypatch: pytest.MonkeyPatch, plan: Plan, label: str
) -> None:
    assert refused(monkeypatch, plan) == (
        f"bootloader: {label} would lose rd.lvm.lv=a; set the arguments by hand where this node boots from"
    )


@pytest.mark.parametrize(
    "plan",
    [
        Plan(NONE, NONE, commands=EDITED),
        Plan(GOOD, GOOD, commands=EDITED, changes=(LineChange("the next boot", NONE, NONE),)),
    ],
)
def test_a_plan_that_does_not_bring_an_argument_is_refused(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
    assert refused(monkeypatch, plan) == (
        "bootloader: the next boot would still not be with iommu=pt; set the arguments by hand where this node boots from"
    )


def refused(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> str:
    """The sentence with which the plan is refused before anything is done."""
    monkeypatch.setitem(LOADERS, "careless", lambda _machine, _running: Careless(plan))
    machine = FakeMachine({}, {})
    running = Running(parse(""), iommu_active=False)
    with pytest.raises(RefusedError) as caught:
        ensure(machine, read_request(["iommu=pt"], "present"), running, Firmware(False, ""), "careless")
    assert machine.done == []
    return str(caught.value)
