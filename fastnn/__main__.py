"""`python -m fastnn`: what is installed here, for bug reports and to see which kernels run."""

import platform

import numpy as np

import fastnn
from fastnn import backends, config


def main() -> None:
    """Print versions, executors, the ISA build and the number of threads."""
    print(f"fastnn {fastnn.__version__}")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.platform()}")
    print(f"executors: {', '.join(backends.available())} (default: {backends.get().name})")
    if "native" in backends.available():
        from fastnn.backends import native

        print(f"native kernels: {native.Default.isa} (usable here: {', '.join(native.isas())})")
    else:
        print("native kernels: none; install a C compiler and reinstall fastnn to get them")
    print(f"threads: {config.num_threads()}")
    print(f"float type: {config.floatx()}")


if __name__ == "__main__":
    main()
