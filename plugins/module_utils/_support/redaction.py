# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a text may leave the node: `redact`, by the form that the text has. A pure function, and nothing gets into an archive without it.

Where only known names have to be seen, as of variables and kernel arguments, the values of all others go. Elsewhere goes what looks like a
secret (`secrets.py`).
"""

from __future__ import annotations

import enum
import json
import re
import shlex
import typing as t

from .._boot.arguments import parse
from .._kubelet.environment import read_file
from .secrets import MARK, Cleaned, names_secret, without_logged, without_named, without_shapes


class Form(enum.Enum):
    """How a text is to be read."""

    PLAIN = "YAML, ini, or anything else with names and values"
    JSON = "JSON; what is none, as the above"
    ENVIRONMENT = "assignments of variables, as in an EnvironmentFile"
    UNIT = "a unit of systemd, or a drop-in of one"
    FOREIGN_UNIT = "the same, of a program whose options are not known"
    WORDS = "a command line, a word or an option a line"
    KERNEL = "a kernel command line"
    BOOT = "a file of a boot loader"
    LOG = "what journalctl prints, or the kernel's log"


def redact(text: str, form: Form) -> Cleaned:
    """The text without secrets, and how many were taken out."""
    return _WAYS[form](text.replace("\r\n", "\n"))


def redact_words(words: t.Sequence[str], has_program: bool = True) -> tuple[list[str], int]:
    """A command line without secrets, word by word. What is no option, path or small number goes, as it may belong to any option."""
    kept: list[str] = []
    count, before = 0, ""
    for number, word in enumerate(words):
        if before in _KNOWN_OPTIONS and not word.startswith("-"):
            cleaned, found = _value_of_option(word)
        else:
            cleaned, found = _word(word, _wants_value(before), first=has_program and number == 0)
        before = word
        kept.append(cleaned)
        count += found
    return kept, count


def redact_value(value: t.Any) -> tuple[t.Any, int]:
    """The same of what JSON can hold: all below a name that is of a secret goes."""
    if isinstance(value, dict):
        return _mapping(value)
    if isinstance(value, list):
        return _list(value)
    if isinstance(value, str):
        return _inner(value)
    return value, 0


# Words of command lines.

_WORD = re.compile(
    r"\$\{?\w+\}?|unix:///[\w./\-]+|--?[A-Za-z][\w.\-]*|/[\w./@+\-]*|\d{1,3}|\d{1,3}(?:\.\d{1,3}){3}(?:[:/]\d+)?|true|false|\\"
)
_PROGRAM = re.compile(r"[@\-:+!|]*(?:/[\w./@+\-]+|[\w.\-]{1,32})")
_SHORT = re.compile(r"-[A-Za-z]")
# Of kubelet, what is of use here and takes a value, also in a word of its own.
_KNOWN_OPTIONS = frozenset(
    [
        "--cgroup-driver",
        "--cpu-manager-policy",
        "--cpu-manager-policy-options",
        "--eviction-hard",
        "--feature-gates",
        "--hostname-override",
        "--kube-reserved",
        "--memory-manager-policy",
        "--node-labels",
        "--register-with-taints",
        "--reserved-cpus",
        "--reserved-memory",
        "--system-reserved",
        "--topology-manager-policy",
        "--topology-manager-policy-options",
        "--topology-manager-scope",
    ]
)


def _word(word: str, is_value: bool, first: bool) -> Cleaned:
    if first and _PROGRAM.fullmatch(word) and not names_secret(word):
        return word, 0
    name, equals, value = word.partition("=")
    if equals and re.fullmatch(r"--?[A-Za-z][\w.\-]*", name):
        if names_secret(name) and value not in ("true", "false"):
            return f"{name}={MARK}", 1
        cleaned, count = _value_of_option(value)
        return f"{name}={cleaned}", count
    if is_value and not word.startswith("-"):
        return MARK, 1
    return (word, 0) if _WORD.fullmatch(word) else (MARK, 1)


def _value_of_option(value: str) -> Cleaned:
    cleaned, count = without_named(value)
    return _on_one_line(cleaned), count


def _wants_value(word: str) -> bool:
    """Whether the next word may be the value of a secret."""
    return "=" not in word and word.startswith("-") and (names_secret(word) or bool(_SHORT.fullmatch(word)))


def _on_one_line(text: str) -> str:
    return text.replace("\n", "\\n")


def _words(text: str) -> Cleaned:
    """Each line for itself, since a flavour's file of flags has an option a line."""
    kept, count = [], 0
    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            kept.append("")
            continue
        cleaned, found = redact_words(_shell_words(line), has_program=line.lstrip()[:1] == "/")
        kept.append(" ".join(cleaned))
        count += found
    return "\n".join(kept), count


def _shell_words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return [line]  # which is no word, and goes


# Files with names and values.

_COMMENT = re.compile(r"(?m)^([ \t]*)[#;].*$|[ \t]#.*$")


def _plain(text: str) -> Cleaned:
    """Comments go too: what somebody has written there, or taken out of use, has no form at all."""
    cleaned, count = without_named(text)
    return _COMMENT.sub(lambda match: f"{match[1]}#" if match[1] is not None else "", cleaned), count


# JSON.

_NAMING = ("name", "key", "variable", "field", "header", "option")


def _json(text: str) -> Cleaned:
    try:
        value, count = redact_value(json.loads(text))
    except ValueError:
        return _plain(text)
    except RecursionError:
        return MARK, 1
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n", count


def _mapping(value: t.Mapping[str, t.Any]) -> tuple[dict[str, t.Any], int]:
    named = any(isinstance(one, str) and names_secret(one) for name, one in value.items() if name.lower() in _NAMING)
    kept: dict[str, t.Any] = {}
    count = 0
    for name, one in value.items():
        shown, found = without_shapes(name)
        count += found
        is_name = name.lower() in _NAMING
        if one is None or isinstance(one, bool) or one in ("", [], {}):
            kept[shown] = one
        elif (named and not is_name) or (_is_secret(name, value) and not (named and is_name)):
            kept[shown] = MARK
            count += 1
        else:
            kept[shown], found = redact_value(one)
            count += found
    return kept, count


def _is_secret(name: str, value: t.Mapping[str, t.Any]) -> bool:
    """Whether what has this name in the mapping is taken for a secret."""
    one = value[name]
    if name.lower() == "authorization":
        # A header, but for the field of kubelet's configuration.
        return not (isinstance(one, dict) and set(one) <= {"mode", "webhook"})
    is_of_taint = name == "key" and value.get("effect") in ("NoSchedule", "PreferNoSchedule", "NoExecute")
    return names_secret(name) and not is_of_taint


def _list(value: t.Sequence[t.Any]) -> tuple[list[t.Any], int]:
    kept: list[t.Any] = []
    count, is_value = 0, False
    for one in value:
        cleaned, found = (MARK, 1) if is_value else redact_value(one)
        is_value = isinstance(one, str) and not is_value and _ends_in_name(one)
        kept.append(cleaned)
        count += found
    return kept, count


def _ends_in_name(text: str) -> bool:
    """Whether it is a name alone, so that the next element may be its value."""
    return bool(re.fullmatch(r"-{0,2}[\w.\-]+[:=]?", text)) and names_secret(text.rstrip(":="))


def _inner(text: str) -> tuple[t.Any, int]:
    """A text in JSON, which may be a document itself."""
    if text[:1] in ("{", "["):
        return _json(text)
    return _plain(text) if "\n" in text else without_named(text)


# Variables.

_VARIABLES = re.compile(
    r"KUBELET_\w+|(?:K3S|RKE2)_(?:CONFIG_FILE|DATA_DIR|KUBECONFIG_MODE|NODE_NAME)|(?i:(?:https?|no|all)_proxy)"
    r"|PATH|HOME|LANG|LC_\w+|TZ|GODEBUG|GOMAXPROCS|GOMEMLIMIT|GOGC|GOTRACEBACK"
    r"|QAT_\w+|ACCEL_QAT_\w+|PYTHON\w+|POLICY|ServicesEnabled"
)
_LISTS = re.compile(
    r"(?i:PATH|no_proxy|LANG|LC_\w+|TZ|GO\w+|POLICY|ServicesEnabled|QAT_\w+|ACCEL_QAT_\w+|PYTHON\w+)|\w*_(?:FILE|DIR|MODE|NAME)"
)


def _environment(text: str) -> Cleaned:
    kept, count = [], 0
    for name, value in read_file(text).items():
        cleaned, found = _variable(name, value)
        kept.append(cleaned)
        count += found
    return "".join(f"{one}\n" for one in kept), count


def _variable(name: str, value: str) -> Cleaned:
    if not value:
        return f"{name}=", 0
    if not _VARIABLES.fullmatch(name) or names_secret(name) or "@" in value:
        return f"{name}={MARK}", 1
    if name.lower().endswith("_proxy") or _LISTS.fullmatch(name):
        cleaned, count = without_named(value)
        return f"{name}={_on_one_line(cleaned)}", count
    words, count = redact_words(_shell_words(value), has_program=False)
    return f"{name}={' '.join(words)}", count


# Units.


def _unit(text: str, foreign: bool = False) -> Cleaned:
    kept = []
    text, count = without_shapes(text)
    for line in _joined(text):
        if line.lstrip().startswith(("#", ";")):
            continue
        cleaned, found = _line_of_unit(line.strip(), foreign)
        kept.append(cleaned)
        count += found
    return "".join(f"{line}\n" for line in kept), count


def _line_of_unit(line: str, foreign: bool) -> Cleaned:
    if re.fullmatch(r"\[[\w\-]+\]", line):
        return line, 0
    name, equals, value = line.partition("=")
    if not equals or not re.fullmatch(r"[A-Z]\w*\s*", name):
        return MARK, 1
    return _directive(name.strip(), value.strip(), foreign)


def _directive(name: str, value: str, foreign: bool) -> Cleaned:
    if name == "Environment":
        return _assignments(value)
    if name.startswith("Exec"):
        words = _shell_words(value)
        if foreign and len(words) > 1:
            return f"{name}={redact_words(words[:1])[0][0]} {MARK}", 1
        cleaned, count = redact_words(words)
        return f"{name}={' '.join(cleaned)}", count
    return without_named(f"{name}={value}")


def _assignments(value: str) -> Cleaned:
    try:
        words = shlex.split(value)
    except ValueError:
        return f"Environment={MARK}", 1
    kept, count = [], 0
    for word in words:
        name, equals, content = word.partition("=")
        cleaned, found = _variable(name, content) if equals else (MARK, 1)
        kept.append(f'"{cleaned}"')
        count += found
    return f"Environment={' '.join(kept)}", count


def _joined(text: str) -> list[str]:
    """The lines as systemd joins them; comments between are none of it (systemd.syntax(7))."""
    lines: list[str] = []
    goes_on = False
    for line in text.split("\n"):
        if goes_on and line.lstrip().startswith(("#", ";")):
            continue
        part = line[:-1] + " " if line.endswith("\\") else line
        lines[-1:] = [lines[-1] + part] if goes_on else [*lines[-1:], part]
        goes_on = line.endswith("\\")
    return [line for line in lines if line.strip()]


# What the kernel is booted with.

_ARGUMENTS = frozenset(
    [
        "acpi",
        "kvm_intel.nested",
        "iomem",
        "module.async_probe",
        "hugetlb_free_vmemmap",
        "pcie_port_pm",
        "random.trust_cpu",
        "rdinit",
        "reboot",
        "swiotlb",
        "amd_iommu",
        "apparmor",
        "audit",
        "boot_image",
        "cgroup_disable",
        "cgroup_enable",
        "cgroup_no_v1",
        "clocksource",
        "console",
        "consoleblank",
        "crashkernel",
        "debug",
        "default_hugepagesz",
        "earlycon",
        "earlyprintk",
        "efi",
        "enforcing",
        "fips",
        "fsck.mode",
        "fsck.repair",
        "hugepages",
        "hugepagesz",
        "idle",
        "ignore_loglevel",
        "init",
        "initrd",
        "intel_idle.max_cstate",
        "intel_iommu",
        "intel_pstate",
        "intremap",
        "iommu",
        "iommu.forcedac",
        "iommu.passthrough",
        "iommu.strict",
        "irqaffinity",
        "isolcpus",
        "kaslr",
        "kpti",
        "lockdown",
        "log_buf_len",
        "loglevel",
        "lsm",
        "maxcpus",
        "mem",
        "memmap",
        "mitigations",
        "modprobe.blacklist",
        "module.sig_enforce",
        "module_blacklist",
        "net.ifnames",
        "biosdevname",
        "nmi_watchdog",
        "no_x2apic_optout",
        "noapic",
        "noefi",
        "nohz",
        "nohz_full",
        "nokaslr",
        "nolapic",
        "nomodeset",
        "nosmt",
        "nosplash",
        "nowatchdog",
        "nox2apic",
        "nr_cpus",
        "numa",
        "numa_balancing",
        "panic",
        "pci",
        "pcie_acs_override",
        "pcie_aspm",
        "pcie_ports",
        "preempt",
        "processor.max_cstate",
        "psi",
        "pti",
        "quiet",
        "rcu_nocbs",
        "rd.driver.blacklist",
        "rd.driver.pre",
        "rhgb",
        "ro",
        "root",
        "rootflags",
        "rootfstype",
        "rw",
        "security",
        "selinux",
        "skew_tick",
        "splash",
        "swapaccount",
        "systemd.legacy_systemd_cgroup_controller",
        "systemd.log_level",
        "systemd.show_status",
        "systemd.unified_cgroup_hierarchy",
        "systemd.unit",
        "threadirqs",
        "transparent_hugepage",
        "tsc",
        "vga",
        "video",
        "vt.handoff",
        "x2apic_phys",
    ]
)
_OF_MODULES = ("vfio.", "vfio_", "vfio_pci.", "intel_qat.", "qat_", "pcieport.", "firmware_class.", "iommufd.")
_ARGUMENT_VALUE = re.compile(r"[\w.,:/+=\-\[\]#*~()]*")
_SHELL_VARIABLE = re.compile(r"\$\{?\w+\}?")


def _kernel(text: str) -> Cleaned:
    """Known arguments; of all others the names that have a value."""
    line = parse(text)
    kept, count = [], 0
    for argument in line.arguments:
        if _SHELL_VARIABLE.fullmatch(argument.text) or _is_known(argument.name, argument.value):
            kept.append(argument.text)
            continue
        kept.append(MARK if argument.value is None else f"{without_shapes(argument.key)[0]}={MARK}")
        count += 1
    if line.init:
        kept += ["--", MARK]
        count += 1
    return " ".join(kept), count


def _is_known(name: str, value: str | None) -> bool:
    if name.lower() not in _ARGUMENTS and not name.startswith(_OF_MODULES):
        return False
    return value is None or (
        _ARGUMENT_VALUE.fullmatch(value) is not None and "://" not in value and without_named(value)[1] == 0
    )


_SETTING = re.compile(
    r"""(?P<before>\s*(?:GRUB_CMDLINE\w*\s*\+?=\s*|set\s+(?:kernelopts|default_kernelopts)\s*=\s*|kernelopts=|options\s+|kargs\s*=\s*))
    (?P<line>.*)""",
    re.VERBOSE,
)
_KERNEL_OF_ENTRY = re.compile(r"(?P<before>\s*linux(?:16|efi)?\s+\S+)(?P<line>.*)")
_TITLE = re.compile(r"\s*(?:menuentry|submenu)\s+(?:'[^']*'|\"[^\"]*\")")
_PLAIN_SETTING = re.compile(
    r"\s*(?:GRUB_(?:DEFAULT|TIMEOUT\w*|DISABLE_\w+|ENABLE_\w+|DISTRIBUTOR|SAVEDEFAULT|TERMINAL\w*)=.*"
    r"|title\s.*|version\s.*|initrd(?:16|efi)?\s.*|(?:set\s+)?(?:default|timeout)\b.*|blscfg\b.*)"
)


def _boot(text: str) -> Cleaned:
    """The lines that say what is booted and with which arguments; the others, passwords of menus among them, are left out."""
    kept: list[str] = []
    count, left_out = 0, 0
    for line in _joined(text):
        cleaned = _boot_line(line)
        if cleaned is None:
            left_out += bool(line.strip()) and not line.lstrip().startswith("#")
            continue
        kept.append(cleaned[0])
        count += cleaned[1]
    kept.append(f"# {left_out} other lines are left out")
    return "".join(f"{line}\n" for line in kept), count


def _boot_line(line: str) -> Cleaned | None:
    found = _SETTING.fullmatch(line) or _KERNEL_OF_ENTRY.fullmatch(line)
    if found is not None:
        text = found["line"].strip()
        quote = text[:1] if text[:1] in ("'", '"') else ""
        inner = text[1:-1] if quote and text.endswith(quote) else text.strip("'\"")
        cleaned, count = _kernel(inner)
        before, more = without_named(found["before"])
        separator = "" if before.endswith(("=", " ", "\t")) else " "
        return f"{before}{separator}{quote}{cleaned}{quote}", count + more
    title = _TITLE.match(line)
    if title is not None:
        return without_named(title.group())
    return without_named(line) if _PLAIN_SETTING.fullmatch(line) else None


# Logs.

# "2026-11-29T10:05:30+0000 node kubelet[812]: ", as `journalctl -o short-iso` prints it, and the time of the kernel's log.
_PREFIX = re.compile(r"\d{4}-\d\d-\d\dT[\d:.,+\-Z]+ \S+ [^\s\[:]+(?:\[\d+\])?: |\[\s*\d+\.\d+\] ")


def _log(text: str) -> Cleaned:
    lines = [_json_in_line(line) for line in text.split("\n")]
    cleaned, count = without_logged("\n".join(line for line, _count in lines), _PREFIX)
    return cleaned, count + sum(found for _line, found in lines)


def _json_in_line(line: str) -> Cleaned:
    """The line, its message taken apart where that is JSON: a value may stand before the name that says what it is."""
    at = line.find("{")
    if at < 0:
        return line, 0
    try:
        value, count = redact_value(json.loads(line[at:]))
    except (ValueError, RecursionError):
        return line, 0
    return line[:at] + json.dumps(value, ensure_ascii=False), count


_WAYS: t.Mapping[Form, t.Callable[[str], Cleaned]] = {
    Form.PLAIN: _plain,
    Form.JSON: _json,
    Form.ENVIRONMENT: _environment,
    Form.UNIT: _unit,
    Form.FOREIGN_UNIT: lambda text: _unit(text, foreign=True),
    Form.WORDS: _words,
    Form.KERNEL: _kernel,
    Form.BOOT: _boot,
    Form.LOG: _log,
}
