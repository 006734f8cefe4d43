# SPDX-FileCopyrightText: 2026 accel.qat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubelet's registration socket without the rest of a kubelet, to look at what a node's plugins advertise.

    python3 -m harness.serve [--json] DIRECTORY

Listens on DIRECTORY/kubelet.sock, takes every plugin that registers, and prints what is advertised each time it changes: in words,
or as a line of JSON with the health of each device by resource. Ends with SIGTERM. The libraries it needs are those that a node
has below /opt/accel-qat/device-plugin/current/lib.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import typing as t
from collections import Counter
from pathlib import Path

from .kubelet import FakeKubelet

Advertised = t.Dict[str, t.Dict[str, str]]  # noqa: UP006


def in_words(advertised: Advertised) -> str:
    """A line a resource: how many devices it has, and how many of them can be given to pods."""
    counts = {name: Counter(devices.values()) for name, devices in sorted(advertised.items())}
    lines = [f"{name}: {sum(count.values())} devices, {count['Healthy']} healthy" for name, count in counts.items()]
    return "\n".join(lines or ["nothing is advertised"])


def as_json(advertised: Advertised) -> str:
    """All of it in one line."""
    return json.dumps(advertised, sort_keys=True)


async def serve(directory: Path, form: t.Callable[[Advertised], str]) -> None:
    """Listen until the signal comes."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    kubelet = FakeKubelet(directory)
    await kubelet.start()
    said = None
    while not stop.is_set():
        advertised = {name: dict(devices) for name, devices in kubelet.resources().items()}
        if advertised != said:
            print(form(advertised), flush=True)
            said = advertised
        await asyncio.sleep(0.05)
    await kubelet.close()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print lines of JSON")
    parser.add_argument("directory", type=Path, help="kubelet's directory of device plugins")
    options = parser.parse_args()
    asyncio.run(serve(options.directory, as_json if options.json else in_words))


if __name__ == "__main__":
    main()
