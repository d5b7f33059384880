# SPDX-License-Identifier: Apache-2.0
"""Modules a guest cannot do without."""

import pytest

from harness.kernels.kernel import Kernel
from harness.kernels.modules import check, missing
from harness.plumbing.errors import KernelError, KernelSourceError


def kernel_with(tmp_path, loadable, builtin):
    directory = tmp_path / "lib" / "modules" / "6.1"
    directory.mkdir(parents=True)
    (directory / "modules.dep").write_text(
        "".join(f"kernel/{name}.ko.xz: kernel/other.ko\n" for name in loadable)
    )
    if builtin is not None:
        lines = "".join(f"kernel/{name}.ko\n" for name in builtin)
        (directory / "modules.builtin").write_text(lines)
    return Kernel("6.1", "6.1", "6.1", tmp_path / "image", tmp_path, "a test")


BOOT = ["virtio_pci", "9p", "9pnet_virtio", "virtio_blk", "ext4", "overlay"]


def test_every_module_is_there(tmp_path):
    kernel = kernel_with(tmp_path, ["veth", "sch_ingress", "cls_bpf"], BOOT)
    assert missing(kernel, "boot", "testbed") == []
    check(kernel)


def test_a_missing_module_is_named_with_its_option(tmp_path):
    kernel = kernel_with(tmp_path, ["sch-ingress", "cls_bpf"], BOOT)
    assert missing(kernel, "testbed") == ["veth (CONFIG_VETH: pods and wires)"]
    with pytest.raises(KernelError, match=r"6.1 has no module veth \(CONFIG_VETH"):
        check(kernel)


def test_a_kernel_that_does_not_say_what_is_built_in_is_not_judged(tmp_path):
    check(kernel_with(tmp_path, [], None))
    check(Kernel("6.1", "6.1", "6.1", tmp_path, None, "all built in"))


def test_modules_that_are_not_listed(tmp_path):
    kernel = kernel_with(tmp_path, [], [])
    (kernel.modules / "modules.dep").unlink()
    with pytest.raises(KernelSourceError, match=f"run `depmod -b {tmp_path} 6.1`"):
        check(kernel)
