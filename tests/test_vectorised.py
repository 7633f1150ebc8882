"""`ci/vectorised`, tried on small modules: it must find the loops that the compiler left scalar."""

import pathlib
import platform
import shutil
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[1] / "ci" / "vectorised"

pytestmark = [
    pytest.mark.skipif(platform.machine() != "x86_64", reason="it reads x86-64 code"),
    pytest.mark.skipif(
        not (shutil.which("gcc") and shutil.which("objdump")), reason="needs gcc and objdump"
    ),
]

SCALE = """
void scale(float *y, const float *x, long n) {
    for (long i = 0; i < n; i++)
        y[i] = 3 * x[i] + 1;
}
"""
TOTAL = """
double total(const double *x, long n) {
    double sum = 0;
    for (long i = 0; i < n; i++)%s
        sum += x[i];
    return sum;
}
"""
POWERS = """
#include <math.h>
void powers(double *y, long n) {
    for (long i = 0; i < n; i++)
        y[i] = pow(y[i], 1.1);
}
"""
TWO_LOOPS = """
void two(float *x, float *y, long n) {
    for (long i = 0; i < n; i++)
        x[i] *= 3;
    for (long i = 1; i < n; i++)
        y[i] = y[i - 1] * 0.5f + y[i];
}
"""


def check(folder, source, isa="v3", flags=("-O3", "-g1")):
    """The script's exit status and what it printed."""
    (folder / "kernels.c").write_text(source)
    module = folder / f"kernels_{isa}.so"
    wide = ["-mprefer-vector-width=512"] if isa == "v4" else []
    build = ["gcc", "-shared", "-fPIC", *flags, f"-march=x86-64-{isa}", *wide]
    subprocess.run([*build, "-o", module, folder / "kernels.c"], check=True)
    done = subprocess.run([sys.executable, SCRIPT, folder, module], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("isa", ["v2", "v3", "v4"])
def test_a_vectorised_loop_passes_and_a_scalar_one_does_not(tmp_path, isa):
    assert check(tmp_path, SCALE, isa)[0] == 0
    scalar = check(tmp_path, SCALE, isa, ("-O1", "-g1"))
    assert scalar == (1, f"{isa}: scale has a scalar loop: kernels.c:4\n")


def test_narrower_registers_than_the_processor_has_do_not_pass(tmp_path):
    narrow = check(tmp_path, SCALE, "v3", ("-O3", "-g1", "-mprefer-vector-width=128"))
    assert narrow == (1, "v3: scale has a scalar loop: kernels.c:4\n")


def test_sums_number_by_number_and_calls_of_the_library_do_not_pass(tmp_path):
    for source, name in ((TOTAL % "", "total"), (POWERS, "powers")):
        status, message = check(tmp_path, source)
        assert status == 1 and f"v3: {name} has a scalar loop" in message


def test_a_vectorised_loop_does_not_excuse_another_one(tmp_path):
    assert check(tmp_path, TWO_LOOPS) == (1, "v3: two has a scalar loop: kernels.c:6\n")


def test_a_reason_excuses_a_loop_and_must_be_needed(tmp_path):
    reason = " /* scalar: in order */"
    assert check(tmp_path, TOTAL % reason)[0] == 0
    fast = check(tmp_path, TOTAL % reason, flags=("-O3", "-g1", "-ffast-math"))
    assert fast == (1, "kernels.c:4 says `scalar`, but is vectorised\n")


def test_without_line_tables_it_says_so(tmp_path):
    status, message = check(tmp_path, SCALE, flags=("-O3", "-g0"))
    assert status == 1 and "has no line table" in message
