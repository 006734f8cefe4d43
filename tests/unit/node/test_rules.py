# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._node.devices.rules import (
    HOW_TO_WRITE_AN_ADDRESS,
    SCHEMA,
    Rule,
    Select,
    parse_configuration,
    parse_json,
    read_rules,
)
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError
from ansible_collections.accel.qat.plugins.module_utils._node.facts.families import FAMILY_NAMES, PF_DRIVERS
from ansible_collections.accel.qat.plugins.module_utils._node.facts.services import SERVICES
from ansible_collections.accel.qat.plugins.module_utils._node.files import LARGEST

KNOWN = "select, state, services, driver, vfs, advertise, attach, provision, noiommu, when_in_use"
FAMILIES = ", ".join(FAMILY_NAMES)


def rule(**desired: t.Any) -> dict[str, t.Any]:
    return {"devices": [desired]}


def select(**keys: t.Any) -> dict[str, t.Any]:
    return rule(select=keys)


WRONG: tuple[tuple[t.Any, str], ...] = (
    (None, "the document: null is not an object; correct it"),
    ([], "the document: [] is not an object; correct it"),
    ({}, "devices: the key is missing; add it"),
    ({"devices": {}}, "devices: {} is not an array; correct it"),
    ({"devices": [], "device": []}, "device: unknown key; known here are devices"),
    ({"devices": [[]]}, "devices[0]: [] is not an object; correct it"),
    ({"devices": [{}, "all"]}, 'devices[1]: "all" is not an object; correct it'),
    (rule(service=["dc"]), f"devices[0].service: unknown key; known here are {KNOWN}"),
    (rule(services="dc"), 'devices[0].services: "dc" is not an array; correct it'),
    (rule(services=[]), "devices[0].services: the list is empty; name at least one, or leave the key out"),
    (rule(services=["dc", "rsa"]), f"devices[0].services[1]: 'rsa' is not known; use one of {', '.join(SERVICES)}"),
    (rule(services=["dc", "sym", "dc"]), "devices[0].services[2]: 'dc' is given twice; name it once"),
    (rule(services=[1]), "devices[0].services[0]: 1 is not a string; correct it"),
    (rule(state="gone"), "devices[0].state: 'gone' is not known; use one of present, absent"),
    (rule(when_in_use="ask"), "devices[0].when_in_use: 'ask' is not known; use one of fail, skip, force"),
    (rule(driver="../vfio"), "devices[0].driver: '../vfio' is malformed; use letters, digits, - and _"),
    (rule(driver="vfio-pci\n"), "devices[0].driver: 'vfio-pci\\n' is malformed; use letters, digits, - and _"),
    (rule(vfs=-1), "devices[0].vfs: -1 is too small; use 0 or more"),
    (rule(vfs="16"), 'devices[0].vfs: "16" is not an integer; correct it'),
    (rule(vfs=True), "devices[0].vfs: true is not an integer; correct it"),
    (rule(vfs=1.5), "devices[0].vfs: 1.5 is not an integer; correct it"),
    (rule(advertise=-2), "devices[0].advertise: -2 is too small; use 0 or more"),
    (rule(attach="pod"), "devices[0].attach: 'pod' is not known; use one of container, vm"),
    (
        rule(attach="vm", driver="4xxxvf"),
        (
            "devices[0].driver: a VF with the driver 4xxxvf cannot be attached to a virtual machine; "
            "leave it out for vfio-pci, or remove attach"
        ),
    ),
    (
        rule(attach="vm", noiommu=True),
        (
            "devices[0].noiommu: without an IOMMU a VF cannot be attached to a virtual machine; "
            "remove noiommu, or remove attach"
        ),
    ),
    (
        select(addresses="0000:6b:00.0"),
        "devices[0].select.addresses: unknown key; known here are address, family, device_id, numa_node, index",
    ),
    (
        select(address="6b.0"),
        "devices[0].select.address: '6b.0' is malformed; " + HOW_TO_WRITE_AN_ADDRESS,
    ),
    (
        select(address=["0000:6b:00.0", "0000:6b:00.8"]),
        "devices[0].select.address[1]: '0000:6b:00.8' is malformed; " + HOW_TO_WRITE_AN_ADDRESS,
    ),
    (
        select(address=[]),
        "devices[0].select.address: the list is empty; name at least one, or leave the key out",
    ),
    (select(family="gen4"), f"devices[0].select.family: 'gen4' is not known; use one of {FAMILIES}"),
    (
        select(device_id="49401"),
        "devices[0].select.device_id: '49401' is malformed; write four hexadecimal digits in quotes, such as \"4940\"",
    ),
    (select(numa_node=-2), "devices[0].select.numa_node: -2 is too small; use -1 or more"),
    (select(index=[0, -1]), "devices[0].select.index[1]: -1 is too small; use 0 or more"),
    (
        rule(state="absent", vfs=16),
        "devices[0].vfs: 16 VFs contradict state absent; remove vfs, or set state to present",
    ),
    (
        rule(vfs=16, advertise=17),
        "devices[0].advertise: 17 VFs cannot be advertised where 16 exist; advertise at most 16",
    ),
    (
        rule(state="absent", advertise=1),
        "devices[0].advertise: 1 VFs cannot be advertised where 0 exist; advertise at most 0",
    ),
    (
        {"devices": [{}, {"select": {"index": 0}}]},
        (
            "devices[1]: the rule is never used: devices[0] takes every PF that it selects; "
            "put the narrower rule first, or remove one"
        ),
    ),
    (
        {"devices": [{"select": {"numa_node": [0, 1]}}, {}, {"select": {"numa_node": 1, "family": "4xxx"}}]},
        (
            "devices[2]: the rule is never used: devices[0] takes every PF that it selects; "
            "put the narrower rule first, or remove one"
        ),
    ),
)


@pytest.mark.parametrize(("document", "sentence"), WRONG, ids=[sentence[:60] for _document, sentence in WRONG])
def test_says_what_is_wrong_and_where(document: t.Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration(document)
    assert str(caught.value) == sentence


def test_leaves_open_what_is_not_said() -> None:
    assert parse_configuration(rule()) == (
        Rule("devices[0]", Select(), "present", None, "vfio-pci", None, None, "container", "fail"),
    )
    assert parse_configuration(rule())[0].select == Select()


def test_takes_one_or_more_and_normalises() -> None:
    one = select(address="6B:00.0", family="4xxx", device_id="0x4940", numa_node=0, index=1)
    more = select(address=["0000:6b:00.0"], family=["4xxx"], device_id=["4940"], numa_node=[0], index=[1])
    assert parse_configuration(one) == parse_configuration(more)
    assert parse_configuration(one)[0].select == Select(
        frozenset({"0000:6b:00.0"}), frozenset({"4xxx"}), frozenset({0x4940}), frozenset({0}), frozenset({1})
    )


@pytest.mark.parametrize(
    "selections",
    [
        ({"index": 0}, {"index": 1}),
        ({"index": 0}, {"numa_node": 0}),
        ({"index": 0, "numa_node": 0}, {"index": 0}),
        ({"family": ["4xxx", "c6xx"]}, {"family": ["4xxx", "420xx"]}),
    ],
)
def test_keeps_rules_that_can_be_reached(selections: tuple[dict[str, t.Any], ...]) -> None:
    rules = parse_configuration({"devices": [{"select": one} for one in selections]})
    assert [one.where for one in rules] == ["devices[0]", "devices[1]"]


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    with path.open("wb") as stream:
        stream.truncate(LARGEST + 1)
    with pytest.raises(ConfigurationError) as caught:
        read_rules(str(path), "write it")
    assert str(caught.value) == f"{path}: cannot be read: it has more than {LARGEST} bytes; correct the file"


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_has_no_end_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "node.json"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(ConfigurationError) as caught:
        read_rules(str(path), "write it")
    assert str(caught.value) == f"{path}: cannot be read: it is no regular file; see that it is a file"


def test_names_the_file_and_place_of_malformed_json() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_json('{"devices": [}', "/etc/accel-qat/node.json")
    assert str(caught.value) == (
        "/etc/accel-qat/node.json: not valid JSON: Expecting value: line 1 column 14 (char 13); correct the file"
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"devices": [{}], "devices": []}', "devices"),
        ('{"devices": [{"services": ["dc"], "driver": "vfio-pci", "services": ["sym"]}]}', "services"),
        ('{"devices": [{"select": {"index": 0, "index": 1}}]}', "index"),
    ],
)
def test_of_a_key_that_is_given_twice_none_is_taken(text: str, key: str) -> None:
    """JSON has the last one count, and whoever reads the file may see the first."""
    with pytest.raises(ConfigurationError) as caught:
        parse_json(text, "node.json")
    assert str(caught.value) == f"node.json: {key}: the key is given twice; remove one"


def test_what_yaml_makes_of_an_address_without_quotes_is_explained() -> None:
    """0000:31:00.0 is 31 minutes to YAML 1.1, which are 1860 seconds, and 0435 is written to the base of 8."""
    with pytest.raises(ConfigurationError, match=r"'1860.0' is malformed; write a PCI address in quotes, such as"):
        parse_configuration(select(address="1860.0"))
    with pytest.raises(
        ConfigurationError, match=r"'285' is malformed; write four hexadecimal digits in quotes, such as"
    ):
        parse_configuration(select(device_id="285"))


def test_more_rules_than_any_node_has_devices() -> None:
    """Each is compared with each: with 50 000 of them the boot would wait for hours."""
    most = SCHEMA["properties"]["devices"]["maxItems"]
    rules = [{"select": {"index": index}} for index in range(most + 1)]
    assert len(parse_configuration({"devices": rules[:most]})) == most
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration({"devices": rules})
    assert str(caught.value) == f"devices: {most + 1} entries are too many; use at most {most}"


def test_names_the_file_and_place_of_a_wrong_value() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_json(json.dumps(rule(vfs=-1)), "node.json")
    assert str(caught.value) == "node.json: devices[0].vfs: -1 is too small; use 0 or more"


@pytest.mark.parametrize("driver", sorted(PF_DRIVERS))
def test_a_driver_of_pfs_is_none_for_vfs(driver: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration({"devices": [{}, {"select": {"index": 0}, "driver": driver}][::-1]})
    assert str(caught.value) == (
        f"devices[0].driver: {driver} is the driver of PFs, and a VF needs another; "
        "leave it out for vfio-pci, or name a driver of VFs"
    )


@pytest.mark.parametrize(
    "driver", ["-v", "--show-depends", "-", "", ".", "..", "a/b", "a\nb", "vfio pci", "vfio-pci\n"]
)
def test_what_is_no_name_of_a_driver(driver: str) -> None:
    with pytest.raises(ConfigurationError, match="is malformed"):
        parse_configuration({"devices": [{"driver": driver}]})


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"devices": ' * 100_000, '{"devices": ' + "[" * 900 + "]" * 900 + "}"], ids=len
)
def test_json_that_is_nested_too_deeply(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_json(text, "node.json")
    assert str(caught.value) == "node.json: is nested too deeply; correct the file" or len(str(caught.value)) < 300


def test_a_long_value_is_not_printed_whole() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration({"devices": ["x" * 10_000]})
    assert len(str(caught.value)) < 300
