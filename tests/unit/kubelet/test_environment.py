# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line that systemd would start a kubelet with."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult
from ansible_collections.accel.qat.plugins.module_utils._kubelet.environment import Variables, expand, read_file
from ansible_collections.accel.qat.plugins.module_utils._kubelet.observe import Request, observe
from ansible_collections.accel.qat.plugins.module_utils._kubelet.shown import read_shown
from ansible_collections.accel.qat.plugins.module_utils._node.errors import ConfigurationError, NodeError
from ansible_collections.accel.qat.tests.fakes.kubelet_node import KubeletNode, Service, examples
from ansible_collections.accel.qat.tests.unit.kubelet.conftest import machine_of

Make = t.Callable[..., KubeletNode]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=one two\n", "one two"),
        ("A=one \\\n  two \\\n--three\n", "one   two --three"),
        ('A="one \\\n--two=3 \\\n "\n', "one --two=3  "),
        ('A="one\n--two"\n', "one\n--two"),
        ("A='one\n\\--two'\n", "one\n\\--two"),
        ('A="a\\"b\\$c\\d"', 'a"b$c\\d'),
        ("A=a\\ b\\\\c   \n", "a b\\c"),
        ("A=a\\  \n", "a "),
        ('A="one" "two"\n', "onetwo"),
        ('A=one "two"\n', 'one "two"'),
        ("A=one\r\nB=two\r\n", "one"),
        ("A=one\\\r\nB=two\r\n", "one"),
        ("  A =  one  \n", "one"),
        ("A=\nB=x", ""),
        ("A=one\nA=two\n", "two"),
        ("# A=zero\n; A=zero\nA=one\n#A=two\n", "one"),
        ("A=one # no comment\n", "one # no comment"),
        ("export B=1\nA=one\n", "one"),
        ("A=one\\", "one"),
        ('A="one', "one"),
        ("A='one", "one"),
        ("nothing\nA=one", "one"),
    ],
)
def test_a_file_is_read_as_systemd_does(text: str, value: str) -> None:
    assert read_file(text).get("A") == value


def test_what_is_no_name_is_left_out() -> None:
    assert read_file("export A=1\n1A=2\nA-B=3\n=4\nÄ=5\n") == {}


@pytest.mark.parametrize("line", ["B='K\udcf6ln'\n", "export K\udcf6ln=1\n", "#\0\n"])
def test_a_file_that_systemd_does_not_take(line: str) -> None:
    """By src/basic/env-file.c: check_utf8ness_and_warn, and read_full_file for the zero byte."""
    assert read_file(f"A=1\n{line}") == {}


def test_what_does_not_count_may_be_no_utf_8() -> None:
    assert read_file("# K\udcf6ln\nK\udcf6ln\nA=1\n") == {"A": "1"}


def test_a_line_after_a_comment_that_ends_in_a_backslash_is_in_doubt() -> None:
    assert read_file("# one \\\nA=1\nB=2\n").doubtful == {"A"}
    assert read_file("# one \\\nA=1\nA=2\n").doubtful == set()
    assert read_file("# one \\\n# two\nA=1\n").doubtful == set()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["$A"], ["--x=1", "--y=a b", "--z"]),
        (["${A}"], ["--x=1 '--y=a b' --z"]),
        (["--all=${B}/c", "--not=$B"], ["--all=b/c", "--not=$B"]),
        (["$NONE", "${NONE}"], [""]),
    ],
)
def test_variables_in_a_command_line(words: list[str], expected: list[str]) -> None:
    variables = Variables({"A": "--x=1 '--y=a b' --z", "B": "b"})
    assert expand(words, variables) == (expected, set())


def test_quotes_that_do_not_end_are_in_doubt() -> None:
    assert expand(["$A", "$B"], Variables({"A": "--x='1", "B": "--y"}))[1] == {"A"}


KUBESPRAY = "/etc/kubernetes/kubelet-config.yaml"
ARGV = "/usr/local/bin/kubelet $KUBE_LOG_LEVEL $KUBELET_ADDRESS $KUBELET_ARGS $KUBELET_CLOUDPROVIDER"


def kubespray(text: str, argv: str = ARGV, **more: t.Any) -> dict[str, t.Any]:
    service = Service(["/usr/local/bin/kubelet"], argv, environment_files=["/etc/kubernetes/kubelet.env"])
    return {
        "services": {"kubelet.service": service},
        "programs": {"kubelet": "/usr/local/bin/kubelet"},
        "files": {
            "/etc/kubernetes/kubelet.env": text,
            KUBESPRAY: examples.CONFIGURATION,
            # Left over from kubeadm.
            "/var/lib/kubelet/config.yaml": examples.CONFIGURATION,
        },
        **more,
    }


def look(node: KubeletNode, **request: t.Any) -> t.Any:
    given = Request(**{"version": "1.27.4", "offered": False, **request})
    return observe(machine_of(node), str(node.root / "proc"), given)


@pytest.mark.parametrize(
    "text",
    [
        'KUBELET_ADDRESS="--node-ip=10.0.0.1"\nKUBELET_ARGS="--v=2 \\\n--config=/etc/kubernetes/kubelet-config.yaml \\\n "\n',
        "KUBELET_ARGS=--v=2 \\\n  --config=/etc/kubernetes/kubelet-config.yaml\n",
        "KUBELET_ARGS='--v=2\n--config=/etc/kubernetes/kubelet-config.yaml'\n",
        'KUBELET_ARGS="--v=2 --config /etc/kubernetes/kubelet-config.yaml"\r\n',
        "KUBELET_ARGS='--v=2 \"--config=/etc/kubernetes/kubelet-config.yaml\"'\n",
    ],
)
def test_a_stopped_kubelet_of_kubespray(make_node: Make, text: str) -> None:
    found = look(make_node(**kubespray(text)))
    assert (found.config, list(found.files)) == (KUBESPRAY, [KUBESPRAY])


def test_a_flag_of_kubespray_names_the_directory_of_drop_ins(make_node: Make) -> None:
    """As docs/kubespray.md has it in `kubelet_custom_flags`, so that what is in there outlives the next run of kubespray."""
    directory = "/etc/kubernetes/kubelet.conf.d"
    text = f'KUBELET_ARGS="--v=2 \\\n--config={KUBESPRAY} \\\n--runtime-cgroups=/x \\\n --config-dir={directory}"\n'
    node = make_node(**kubespray(text))
    stopped = look(node, version="1.35.4")
    assert (stopped.config, stopped.config_dir) == (KUBESPRAY, directory)
    node.add_process(77, ["/usr/local/bin/kubelet", f"--config={KUBESPRAY}", f"--config-dir={directory}"])
    assert look(node, version="1.35.4").config_dir == directory


@pytest.mark.parametrize(
    ("text", "argv", "reason"),
    [
        ('KUBELET_ARGS="--config=\'/etc/x"\n', ARGV, "its command line cannot be made out: KUBELET_ARGS"),
        ("# \\\nKUBELET_ARGS=--config=/etc/x\n", ARGV, "its command line cannot be made out: KUBELET_ARGS"),
        ("", "/bin/sh -c /opt/start-kubelet", "its unit starts it by /bin/sh, so that its command line is not known"),
        (
            "",
            "/usr/bin/docker run kubelet",
            "its unit starts it by /usr/bin/docker, so that its command line is not known",
        ),
    ],
)
def test_a_stopped_kubelet_is_not_guessed_at(make_node: Make, text: str, argv: str, reason: str) -> None:
    node = make_node(**kubespray(text, argv))
    with pytest.raises(ConfigurationError) as caught:
        look(node)
    assert caught.value.sentence() == (
        f"kubelet.service: no kubelet of the host is seen to run, and {reason}; start kubelet, or set config to the "
        "file that it is started with (--config)"
    )
    assert look(node, config=KUBESPRAY, kubelet="/usr/local/bin/kubelet").config == KUBESPRAY
    node.add_process(77, ["/usr/local/bin/kubelet", f"--config={KUBESPRAY}"])
    assert look(node).config == KUBESPRAY


@pytest.mark.parametrize(
    ("unset", "config"),
    [
        ("KUBELET_CLOUDPROVIDER", KUBESPRAY),
        ("HOME KUBELET_CLOUDPROVIDER=--config=/etc/other.yaml", KUBESPRAY),
        ('"HOME=/a b" KUBELET_CLOUDPROVIDER', KUBESPRAY),
        ("KUBELET_CLOUDPROVIDER=something KUBELET_CLOUD", "/etc/other.yaml"),
        ("", "/etc/other.yaml"),
    ],
)
def test_what_a_unit_takes_away_from_its_environment(make_node: Make, unset: str, config: str) -> None:
    text = f"KUBELET_ARGS=--config={KUBESPRAY}\nKUBELET_CLOUDPROVIDER=--config=/etc/other.yaml\n"
    settings = kubespray(text)
    settings["services"]["kubelet.service"].environment = f"A=b\nUnsetEnvironment={unset}"
    assert look(make_node(**settings)).config == config


OTHER = "/etc/other.yaml"
ALL_EMPTY = "KUBE_LOG_LEVEL= KUBELET_ADDRESS= KUBELET_CLOUDPROVIDER="


@pytest.mark.parametrize(
    ("of_systemd", "text", "more", "config"),
    [
        (f'LANG=C "KUBELET_ARGS=--v=2 --config={KUBESPRAY}" A=b', "", "", KUBESPRAY),
        (f"KUBELET_ARGS=--config={OTHER}", f"KUBELET_ARGS=--config={KUBESPRAY}\n", "", KUBESPRAY),
        (f"KUBELET_ARGS=--config={OTHER}", "", f"KUBELET_ARGS=--config={KUBESPRAY}", KUBESPRAY),
        (f"KUBELET_CLOUDPROVIDER=--config={OTHER}", f"KUBELET_ARGS=--config={KUBESPRAY}\n", "", OTHER),
        (
            f"KUBELET_CLOUDPROVIDER=--config={OTHER}",
            f"KUBELET_ARGS=--config={KUBESPRAY}\n",
            "\nUnsetEnvironment=KUBELET_CLOUDPROVIDER",
            KUBESPRAY,
        ),
        ("", f"KUBELET_ARGS=--config={KUBESPRAY}\n", "A=b\nPassEnvironment=KUBELET_ARGS HOME", KUBESPRAY),
    ],
    ids=["alone", "below a file", "below the unit", "another", "unset", "passed on below a file"],
)
def test_what_systemd_gives_to_every_unit(make_node: Make, of_systemd: str, text: str, more: str, config: str) -> None:
    """By DefaultEnvironment=, or `systemctl set-environment`: below what the unit itself says."""
    settings = kubespray(text, systemd_environment=of_systemd)
    settings["services"]["kubelet.service"].environment = more
    assert look(make_node(**settings)).config == config


@pytest.mark.parametrize(
    ("of_systemd", "of_unit", "text", "config"),
    [
        (f"A=b KUBELET_ARGS=--v=2\\x20--config={KUBESPRAY}", "", "", KUBESPRAY),
        (f"KUBELET_ARGS=--config={OTHER}", f"KUBELET_ARGS=--v=2\\x20--config={KUBESPRAY}", "", KUBESPRAY),
        (f'"A=b\nc" "KUBELET_ARGS=--v=2\n--config={KUBESPRAY}"', "", "", KUBESPRAY),
        (f"KUBELET_ARGS=--config={OTHER}", f'"A=b\n\nc" "KUBELET_ARGS=--v=2\n--config={KUBESPRAY}"', "", KUBESPRAY),
        ("[unprintable]", f"[unprintable] {ALL_EMPTY} KUBELET_ARGS=--config={KUBESPRAY}", "", KUBESPRAY),
        ("[unprintable]", "[unprintable]", f"{ALL_EMPTY} KUBELET_ARGS=--config={KUBESPRAY}".replace(" ", "\n"), KUBESPRAY),
        ("", f'{ALL_EMPTY} KUBELET_ARGS=--config={KUBESPRAY}\nUnsetEnvironment=[unprintable]', "", KUBESPRAY),
    ],
    ids=[
        "escaped of systemd",
        "escaped of the unit",
        "lines of systemd",
        "lines of the unit",
        "hidden by none that counts",
        "hidden below a file",
        "unset by a value with a space",
    ],
)  # fmt: skip
def test_what_other_versions_of_systemd_show(
    make_node: Make, of_systemd: str, of_unit: str, text: str, config: str
) -> None:
    settings = kubespray(text, systemd_environment=of_systemd)
    settings["services"]["kubelet.service"].environment = of_unit
    assert look(make_node(**settings)).config == config


@pytest.mark.parametrize(
    ("of_systemd", "of_unit", "text", "doubtful"),
    [
        ("", "[unprintable] A=b", ALL_EMPTY, "KUBELET_ARGS"),
        ("LANG=C [unprintable]", "", ALL_EMPTY, "KUBELET_ARGS"),
        (f"KUBELET_ARGS=--config={KUBESPRAY}", "[unprintable]", ALL_EMPTY, "KUBELET_ARGS"),
        (f'KUBELET_ARGS=--config={KUBESPRAY} "A=b', "[unprintable]", ALL_EMPTY, "KUBELET_ARGS"),
        (f'A=b "KUBELET_ARGS=--config={KUBESPRAY}', "", ALL_EMPTY, "KUBELET_ARGS"),
        ("", "[unprintable]", "", "KUBELET_ADDRESS and KUBELET_ARGS and KUBELET_CLOUDPROVIDER and KUBE_LOG_LEVEL"),
        (
            f"KUBELET_ARGS=--config={KUBESPRAY}",
            f"[unprintable]\nUnsetEnvironment=KUBELET_ARGS=--config={KUBESPRAY}",
            ALL_EMPTY,
            "KUBELET_ARGS",
        ),
        ("", f'"KUBELET_ARGS=--v=2 --config={KUBESPRAY}"\nUnsetEnvironment=[unprintable]', ALL_EMPTY, "KUBELET_ARGS"),
    ],
    ids=[
        "of the unit",
        "of systemd",
        "over systemd",
        "over a quote that does not end",
        "a quote that does not end",
        "all",
        "maybe not unset",
        "maybe unset",
    ],
)
def test_what_systemd_does_not_show_is_not_guessed_at(
    make_node: Make, of_systemd: str, of_unit: str, text: str, doubtful: str
) -> None:
    settings = kubespray(text.replace(" ", "\n"), systemd_environment=of_systemd)
    settings["services"]["kubelet.service"].environment = of_unit
    with pytest.raises(ConfigurationError, match=f"its command line cannot be made out: {doubtful}; "):
        look(make_node(**settings))


def answer_on_the_bus(node: KubeletNode, **answers: str) -> None:
    """Have busctl, which prints these by the interface that is asked, and for another one fails."""
    cases = ""
    for name, answer in answers.items():
        asked = f"org.freedesktop.systemd1 {BUS_PATHS[name]} org.freedesktop.systemd1.{name} Environment"
        cases += f"'get-property {asked}') cat <<'END'\n{answer}\nEND\n;;\n"
    node.write("/usr/bin/busctl", f'#!/bin/sh\ncase "$*" in\n{cases}*) exit 1 ;;\nesac\n')
    (node.root / "usr/bin/busctl").chmod(0o755)


BUS_PATHS = {
    "Manager": "/org/freedesktop/systemd1",
    "Service": "/org/freedesktop/systemd1/unit/kubelet_2eservice",
}


@pytest.mark.parametrize(
    ("of_systemd", "of_unit", "answers"),
    [
        ("", "[unprintable]", {"Service": f'as 2 "A=\\303\\251\\n" "KUBELET_ARGS=--v=2 --config={KUBESPRAY}"'}),
        ("[unprintable]", "", {"Manager": f'as 1 "KUBELET_ARGS=--v=2 --config={KUBESPRAY}"'}),
        (
            "[unprintable]",
            "[unprintable]",
            {"Manager": f'as 1 "KUBELET_ARGS=--v=2 --config={OTHER}"', "Service": f'as 1 "KUBELET_ARGS=--config={KUBESPRAY}"'},
        ),
        ("[unprintable]", f"KUBELET_ARGS=--config={KUBESPRAY}", {"Manager": "as 0"}),
    ],
    ids=["of the unit", "of systemd", "of both", "nothing by now"],
)  # fmt: skip
def test_what_systemctl_does_not_show_the_bus_does(
    make_node: Make, of_systemd: str, of_unit: str, answers: dict[str, str]
) -> None:
    """As kubeadm's own unit has KUBELET_KUBECONFIG_ARGS, with a space, and RHEL 8 systemd 239."""
    settings = kubespray("", systemd_environment=of_systemd)
    settings["services"]["kubelet.service"].environment = of_unit
    node = make_node(**settings)
    answer_on_the_bus(node, **answers)
    assert look(node).config == KUBESPRAY


@pytest.mark.parametrize(
    "answers",
    [{}, {"Service": 's "KUBELET_ARGS=x"'}, {"Service": 'as 2 "KUBELET_ARGS=x"'}, {"Service": 'as 1 "KUBELET_ARGS=x'}],
)
def test_a_bus_that_does_not_say(make_node: Make, answers: dict[str, str]) -> None:
    settings = kubespray(ALL_EMPTY.replace(" ", "\n"))
    settings["services"]["kubelet.service"].environment = "[unprintable]"
    node = make_node(**settings)
    answer_on_the_bus(node, **answers)
    with pytest.raises(ConfigurationError, match="its command line cannot be made out: KUBELET_ARGS; "):
        look(node)


def test_what_is_not_shown_may_be_unset_for_certain(make_node: Make) -> None:
    settings = kubespray(f"{ALL_EMPTY} KUBELET_CLOUDPROVIDER=--config={KUBESPRAY}".replace(" ", "\n"))
    settings["services"]["kubelet.service"].environment = "[unprintable]\nUnsetEnvironment=KUBELET_ARGS"
    assert look(make_node(**settings)).config == KUBESPRAY


@pytest.mark.parametrize(
    ("shown", "texts"),
    [
        ("", []),
        ("A=1 B=", ["A=1", "B="]),
        ("A=a\\x20b\\x5cc B=\\xc3\\xa9", ["A=a b\\c", "B=é"]),
        ("A=\\d'\" B=\t\\", ["A=\\d'\"", "B=\t\\"]),
        ('"A=a b" "B=\\"\\$\\`\\\\" C=1', ["A=a b", 'B="$`\\', "C=1"]),
        ('"A=a\\nb\\tc\\033\\303\\251é"', ["A=a\nb\tc\033éé"]),
        ('"A=a\nb"\nB=1', ["A=a\nb", "B=1"]),
    ],
)
def test_a_list_is_read_as_systemd_shows_it(shown: str, texts: list[str]) -> None:
    assert read_shown(shown) == (texts, True)


@pytest.mark.parametrize(
    ("shown", "texts"), [("A=1 [unprintable] B=2", ["A=1", "B=2"]), ('A=1 "B=2 C=3', ["A=1"]), ('"A=1"B', [])]
)
def test_a_list_that_is_not_shown_as_a_whole(shown: str, texts: list[str]) -> None:
    assert read_shown(shown) == (texts, False)


def test_what_is_passed_on_of_systemds_own_environment_is_not_guessed_at(make_node: Make) -> None:
    settings = kubespray("")
    settings["services"]["kubelet.service"].environment = "A=b\nPassEnvironment=HOME KUBELET_ARGS"
    with pytest.raises(ConfigurationError, match="its command line cannot be made out: KUBELET_ARGS; "):
        look(make_node(**settings))


def test_an_argument_is_added_to_no_file_that_would_hide_what_systemd_gives(make_node: Make) -> None:
    for of_systemd, passed in (("KUBELET_EXTRA_ARGS=--v=2", ""), ("", "KUBELET_EXTRA_ARGS")):
        settings = examples.kubeadm(systemd_environment=of_systemd, files={"/etc/default/kubelet": "# For people.\n"})
        settings["services"]["kubelet.service"].environment += f"\nPassEnvironment={passed}"
        found = look(make_node(**settings), version="1.31.4", config=examples.CONFIG)
        assert found.extra_arguments_fault == "kubelet.service itself sets KUBELET_EXTRA_ARGS"


def test_a_systemd_that_does_not_answer_is_reported(make_node: Make) -> None:
    node = make_node(**kubespray(""))
    (node.root / "run/systemd/system").mkdir(parents=True)
    machine = machine_of(node)
    run = machine.run

    def failing(command: t.Sequence[str]) -> t.Any:
        return CommandResult(1, "", "no answer") if command[-1] == "--property=Environment" else run(command)

    machine.run = failing  # type: ignore[method-assign]
    with pytest.raises(
        NodeError, match="systemd's environment: systemctl show fails: no answer; see that systemd answers"
    ):
        observe(machine, str(node.root / "proc"), Request(version="1.27.4", offered=False))


def test_environment_files_by_a_pattern(make_node: Make) -> None:
    settings = kubespray("", "/usr/local/bin/kubelet $KUBELET_ARGS")
    settings["services"]["kubelet.service"].environment_files = ["/etc/kubernetes/*.conf"]
    settings["files"].update(
        {"/etc/kubernetes/a.conf": "KUBELET_ARGS=x", "/etc/kubernetes/b.conf": f"KUBELET_ARGS=--config={KUBESPRAY}"}
    )
    assert look(make_node(**settings)).config == KUBESPRAY
