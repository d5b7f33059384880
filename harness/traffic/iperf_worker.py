# SPDX-License-Identifier: Apache-2.0
"""One iperf3 endpoint in a process of its own: `iperf_worker.py '<json>'`. Floor 4.

A process of its own because the wrapper redirects descriptor 1 of whoever calls it. It is run by
its path, and imports nothing of the harness: an endpoint that starts in 50 ms instead of 300 ms.
The one line on stdout is JSON: {"end": …} from libiperf, {"missing": …} or {"error": …}.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import sys
from typing import Any

_PIPE_BYTES = 1 << 20  # pipe-max-size as the kernel sets it; see pipe(7)


def _setters(endpoint: Any, options: dict[str, Any]) -> None:
    """Settings that the wrapper has no property for."""
    library, test = endpoint.lib, endpoint._test
    for name, kind in (
        ("congestion_control", ctypes.c_char_p),
        ("connect_timeout", ctypes.c_int),  # ms; the client's control connection
        ("socket_bufsize", ctypes.c_int),  # bytes; the client tells the server
    ):
        if name in options:
            setter = getattr(library, f"iperf_set_test_{name}")
            setter.argtypes, setter.restype = (ctypes.c_void_p, kind), None
            value = options[name]
            setter(test, value.encode() if isinstance(value, str) else value)


def _endpoint(options: dict[str, Any]) -> Any:
    """The wrapper's client or server, with every option set."""
    import iperf3

    role = options.pop("role")
    endpoint = iperf3.Client() if role == "client" else iperf3.Server()
    endpoint.verbose = False
    # The wrapper reads its pipe only after the run: a result beyond the pipe's 64 KiB would hang.
    with contextlib.suppress(PermissionError):
        fcntl.fcntl(endpoint._pipe_in, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    _setters(endpoint, options)
    for name in ("bind_address", "port"):
        setattr(endpoint, name, options[name])
    if role == "client":
        for name in ("server_hostname", "protocol", "blksize", "bandwidth", "num_streams",
                     "reverse", "duration"):  # fmt: skip
            if name in options:
                setattr(endpoint, name, options[name])
    return endpoint


def _run(options: dict[str, Any]) -> dict[str, Any]:
    try:
        if cpus := options.pop("cpus", None):
            os.sched_setaffinity(0, cpus)
        result = _endpoint(options).run()
    except ImportError:
        return {"missing": "the Python package iperf3"}
    except OSError as error:
        return {"missing": "libiperf"} if "libiperf" in str(error) else {"error": str(error)}
    except (ValueError, KeyError) as error:  # the wrapper on JSON that is cut off, or foreign
        return {"error": f"libiperf's result cannot be read ({error!r})"}
    return {"error": result.error} if result.error else {"end": result.json["end"]}


def main() -> None:
    """Run the endpoint that the one argument describes."""
    # libiperf and the wrapper write to descriptor 1: our line goes where they do not.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)
        json.dump(_run(json.loads(sys.argv[1])), answer)
    os._exit(0)  # the wrapper's __del__ closes what is no longer its own


if __name__ == "__main__":
    main()
