# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pod has which VF, in the metrics."""

from __future__ import annotations

import asyncio
import contextlib
import re
import typing as t
from pathlib import Path

import grpc
import pytest
from harness.node_files import NodeFiles
from harness.pod_resources import Claimed, FakePodResources, keep_claims, kept_claim
from harness.process import Plugin, fetch, free_port
from qat_device_plugin._node.devices.read import read_devices
from qat_device_plugin._node.devices.rules import parse_configuration
from qat_device_plugin._node.kernel.live import LiveKernel
from qat_device_plugin._node.users.podresources import Given
from qat_device_plugin._node.users.pods import Named
from qat_device_plugin.attribution import LONGEST_NAME, Attribution, Holding, attributed, holdings
from qat_device_plugin.catalogue import Snapshot
from qat_device_plugin.exposition import exposition
from qat_device_plugin.model import Model, Scan, advance, with_rules
from qat_device_plugin.probe import read_groups
from qat_device_plugin.statistics import Statistics
from qat_device_plugin.status import Status

if t.TYPE_CHECKING:
    from harness.bench import Bench, Scenario

Run = t.Callable[["Scenario"], None]

CY = "qat.intel.com/cy"
PF = "0000:6b:00.0"
VFS = NodeFiles.vf_addresses(PF, 4)
RULES = parse_configuration({"devices": [{}]})
WEB = Given("default", "web-0", "app", CY, VFS[1])


@pytest.fixture
def files(tmp_path: Path) -> NodeFiles:
    files = NodeFiles(tmp_path)
    files.add_pf(PF, vfs=4)
    return files


def look(files: NodeFiles, before: Model | None = None) -> Model:
    with contextlib.closing(LiveKernel(str(files.sys), str(files.proc), str(files.dev))) as kernel:
        node = read_devices(kernel)
        snapshot = Snapshot(node, frozenset(kernel.list("/dev/vfio")), read_groups(kernel, node))
    return advance(before or Model(), Scan(1.0, snapshot, {}), RULES)


def said(*given: Given) -> Attribution:
    return attributed(Attribution(), Named(given), 1.0)


def pods_of(found: t.Iterable[Holding]) -> dict[str, str]:
    return {one.vf: "/".join((one.namespace, one.pod, one.container)) for one in found if one.pod}


# What follows from an answer.


def test_every_vf_that_is_offered_is_there_once_with_the_pod_that_has_it(files: NodeFiles) -> None:
    assert holdings(look(files), said(WEB)) == [
        Holding(CY, PF, VFS[0], "0"),
        Holding(CY, PF, VFS[1], "0", "default", "web-0", "app"),
        Holding(CY, PF, VFS[2], "0"),
        Holding(CY, PF, VFS[3], "0"),
    ]


def test_containers_that_share_a_vf_are_one_series(files: NodeFiles) -> None:
    found = holdings(look(files), said(WEB._replace(container="b"), WEB._replace(container="a")))
    assert [one.container for one in found] == ["", "a", "", ""]


def test_a_vf_that_is_offered_no_more_stays_with_its_pod(files: NodeFiles) -> None:
    model = with_rules(look(files), parse_configuration({"devices": [{"advertise": 1}]}), 2.0)
    assert holdings(model, said(WEB)) == [
        Holding(CY, PF, VFS[0], "0"),
        Holding(CY, PF, VFS[1], "0", "default", "web-0", "app"),
    ]


def test_a_vf_that_has_vanished_stays_with_its_pod(files: NodeFiles) -> None:
    before = look(files)
    files.remove_vfs(PF)
    assert pods_of(holdings(look(files, before), said(WEB))) == {VFS[1]: "default/web-0/app"}


def test_a_vf_by_a_claim_is_known_by_its_node(files: NodeFiles) -> None:
    given = WEB._replace(resource="qat.intel.com", device=f"/dev/vfio/{files.node(VFS[2]).name}")
    assert pods_of(holdings(look(files), said(given))) == {VFS[2]: "default/web-0/app"}


def test_addresses_may_be_written_otherwise(files: NodeFiles) -> None:
    assert pods_of(holdings(look(files), said(WEB._replace(device=VFS[1].upper())))) == {VFS[1]: "default/web-0/app"}


def test_there_are_no_more_series_than_vfs_whatever_kubelet_says(files: NodeFiles) -> None:
    given = [WEB._replace(device=f"0000:6b:{number:02x}.1") for number in range(1, 32)]
    given += [WEB._replace(pod=f"other-{number}", device=device) for number in range(50) for device in VFS]
    given += [WEB._replace(device=device) for device in ("", "\0", "gpu-7", "/dev/vfio/", "/dev/vfio/None")]
    assert sorted(one.vf for one in holdings(look(files), said(*given))) == sorted(VFS)


def test_before_the_first_scan_there_is_nothing() -> None:
    assert holdings(Model(), said(WEB)) == []


def test_the_last_answer_stays_while_kubelet_does_not_answer() -> None:
    before = said(WEB)
    after = attributed(before, Named(problem="kubelet does not answer: not now"), 9.0)
    assert (after.by_device, after.seen, after.problem) == (before.by_device, 1.0, "kubelet does not answer: not now")
    assert attributed(after, Named(), 10.0) == Attribution({}, 10.0, "")


# How it is shown.


def lines(model: Model, attribution: Attribution | None, age: float | None = None) -> list[str]:
    status = Status(model, 0.0, {}, {}, attribution=attribution, attribution_age=age)
    prefix = "qat_device_plugin_"
    text = exposition(status, Statistics()).decode()
    # Not splitlines, which breaks lines at more than Prometheus does.
    return [line[len(prefix) :] for line in text.split("\n") if re.match(prefix + "(vf_info|pod_res)", line)]


def test_names_of_others_break_no_line_and_have_a_bound(files: NodeFiles) -> None:
    given = WEB._replace(namespace='a"} 1\nevil 1', pod="p\\\u2028\x85\u202e" + "x" * 100_000, container="\ufffd\0")
    found = lines(look(files), said(given), 0.0)
    assert len(found) == 6
    (line,) = (one for one in found if VFS[1] in one)
    pod = "p\\\\\\\\u2028\\\\x85\\\\u202e"
    assert f'namespace="a\\"}} 1\\\\x0aevil 1",numa_node="0",pf="{PF}",pod="{pod}xxx' in line
    assert 'container="\ufffd\\\\x00"' in line
    assert len(line) < LONGEST_NAME + 300


def test_no_vf_looks_free_before_kubelet_has_answered(files: NodeFiles) -> None:
    assert lines(look(files), Attribution()) == ["pod_resources_up 0.0"]


def test_an_answer_that_is_missing_is_shown_with_the_age_of_the_last(files: NodeFiles) -> None:
    late = attributed(said(WEB), Named(problem="not now"), 9.0)
    found = lines(look(files), late, 8.0)
    assert found[-2:] == ["pod_resources_up 0.0", "pod_resources_age_seconds 8.0"]
    assert len(found) == len(VFS) + 2


def test_nothing_is_shown_where_kubelet_is_not_asked(files: NodeFiles) -> None:
    assert lines(look(files), None) == []


# The service.


def series(text: str, name: str) -> dict[str, float]:
    found = re.findall(rf"^qat_device_plugin_{name}(\{{.*\}})? (.*)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


class Scraped:
    """A plugin whose metrics are looked at, and the kubelet that says which pods have VFs."""

    def __init__(self, bench: Bench, *flags: str) -> None:
        self._bench = bench
        self._port = free_port()
        self.kubelet = FakePodResources(bench.files.root)
        bench.files.add_pf(PF, vfs=4)
        self.plugin = bench.start(f"--metrics-address=127.0.0.1:{self._port}", *flags)

    async def metrics(self) -> str:
        return (await asyncio.get_running_loop().run_in_executor(None, fetch, self._port, "/metrics"))[1]

    async def until(self, condition: t.Callable[[str], object]) -> str:
        """The metrics once they are so."""
        while not condition(text := await self.metrics()):
            await asyncio.sleep(0.02)
        return text


def has(pod: str) -> t.Callable[[str], bool]:
    return lambda text: f'pod="{pod}"' in text


def test_pods_come_and_go_and_stay_while_kubelet_is_away(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.kubelet.start()
        scraped = Scraped(bench)
        text = await scraped.until(lambda text: series(text, "errors_total")['{kind="pods"}'])
        assert series(text, "pod_resources_up") == {"": 0.0}
        assert series(text, "vf_info") == series(text, "pod_resources_age_seconds") == {}
        scraped.kubelet.pods["default", "web-0"] = {"app": {CY: [VFS[1]]}}
        await scraped.kubelet.start()
        text = await scraped.until(has("web-0"))
        assert len(series(text, "vf_info")) == len(VFS)
        assert series(text, "pod_resources_up") == {"": 1.0}
        scraped.kubelet.refusal = (grpc.StatusCode.INTERNAL, "not now")
        text = await scraped.until(lambda text: series(text, "pod_resources_up") == {"": 0.0})
        assert has("web-0")(text)
        age = series(text, "pod_resources_age_seconds")[""]
        await scraped.until(lambda text: series(text, "pod_resources_age_seconds")[""] > age)
        scraped.kubelet.refusal = None
        scraped.kubelet.pods.clear()
        text = await scraped.until(lambda text: not has("web-0")(text))
        assert len(series(text, "vf_info")) == len(VFS)
        await scraped.kubelet.stop()
        log = scraped.plugin.log.read_text()
        assert log.count('problem="kubelet does not answer: not now"') == 1

    run(scenario)


def test_kubelet_is_asked_once_a_period_however_often_that_is_scraped(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.kubelet.start()
        scraped = Scraped(bench, "--period=3600")
        await scraped.kubelet.start()
        await scraped.until(lambda text: series(text, "pod_resources_up") == {"": 1.0})
        for _ in range(5):
            await scraped.metrics()
        assert scraped.kubelet.calls == ["v1.List"]
        await scraped.kubelet.stop()

    run(scenario)


@pytest.mark.parametrize(
    "flags", [("--pod-labels=false", "--metrics-address=127.0.0.1:0"), ("--metrics-address=",)], ids=["off", "no page"]
)
def test_kubelet_is_not_asked_for_nobody(run: Run, flags: tuple[str, ...]) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.kubelet.start()
        kubelet = FakePodResources(bench.files.root)
        await kubelet.start()
        bench.files.add_pf(PF)
        plugin = bench.start(*flags)
        await bench.ready(CY, 16)
        await plugin.goes_on()
        assert kubelet.calls == []
        await kubelet.stop()

    run(scenario)


def test_what_kubelet_answers_of_claims_is_shown_and_decides_nothing(run: Run) -> None:
    """As in the DaemonSet, which does not see what kubelet keeps of claims: each start would offer the VF until the first answer."""

    async def scenario(bench: Bench) -> None:
        await bench.kubelet.start()
        scraped = Scraped(bench)
        scraped.kubelet.pods["default", "web-0"] = {"app": {}}
        scraped.kubelet.claims["default", "web-0", "app"] = [Claimed(VFS[1]), Claimed("mystery")]
        await scraped.kubelet.start()
        await bench.ready(CY, 4)
        await scraped.until(has("web-0"))
        await scraped.plugin.goes_on()
        assert bench.kubelet.unhealthy(CY) == set()
        assert "unhealthy" not in scraped.plugin.log.read_text()
        await scraped.kubelet.stop()

    run(scenario)


def test_a_kubelet_with_another_root_directory_is_to_be_named(run: Run) -> None:
    """Its kubelet.sock is where each kubelet has it, so that all the rest seems to be well."""

    async def scenario(bench: Bench) -> None:
        bench.files.add_pf(PF, vfs=4)
        await bench.kubelet.start()
        elsewhere = bench.files.root / "data/kubelet"
        elsewhere.mkdir(parents=True)
        resources = FakePodResources(elsewhere)
        await resources.start()
        keep_claims(elsewhere, [kept_claim("11-22", "qatvf-0000-6b-00-1")])
        first = bench.start("--metrics-address=127.0.0.1:0")
        await bench.kubelet.until(lambda: "name it with --kubelet-root" in first.log.read_text())
        said = [line for line in first.log.read_text().splitlines() if "which pods have VFs is not known" in line]
        assert said[-1].startswith("warning: ")
        assert f"{bench.files.root}/pod-resources/kubelet.sock" in said[-1]
        await first.goes_on()
        assert first.log.read_text().count("name it with --kubelet-root") == 1
        first.stop()
        second = bench.start("--metrics-address=127.0.0.1:0", f"--kubelet-root={elsewhere}")
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == {VFS[0]})
        await bench.kubelet.until(lambda: "v1.List" in resources.calls)
        assert "which pods have VFs" not in second.log.read_text()
        await resources.stop()

    run(scenario)


PATIENT = """
import sys
from qat_device_plugin._node.users import pods
from qat_device_plugin.cli import main
pods.ASK_SECONDS = 3600.0
sys.exit(main())
"""


def test_a_kubelet_that_hangs_holds_up_no_scan(run: Run) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.kubelet.start()
        kubelet = FakePodResources(bench.files.root)
        kubelet.silent = True
        await kubelet.start()
        bench.files.add_pf(PF)
        flags = ("--metrics-address=127.0.0.1:0",)
        plugin = Plugin(bench.files, bench.kubelet_dir, *flags, program=("-c", PATIENT))
        bench.plugins.append(plugin)
        await bench.kubelet.until(lambda: kubelet.calls == ["v1.List"])
        await bench.ready(CY, 16)
        bench.files.bind(VFS[0], None)
        await bench.kubelet.until(lambda: bench.kubelet.unhealthy(CY) == {VFS[0]})
        assert kubelet.calls == ["v1.List"]
        plugin.stop()
        kubelet.silent = False
        await kubelet.stop()

    run(scenario)
