"""What starting costs: imports, a process that trains Hello World, and the room on the disk."""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import zipfile

from benchmarks.harness import environment

TORCH_HELLO = """
import torch
from torch import nn
torch.set_num_threads(1)
x = torch.tensor([[-1.0], [0.0], [1.0], [2.0], [3.0], [4.0]])
y = 2 * x - 1
model = nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.01)
for _ in range(500):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
with torch.no_grad():
    print(model(torch.tensor([[10.0]])).item())
"""

FASTNN_HELLO = "from fastnn.examples import hello; print(hello.main().item())"

# Name -> (what must be installed, the program). The Hello Worlds print what they say of 10.
PROGRAMS = {
    "python": (None, "pass"),
    "import numpy": ("numpy", "import numpy"),
    "import fastnn": ("fastnn", "import fastnn"),
    "hello with fastnn": ("fastnn", FASTNN_HELLO),
    "hello with torch": ("torch", TORCH_HELLO),
}


def cpu_seconds(program, compiled):
    """CPU seconds of a Python process from its start to its end.

    `compiled` is a folder for compiled modules: those of an installed package are compiled, too.
    """
    variables = environment(1) | {"PYTHONPYCACHEPREFIX": compiled}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=variables
    )
    printed = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"this program ended with status {process.returncode}:\n{program}")
    # The line through the points says 19.
    if printed and not 18.9 < float(printed) < 19.1:
        sys.exit(f"this program did not learn, it printed {printed.decode()}:\n{program}")
    return usage.ru_utime + usage.ru_stime


def measure_startup(repeats, libraries=None):
    """{name of a program: CPU seconds}, by turns; the first turn warms the disk's cache."""
    programs = {
        name: program
        for name, (library, program) in PROGRAMS.items()
        if (library is None or importlib.util.find_spec(library))
        and (libraries is None or library in (None, "numpy", *libraries))
    }
    figures = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as compiled:
        for turn in range(1 + repeats):
            for name, program in programs.items():
                seconds = cpu_seconds(program, compiled)
                if turn > 0:
                    figures[name].append(seconds)
    return figures


def measure_size(wheel):
    """Bytes of a wheel, of its files when installed, and of what it needs beside NumPy.

    What it needs must be installed.
    """
    with zipfile.ZipFile(wheel) as archive:
        installed = sum(entry.file_size for entry in archive.infolist())
    needed = {name: package_size(name) for name in sorted(requirements(wheel))}
    return {
        "wheel": os.path.getsize(wheel),
        "installed": installed,
        "needed": {name: size for name, size in needed.items() if name != "numpy"},
    }


def requirements(wheel):
    """The names of the packages that a wheel demands, without those of its extras."""
    with zipfile.ZipFile(wheel) as archive:
        path = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        lines = archive.read(path).decode().splitlines()
    demands = [line.partition(":")[2].strip() for line in lines if line.startswith("Requires-Dist")]
    return [re.match(r"[\w.-]+", demand)[0] for demand in demands if "extra ==" not in demand]


def package_size(name):
    """Bytes of the files of an installed package."""
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        sys.exit(f"fastnn needs {name}, whose size is asked for: pip install {name}")
    paths = [file.locate() for file in files if file.suffix != ".pyc"]
    return sum(os.path.getsize(path) for path in paths if os.path.exists(path))
