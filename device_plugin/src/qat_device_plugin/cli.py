# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `qat-device-plugin`. Exit codes: 0 stopped as asked or valid, 1 the node cannot be read, 2 wrong settings."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import typing as t

from ._node.errors import NodeError
from ._node.streams import ending_well, write_error, write_out
from .deployment import OtherDeployment
from .settings import Settings, SettingsError, parse_settings

if t.TYPE_CHECKING:
    from .handover import Reporter

_NAME = "qat-device-plugin"


def main(arguments: t.Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return ending_well(_NAME, lambda: _run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: t.Sequence[str]) -> int:
    # Blocked until the service handles them, so that none of them ends it half started or is lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    try:
        settings = parse_settings(arguments, os.environ)
    except SettingsError as error:
        return _refuse(str(error))
    # What the service needs takes time to import; the one who only asks for help or a check need not wait for it.
    from .configuration import read_rules  # noqa: PLC0415

    try:
        rules = read_rules(settings.config)
    except NodeError as error:
        return _refuse(error.sentence())
    if settings.validate:
        write_out(f"{settings.config}: the configuration is valid\n")
        return 0
    with without_tls():
        from .handover import Reporter, split  # noqa: PLC0415
    if settings.take_over is None:
        return _serve(settings, rules, Reporter())
    # systemd waits for the process that it started, and that one for the service.
    try:
        reporter, code = split()
    except OSError as error:
        write_error(f"{_NAME}: no process can be started: {error.strerror}; the instance before it goes on\n")
        return 1
    return code if reporter is None else _take_over(settings, rules, reporter)


def _serve(settings: Settings, rules: t.Any, reporter: Reporter) -> int:
    with without_tls():
        import asyncio  # noqa: PLC0415
    from .limits import raise_descriptors  # noqa: PLC0415
    from .logs import set_up  # noqa: PLC0415
    from .service import serve  # noqa: PLC0415

    raise_descriptors()
    set_up(settings.log_level, settings.log_format, journal="JOURNAL_STREAM" in os.environ)
    try:
        asyncio.run(serve(settings, rules, reporter))
    except NodeError as error:
        if not reporter.failed(error.sentence()):
            write_error(f"{_NAME}: {error.sentence()}\n")
        return 2 if isinstance(error, OtherDeployment) else 1
    return 0


def _take_over(settings: Settings, rules: t.Any, reporter: Reporter) -> int:
    try:
        code = _serve(settings, rules, reporter)
    except BaseException as error:
        reporter.failed(f"{type(error).__name__}: {error}")
        raise
    reporter.failed("it was asked to stop")
    return code


@contextlib.contextmanager
def without_tls() -> t.Iterator[None]:
    """Import without the module ssl. asyncio does without it; loading OpenSSL for nothing costs 4 MB and 10 ms."""
    if "ssl" in sys.modules:
        yield
        return
    sys.modules["ssl"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["ssl"]


def _refuse(sentence: str) -> int:
    write_error(f"{_NAME}: {sentence}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
