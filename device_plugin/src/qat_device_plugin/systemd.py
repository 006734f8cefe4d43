# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports to systemd how the service is: sd_notify(3), a datagram to the socket named in the environment."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
import typing as t

from ._node.fields import is_number

_SECONDS = 3
"""How long to wait for systemd where something depends on it."""


class Systemd:
    """Says nothing where systemd does not listen. Never waits for it: what it does not take now is said again later."""

    def __init__(self, environment: t.Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._status = ""
        self._ready = False
        self._unsaid: list[str] = []
        # Kept: the watchdog is fed also where no more descriptors are to be had.
        self._sender: socket.socket | None = None
        self.watchdog_seconds = _watchdog(environment)

    def status(self, text: str) -> None:
        """What `systemctl status` shows."""
        if text != self._status:
            self._status = text
            self._unsaid = [message for message in self._unsaid if not message.startswith("STATUS=")]
            self._say(f"STATUS={text}")

    def ready(self) -> None:
        """The service does its work; said once."""
        if not self._ready:
            self._ready = True
            self._say("READY=1")

    def reloading(self) -> None:
        """A reload has begun; `reloaded` says that it is over."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """The reload is over. A service that was not ready before is not made so."""
        if self._ready:
            self._say("READY=1")

    def hand_over(self, pid: int) -> bool:
        """Name the process that is the main one from now on; returns whether systemd was notified. Can take seconds. Raises OSError.

        It listens to this one no longer then.
        """
        end = time.monotonic() + _SECONDS
        # Before systemd is notified: from then on there is no way back.
        reader, writer = os.pipe()
        try:
            while not self._send(f"MAINPID={pid}"):
                if time.monotonic() > end:
                    return False
                time.sleep(0.01)
            self._send("BARRIER=1", writer)
        finally:
            os.close(writer)
            self._wait_until_read(reader)
        self._address = ""
        return True

    @staticmethod
    def _wait_until_read(reader: int) -> None:
        """Wait until systemd has read what it was sent so far: it closes its end of the pipe when it comes to the last message."""
        poll = select.poll()
        poll.register(reader, 0)
        poll.poll(_SECONDS * 1000)
        os.close(reader)

    def take_over(self, address: str, watchdog_seconds: float | None) -> None:
        """Speak to systemd in place of the process that did before; what was to be said meanwhile is said now."""
        self._address = address
        self.watchdog_seconds = watchdog_seconds
        status, self._status = self._status, ""
        self.status(status)
        if self._ready:
            self._say("READY=1")

    @property
    def address(self) -> str:
        """Where systemd listens; empty for nowhere."""
        return self._address

    def stopping(self) -> None:
        """The end has begun."""
        self._say("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Say nothing any more."""
        if self._sender is not None:
            self._sender.close()

    def say_again(self) -> None:
        """Try once more what systemd did not take; to be called now and then."""
        while self._unsaid and self._send(self._unsaid[0]):
            del self._unsaid[0]

    def _say(self, text: str) -> None:
        self._unsaid.append(text)
        self.say_again()

    def _send(self, text: str, descriptor: int | None = None) -> bool:
        if not self._address:
            return True
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        rights = [] if descriptor is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))]
        try:
            if self._sender is None:
                self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sender.sendmsg([text.encode()], rights, socket.MSG_DONTWAIT, address)
        except OSError:
            return False
        return True


def _watchdog(environment: t.Mapping[str, str]) -> float | None:
    """The time limit of the watchdog in seconds, if it watches this process."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not is_number(microseconds) or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 1e6
