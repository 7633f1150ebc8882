"""Who may import whom: the rules that keep the package readable, checked on its source.

What you say (layers, losses, ...) knows the ops; what it becomes (engine) knows both; what runs it
(backends) knows the plan only; the model and its training stand around them. And importing fastnn
loads no executor and nothing large.
"""

import ast
import functools
import pathlib
import re
import subprocess
import sys

import pytest

import fastnn
from fastnn import backends

ROOT = pathlib.Path(fastnn.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

DEFINITIONS = (
    "activations", "constraints", "initializers", "layers", "losses", "metrics", "optimizers",
    "regularizers",
)  # fmt: skip
ANYWHERE = ("config", "utils", "preparing")  # small things that everything but the ops may use
# The only modules that know an executor: those that run a model, the one that keeps its plans, and
# the command that prints what is installed.
CALLERS = ("training", "fitting", "forward", "executors", "__main__")


def module_of(path):
    parts = ["fastnn", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imports(tree, at_module_level=False):
    """(module, name or None) of each import; `from a import b` gives (a, b)."""
    skipped = set()
    if at_module_level:
        for node in ast.walk(tree):
            later = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            if later or typing:
                skipped.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the package, they are not relative"
            yield from ((node.module, alias.name) for alias in node.names)


@functools.cache
def parsed(module):
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def fastnn_imports(module, at_module_level=False):
    """The modules of fastnn that a module imports: `from fastnn import ops` is fastnn.ops."""
    found = set()
    for name, what in imports(parsed(module), at_module_level):
        if name.partition(".")[0] == "fastnn":
            full = f"{name}.{what}" if what else name
            while full not in MODULES:  # a class of a module, or a name of `fastnn.keras`
                full = full.rpartition(".")[0]
            found.add(full)
    return found


def inside(module, *parts):
    """Whether a module is one of these parts of fastnn, or lies in one."""
    return any(f"{module}.".startswith(f"fastnn.{part}.") for part in parts)


def in_part(*parts):
    return [module for module in MODULES if inside(module, *parts)]


def outside(modules, *allowed):
    """The imports of `modules` that lie in no allowed part of fastnn."""
    return sorted(
        f"{module} imports {other}"
        for module in modules
        for other in fastnn_imports(module)
        if not inside(other, *allowed)
    )


def test_the_source_is_found():
    assert {"fastnn", "fastnn.ops", "fastnn.engine.plan", "fastnn.backends.native"} <= set(MODULES)
    assert fastnn_imports("fastnn.engine.plan") == {"fastnn.ops.contract", "fastnn.ops.tensor"}
    assert "fastnn.backends" in fastnn_imports("fastnn.training")


def test_ops_import_numpy_and_ops():
    assert outside(in_part("ops"), "ops") == []
    for module in in_part("ops"):
        others = {name.partition(".")[0] for name, _ in imports(parsed(module))} - {"fastnn"}
        assert others - set(sys.stdlib_module_names) <= {"numpy"}, module


def test_definitions_import_ops_and_definitions():
    assert outside(in_part(*DEFINITIONS), *DEFINITIONS, *ANYWHERE, "ops") == []


def test_engine_imports_ops_and_definitions():
    assert outside(in_part("engine"), "engine", "ops", *DEFINITIONS, *ANYWHERE) == []


def test_backends_import_ops_and_the_plan():
    allowed = ("backends", "ops", "engine.plan", "engine.memory", "config")
    assert outside(in_part("backends"), *allowed) == []


def test_small_helpers_import_nothing_above_them():
    assert outside(in_part(*ANYWHERE), *ANYWHERE) == []
    assert outside(in_part("datasets"), "datasets", *ANYWHERE) == []


def test_only_training_calls_a_backend():
    callers = {
        module
        for module in MODULES
        if not inside(module, "backends")
        if any(inside(other, "backends") for other in fastnn_imports(module))
    }
    assert callers <= {f"fastnn.{name}" for name in CALLERS}
    assert "fastnn.training" in callers


def test_there_are_no_cycles():
    edges = {module: fastnn_imports(module, at_module_level=True) for module in MODULES}
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for other in sorted(edges[module]):
            # A package's own list of names is no dependency of the modules in it.
            if not (f"{module}.".startswith(f"{other}.") or other == "fastnn"):
                visit(other)
        path.pop()
        done.add(module)

    for module in MODULES:
        visit(module)
    assert done == set(MODULES)


def test_nothing_below_the_examples_imports_the_package_as_a_whole():
    whole = {module for module in MODULES if "fastnn" in fastnn_imports(module)}
    assert all(inside(module, "keras", "examples", "__main__") for module in whole)


# Packages that only those need who use a certain thing; imported when they do.
OPTIONAL = {
    "fastnn.callbacks.events": ["tensorboard"],
    "fastnn.callbacks.history": ["matplotlib"],
}


@pytest.mark.parametrize("module", MODULES)
def test_no_star_imports_and_nothing_but_the_declared_dependencies(module):
    names = list(imports(parsed(module)))
    assert not [name for name, what in names if what == "*"]
    others = {name.partition(".")[0] for name, _ in names} - set(sys.stdlib_module_names)
    assert others <= {"fastnn", "numpy", "tqdm", "safetensors", *OPTIONAL.get(module, ())}
    at_once = {name.partition(".")[0] for name, _ in imports(parsed(module), True)}
    assert not at_once & {package for packages in OPTIONAL.values() for package in packages}


def loaded_after(program):
    """The names in sys.modules after a program, in a process of its own."""
    code = f"{program}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


HEAVY = (
    "tqdm", "safetensors", "numba", "scipy", "torch", "pandas", "sklearn", "tensorboard",
    "matplotlib",
)  # fmt: skip
# Of the standard library, what takes milliseconds to load and few programs need.
SLOW = {"_hashlib", "html.entities", "http", "multiprocessing", "secrets", "socket", "tempfile"}
EXECUTORS = ("fastnn.backends.native", "fastnn.backends.reference")


def test_importing_fastnn_loads_no_executor_and_nothing_heavy():
    loaded = loaded_after("import fastnn, fastnn.keras")
    assert "fastnn.backends" in loaded
    assert not loaded & {*EXECUTORS, *HEAVY}
    assert not [name for name in loaded if "kernels_" in name]
    assert not (loaded - loaded_after("import numpy")) & SLOW


def test_an_executor_is_loaded_when_a_model_first_runs_and_only_the_one_it_uses():
    program = """
import os
os.environ.pop("FASTNN_BACKEND", None)
from fastnn import Sequential, layers
model = Sequential([layers.Dense(1, input_shape=(2,))])
model.compile("sgd", "mse", backend="reference")
"""
    assert not loaded_after(program) & {*EXECUTORS, *HEAVY}
    loaded = loaded_after(program + "model.fit([[1, 2]], [3], verbose=0)")
    assert loaded & {*EXECUTORS, *HEAVY} == {"fastnn.backends.reference"}
    if "native" in backends.available():
        compiled = "model.compile('sgd', 'mse')\nmodel.fit([[1, 2]], [3], verbose=0)"
        loaded = loaded_after(program + compiled)
        assert loaded & {*EXECUTORS, *HEAVY} == {"fastnn.backends.native"}
        assert len([name for name in loaded if ".kernels_" in name]) == 1  # one build of them


# --- Cython --------------------------------------------------------------------------------------

SOURCES = [p for suffix in ("pyx", "pxi", "pxd") for p in sorted(ROOT.rglob(f"*.{suffix}"))]


def declarations(text):
    """The cdef, cpdef and ctypedef statements with parentheses, each as one line."""
    found, statement = [], ""
    for line in re.sub(r"#.*", "", text).splitlines():
        if not statement and not re.match(r"\s*(cdef|cpdef|ctypedef)\b(?!\s+extern)", line):
            continue
        statement += f" {line.strip()}"
        if statement.count("(") == statement.count(")"):
            found += [statement] if "(" in statement else []
            statement = ""
    return found


def without_noexcept(text):
    return [
        statement
        for statement in declarations(text)
        if re.search(r"\bnogil\b", statement.rpartition(")")[2])
        and not re.search(r"\bnoexcept\b", statement.rpartition(")")[2])
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_nogil_function_is_noexcept(path):
    """Without it each call is followed by a check that needs the interpreter."""
    assert without_noexcept(path.read_text(encoding="utf-8")) == []


def test_that_check_sees_functions_and_their_faults():
    good = "cdef void f(int a) noexcept nogil:\n    pass\n"
    split = "cdef void f(int a,\n            int b) nogil:\n    pass\n"
    inline = "cdef inline real g(real x) nogil:  # noexcept\n    return x\n"
    method = "cdef class A:\n    cdef void run(self, int64_t first) nogil:\n        pass\n"
    pointer = "ctypedef void (*kernel)(void **p, const double *c) nogil\n"
    assert without_noexcept(good) == []
    for text in (split, inline, method, pointer):
        assert len(without_noexcept(good + text + good)) == 1, text
    everything = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    functions = [s for s in declarations(everything) if "nogil" in s]
    assert len(functions) == len(re.findall(r"\bnoexcept\s+nogil\b", everything)) > 50
