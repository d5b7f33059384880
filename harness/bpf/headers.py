# SPDX-License-Identifier: Apache-2.0
"""A kernel "source tree" of UAPI headers only, for BCC.

BCC insists on a kernel header tree (BCC_KERNEL_SOURCE). tc programs need none of it but the
UAPI, which linux-libc-dev installs for every C compiler. Six small files and three links stand
in for the tree; a compile then takes 0.3 s instead of 3 s, and no header package is needed.
"""

from __future__ import annotations

import os
import platform
import sysconfig
from functools import lru_cache
from pathlib import Path

from harness.plumbing import scratch
from harness.plumbing.errors import MissingToolError

_TYPES = """\
#ifndef HOSTROUTE_LINUX_TYPES_H
#define HOSTROUTE_LINUX_TYPES_H
#include_next <linux/types.h>
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64;
typedef __s8 s8; typedef __s16 s16; typedef __s32 s32; typedef __s64 s64;
typedef _Bool bool;
typedef __SIZE_TYPE__ size_t;
typedef __UINTPTR_TYPE__ uintptr_t;
#define true 1
#define false 0
#endif
"""

_FILES: dict[str, str] = {
    # libbcc embeds its own linux/bpf.h, which is newer than many a distribution's.
    "include/linux/kconfig.h": "#define CONFIG_BPF_SYSCALL 1\n#define __LINUX_BPF_H__\n",
    "include/linux/types.h": _TYPES,
    "include/linux/log2.h": "",
    "include/asm/page.h": "#define PAGE_SIZE 4096\n",
    "include/sys/socket.h": ("struct sockaddr { unsigned short sa_family; char sa_data[14]; };\n"),
}

#: The kernel's name of the architecture, by platform.machine().
_ARCHITECTURES = {"x86_64": "x86", "aarch64": "arm64", "riscv64": "riscv", "s390x": "s390"}


def build_tree(root: Path, include: Path = Path("/usr/include")) -> Path:
    """Write the tree below `root`.

    Args:
        root: An empty directory.
        include: Where linux-libc-dev put its headers.

    Raises:
        MissingToolError: The UAPI headers are not there.
    """
    if not (include / "linux" / "pkt_cls.h").is_file():
        raise MissingToolError(
            f"the kernel's UAPI headers are missing (no {include}/linux/pkt_cls.h)",
            "run `apt-get install linux-libc-dev`",
        )
    for name, text in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="ascii")
    multiarch = sysconfig.get_config_var("MULTIARCH") or f"{platform.machine()}-linux-gnu"
    machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
    asm = include / multiarch / "asm"
    links = {
        "include/uapi/linux": include / "linux",
        "include/uapi/asm-generic": include / "asm-generic",
        f"arch/{machine}/include/generated/uapi/asm": asm if asm.is_dir() else include / "asm",
    }
    for name, target in links.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
    return root


@lru_cache(maxsize=1)
def kernel_source() -> Path:
    """The tree of this process, made at first use and named to BCC; removed at exit."""
    root = build_tree(scratch.make("headers"))
    os.environ["BCC_KERNEL_SOURCE"] = str(root)
    return root
