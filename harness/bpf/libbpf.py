# SPDX-License-Identifier: Apache-2.0
"""libbpf.so.1 by ctypes: what is needed to open and load an ELF object.

It comes with python3-bpfcc's dependencies. What libbpf prints, the verifier's log above all, is
collected per call: it has one printer for the whole process.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from harness.plumbing.errors import MissingToolError

LIBRARY = "libbpf.so.1"
_INFO = 1  # LIBBPF_INFO: the most talkative level that is kept; debugging comes after it
_Printer = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_libc = ctypes.CDLL(None)
_libc.vsnprintf.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p]
# A va_list is a pointer, or an array or a struct that is passed by one: x86-64, AArch64, RISC-V.
_LONGEST = 1 << 24  # of one message: a verifier's log

_P, _S, _I, _U = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32
_SIZE = ctypes.c_size_t
#: Function → what it returns, and what it takes (libbpf.h, btf.h and bpf.h of libbpf 1.1).
_PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "libbpf_set_print": (_P, _Printer),
    "libbpf_num_possible_cpus": (_I,),
    "bpf_object__open_mem": (_P, _P, _SIZE, _P),
    "bpf_object__load": (_I, _P),
    "bpf_object__close": (None, _P),
    "bpf_object__next_program": (_P, _P, _P),
    "bpf_object__next_map": (_P, _P, _P),
    "bpf_object__btf": (_P, _P),
    "btf__raw_data": (_P, _P, ctypes.POINTER(_U)),
    "bpf_program__name": (_S, _P),
    "bpf_program__type": (_I, _P),
    "bpf_program__set_type": (_I, _P, _I),
    "bpf_program__set_expected_attach_type": (_I, _P, _I),
    "bpf_program__set_autoload": (_I, _P, ctypes.c_bool),
    "bpf_program__fd": (_I, _P),
    "bpf_map__name": (_S, _P),
    "bpf_map__fd": (_I, _P),
    "bpf_map__type": (_I, _P),
    "bpf_map__key_size": (_U, _P),
    "bpf_map__value_size": (_U, _P),
    "bpf_map__max_entries": (_U, _P),
    "bpf_map__map_flags": (_U, _P),
    "bpf_map__btf_key_type_id": (_U, _P),
    "bpf_map__btf_value_type_id": (_U, _P),
    "bpf_map__is_internal": (ctypes.c_bool, _P),
    "bpf_map__initial_value": (_P, _P, ctypes.POINTER(_SIZE)),
    "bpf_map__set_pin_path": (_I, _P, _S),
    "bpf_map__reuse_fd": (_I, _P, _I),
    "bpf_map_get_next_key": (_I, _I, _S, _P),
    "bpf_map_lookup_elem": (_I, _I, _S, _P),
    "bpf_map_update_elem": (_I, _I, _S, _S, ctypes.c_uint64),
    "bpf_map_delete_elem": (_I, _I, _S),
}
_said: list[str] = []
_short = ctypes.create_string_buffer(1 << 14)


class OpenOptions(ctypes.Structure):
    """The first fields of struct bpf_object_open_opts; `size` says that there are no more."""

    _fields_ = (("size", _SIZE), ("object_name", _S))


def _listen(level: int, form: bytes, arguments: int) -> int:
    if level > _INFO:
        return 0
    # The arguments can be walked only once: the buffer holds the longest message there is.
    buffer = ctypes.create_string_buffer(_LONGEST) if b"LOG" in form else _short
    _libc.vsnprintf(buffer, len(buffer), form, arguments)
    _said.append(buffer.value.decode(errors="replace"))
    return 0


@lru_cache(maxsize=1)
def libbpf() -> Any:
    """The library.

    Raises:
        MissingToolError: It is not installed, or too old.
    """
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
        for name, (returns, *takes) in _PROTOTYPES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = returns, takes
    except (OSError, AttributeError) as error:
        raise MissingToolError(
            f"{LIBRARY} cannot be used ({error})", "install it: Debian's package is libbpf1"
        ) from None
    library.libbpf_set_print(_listener)
    return library


_listener = _Printer(_listen)  # libbpf keeps its address


@contextmanager
def heard() -> Iterator[list[str]]:
    """What libbpf says during the block, a message an element."""
    libbpf()
    _said.clear()
    said: list[str] = []
    try:
        yield said
    finally:
        said += _said
        _said.clear()


def refusal() -> str:
    """Why the last call failed, in the system's words."""
    return os.strerror(ctypes.get_errno())
