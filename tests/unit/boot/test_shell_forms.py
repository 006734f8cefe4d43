# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forms that GRUB's settings can have: a real shell, not our reading of them, says what they come to before and after.

Each is tried by bash and by dash, where grub-mkconfig reads drop-ins and where it does not. Either all that was there is there
afterwards, and all that is computed beside, and the way back leads to the same bytes, or nothing is written.
"""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.accel.qat.plugins.module_utils._boot.arguments import State, parse, read_request
from ansible_collections.accel.qat.plugins.module_utils._boot.detect import Firmware
from ansible_collections.accel.qat.plugins.module_utils._boot.ensure import Outcome, ensure
from ansible_collections.accel.qat.plugins.module_utils._boot.loaders import grub as grub_module
from ansible_collections.accel.qat.plugins.module_utils._boot.running import Running
from ansible_collections.accel.qat.plugins.module_utils._host.machine import CommandResult
from ansible_collections.accel.qat.plugins.module_utils._node.errors import NodeError, RefusedError
from ansible_collections.accel.qat.tests.fakes.host import FakeMachine

SETTINGS = "/etc/default/grub"
GENERATED = "/boot/grub2/grub.cfg"
QAT = ["intel_iommu=on", "iommu=pt"]
ROOT = "rd.lvm.lv=vg/root rd.lvm.lv=vg/swap net.ifnames=0"

# Reads one settings file after another as grub-mkconfig does, and prints the words of each variable that it uses.
MKCONFIG = """\
set -e
for file in "$@"; do if test -f "$file"; then . "$file" >&2; fi; done
set -f
for name in GRUB_CMDLINE_LINUX GRUB_CMDLINE_LINUX_DEFAULT GRUB_CMDLINE_XEN GRUB_CMDLINE_LINUX_XEN_REPLACE GRUB_TIMEOUT FOO; do
  eval "words=\\${$name-}"
  printf '%s:' "$name"
  printf ' <%s>' $words
  printf '\\n'
done
"""

FORMS = {
    # Assignments that come in other forms than NAME="value".
    "plain": f'GRUB_CMDLINE_LINUX="{ROOT}"\n',
    "empty-file": "",
    "no-assignment": "GRUB_TIMEOUT=5\n",
    "no-line-end": f'GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="{ROOT}"',
    "default-alone": f'GRUB_CMDLINE_LINUX_DEFAULT="{ROOT}"\n',
    "single-quotes": f"GRUB_CMDLINE_LINUX='{ROOT}'\n",
    "quotes-within-quotes": "GRUB_CMDLINE_LINUX='dyndbg=\"file a.c +p\" ro2'\n",
    "escaped-quotes": 'GRUB_CMDLINE_LINUX="dyndbg=\\"file  a.c +p\\" ro2"\n',
    "no-quotes": "GRUB_CMDLINE_LINUX=net.ifnames=0\n",
    "escaped-space": "GRUB_CMDLINE_LINUX=net.ifnames=0\\ biosdevname=0\n",
    "nothing": "GRUB_CMDLINE_LINUX=\n",
    "joined-quotes": 'GRUB_CMDLINE_LINUX="net.if""names=0 biosdevname=0"\n',
    "mixed-quotes": "GRUB_CMDLINE_LINUX=\"net.ifnames=0 \"'biosdevname=0'\n",
    "dollar-quotes": "GRUB_CMDLINE_LINUX=$'net.ifnames=0\\tbiosdevname=0'\n",
    "blanks-around": '   GRUB_CMDLINE_LINUX="  net.ifnames=0   biosdevname=0 "   \n',
    "tabs": '\tGRUB_CMDLINE_LINUX="net.ifnames=0\tbiosdevname=0"\n',
    "comment-behind": f'GRUB_CMDLINE_LINUX="{ROOT}" # "root" is on LVM\n',
    "comment-stuck-on": 'GRUB_CMDLINE_LINUX="net.ifnames=0"#biosdevname=0\n',
    "semicolon": f'GRUB_CMDLINE_LINUX="{ROOT}"; GRUB_TIMEOUT=3\n',
    "semicolon-at-the-end": f'GRUB_CMDLINE_LINUX="{ROOT}";\n',
    "and": f'true && GRUB_CMDLINE_LINUX="{ROOT}"\n',
    "export": f'export GRUB_CMDLINE_LINUX="{ROOT}"\n',
    "export-of-several": f'export GRUB_TIMEOUT=3 GRUB_CMDLINE_LINUX="{ROOT}"\n',
    "several-in-a-line": f'GRUB_TIMEOUT=3 GRUB_CMDLINE_LINUX="{ROOT}" FOO=1\n',
    "export-afterwards": f'GRUB_CMDLINE_LINUX="{ROOT}"\nexport GRUB_CMDLINE_LINUX\n',
    "declare": f'declare GRUB_CMDLINE_LINUX="{ROOT}"\n',
    "readonly": f'readonly GRUB_CMDLINE_LINUX="{ROOT}"\n',
    "eval": f"eval 'GRUB_CMDLINE_LINUX=\"{ROOT}\"'\n",
    "printf": f'printf -v GRUB_CMDLINE_LINUX %s "{ROOT}"\n',
    "read": f'read -r GRUB_CMDLINE_LINUX <<EOF\n{ROOT}\nEOF\n',
    "colon-equals": f': "${{GRUB_CMDLINE_LINUX:={ROOT}}}"\n',
    "array": "GRUB_CMDLINE_LINUX=(net.ifnames=0 biosdevname=0)\n",
    # Values over several lines.
    "two-lines": f'GRUB_CMDLINE_LINUX="{ROOT} \\\n  crashkernel=256M biosdevname=0"\n',
    "many-lines": 'GRUB_CMDLINE_LINUX="\\\nnet.ifnames=0 \\\nbiosdevname=0 \\\n"\n',
    "joined-before-the-name": f'GRUB_TIMEOUT=3; \\\nGRUB_CMDLINE_LINUX="{ROOT}"\n',
    "name-in-two": f'GRUB_CMDLINE_\\\nLINUX="{ROOT}"\n',
    "line-end-within": 'GRUB_CMDLINE_LINUX="net.ifnames=0\nbiosdevname=0"\n',
    "ends-in-a-backslash": 'GRUB_CMDLINE_LINUX=net.ifnames=0\nFOO=a\\',
    "assignment-within-a-string": f'FOO="\nGRUB_CMDLINE_LINUX=\'net.ifnames=0\'\n"\nGRUB_CMDLINE_LINUX="{ROOT}"\n',
    "carriage-returns": f'GRUB_TIMEOUT=5\r\nGRUB_CMDLINE_LINUX="{ROOT}"\r\n',
    "carriage-returns-and-an-empty-line": f'GRUB_TIMEOUT=5\r\n\r\nGRUB_CMDLINE_LINUX="{ROOT}"\r\n',
    # Values that are added up or computed.
    "plus-equals": f'GRUB_CMDLINE_LINUX+=" {ROOT}"\n',
    "plus-equals-after-a-plain-one": f'GRUB_CMDLINE_LINUX="biosdevname=0"\nGRUB_CMDLINE_LINUX+=" {ROOT}"\n',
    "added-by-itself": f'GRUB_CMDLINE_LINUX="biosdevname=0"\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {ROOT}"\n',
    "added-in-braces": f'GRUB_CMDLINE_LINUX="biosdevname=0"\nGRUB_CMDLINE_LINUX="${{GRUB_CMDLINE_LINUX}} {ROOT}"\n',
    "set-twice": f'GRUB_CMDLINE_LINUX="biosdevname=0"\nGRUB_CMDLINE_LINUX="{ROOT}"\n',
    "variable": f'FOO="{ROOT}"\nGRUB_CMDLINE_LINUX=$FOO\n',
    "variable-in-quotes": f'FOO="{ROOT}"\nGRUB_CMDLINE_LINUX="$FOO biosdevname=0"\n',
    "default-value": f'GRUB_CMDLINE_LINUX="${{FOO:-{ROOT}}}"\n',
    "replacement": f'FOO="x{ROOT}"\nGRUB_CMDLINE_LINUX="${{FOO#x}}"\n',
    "command": f'GRUB_CMDLINE_LINUX="$(echo "{ROOT} quiet" | sed "s/quiet//")"\n',
    "backticks": f"GRUB_CMDLINE_LINUX=`echo {ROOT}`\n",
    "backticks-in-quotes": f'GRUB_CMDLINE_LINUX="`echo {ROOT}` biosdevname=0"\n',
    "arithmetic": 'GRUB_CMDLINE_LINUX="maxcpus=$((4 * 2)) net.ifnames=0"\n',
    "taken-out-again": f'GRUB_CMDLINE_LINUX="quiet {ROOT}"\nGRUB_CMDLINE_LINUX="$(echo "$GRUB_CMDLINE_LINUX" | sed s/quiet//)"\n',
    # Assignments within other commands.
    "then": f'if true; then GRUB_CMDLINE_LINUX="{ROOT}"; fi\n',
    "then-on-its-own-line": f'if true\nthen\nGRUB_CMDLINE_LINUX="{ROOT}"\nfi\n',
    "branch-not-taken": f'GRUB_CMDLINE_LINUX="{ROOT}"\nif false; then\nGRUB_CMDLINE_LINUX="biosdevname=0"\nfi\n',
    "for": f'for FOO in {ROOT}; do GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX $FOO"; done\n',
    "case": f'case a in\na) GRUB_CMDLINE_LINUX="{ROOT}" ;;\nesac\n',
    "function": f'set_them() {{\nGRUB_CMDLINE_LINUX="{ROOT}"\n}}\nset_them\n',
    "subshell": f'GRUB_CMDLINE_LINUX="{ROOT}"\n(\nGRUB_CMDLINE_LINUX="biosdevname=0"\n)\n',
    "here-document": f'GRUB_CMDLINE_LINUX="{ROOT}"\nFOO=$(cat <<EOF\nGRUB_CMDLINE_LINUX="biosdevname=0"\nEOF\n)\n',
    "here-document-at-the-end": f'GRUB_CMDLINE_LINUX="{ROOT}"\ncat >/dev/null <<EOF\nGRUB_CMDLINE_LINUX="biosdevname=0"\n',
    "environment-of-a-command": f'GRUB_CMDLINE_LINUX="{ROOT}"\nGRUB_CMDLINE_LINUX="biosdevname=0" env >/dev/null\n',
    "unset": f'GRUB_CMDLINE_LINUX="biosdevname=0"\nunset GRUB_CMDLINE_LINUX\nGRUB_CMDLINE_LINUX_DEFAULT="{ROOT}"\n',
    "unset-at-the-end": f'GRUB_CMDLINE_LINUX_DEFAULT="{ROOT}"\nGRUB_CMDLINE_LINUX="biosdevname=0"\nunset GRUB_CMDLINE_LINUX\n',
    "set-u": f'set -u\nGRUB_CMDLINE_LINUX="{ROOT}"\n',
    "return": f'GRUB_CMDLINE_LINUX="{ROOT}"\nreturn\nGRUB_CMDLINE_LINUX="biosdevname=0"\n',
    "exit": f'GRUB_CMDLINE_LINUX="{ROOT}"\nexit 0\n',
    "fails": f'GRUB_CMDLINE_LINUX="{ROOT}"\nfalse\n',
    "does-not-end": f'GRUB_CMDLINE_LINUX="{ROOT}\n',
    "sets-the-positional-parameters": f'set -- a b\nGRUB_CMDLINE_LINUX="$1=1 {ROOT}"\n',
    "prints": f'echo GRUB_CMDLINE_LINUX=nothing\nGRUB_CMDLINE_LINUX="{ROOT}"\n',
    # What stands beside.
    "xen": f'GRUB_CMDLINE_LINUX="{ROOT}"\nGRUB_CMDLINE_XEN="dom0_mem=2G"\nGRUB_CMDLINE_LINUX_XEN_REPLACE="console=hvc0"\n',
    "derived": f'GRUB_CMDLINE_LINUX="{ROOT}"\nGRUB_CMDLINE_LINUX_XEN_REPLACE="$GRUB_CMDLINE_LINUX"\n',
    "for-init": f'GRUB_CMDLINE_LINUX="{ROOT} -- single"\n',
    "commented-out": f'#GRUB_CMDLINE_LINUX="biosdevname=0"\nGRUB_CMDLINE_LINUX_DEFAULT="{ROOT}"\n',
    "no-text": 'GRUB_CMDLINE_LINUX="net.ifnames=0 caf\udce9=1"\n',
}  # fmt: skip

# Where grub-mkconfig itself would end with an error, or with nothing done: reported as such.
BROKEN = {
    "bash": {"carriage-returns-and-an-empty-line", "exit", "fails", "does-not-end"},
    "dash": {
        "carriage-returns-and-an-empty-line", "exit", "fails", "does-not-end",
        "plus-equals", "plus-equals-after-a-plain-one", "array", "declare", "printf",
    },
}  # fmt: skip
# Where a shell takes our arguments too, but for no place behind that is reached.
REFUSED = {"readonly", "return", "here-document-at-the-end", "ends-in-a-backslash"}


class Node:
    """A machine with these settings, whose grub-mkconfig is a real shell; `computed` is what that prints."""

    def __init__(self, text: str, shell: str, directory: Path, drop_ins: bool) -> None:
        self.shell, self.directory = shell, directory
        reads = "for x in ${sysconfdir}/default/grub.d/*.cfg ; do\n" if drop_ins else ". ${sysconfdir}/default/grub\n"
        files = {SETTINGS: text, "/usr/sbin/grub2-mkconfig": f"#! /bin/{shell}\nset -e\n{reads}", GENERATED: "stale\n"}
        self.machine = FakeMachine(files, {"grub2-mkconfig": self._mkconfig})
        self.machine.shell = shell

    def computed(self) -> str:
        paths = [SETTINGS, *self.machine.glob("/etc/default/grub.d/*.cfg")]
        copies = []
        for path in paths:
            copies.append(self.directory / path.rpartition("/")[2])
            copies[-1].write_bytes(self.machine.files.get(path, "").encode("utf-8", "surrogateescape"))
        done = subprocess.run([self.shell, "-c", MKCONFIG, "mkconfig", *copies], capture_output=True, check=False)
        return done.stdout.decode("utf-8", "surrogateescape") if done.returncode == 0 else ""

    def words(self, name: str) -> list[str]:
        (line,) = (line for line in self.computed().splitlines() if line.startswith(f"{name}:"))
        return [word[1:-1] for word in line.split(" ")[1:] if word != "<>"]

    def _mkconfig(self, machine: FakeMachine, _command: t.Sequence[str]) -> CommandResult:
        words = self.words("GRUB_CMDLINE_LINUX") + self.words("GRUB_CMDLINE_LINUX_DEFAULT")
        entry = f"menuentry 'x' {{\n\tlinux /vmlinuz root=/dev/vda1 ro {' '.join(words)}\n}}\n"
        machine.files[GENERATED] = f"### BEGIN /etc/grub.d/10_linux ###\n{entry}### END /etc/grub.d/10_linux ###\n"
        return CommandResult(0)

    def run(self, wanted: t.Sequence[str], state: State = "present") -> Outcome:
        running = Running(parse("ro"), iommu_active=False)
        return ensure(self.machine, read_request(wanted, state), running, Firmware(False, ""), "grub")


@pytest.fixture(params=["bash", "dash"])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[False, True], ids=["settings", "drop-ins"])
def drop_ins(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def start(tmp_path: Path, shell: str, drop_ins: bool) -> t.Callable[[str], Node]:
    return lambda text: Node(text, shell, tmp_path, drop_ins)


def source_files(node: Node) -> dict[str, str]:
    return {path: text for path, text in node.machine.files.items() if path.startswith("/etc/")}


def test_there_are_many_forms() -> None:
    assert len(FORMS) >= 40


@pytest.mark.parametrize("form", FORMS)
def test_all_that_was_there_stays_and_comes_back(
    form: str, start: t.Callable[[str], Node], shell: str, drop_ins: bool
) -> None:
    node = start(FORMS[form])
    before, files = node.computed(), source_files(node)
    if form in BROKEN[shell] or not before:
        assert (form in BROKEN[shell], before) == (True, "")
        with pytest.raises(
            NodeError, match=r"GRUB's settings (do not run as a shell script|end the shell that reads them)"
        ):
            node.run(QAT)
        assert (source_files(node), node.machine.done) == (files, [])
        return
    if form in REFUSED and not (drop_ins and form != "readonly"):
        with pytest.raises(RefusedError, match="no edit that is safe to make brings intel_iommu=on iommu=pt"):
            node.run(QAT)
        assert (source_files(node), node.machine.done) == (files, [])
        return
    node.run(QAT)
    # Apart from the two arguments the shell says the same of every variable, word for word.
    after = node.computed()
    assert after.replace(" <intel_iommu=on> <iommu=pt>", "", 1).replace(": <>", ":") == before.replace(": <>", ":")
    assert after != before
    assert node.run(QAT).plan.empty
    node.run(QAT, "absent")
    assert node.computed() == before
    assert source_files(node) == files


@pytest.mark.parametrize(
    "text",
    [
        f'GRUB_CMDLINE_LINUX="{ROOT} \\\n intel_iommu=off"\n',
        f'GRUB_CMDLINE_LINUX="{ROOT}"\nGRUB_CMDLINE_LINUX_DEFAULT="$(echo intel_iommu=off)"\n',
        f'FOO="intel_iommu=off"\nGRUB_CMDLINE_LINUX="{ROOT} $FOO"\n',
        f'GRUB_CMDLINE_LINUX="{ROOT} intel_iommu=off"\nFOO="$GRUB_CMDLINE_LINUX"\n',
        f'FOO="\nGRUB_CMDLINE_LINUX=intel_iommu=off\n"\nGRUB_CMDLINE_LINUX="{ROOT} intel_iommu=off"\n',
        f'cat >/dev/null <<EOF\nGRUB_CMDLINE_LINUX=intel_iommu=off\nEOF\nGRUB_CMDLINE_LINUX="{ROOT} intel_iommu=off"\n',
    ],
    ids=["two-lines", "command", "variable", "derived", "string", "here-document"],
)
def test_a_contradiction_where_no_plain_assignment_has_it_is_refused(text: str, start: t.Callable[[str], Node]) -> None:
    node = start(text)
    files = source_files(node)
    with pytest.raises(RefusedError, match="no edit that is safe to make brings intel_iommu=on"):
        node.run(QAT)
    assert (source_files(node), node.machine.done) == (files, [])


def test_a_value_that_differs_at_each_look_is_no_obstacle(start: t.Callable[[str], Node]) -> None:
    node = start(f'BUILT=$(date +%s%N)\nGRUB_CMDLINE_LINUX="{ROOT}"\n')
    node.run(QAT)
    assert node.words("GRUB_CMDLINE_LINUX") == [*QAT, *ROOT.split()]


def test_settings_that_are_not_there_are_made_and_taken_away(start: t.Callable[[str], Node]) -> None:
    node = start("")
    del node.machine.files[SETTINGS]
    node.run(QAT)
    assert node.words("GRUB_CMDLINE_LINUX") == QAT
    node.run(QAT, "absent")
    assert source_files(node) == {}


def test_without_descriptors_below_dev_the_shell_reads_them_all_the_same(
    start: t.Callable[[str], Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grub_module, "_SOURCE", grub_module._SOURCE.replace("/dev/fd;", "/nowhere;"))
    node = start(f"GRUB_CMDLINE_LINUX=`echo {ROOT}`\n")
    node.run(QAT)
    assert node.words("GRUB_CMDLINE_LINUX") == [*QAT, *ROOT.split()]


def test_more_arguments_later_stand_in_the_same_place(start: t.Callable[[str], Node]) -> None:
    node = start(f"GRUB_CMDLINE_LINUX=`echo {ROOT}`\n")
    files = source_files(node)
    node.run(["iommu=pt"])
    node.run(["nosmt"])
    assert sorted(node.words("GRUB_CMDLINE_LINUX")) == sorted(["iommu=pt", "nosmt", *ROOT.split()])
    node.run(["iommu=nopt"])
    assert "iommu=pt" not in node.words("GRUB_CMDLINE_LINUX")
    node.run(["iommu", "nosmt"], "absent")
    assert source_files(node) == files
