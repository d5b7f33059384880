# SPDX-License-Identifier: Apache-2.0
"""The example of a foreign ELF datapath, compiled as its README says, and objects with faults."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from harness.plumbing import scratch
from tests.support.run_cli import ROOT

EXAMPLE = ROOT / "examples" / "elf"
NAME = "hostpath"
#: The smallest object there can be: a program that lets everything pass.
TINY = """
typedef unsigned int __u32;
#define SEC(name) __attribute__((section(name), used))
%s
SEC("tc") int pass(void *skb) { %s; return 0; }
char _license[] SEC("license") = "GPL";
"""


MAP = """struct {{ int (*type)[{kind}]; int (*max_entries)[{entries}]; {more}
    __u32 *key; __u32 *value; }} {name} SEC(".maps");
static void *(*lookup)(void *map, const void *key) = (void *)1;
"""
USE = "__u32 k = 0, *v = lookup(&{name}, &k); if (v) __sync_fetch_and_add(v, 1)"
HASH, ARRAY = 1, 2


#: For faults of the examples that cut an ICMP error: the helper, and an Internet checksum.
TRIMMING = """
static long (*change_tail)(struct __sk_buff *skb, __u32 len, __u64 flags) = (void *)38;

static inline __attribute__((always_inline)) __u16 folded(const __u16 *words, int count)
{
	__u32 sum = 0;

	for (int i = 0; i < count; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}
"""


@lru_cache(maxsize=64)
def compiled(source: str) -> bytes:
    """An object, compiled by clang as the README says."""
    directory = scratch.make("clang")
    try:
        path = directory / "x.c"
        path.write_text(source, encoding="utf-8")
        subprocess.run(
            ["clang", "-O2", "-g", "-Wall", "-target", "bpf",
             f"-I/usr/include/{platform.machine()}-linux-gnu", "-c", str(path),
             "-o", str(directory / "x.o")],
            check=True,
        )  # fmt: skip
        return (directory / "x.o").read_bytes()
    finally:
        scratch.remove(directory)


def counting_source(
    name: str = "shared", kind: int = ARRAY, entries: int = 4, more: str = ""
) -> str:
    """The source of an object whose program counts packets in a map's first entry."""
    declared = MAP.format(name=name, kind=kind, entries=entries, more=more)
    return TINY % (declared, USE.format(name=name))


def counting(name: str = "shared", kind: int = ARRAY, entries: int = 4, more: str = "") -> bytes:
    """That object."""
    return compiled(counting_source(name, kind, entries, more))


def open_files() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def patched(text: str, changes: Mapping[str, str]) -> str:
    """A text with changes, each of which applies exactly once."""
    for before, after in changes.items():
        assert text.count(before) == 1, f"{before!r} is there {text.count(before)} times"
        text = text.replace(before, after)
    return text


def example(
    directory: Path, name: str = NAME,
    program: Mapping[str, str] | None = None, toml: Mapping[str, str] | None = None,
) -> Path:  # fmt: skip
    """The example in a directory of its own; returns its description.

    Args:
        directory: Where a directory of its name is made.
        name: What it calls itself.
        program: Changes of its source.
        toml: Changes of its description.
    """
    home = directory / name
    home.mkdir(mode=0o755)
    source = patched((EXAMPLE / "hostpath.c").read_text(encoding="utf-8"), program or {})
    (home / "hostpath.o").write_bytes(compiled(source))
    text = (EXAMPLE / "hostpath.toml").read_text(encoding="utf-8")
    text = patched(text, {f'name = "{NAME}"': f'name = "{name}"', **(toml or {})})
    (home / f"{name}.toml").write_text(text, encoding="utf-8")
    return home / f"{name}.toml"


def describe(directory: Path, objects: Mapping[str, bytes], tables: str) -> Path:
    """A description of objects, which claims the least.

    Args:
        directory: Where they are put.
        objects: Name → its bytes.
        tables: What follows `[datapath]`.
    """
    for name, content in objects.items():
        (directory / name).write_bytes(content)
    head = '[datapath]\nname = "mine"\nclaims = { bypasses_stack = "yes", delivers = "lxc",'
    head += ' forwards = "redirect" }\n'
    path = directory / "mine.toml"
    path.write_text(head + tables, encoding="utf-8")
    return path


def attach(program: str = "pass", file: str = "mine.o", more: str = "") -> str:
    """A table `[[attach]]` of a description."""
    return (
        f'[[attach]]\nobject = "{file}"\nprogram = "{program}"\nat = "lxc"\n'
        f'direction = "ingress"\nhook = "clsact"\n{more}\n'
    )


def commands(readme: str) -> list[str]:
    """The commands of a README's code blocks."""
    blocks = re.findall(r"^```\n(.*?)^```", readme, re.M | re.S)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
