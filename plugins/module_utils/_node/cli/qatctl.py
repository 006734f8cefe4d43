# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`qatctl`: the engine at a shell, on a node without Ansible."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import typing as t
from dataclasses import replace
from functools import partial

from ..devices.apply import (
    SECONDS,
    ApplyError,
    Outcome,
    Planner,
    converge,
    rehearse,
    with_what_stands,
)
from ..devices.baseline import (
    RECORD,
    plan_for,
    plan_restoration,
    read_record,
    remember,
    remove_configuration,
    remove_record,
)
from ..devices.desired import desired_at, desired_of, rule_for, warnings_of
from ..devices.plan import Plan
from ..devices.read import read_node
from ..devices.rules import SCHEMA, Rule, read_rules
from ..devices.snapshot import Node
from ..devices.step import Step
from ..errors import ConfigurationError, NodeError
from ..facts.paths import KUBELET_ROOTS, NODE_JSON
from ..streams import ending_well, write_error, write_out
from ..time_limit import refuse_time_limit
from ..users.pods import LiveKernelWithPods, Pods
from .describe import describe, plan_text, table

_SETTLE = (
    "go on until udev has handled every event of the change, and what the kernel undid meanwhile is done again; what fails is tried "
    "once more, and a PF that cannot be configured does not keep the others from theirs"
)
_TIMES = 4
_EVENT_SECONDS = 10.0
_INTERVAL = 2.0
_SHORTEST_INTERVAL, _LONGEST_INTERVAL = 1.0, 3600.0

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DIFFERS = 3
EXIT_INTERRUPTED = 130

_COMMANDS = {
    "show": "print the node's QAT devices",
    "top": "show how busy the QAT devices are and who has their VFs, over and over; q ends it",
    "plan": "print what apply would write, and write nothing",
    "apply": "configure the node",
    "status": "report whether the node is as configured; exit code 3 when it is not",
    "teardown": "remove the configuration, and put the devices back as they were found before the first change",
    "validate": "check the configuration and the node's fitness for it",
    "schema": "print the JSON Schema of the configuration",
}


def main(arguments: t.Sequence[str] | None = None, version: str = "unreleased", name: str = "qatctl") -> int:
    """Runs one command; returns its exit code. `name` is what the program is called."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A process may be called what the locale's characters cannot say; on stderr Python does so by itself.
        sys.stdout.reconfigure(errors="backslashreplace")

    def run() -> int:
        try:
            return _run(_parser(version, name).parse_args(arguments))
        except KeyboardInterrupt:
            write_error(f"{name}: interrupted; what was written stays, and the same command goes on from there\n")
            return EXIT_INTERRUPTED

    return ending_well(name, run)


def _run(options: argparse.Namespace) -> int:
    pods = Pods(options.kubelet_root or KUBELET_ROOTS)
    kernel = LiveKernelWithPods(options.sysfs_root, options.proc_root, options.dev_root, pods)
    command = _Command(options, kernel, pods)
    try:
        refuse_time_limit(options.time_limit, "--time-limit")
        return command.run()
    except NodeError as error:
        command.print_error(error)
        return EXIT_USAGE if isinstance(error, ConfigurationError) else EXIT_FAILED
    finally:
        kernel.close()


def _parser(version: str, name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name, description="Shows and configures the Intel QAT devices of this node.")
    parser.set_defaults(name=name)
    parser.add_argument("--version", action="version", version=f"{name} {version}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")
    common.add_argument("--config", default=NODE_JSON, metavar="FILE", help="the configuration (default: %(default)s)")
    common.add_argument("--record", default=RECORD, metavar="FILE", help="what was found (default: %(default)s)")
    common.add_argument(
        "--sysfs-root", default="/sys", metavar="DIR", help="where sysfs is mounted (default: %(default)s)"
    )
    common.add_argument(
        "--proc-root", default="/proc", metavar="DIR", help="where procfs is mounted (default: %(default)s)"
    )
    common.add_argument(
        "--dev-root", default="/dev", metavar="DIR", help="where the device nodes are (default: %(default)s)"
    )
    common.add_argument(
        "--kubelet-root",
        action="append",
        metavar="DIR",
        help=f"kubelet's root directory (default: {', '.join(KUBELET_ROOTS)}, where there is one)",
    )
    common.add_argument(
        "--time-limit",
        type=float,
        default=SECONDS,
        metavar="SECONDS",
        help="how long one write may take, 0.1 to 3600 (default: %(default)g)",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for word, text in _COMMANDS.items():
        command = commands.add_parser(word, parents=[common], help=text, description=text[0].upper() + text[1:] + ".")
        if word == "apply":
            command.add_argument("--settle", action="store_true", help=_SETTLE)
        if word == "top":
            _add_options_of_top(command)
    return parser


def _add_options_of_top(command: argparse.ArgumentParser) -> None:
    command.add_argument("--once", action="store_true", help="show it once, and end")
    command.add_argument(
        "--interval",
        type=_interval,
        default=_INTERVAL,
        metavar="SECONDS",
        help="how long to wait until the next time (default: %(default)g)",
    )
    command.add_argument(
        "--enable-telemetry",
        action="store_true",
        help="switch telemetry on where it is off, and off again at the end; otherwise nothing is written",
    )


def _interval(text: str) -> float:
    seconds = float(text)
    if not _SHORTEST_INTERVAL <= seconds <= _LONGEST_INTERVAL:
        raise argparse.ArgumentTypeError(
            f"{text} is not from {_SHORTEST_INTERVAL:g} to {_LONGEST_INTERVAL:g}; the kernel takes a sample each second"
        )
    return seconds


class _Command:
    def __init__(self, options: argparse.Namespace, kernel: LiveKernelWithPods, pods: Pods) -> None:
        self._options = options
        self._kernel = kernel
        self._pods = pods

    def run(self) -> int:
        handler: t.Callable[[], int] = getattr(self, "_" + self._options.command)
        return handler()

    def _print(self, document: t.Mapping[str, t.Any], text: str) -> None:
        write_out((_as_json(document) if self._options.json else text) + "\n")

    def _read(self) -> Node:
        return read_node(self._kernel)

    def _rules(self) -> tuple[Rule, ...]:
        return read_rules(self._options.config, "run the role accel.qat.qat_node, or name another file with --config")

    def _rules_if_any(self) -> tuple[Rule, ...]:
        try:
            return self._rules()
        except ConfigurationError:
            return ()

    def _show(self) -> int:
        node, rules = self._read(), self._rules_if_any()
        self._print(describe(node, rules), table(node, rules))
        return 0

    def _top(self) -> int:
        # What nobody else needs is not to slow their start.
        from . import top  # noqa: PLC0415

        options = self._options
        shown = top.Top(self._kernel, options.enable_telemetry, self._pods.ask_again)
        left: list[str] = []
        try:
            top.run(shown, options.once, options.interval, options.json, left)
        finally:
            for sentence in left:
                write_error(f"{options.name}: {sentence}\n")
        return EXIT_FAILED if left else 0

    def _plan(self) -> int:
        rules, node = self._rules(), self._read()
        plan = self._plan_for(rules, node)
        rehearse(plan, self._kernel)
        self._warn(rules, node)
        self._print(_plan_document(plan), plan_text(plan))
        return 0

    def _plan_for(self, rules: t.Sequence[Rule], node: Node) -> Plan:
        return plan_for(desired_of(rules, node), node, self._options.record)

    def _warn(self, rules: t.Sequence[Rule], node: Node) -> None:
        for warning in warnings_of(rules, node):
            write_error(f"{self._options.name}: warning: {warning}\n")

    def _apply(self) -> int:
        outcome, rules = self._apply_until_quiet() if self._options.settle else self._apply_once()
        self._warn(rules, outcome.after)
        self._print(
            dict(_plan_document(outcome.plan), node=describe(outcome.after, rules)),
            plan_text(outcome.plan) + "\n" + table(outcome.after, rules),
        )
        return 0

    def _apply_until_quiet(self) -> tuple[Outcome, tuple[Rule, ...]]:
        """Apply, wait for udev, and look again, until nothing was left to do. What fails is tried once more."""
        steps: list[Step] = []
        for _time in range(_TIMES):
            try:
                outcome, rules = self._apply_and_settle()
            except NodeError as error:
                # Events that come while the unit starts do not start it again: what they brought is seen to here, or by nobody.
                steps += error.done if isinstance(error, ApplyError) else ()
                try:
                    outcome, rules = self._apply_and_settle(to_each=True)
                except NodeError as again:
                    raise with_what_stands(again, steps) from None
            steps += outcome.steps
            if not outcome.steps:
                break
        return replace(outcome, steps=steps), rules

    def _apply_and_settle(self, to_each: bool = False) -> tuple[Outcome, tuple[Rule, ...]]:
        try:
            done = self._apply_once(to_each)
        except NodeError:
            self._kernel.settle(_EVENT_SECONDS)
            raise
        self._kernel.settle(_EVENT_SECONDS)
        return done

    def _apply_once(self, to_each: bool = False) -> tuple[Outcome, tuple[Rule, ...]]:
        """The rules are read under the lock: whoever had it may have changed them with the devices."""
        with self._locked():
            rules = self._rules()
            try:
                return self._converge(lambda node: self._plan_for(rules, node), self._remember), rules
            except NodeError as error:
                # At boot and after a reset nobody is there to try again without the card that is broken.
                if to_each:
                    self._apply_to_each(rules, error)
                raise

    def _apply_to_each(self, rules: t.Sequence[Rule], known: NodeError) -> None:
        """Configure each PF by itself, and report each that cannot be, unless that is known."""
        for device in self._read().qat:
            try:
                self._apply_to(device.address, rules)
            except NodeError as error:
                if (error.where, error.problem) != (known.where, known.problem):
                    self.print_error(error)

    def _apply_to(self, address: str, rules: t.Sequence[Rule]) -> None:
        def plan(node: Node) -> Plan:
            return plan_for(desired_at(rules, node, address), node, self._options.record)

        self._converge(plan, self._remember)

    def print_error(self, error: NodeError) -> None:
        """Print an error as this command prints them."""
        write_error((_as_json(error.as_dict()) if self._options.json else f"{self._options.name}: {error}") + "\n")

    def _locked(self) -> t.ContextManager[None]:
        return self._kernel.locked(2 * self._options.time_limit)

    def _converge(self, planner: Planner, remember: t.Callable[[Plan, Node], None] | None = None) -> Outcome:
        return converge(self._kernel, self._read, planner, self._options.time_limit, remember)

    def _remember(self, plan: Plan, node: Node) -> None:
        remember(self._options.record, plan, node)

    def _status(self) -> int:
        rules, node = self._rules(), self._read()
        plan = self._plan_for(rules, node)
        self._print(_plan_document(plan), plan_text(plan) if plan.steps else "The node is as configured.")
        return EXIT_DIFFERS if plan.steps else 0

    def _teardown(self) -> int:
        """All of it under the lock: an engine at work may be recording more, and goes by the configuration."""
        done: list[Step] = []
        try:
            with self._locked():
                return self._tear_down(done)
        except NodeError as error:
            raise with_what_stands(error, done) from None

    def _tear_down(self, done: list[Step]) -> int:
        found = read_record(self._options.record)
        back = partial(plan_restoration, found, has_module=self._kernel.has_module)
        rehearse(back(self._read()), self._kernel)
        is_forgotten = self._forget_configuration()
        if not found.pfs:
            removed = f" {self._options.config} was removed." if is_forgotten else ""
            self._print(
                {**_plan_document(Plan()), "changed": is_forgotten},
                f"Nothing was recorded on this node, so there is nothing to put back.{removed}",
            )
            return 0
        outcome = self._converge(back)
        done += outcome.steps
        remove_record(self._options.record)
        self._print(
            {**_plan_document(outcome.plan), "changed": True}, plan_text(outcome.plan) + "\n" + table(outcome.after)
        )
        return 0

    def _forget_configuration(self) -> bool:
        """Without it nothing brings the configuration back, neither udev while VFs change nor the next boot.

        Returns whether it was there.
        """
        was_there = os.path.lexists(self._options.config)
        remove_configuration(self._options.config)
        return was_there

    def _validate(self) -> int:
        rules, node = self._rules(), self._read()
        desired_of(rules, node)
        self._warn(rules, node)
        taken = [device.address for device in node.qat if rule_for(rules, device) is not None]
        self._print(
            {"valid": True, "devices": taken}, f"{self._options.config}: valid, for {', '.join(taken) or 'no PF'}"
        )
        return 0

    def _schema(self) -> int:
        write_out(_as_json(SCHEMA) + "\n")
        return 0


def _plan_document(plan: Plan) -> dict[str, t.Any]:
    return {
        "changed": bool(plan.steps),
        "steps": [step.as_dict() for step in plan.steps],
        "skipped": [skip.as_dict() for skip in plan.skipped],
    }


def _as_json(document: t.Mapping[str, t.Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=False)
