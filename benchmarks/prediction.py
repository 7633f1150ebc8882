"""What `predict` of a trained 784-128-10 network costs, for one row and for many.

`measure_predictions` starts one process per library and way of calling it, and lets them work by
turns; each answers CPU seconds per call, on one thread, and its largest error. A new library is one
function in PREDICTORS: it returns what turns rows into probabilities.
"""

import importlib.util
import sys
import time

import numpy as np

from benchmarks.harness import Answers, Worker, take_turns, use_cores

SIZES, ROWS = (784, 128, 10), (1, 10_000)
TOLERANCE = 1e-4  # of the probabilities
SECONDS = 0.05  # of one sample


def network():
    """The weights of a 784-128-10 network, and 10,000 rows for it."""
    rng = np.random.default_rng(0)
    weights = []
    for n_in, n_out in zip(SIZES, SIZES[1:]):
        weights += [rng.normal(0, n_in**-0.5, (n_in, n_out)), rng.normal(0, 0.1, n_out)]
    return [w.astype(np.float32) for w in weights], rng.random((10_000, 784), np.float32)


def right(weights, x):
    """The probabilities in float64."""
    w1, b1, w2, b2 = (w.astype(np.float64) for w in weights)
    z = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def fastnn_model(weights):
    import fastnn
    from fastnn.layers import Dense, Input

    fastnn.config.set_num_threads(1)
    model = fastnn.Sequential(
        [Input((784,)), Dense(128, activation="relu"), Dense(10, activation="softmax")]
    )
    model.set_weights(weights)
    return model


def fastnn_predict(weights):
    model = fastnn_model(weights)
    return lambda x: model.predict(x, verbose=0)


def fastnn_on_batch(weights):
    return fastnn_model(weights).predict_on_batch


def torch_in(mode):
    def make(weights):
        import torch
        from torch import nn

        torch.set_num_threads(1)
        net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10), nn.Softmax(1))
        with torch.no_grad():
            for parameter, value in zip(net.parameters(), weights):
                parameter.copy_(torch.from_numpy(value.T.copy()))
        without = getattr(torch, mode)

        def predict(x):
            with without():
                return net(x)

        predict.prepare = torch.from_numpy
        return predict

    return make


def onnxruntime_run(weights):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        onnx_model(weights).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda x: session.run(None, {"x": x})[0]


def onnx_model(weights):
    from onnx import TensorProto, checker, helper, numpy_helper

    steps = [
        ("Gemm", ["x", "w1", "b1"], "h"),
        ("Relu", ["h"], "a"),
        ("Gemm", ["a", "w2", "b2"], "z"),
        ("Softmax", ["z"], "y"),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output]) for kind, inputs, output in steps],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 784])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 10])],
        [numpy_helper.from_array(w, n) for w, n in zip(weights, ("w1", "b1", "w2", "b2"))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return model


def jax_jit(weights):
    import jax
    import jax.numpy as jnp

    @jax.jit
    def run(x, w1, b1, w2, b2):
        return jax.nn.softmax(jnp.maximum(x @ w1 + b1, 0) @ w2 + b2)

    weights = list(map(jnp.asarray, weights))
    predict = lambda x: run(x, *weights).block_until_ready()  # noqa: E731
    predict.prepare = jnp.asarray
    return predict


# Name of a way to predict -> (what must be installed, what makes it).
PREDICTORS = {
    "fastnn predict": (["fastnn"], fastnn_predict),
    "fastnn predict_on_batch": (["fastnn"], fastnn_on_batch),
    "torch no_grad": (["torch"], torch_in("no_grad")),
    "torch inference_mode": (["torch"], torch_in("inference_mode")),
    "onnxruntime": (["onnxruntime", "onnx"], onnxruntime_run),
    "jax jit": (["jax"], jax_jit),
}


def library_of(name):
    return name.partition(" ")[0]


def measure_predictions(repeats, libraries=None):
    """{rows: {name: {"version", "seconds" per call, "error", "wrong"}}} of what is installed."""
    names = [
        name
        for name, (needed, _) in PREDICTORS.items()
        if all(map(importlib.util.find_spec, needed))
        and (libraries is None or library_of(name) in libraries)
    ]
    figures = {}
    for rows in ROWS:
        workers = {name: Worker("prediction", (name, rows)) for name in names}
        figures[str(rows)] = {
            name: {
                "version": version,
                "seconds": [run["seconds"] for run in runs],
                "error": (error := max(run["error"] for run in runs)),
                "wrong": not error <= TOLERANCE,  # NaN: wrong
            }
            for name, (version, runs) in take_turns(workers, repeats).items()
        }
    return figures


def main(name, rows):
    answers = Answers()
    use_cores(1)
    weights, x = network()
    x = x[:rows].copy()
    predict = PREDICTORS[name][1](weights)
    given = getattr(predict, "prepare", np.asarray)(x)  # rows as the library likes them best
    want, times = right(weights, x), 1
    answers.write(version=importlib.import_module(library_of(name)).__version__)
    for _ in sys.stdin:
        while True:
            start = time.process_time()
            for _ in range(times):
                outputs = predict(given)
            seconds = time.process_time() - start
            if seconds > SECONDS:
                break
            times *= 2
        error = float(np.abs(np.asarray(outputs) - want).max())
        answers.write(seconds=seconds / times, error=error)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
