# SPDX-License-Identifier: Apache-2.0
"""The C sources before they are compiled: enums, patches, line markers; and finding BCC."""

import re
import sys

import pytest

from harness.bpf import bcc_import, headers, source
from harness.bpf.contract import BPF_DIR, enums, parse_enums
from harness.bpf.module import _explain_refusal
from harness.bpf.source import Patch, Source, read_part, source_files
from harness.datapath import DATAPATHS
from harness.datapath.bpf import PARTS
from harness.plumbing.errors import BuildError, MissingToolError

HEADER = """
enum verdict {
	VERDICT_STACK = 0,	/* to the stack */
	VERDICT_NO_WAY = 3,
	VERDICTS = 4,
};
struct source { __u32 ip4; };
enum drop_reason {
	DROP_TTL = 0,
	DROP_REASONS = 1,
};
"""


def test_enums_without_their_prefix_and_their_count():
    assert parse_enums(HEADER) == {"verdict": {0: "stack", 3: "no-way"}, "drop_reason": {0: "ttl"}}


def test_the_headers_own_enums_are_dense_and_complete():
    for names in enums().values():
        numbers = sorted(names)
        assert numbers == list(range(numbers[0], numbers[0] + len(names)))
        assert len(set(names.values())) == len(names)
    assert {"program", "verdict", "drop_reason", "fib_result"} <= set(enums())
    assert enums()["program"] == {
        0: "from-container", 1: "from-netdev", 2: "to-netdev", 3: "to-container",
    }  # fmt: skip


def test_each_part_follows_a_line_marker():
    text = Source(PARTS).text()
    markers = re.findall(r'^# 1 "bpf/(.*)"$', text, re.M)
    assert markers == list(PARTS)
    for part, body in zip(PARTS, re.split(r'^# 1 ".*"\n', text, flags=re.M)[1:], strict=True):
        assert body == read_part(part) + "\n"


def test_what_is_written_for_each_family_is_built_for_both(monkeypatch, tmp_path):
    each = "u64 flows4, x64 = rfc4u + 4;\n"
    lines = ["first", "/* EACH FAMILY */", each.strip(), "/* END OF EACH FAMILY */", "last4", ""]
    (tmp_path / "a.c").write_text("\n".join(lines))
    monkeypatch.setattr(source, "BPF_DIR", tmp_path)
    begin, end = "first\n/* EACH FAMILY */\n", "/* END OF EACH FAMILY */\nlast4\n"
    ipv6 = each.replace("flows4", "flows6")
    assert read_part("a.c") == f'{begin}{each}# 3 "bpf/a.c"\n{ipv6}# 4 "bpf/a.c"\n{end}'


def test_parts_close_what_they_open_for_each_family():
    for path in source_files():
        text = path.read_text(encoding="utf-8")
        marks = re.findall(r"^/\* (EACH|END OF EACH) FAMILY \*/$", text, re.M)
        assert marks == ["EACH", "END OF EACH"] * (len(marks) // 2), path.name


def test_a_patch_changes_its_part_alone():
    line = next(
        x for x in (BPF_DIR / "rewrite.c").read_text().splitlines() if x.startswith("static")
    )
    whole = Source(PARTS).text()
    patched = Source(PARTS, patches=(Patch("rewrite.c", line, f"/* patched */ {line}"),)).text()
    assert patched == whole.replace(line, f"/* patched */ {line}")
    assert whole.count(line) == 1


@pytest.mark.parametrize(
    ("patch", "times"),
    [(Patch("rewrite.c", "no such text", ""), 0), (Patch("absent.c", "int", ""), 0),
     (Patch("rewrite.c", ";", ""), r"\d+")],
)  # fmt: skip
def test_a_patch_that_does_not_apply_once_is_an_error(patch, times):
    with pytest.raises(
        BuildError, match=rf"bpf/{patch.file} does not apply: .* stands {times} times"
    ):
        Source(PARTS, patches=(patch,)).text()


def test_a_part_that_is_not_there_is_an_error():
    with pytest.raises(BuildError, match=r"cannot read the BPF source absent.c"):
        Source(("absent.c",)).text()


def test_variants_differ_in_their_defines_and_serve_as_keys():
    sources = {entry.source for entry in DATAPATHS.values() if hasattr(entry, "source")}
    assert len(sources) == 4


def test_every_source_names_its_licence_in_its_first_line():
    for path in source_files():
        assert (
            "SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)"
            in path.read_text().splitlines()[0]
        )


REFUSAL = """\
; {line}
950: (61) r1 = *(u32 *)(r3 +76)       ; R1=pkt(r=0) R3=ctx()
R1 offset is outside of the packet
processed 390 insns (limit 1000000) max_states_per_insn 1 total_states 35
"""


@pytest.mark.parametrize(
    ("line", "where"),
    [
        (" @ rewrite.c:38", "bpf/rewrite.c:38: "),
        ("ip->ttl -= 1; @ rewrite.c:38", "bpf/rewrite.c:38: "),
        ("ip->ttl -= 1;", "ip->ttl -= 1;: "),
    ],
)
def test_a_refusal_says_where_and_what(line, where):
    refusal = _explain_refusal(REFUSAL.format(line=line))
    assert refusal == where + "R1 offset is outside of the packet"


def test_a_refusal_without_a_log():
    assert _explain_refusal("") == ""


# -------------------------------------------------------------------------------- the header tree


def test_a_tree_without_uapi_headers_says_which_package(tmp_path):
    with pytest.raises(MissingToolError, match=r"no .*pkt_cls.h.*apt-get install linux-libc-dev"):
        headers.build_tree(tmp_path / "tree", tmp_path / "include")


def test_a_tree_links_to_the_uapi_headers(tmp_path):
    include = tmp_path / "include"
    (include / "linux").mkdir(parents=True)
    (include / "linux" / "pkt_cls.h").touch()
    (include / "asm").mkdir()
    tree = headers.build_tree(tmp_path / "tree", include)
    assert (tree / "include/uapi/linux/pkt_cls.h").is_file()
    assert "__LINUX_BPF_H__" in (tree / "include/linux/kconfig.h").read_text()
    assert [path.resolve() for path in tree.glob("arch/*/include/generated/uapi/asm")] == [
        include / "asm"
    ]


# ----------------------------------------------------------------------------------- finding BCC


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "bcc", raising=False)
    path = tmp_path / "bcc"
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class Crystal: pass\n", "is not BCC but another package of that name"),
        ("import numpy_is_not_there\n", "cannot be imported"),
        ("print 'Python 2'\n", "cannot be imported"),
        ("import ctypes; ctypes.CDLL('libbcc-is-not-there.so.0')\n", "library cannot be loaded"),
    ],
)
def test_what_is_not_bcc_is_told_apart(package, text, words):
    (package / "__init__.py").write_text(text, encoding="ascii")
    with pytest.raises(MissingToolError, match=f"{words}.*apt-get install python3-bpfcc"):
        bcc_import.load_from(package)
    assert "bcc" not in sys.modules


def test_no_bcc_at_all(package):
    with pytest.raises(MissingToolError, match=r"not installed .*apt-get install python3-bpfcc`$"):
        bcc_import.load_from(package)


def test_no_bcc_but_pypis(package, tmp_path, monkeypatch):
    (package / "__init__.py").write_text("", encoding="ascii")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingToolError, match=r"python3-bpfcc.*pip uninstall bcc"):
        bcc_import.load_from(tmp_path / "dist-packages" / "bcc")


def test_bcc_itself(package, monkeypatch):
    monkeypatch.setitem(sys.modules, "bcc", None)  # whatever stands there comes back afterwards
    (package / "__init__.py").write_text("class BPF: pass\n", encoding="ascii")
    assert bcc_import.load_from(package).BPF


@pytest.mark.filterwarnings("error")
def test_bcc_whose_source_has_invalid_escapes(package, monkeypatch):
    """Debian's has some: Python warns of them when it compiles the source."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setitem(sys.modules, "bcc", None)
    (package / "__init__.py").write_text('BPF = "\\."\n', encoding="ascii")
    assert bcc_import.load_from(package).BPF == r"\."
