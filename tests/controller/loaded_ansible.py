# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that loads Ansible once, and runs each playbook in a copy of itself. `playbook.py` starts it and speaks with it.

To load Ansible, and to pack the modules that a playbook sends to the node, takes longer than most playbooks of tests need besides.
Copies of one process share both: Ansible keeps packed modules in the directory for temporary files of the process that loaded it.
The forkserver of multiprocessing would load it with the environment of the tests, from which Ansible takes its settings, and leave a
playbook running whose test was killed.

Each line of standard input is an order, as JSON: `words` of the command line, `environment`, `directory`, `output` (path of a file),
and `seconds`. The answer is a line with the exit code, or `null` for one that was ended after its seconds.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import typing as t

from ansible.cli.playbook import PlaybookCLI

PATIENCE = 10.0


def main() -> None:
    """Take orders until standard input ends."""
    # The terminal signals the playbook itself, and the end of standard input this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while line := sys.stdin.readline():
        process = os.fork()
        if process == 0:
            _run(json.loads(line))
        sys.stdout.write(json.dumps(_code_of(process, json.loads(line)["seconds"])) + "\n")
        sys.stdout.flush()


def _run(order: dict[str, t.Any]) -> t.NoReturn:
    """Be ansible-playbook. Ends the process without what it has to clear away at its end: the original does that."""
    code: t.Any = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["directory"])
        _redirect(os.devnull, os.O_RDONLY, 0)
        _redirect(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 1, 2)
        PlaybookCLI.cli_executor(order["words"])
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _redirect(path: str, flags: int, *descriptors: int) -> None:
    opened = os.open(path, flags, 0o600)
    for descriptor in descriptors:
        os.dup2(opened, descriptor)
    os.close(opened)


def _code_of(process: int, seconds: float) -> int | None:
    """The exit code; when there is no time left, or nobody left to report to, the playbook is ended."""
    exited = os.pidfd_open(process)
    try:
        ready, _, _ = select.select([exited, sys.stdin], [], [], seconds)
        in_time = exited in ready
        if not in_time:
            # Asked to end, Ansible ends what it has started; killed, it leaves that running.
            os.kill(process, signal.SIGTERM)
            if not select.select([exited], [], [], PATIENCE)[0]:
                os.kill(process, signal.SIGKILL)
    finally:
        os.close(exited)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return code if in_time else None


if __name__ == "__main__":
    main()
