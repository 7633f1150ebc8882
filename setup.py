"""Builds the native executor; everything else about the package stands in pyproject.toml.

The kernels are translated to C once and compiled once for each ISA, as modules kernels_v3,
kernels_v4 and so on that lie side by side; the executor picks one of them when it is loaded. A new
ISA is one line in ISAS. Where no compiler works, the package installs without its native modules
and runs on the reference executor. FASTNN_WERROR=1 turns warnings and such failures into errors;
FASTNN_BOUNDSCHECK=1 lets Cython check indices (ci/sanitizers).
"""

import os
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = "fastnn/backends/native"


def asked_for(name):
    return os.environ.get(name, "0") not in ("", "0")


WERROR = asked_for("FASTNN_WERROR")

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": asked_for("FASTNN_BOUNDSCHECK"),
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": False,
}

# Never -ffast-math: it hides NaN and switches the whole process to flush-to-zero.
GCC = ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd"]
# A float literal read as double halves the speed of a kernel; the first two warnings find it. The
# line tables (-g1) are for ci/vectorised.
GCC_WERROR = ["-Wdouble-promotion", "-Wfloat-conversion", "-Werror", "-g1"]
MSVC = ["/O2"]

# The name of each ISA, with the flags of gcc and clang, and those of MSVC.
ISAS = {
    "v2": (["-march=x86-64-v2"], []),
    "v3": (["-march=x86-64-v3"], ["/arch:AVX2"]),
    "v4": (["-march=x86-64-v4", "-mprefer-vector-width=512"], ["/arch:AVX512"]),
}
# A macOS build for both of its processors ("universal2") is no x86-64 build.
if not sysconfig.get_platform().endswith(("x86_64", "amd64")):
    ISAS = {"base": ([], [])}


def extension(module, source):
    """One native module, still without its flags: they depend on the compiler."""
    return Extension(
        f"fastnn.backends.native.{module}",
        [f"{NATIVE}/{source}.pyx"],
        include_dirs=[NATIVE],
        depends=["setup.py"]
        + [str(p) for p in Path(NATIVE).iterdir() if p.suffix in (".h", ".pxi", ".pxd")],
        optional=not WERROR,
    )


class BuildNative(build_ext):
    """Translates to C in the build folder, then compiles all modules side by side."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count() or 1

    def build_extensions(self):
        folder = Path(self.build_temp) / "cython"
        sources = [f"{NATIVE}/executor.pyx", f"{NATIVE}/kernels.pyx"]
        translated = cythonize(
            [Extension(f"fastnn.backends.native.{Path(s).stem}", [s]) for s in sources],
            build_dir=str(folder),
            compiler_directives=DIRECTIVES,
            emit_linenums=True,  # the C compiler's warnings name lines of the .pyx files
        )
        executor, kernels = (Path(ext.sources[0]) for ext in translated)

        msvc = self.compiler.compiler_type == "msvc"
        for ext in self.extensions:
            isa = ext.name.rpartition("kernels_")[2]
            if isa in ISAS:
                ext.sources = [wrap(kernels, isa)]
                ext.depends.append(str(kernels))
            else:
                ext.sources = [str(executor)]
            gcc_isa, msvc_isa = ISAS.get(isa, ([], []))
            if msvc:
                ext.extra_compile_args = MSVC + msvc_isa
            else:
                ext.extra_compile_args = GCC + (GCC_WERROR if WERROR else []) + gcc_isa
        super().build_extensions()


def wrap(kernels, isa):
    """Write the two lines that compile kernels.c under the name of its ISA; returns their path."""
    path = kernels.with_name(f"kernels_{isa}.c")
    text = f'#define PyInit_kernels PyInit_kernels_{isa}\n#include "kernels.c"\n'
    if not path.exists() or path.read_text() != text:  # an unchanged file is not compiled again
        path.write_text(text)
    return str(path)


setup(
    ext_modules=[extension("executor", "executor")]
    + [extension(f"kernels_{isa}", "kernels") for isa in ISAS],
    cmdclass={"build_ext": BuildNative},
)
