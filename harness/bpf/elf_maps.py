# SPDX-License-Identifier: Apache-2.0
"""A map of a loaded object: its entries, and how it becomes as it was when it was made."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator

from harness.bpf.elf import MapSpec
from harness.bpf.libbpf import libbpf

# enum bpf_map_type: those whose keys can be deleted, and arrays, whose cannot.
_HASHES = (1, 5, 9, 10, 11, 25)
_ARRAYS = (2, 6)
#: Those that hold nothing a run leaves behind: filled by libbpf, or read by nobody of ours.
_CONSTANT = (3, 4, 27)
#: Arrays beyond that are dearer to clear than to load anew.
_MOST_CLEARED = 4096


class Map:
    """A map.

    Attributes:
        spec: What it is.
        fd: Its descriptor, which is libbpf's.
    """

    def __init__(self, spec: MapSpec, fd: int, initial: bytes = b"") -> None:
        """Take over a map.

        Args:
            spec: As the attribute.
            fd: As the attribute.
            initial: What a section of data held when it was loaded.
        """
        self.spec, self.fd = spec, fd
        self._initial = initial

    def _checked(self, result: int, *fine: int) -> int:
        code = ctypes.get_errno()
        if result < 0 and code not in fine:
            raise OSError(code, os.strerror(code), f"map {self.spec.name}")
        return result

    def keys(self) -> Iterator[bytes]:
        """Every key of a map that changes meanwhile only by what the caller deletes of it."""
        following = ctypes.create_string_buffer(self.spec.key_size)
        key: bytes | None = None
        found = []
        step = libbpf().bpf_map_get_next_key
        while self._checked(step(self.fd, key, following), errno.ENOENT) == 0:
            key = following.raw
            found.append(key)
        yield from found

    def update(self, key: bytes, value: bytes) -> None:
        """Write an entry.

        Raises:
            OSError: The kernel refuses: E2BIG: the map is full.
        """
        self._checked(libbpf().bpf_map_update_elem(self.fd, key, value, 0))

    def delete(self, key: bytes) -> None:
        """Delete an entry; one that is gone is no error."""
        self._checked(libbpf().bpf_map_delete_elem(self.fd, key), errno.ENOENT)

    def reset(self) -> bool:
        """Make it as it was when it was made; whether that could be done."""
        spec = self.spec
        try:
            if spec.kind in _HASHES:
                for key in self.keys():
                    self.delete(key)
                return True
            if spec.kind in _ARRAYS and spec.max_entries <= _MOST_CLEARED:
                self._clear_array()
                return True
        except OSError:
            return False
        return spec.kind in _CONSTANT

    def _clear_array(self) -> None:
        spec = self.spec
        if spec.internal and not self._initial:  # constants, which nobody can write any more
            return
        size = spec.value_size
        if spec.per_cpu:
            size = (size + 7 & ~7) * libbpf().libbpf_num_possible_cpus()
        zero = self._initial or bytes(size)
        for index in range(spec.max_entries):
            self.update(bytes(ctypes.c_uint32(index)), zero)
