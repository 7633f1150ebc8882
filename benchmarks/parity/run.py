"""Runs a case in a library and returns its figures: dictionaries of lists of numbers."""

from typing import Any

import numpy as np

from benchmarks.parity.description import Draw, Graph, Rates, Training, Values, make

QUANTILES = (0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1)


def run(case: Any, library: Any) -> dict[str, Any]:
    """The figures of a case; `library` is the module `keras`, or `fastnn.keras`."""
    if isinstance(case, Training):
        return training(case, library)
    if isinstance(case, Values):
        arrays = case.arrays if isinstance(case.arrays, tuple) else (case.arrays,)
        return {"values": plain(make(case.function, library)(*arrays, **case.settings))}
    if isinstance(case, Rates):
        schedule = make(case.schedule, library)
        return {"rates": [plain(schedule(step)) for step in range(case.steps)]}
    return draw(case, library)


def training(case: Training, library: Any) -> dict[str, Any]:
    model = network(case.network, library)
    if case.adapt:
        for layer in model.layers:
            if hasattr(layer, "adapt"):
                layer.adapt(case.x)
    learners = [
        layer
        for layer in model.layers
        if layer.get_weights() and type(layer).__name__ != "Normalization"
    ]
    for number, layer in enumerate(learners):
        layer.set_weights(weights_like(layer.get_weights(), number))
    model.compile(
        optimizer=make(case.optimizer, library),
        loss=make(case.loss, library),
        **make(case.settings, library),
    )
    figures: dict[str, Any] = {}
    if case.epochs:
        settings = {"shuffle": False, "verbose": 0, "epochs": case.epochs} | case.fit
        if isinstance(case.x, (np.ndarray, list, dict)):
            settings["batch_size"] = case.batch_size
        figures["history"] = plain(model.fit(case.x, case.y, **settings).history)
        figures["weights"] = plain([w for layer in learners for w in layer.get_weights()])
    figures["evaluate"] = plain(
        model.evaluate(case.x, case.y, batch_size=case.batch_size, verbose=0, return_dict=True)
    )
    figures["predict"] = plain(model.predict(rows(case.x, 3), verbose=0))
    return figures


def network(description: Any, library: Any) -> Any:
    if not isinstance(description, Graph):
        return library.Sequential(make(description, library))
    known = {
        name: library.Input(shape=shape, name=name) for name, shape in description.inputs.items()
    }
    inputs = list(known.values())
    made: dict[int, Any] = {}  # a layer that is called twice is one layer
    for name, (layer, given) in description.nodes.items():
        if id(layer) not in made:
            made[id(layer)] = make(layer, library)
        given = [known[g] for g in given] if isinstance(given, list) else known[given]
        known[name] = made[id(layer)](given)
    outputs = [known[name] for name in description.outputs]
    return library.Model(inputs, outputs if len(outputs) > 1 else outputs[0])


def weights_like(weights: list[Any], seed: int) -> list[np.ndarray]:
    """Weights to start from, the same in both libraries.

    Vectors are positive, since some of them are variances.
    """
    rng = np.random.default_rng(seed)
    return [
        rng.normal(size=w.shape) / np.sqrt(w.shape[0])
        if w.ndim > 1
        else np.abs(rng.uniform(0.05, 0.6, w.shape)).astype(w.dtype)
        for w in weights
    ]


def draw(case: Draw, library: Any) -> dict[str, Any]:
    values = array(make(case.initializer, library)(case.shape)).astype(np.float64)
    if case.exact:
        return {"values": plain(values)}
    facts = {
        "mean": float(values.mean()),
        "deviation": float(values.std()),
        "quantiles": plain(np.quantile(values, QUANTILES)),
    }
    if case.initializer.name.path == "initializers.Orthogonal":
        columns = values.reshape(-1, case.shape[-1])
        if columns.shape[0] < columns.shape[1]:
            columns = columns.T
        facts["products"] = plain((columns.T @ columns)[:3, :3])
    return facts


def rows(x: Any, n: int) -> Any:
    if isinstance(x, dict):
        return {key: v[:n] for key, v in x.items()}
    return [v[:n] for v in x] if isinstance(x, list) else x[:n]


def array(value: Any) -> np.ndarray:
    """An array of any library as NumPy's."""
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    return np.asarray(value)


def plain(value: Any) -> Any:
    """`value` as lists and dictionaries of floats, to 13 digits."""
    if isinstance(value, dict):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    value = array(value).astype(np.float64).tolist()
    if isinstance(value, list):
        return plain(value)
    return float(f"{value:.13g}")
