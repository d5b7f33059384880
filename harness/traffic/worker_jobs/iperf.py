# SPDX-License-Identifier: Apache-2.0
"""Jobs of iperf3: a server that serves one test after the other, and a client's one test.

Each runs in a child that is forked for it and enters its namespace: libiperf and its wrapper leave
sockets open, and redirect descriptor 1 of whoever calls them. A fork of this small process takes
1 ms, a new interpreter 40.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from .errors import JobError, MissingError

#: By its soname: the wrapper, left to itself, starts a compiler to find it, every time.
_LIBRARY = "libiperf.so.0"
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_LISTEN_FAILED = -2  # iperf_run_server(), iperf_server_api.c
_MOST_FAILURES = 100
_KEPT = ("seconds", "bits_per_second")
_libc = ctypes.CDLL(None, use_errno=True)


def start_server(fds: list[int], port: int, bind_address: str) -> dict[str, Any]:
    """Start a server; it goes on after this job has ended, until its own end is ordered.

    Args:
        fds: Its namespace, and a pipe into which it writes a point whenever it is about to listen,
            and, before it ends of itself, JSON as `run_client`'s child does.
        port: Its port.
        bind_address: Its address.

    Returns:
        `pid`.
    """
    namespace, ready = fds

    def serve() -> NoReturn:
        server = _endpoint("Server", namespace, port=port, bind_address=bind_address)
        failures = code = 0
        while code != _LISTEN_FAILED and failures < _MOST_FAILURES:
            os.write(ready, b".")
            code = server.lib.iperf_run_server(server._test)
            failures = failures + 1 if code else 0
            server.lib.iperf_reset_test(server._test)
        raise JobError(f"it cannot serve port {port} of {bind_address}")

    _wrapper()
    return {"pid": _fork(serve, ready, keep=fds)}


def stop_server(fds: list[int], pid: int) -> dict[str, Any]:
    """End a server that this worker started."""
    del fds
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    return {}


def run_client(fds: list[int], settings: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Run one test.

    Args:
        fds: The client's namespace.
        settings: What the wrapper has properties for.
        options: What only libiperf has setters for; see `_OPTIONS`.

    Returns:
        `end`, that part of libiperf's result, and `intervals`: of the sums over all streams what
        `_KEPT` names, as a long turn has thousands of them.
    """
    out, into = os.pipe()

    def ask() -> dict[str, Any]:
        client = _endpoint("Client", fds[0], **settings)
        for name, value in options.items():
            _set(client, name, value)
        result = client.run()
        if result.error:
            raise JobError(result.error)
        sums = [interval["sum"] for interval in result.json["intervals"]]
        intervals = [{name: every[name] for name in _KEPT} for every in sums]
        return {"end": result.json["end"], "intervals": intervals}

    _wrapper()
    pid = _fork(ask, into, keep=[*fds, into])
    os.close(into)
    with os.fdopen(out, encoding="utf-8", errors="replace") as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        raise JobError(_ending(os.waitstatus_to_exitcode(status))) from None
    if "missing" in found:
        raise MissingError(found["missing"])
    if "error" in found:
        raise JobError(found["error"])
    return found


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else "ended without a result"


def _wrapper() -> Any:
    """The wrapper's module; imported before the fork, so that no child does it again.

    Raises:
        MissingError: It is not installed.
    """
    try:
        import iperf3
    except ImportError:
        raise MissingError("the Python package iperf3") from None
    return iperf3


def _fork(work: Callable[[], dict[str, Any]], report: int, keep: list[int]) -> int:
    """Run `work` in a child that dies with us and has only the descriptors kept.

    What the work returns, or what went wrong, the child writes to `report` as JSON.
    """
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        _child(work, report, keep, parent)
    return pid


def _child(
    work: Callable[[], dict[str, Any]], report: int, keep: list[int], parent: int
) -> NoReturn:
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            edges = [2, *sorted(keep), os.sysconf("SC_OPEN_MAX")]
            for before, after in itertools.pairwise(edges):
                os.closerange(before + 1, after)
            with os.fdopen(report, "w", encoding="utf-8") as pipe:
                json.dump(_reported(work), pipe)
    finally:
        os._exit(0)  # neither the wrapper's __del__ nor our caller's frames


def _reported(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except JobError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"missing": "libiperf"} if "libiperf" in str(error) else {"error": str(error)}
    except (ValueError, KeyError, TypeError) as error:  # the wrapper on JSON that is cut off
        return {"error": f"libiperf's result cannot be read ({error!r})"}


def _endpoint(kind: str, namespace: int, **settings: Any) -> Any:
    """The wrapper's Client or Server, inside its namespace, its settings made."""
    there = os.fstat(namespace).st_ino != Path("/proc/self/ns/net").stat().st_ino
    if there and _libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    endpoint = getattr(_wrapper(), kind)(lib_name=_LIBRARY)
    endpoint.verbose = False
    _unbound(endpoint)
    for name, value in settings.items():
        setattr(endpoint, name, value)
    return endpoint


def _unbound(endpoint: Any) -> None:
    """Put a file in memory where the wrapper has a pipe.

    It reads the pipe only after the run: a result that finds no room in it would hang. A slow
    machine's turn of some seconds, with an interval each millisecond, has megabytes.
    """
    file = os.memfd_create("iperf3")
    os.dup2(file, endpoint._pipe_in)

    def read_pipe(_: int) -> str:
        return os.pread(file, os.fstat(file).st_size, 0).decode("utf-8")

    # The wrapper's own waits for the end of a pipe. This process runs nothing else.
    sys.modules[type(endpoint).__module__].read_pipe = read_pipe  # type: ignore[attr-defined]


#: iperf_set_test_…, iperf_api.h.
_OPTIONS: dict[str, Any] = {
    "bytes": ctypes.c_uint64,  # of all streams together
    "connect_timeout": ctypes.c_int,  # milliseconds, of the control connection
    "duration": ctypes.c_int,  # seconds; 0: as many as the bytes take
    "reporter_interval": ctypes.c_double,  # seconds
    "socket_bufsize": ctypes.c_int,  # bytes; the client tells the server
    "stats_interval": ctypes.c_double,  # seconds
}


def _set(endpoint: Any, name: str, value: float) -> None:
    setter = getattr(endpoint.lib, f"iperf_set_test_{name}")
    setter.argtypes, setter.restype = (ctypes.c_void_p, _OPTIONS[name]), None
    setter(endpoint._test, value)
