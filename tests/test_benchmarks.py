"""What a reader of benchmark figures relies on: floors, targets, and no figure for wrong work."""

import json
import pathlib
import sys
from functools import partial

import numpy as np
import pytest

import benchmarks
from benchmarks import report as readme
from benchmarks.machine import floor, level_of
from benchmarks.targets import check
from benchmarks.training import compare
from benchmarks.workloads import Workload

TARGETS = pathlib.Path(benchmarks.__file__).with_name("targets.json")

MACHINE = {
    "peak": 100.0,  # GFLOP/s
    "levels": {
        "L1": {"bytes": 1 << 15, "update": 200.0, "gather": 100.0},
        "L2": {"bytes": 1 << 20, "update": 50.0, "gather": 40.0},
        "memory": {"bytes": None, "update": 10.0, "gather": 5.0},
    },
}


def training(seconds, loss, digest="a"):
    return {"seconds": seconds, "wall": seconds, "losses": [loss] * len(seconds),
            "digests": [digest] * len(seconds), "memory": [1]}  # fmt: skip


def report(partial=False, **peers):
    results = {"fastnn": training([1.0, 2.0, 1.0], 0.5), **peers}
    compare(results)
    return {
        "partial": partial,
        "training": {"1": {"iris": {"peers": results, "floor": {"seconds": 0.5}}}},
    }


def verdicts(report, targets):
    lines, misses = check(report, targets)
    return [line.split()[-1] for line in lines[:-1]], misses


class TestFloor:
    def test_terms_by_hand(self):
        work = Workload("w", (20, 30, 10), 8, 3, lambda: None)
        terms = floor(work, 100, MACHINE)
        # Forward and the kernels' gradients of both layers, the inputs' of the second one.
        products = 2 * (20 * 30 + 30 * 10)
        assert terms["flops"] == 3 * 100 * (2 * products + 2 * 30 * 10)
        assert terms["products"] == pytest.approx(terms["flops"] / 100e9)
        # 13 batches an epoch, the last one shorter; 28 bytes for each of 940 parameters, in L1.
        assert terms["update"] == pytest.approx(3 * 13 * 28 * 940 / 200e9)
        assert terms["rows"] == pytest.approx(3 * 100 * 20 * 4 / 100e9)
        assert terms["seconds"] == pytest.approx(
            terms["products"] + terms["update"] + terms["rows"]
        )

    def test_sgd_has_no_moments(self):
        adam = Workload("w", (20, 30, 10), 8, 3, lambda: None)
        sgd = Workload("w", (20, 30, 10), 8, 3, lambda: None, "sgd")
        moved = [floor(w, 100, MACHINE)["update"] for w in (adam, sgd)]
        assert moved[0] / moved[1] == pytest.approx(28 / 12)

    def test_what_does_not_fit_lives_a_level_further(self):
        assert level_of(1 << 15, MACHINE["levels"]) == "L1"
        assert level_of((1 << 15) + 1, MACHINE["levels"]) == "L2"
        assert level_of(1 << 30, MACHINE["levels"]) == "memory"


class TestTargets:
    def test_hit_and_miss(self):
        found = report(torch=training([9.0, 18.0, 9.0], 0.5))
        assert verdicts(found, {"iris: x torch": ">= 9"}) == (["hit"], 0)
        assert verdicts(found, {"iris: x torch": "> 9"}) == (["MISS"], 1)
        assert verdicts(found, {"iris: time / floor": "<= 2"}) == (["hit"], 0)
        assert verdicts(found, {"iris: time / floor": "< 2"}) == (["MISS"], 1)

    @pytest.mark.parametrize("loss", [0.5 * 1.31, 0.5 / 1.31, np.nan])
    def test_other_work_is_a_miss_however_fast(self, loss):
        found = report(torch=training([100.0] * 3, loss))
        assert verdicts(found, {"iris: x torch": ">= 0"}) == (["MISS"], 1)

    def test_what_was_not_measured_is_a_miss(self):
        assert verdicts(report(), {"iris: x torch": ">= 1"}) == (["MEASURED"], 1)

    def test_what_was_left_out_on_request_is_none(self):
        assert verdicts(report(partial=True), {"iris: x torch": ">= 1"}) == ([], 0)

    def test_several_threads(self):
        one = training([4.0, 4.0], 0.5)
        found = report()
        for digest, same in (("a", "hit"), ("b", "MISS")):
            results = {
                "fastnn": training([2.0, 2.0], 0.5, digest),
                "torch": training([8.0, 8.0], 0.5),
                "jax": training([3.0, 3.0], 0.5),
                "fastnn, 1 thread": one,
            }
            compare(results)
            found["training"]["2"] = {"iris": {"peers": results, "floor": None}}
            targets = {
                "iris, 2 threads: same bits": ">= 1",
                "iris, 2 threads: x one thread": ">= 2",
                "iris, 2 threads: x best peer": "<= 1.5",
            }
            assert verdicts(found, targets)[0] == [same, "hit", "hit"]

    def test_a_wrong_prediction_is_a_miss(self):
        runs = {
            "fastnn predict": {"seconds": [1e-6], "wrong": False},
            "torch no_grad": {"seconds": [9e-6], "wrong": False},
            "torch inference_mode": {"seconds": [5e-6], "wrong": False},
        }
        found = {"partial": False, "prediction": {"1": runs}}
        assert verdicts(found, {"predict 1: x torch": "<= 5.01"}) == (["hit"], 0)  # the best way
        runs["fastnn predict"]["wrong"] = True
        assert verdicts(found, {"predict 1: us": "< 8"}) == (["MISS"], 1)

    def test_the_targets_of_the_project_can_be_read(self):
        lines, misses = check(report(), json.loads(TARGETS.read_text()))
        assert len(lines) == misses + 1 or "hit" in "".join(lines)


class TestBench:
    """A step that is timed alone."""

    @pytest.fixture
    def steps(self):
        return pytest.importorskip(
            "benchmarks.steps", reason="there are no native kernels", exc_type=ImportError
        )

    @pytest.fixture
    def bench(self, steps):
        rng = np.random.default_rng(0)
        x, w = rng.standard_normal((5, 7), np.float32), rng.standard_normal((7, 3), np.float32)
        isa = steps.native.isas()[0]
        return partial(steps.Bench, "linear", [x, w, None], isa, (1,), activation="linear")

    def test_a_right_kernel_has_a_time(self, bench):
        assert np.isfinite(bench().sample())

    def test_a_wrong_kernel_is_not_timed(self, steps, bench, monkeypatch):
        op = steps.registry()["linear"]
        define = op.define
        monkeypatch.setattr(op, "define", lambda *given, **attrs: define(*given, **attrs) + 1e-3)
        with pytest.raises(steps.WrongResult, match="linear"):
            bench()


class TestReadme:
    @pytest.fixture
    def whole(self):
        """A report of a run of all parts."""
        two = {
            "fastnn": training([2e-3], 0.5),
            "torch": training([8e-3], 0.5),
            "fastnn, 1 thread": training([3e-3], 0.5),
        }
        compare(two)
        found = report(torch=training([9.0] * 3, 0.5), jax=training([1.0] * 3, 5.0))
        found["training"]["2"] = {"iris": {"peers": two, "floor": None}}
        for workloads in found["training"].values():
            for result in workloads["iris"]["peers"].values():
                result["version"] = "7.8"
        run = {"seconds": [5e-6], "wrong": False, "version": "7.8"}
        seconds = {"v4": 1e-6}
        return found | {
            "repeats": 5,
            "commit": "abc",
            "machine": {"processor": "Abacus", "cores": 2, "system": "Linux", "python": "3.11",
                        "numpy": "2.0"},
            "limits": MACHINE,
            "prediction": {"1": {"fastnn predict": run, "torch no_grad": run | {"wrong": True}}},
            "startup": {"import numpy": [0.1], "import fastnn": [0.14]},
            "products": {"v4": {"peak": 100.0, "rows": [
                {"m": 99, "k": 99, "n": 999, "form": "NN", "flops": 2e7, "fastnn": 1e-5,
                 "numpy": 2e-5}]}},
            "kernels": [{"kernel": "sgd", "elements": 9, "bytes": 108, "flops": 18, "floor": 1e-9,
                         "seconds": seconds}],
        }  # fmt: skip

    def test_the_part_between_the_markers_is_replaced(self, whole, tmp_path, monkeypatch):
        for name in ("draw_training", "draw_roofline"):
            monkeypatch.setattr(readme, name, lambda report, path: None)
        path = tmp_path / "README.md"
        path.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
        readme.write(whole, path)
        text = path.read_text()
        assert text.startswith(f"before\n{readme.BEGIN}\n") and text.endswith("\nafter\n")
        assert "old" not in text
        assert "| iris | 1,000 | 2 | 9 | wrong |" in text  # 1 thread; JAX learned something else
        assert "| iris | 2 | 1.5 | 4 |" in text  # 2 threads
        assert "| PyTorch no_grad | wrong |" in text
        for stated in (
            "Abacus",
            "2 cores",
            "Python 3.11",
            "NumPy 2.0",
            "PyTorch 7.8",
            "commit abc",
        ):
            assert stated in text
        readme.write(whole, path)
        assert path.read_text() == text

    @pytest.mark.long
    @pytest.mark.parametrize("name", ["draw_training", "draw_roofline"])
    def test_the_same_figures_make_the_same_picture(self, whole, name, tmp_path):
        pytest.importorskip("matplotlib", reason="pictures need Matplotlib")
        paths = tmp_path / "1.svg", tmp_path / "2.svg"
        for path in paths:
            getattr(readme, name)(whole, path)
        assert paths[0].read_bytes() == paths[1].read_bytes()

    def test_pictures_without_matplotlib(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(SystemExit, match="pip install matplotlib"):
            readme.plotting()

    def test_a_part_that_was_not_run_is_an_error(self, whole):
        del whole["kernels"]
        with pytest.raises(SystemExit, match="missing: kernels"):
            readme.write(whole)
