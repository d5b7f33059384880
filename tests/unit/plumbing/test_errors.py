# SPDX-License-Identifier: Apache-2.0
"""Errors: what was wrong, what to do, and an exit code of its own for each kind."""

import pytest

from harness.plumbing import errors
from harness.plumbing.errors import EXIT_CODES, BuildError, CommandError, HarnessError

KINDS = [HarnessError, *HarnessError.__subclasses__()]


def test_exit_codes_are_unique_explained_and_clear_of_pytests():
    codes = [kind.exit_code for kind in KINDS]
    assert len(set(codes)) == len(codes)
    assert set(EXIT_CODES) == {
        *codes,
        errors.LEGACY,
        errors.FAILED_ON_KERNEL,
        errors.NOT_PROVEN,
        errors.REGRESSED,
    }
    assert min(EXIT_CODES) > max(pytest.ExitCode)
    assert max(EXIT_CODES) < 126  # from there on they are a shell's
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not CommandError])
def test_an_error_says_what_and_what_to_do(kind):
    error = kind("tcpdump is not installed", "run `apt-get install tcpdump`")
    assert str(error) == "tcpdump is not installed: run `apt-get install tcpdump`"
    assert (error.what, error.todo) == ("tcpdump is not installed", "run `apt-get install tcpdump`")
    assert str(kind("the file is cut off")) == "the file is cut off"


def test_a_build_error_keeps_the_log_out_of_its_line():
    error = BuildError("refused", log="1: R4 !read_ok\n2: processed")
    assert str(error) == "refused"
    assert error.log.splitlines()[1] == "2: processed"


@pytest.mark.parametrize(
    ("out", "err", "said"),
    [("o", "line 1\nline 2\n", "line 1 | line 2"), ("only out\n", " \n", "only out"),
     ("", "", "no output")],
)  # fmt: skip
def test_a_commands_error_is_one_line(out, err, said):
    error = CommandError(["nft", "-f", "-"], 1, out, err)
    assert str(error) == f"command `nft -f -` ended with 1: {said}"
    assert (error.stdout, error.stderr) == (out, err)
