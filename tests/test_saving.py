"""Models to files and back: the loaded one predicts and goes on training bit for bit."""

import copy
import json
import pathlib
import pickle

import numpy as np
import pytest
from api_tools import LABELS, X, Y, assert_same

import fastnn
from fastnn import (
    Input,
    Model,
    ModelFileError,
    Sequential,
    activations,
    initializers,
    load_model,
    ops,
    optimizers,
    saving,
    utils,
)
from fastnn.layers import (
    Add,
    BatchNormalization,
    Concatenate,
    Dense,
    Dropout,
    Layer,
    LayerNormalization,
    Normalization,
)
from fastnn.utils import as_list


def classifier(optimizer="adam", **settings):
    """A network with everything that training has a state for."""
    model = Sequential(
        [Dense(8, activation="relu", input_shape=(4,)), Dropout(0.25), Dense(3, "softmax")]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **settings)
    return model


def trained(*args, **settings):
    model = classifier(*args, **settings)
    model.fit(X, LABELS, batch_size=8, epochs=2, verbose=0)
    return model


def goes_on_alike(first, *others):
    """Both train on with equal losses, metrics and weights."""
    fits = [m.fit(X, LABELS, batch_size=8, epochs=3, verbose=0) for m in (first, *others)]
    for fit, model in zip(fits[1:], others, strict=True):
        assert fit.history == fits[0].history
        assert_same(model.get_weights(), first.get_weights())


def saved_and_loaded(model, folder, **kwargs):
    path = folder / "model.fastnn"
    model.save(path)
    return load_model(path, **kwargs)


def test_a_loaded_model_is_the_same_and_trains_on_bit_for_bit(tmp_path, backend, dtype):
    model = trained()
    again = saved_and_loaded(model, tmp_path)
    assert_same(again.get_weights(), model.get_weights())
    assert_same([again.predict(X)], [model.predict(X)])
    assert again.get_weights()[0].dtype == dtype
    assert again.evaluate(X, LABELS) == model.evaluate(X, LABELS)
    assert again.to_json() == model.to_json()
    again.save(tmp_path / "again.fastnn")
    assert (tmp_path / "again.fastnn").read_bytes() == (tmp_path / "model.fastnn").read_bytes()
    goes_on_alike(model, again)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copied_or_pickled_model_trains_on_bit_for_bit(backend, copied):
    model = trained()
    again = copied(model)
    assert not np.shares_memory(again.layers[0].kernel.value, model.layers[0].kernel.value)
    goes_on_alike(model, again, copied(again))


def test_a_schedule_goes_on_where_it_was(tmp_path):
    schedule = optimizers.schedules.InverseTimeDecay(0.1, 10, 0.5)
    model = trained(optimizers.SGD(schedule, momentum=0.5))
    again = saved_and_loaded(model, tmp_path)
    assert again.optimizer.iterations == model.optimizer.iterations == 14
    assert again.optimizer.learning_rate == model.optimizer.learning_rate
    goes_on_alike(model, again)


def test_a_model_saved_before_training_begins_as_the_other(tmp_path, backend):
    model = classifier()
    goes_on_alike(model, saved_and_loaded(model, tmp_path))


def test_weights_alone(tmp_path):
    model, other = trained(), classifier()
    path = tmp_path / "model.weights.fastnn"
    model.save_weights(path)
    other.load_weights(path)
    assert_same(other.get_weights(), model.get_weights())
    with pytest.raises(ModelFileError, match="holds weights only.*load_weights"):
        load_model(path)
    model.save(tmp_path / "whole.fastnn")
    third = classifier()
    third.load_weights(tmp_path / "whole.fastnn")
    assert_same(third.get_weights(), model.get_weights())


def test_weights_of_another_shape_are_refused_or_skipped(tmp_path):
    path = tmp_path / "model.weights.fastnn"
    model = trained()
    model.save_weights(path)
    other = Sequential([Dense(8, input_shape=(4,)), Dense(5)])
    before = other.get_weights()
    with pytest.raises(ModelFileError, match=r"dense_1/kernel.*\(8, 3\).*dense_1/kernel.*\(8, 5\)"):
        other.load_weights(path)
    assert_same(other.get_weights(), before)
    with pytest.warns(UserWarning, match="no weights that fit dense_1/kernel, dense_1/bias"):
        other.load_weights(path, skip_mismatch=True)
    assert_same(other.get_weights(), [*model.get_weights()[:2], *before[2:]])
    third = Sequential([Dense(8, input_shape=(4,)), Dense(8, name="new"), Dense(3, name="dense_1")])
    with pytest.raises(ModelFileError, match="it has 4 weights, the model has 6"):
        third.load_weights(path)
    with pytest.warns(UserWarning, match="no weights that fit new/kernel, new/bias;"):
        third.load_weights(path, skip_mismatch=True)
    assert_same(third.get_weights()[:2] + third.get_weights()[4:], model.get_weights())


def test_the_architecture_as_json():
    model = classifier()
    text = model.to_json(indent=1)
    assert json.loads(text)["config"]["layers"][0]["config"]["units"] == 8
    again = saving.model_from_json(text)
    assert again.to_json(indent=1) == text
    assert [w.shape for w in again.get_weights()] == [w.shape for w in model.get_weights()]
    with pytest.raises(ModelFileError, match="no JSON"):
        saving.model_from_json(text[:-3])
    with pytest.raises(ModelFileError, match="unknown model class 'Keras'"):
        saving.model_from_json('{"class_name": "Keras", "config": {}}')


def test_without_compiling(tmp_path):
    model = trained()
    again = saved_and_loaded(model, tmp_path, compile=False)
    assert again.optimizer is None
    assert_same([again.predict(X)], [model.predict(X)])


def test_a_model_that_is_built_by_its_data(tmp_path):
    model = Sequential([Dense(2)])
    with pytest.raises(ValueError, match=r"save: .* not built yet.*input_shape"):
        model.save(tmp_path / "model.fastnn")
    assert not copy.deepcopy(model).built
    model.build((None, 4))
    again = saved_and_loaded(model, tmp_path)
    assert again.input_shape == (None, 4)
    assert_same([again.predict(X)], [model.predict(X)])


def test_frozen_layers_stay_frozen(tmp_path, backend):
    model = trained()
    model.layers[0].trainable = False
    again = saved_and_loaded(model, tmp_path)
    assert not again.layers[0].trainable
    assert len(again.trainable_variables) == 2
    goes_on_alike(model, again)
    model.layers[0].trainable = again.layers[0].trainable = True
    goes_on_alike(model, again)


# --- kinds of models ---

A, B = X[:, :3], X[:, 2:]


def several():
    """Two inputs, a layer that is used three times, states, two outputs with losses by name."""
    a, b = Input((3,), name="a"), Input((2,), name="b")
    hidden = BatchNormalization()(Dense(4, "tanh")(Concatenate()([a, b])))
    shared = Dense(4, name="shared")
    left = Dense(2, name="left")(Add()([shared(hidden), shared(shared(hidden))]))
    right = Dense(3, "softmax", name="right")(Dropout(0.2)(hidden))
    model = Model([a, b], [left, right])
    model.compile(
        "adam",
        {"left": "mse", "right": "sparse_categorical_crossentropy"},
        loss_weights={"left": 0.5},
        metrics={"right": ["accuracy"]},
    )
    return model, [A, B], [Y, LABELS]


def nested():
    """A model as a layer, used twice, in a model as a layer; names of weights that are equal."""
    inner = Sequential([Dense(4, "relu", input_shape=(3,)), Dense(3)], name="inner")
    x = Input((3,))
    middle = Model(x, Dense(4)(inner(inner(x))), name="middle")
    model = Sequential([middle, Dense(2)])
    model.compile("rmsprop", "mse")
    return model, A, Y


class Own(Model):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden, self.normal = Dense(units, "relu"), BatchNormalization()
        self.outs, self.add = [Dense(2), Dense(2)], Add()

    def call(self, inputs, training=False):
        hidden = self.normal(self.hidden(inputs), training=training)
        return self.add([out(hidden) for out in self.outs])


def own():
    model = Own(5)
    model.compile("nadam", "mse")
    return model, A, Y


class OwnOfTwo(Model):
    def __init__(self):
        super().__init__()
        self.join, self.out = Concatenate(), Dense(2)

    def call(self, inputs):
        return self.out(self.join([inputs["a"], inputs["b"]]))


def own_of_two():
    model = OwnOfTwo()
    model.compile("sgd", "mse")
    return model, {"a": A, "b": B}, Y


def normalized():
    normalization = Normalization()
    normalization.adapt(A)
    model = Sequential(
        [normalization, LayerNormalization(), Dense(2, kernel_constraint="max_norm")]
    )
    model.compile(optimizers.AdamW(clipnorm=1.0), "huber")
    return model, A, Y


@pytest.mark.parametrize("make", [several, nested, own, own_of_two, normalized])
def test_kinds_of_models(make, tmp_path, backend, dtype):
    model, x, y = make()
    model.fit(x, y, epochs=2, verbose=0)
    again = saved_and_loaded(model, tmp_path, custom_objects={"Own": Own, "OwnOfTwo": OwnOfTwo})
    others = [again, copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    assert type(again) is type(model)
    assert [v.path for v in again.variables] == [v.path for v in model.variables]
    assert again.get_weights()[0].dtype == dtype
    for other in others:
        for a, b in zip(as_list(other.predict(x)), as_list(model.predict(x)), strict=True):
            np.testing.assert_array_equal(a, b)
    fits = [m.fit(x, y, batch_size=8, epochs=2, verbose=0) for m in (model, *others)]
    for fit, other in zip(fits[1:], others, strict=True):
        assert fit.history == fits[0].history
        assert_same(other.get_weights(), model.get_weights())


def test_a_model_that_shares_layers_with_another(tmp_path, backend):
    """The copy has layers of its own; the other model is not touched."""
    x = Input((4,))
    shared = Dense(5, "tanh")(x)
    one, other = Model(x, Dense(2)(shared)), Model(x, Dense(3)(shared))
    one.compile("adam", "mse")
    one.fit(X, Y, verbose=0)
    other.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    again = copy.deepcopy(one)
    before = other.get_weights()
    fit = again.fit(X, Y, epochs=2, verbose=0)
    assert_same(other.get_weights(), before)
    assert one.fit(X, Y, epochs=2, verbose=0).history == fit.history
    assert_same(again.get_weights(), one.get_weights())
    assert len(other.get_weights()) == 4
    assert_same(saved_and_loaded(other, tmp_path).get_weights(), other.get_weights())


# --- what the user has written himself ---


class Doubled(Layer):
    """A layer of a user, with an argument and a weight."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.shift = self.add_weight((input_shape[-1],), "ones", name="shift")

    def call(self, inputs):
        return ops.affine(inputs, self.factor, 0.5)


class Sevens(initializers.Initializer):
    def __call__(self, shape, dtype="float32"):
        return np.full(shape, 7, dtype)


def own_activation(x):
    return activations.tanh(x)


def own_model():
    layers = [
        Dense(4, own_activation, kernel_initializer=Sevens(), input_shape=(4,)),
        Doubled(2.0),
        Dense(3),
    ]
    return Sequential(layers)


OWN = {"Doubled": Doubled, "Sevens": Sevens, "own_activation": own_activation}


def test_classes_and_functions_of_the_user(tmp_path):
    model = own_model()
    path = tmp_path / "model.fastnn"
    model.save(path)
    needed = "bring them with custom_objects={'Doubled': Doubled, 'Sevens': Sevens, 'own_activ"
    with pytest.raises(ModelFileError, match=needed):
        load_model(path)
    with pytest.raises(ModelFileError, match="custom_objects={'Sevens': Sevens}$"):
        load_model(path, {"Doubled": Doubled, "own_activation": own_activation})
    again = load_model(path, custom_objects=OWN)
    assert isinstance(again.layers[1], Doubled)
    assert again.layers[1].factor == 2.0
    assert_same([again.predict(X)], [model.predict(X)])
    with utils.custom_object_scope(OWN):
        assert_same([load_model(path).predict(X)], [model.predict(X)])
    assert_same([copy.deepcopy(model).predict(X)], [model.predict(X)])
    assert_same([pickle.loads(pickle.dumps(model)).predict(X)], [model.predict(X)])
    text = model.to_json()
    assert saving.model_from_json(text, OWN).to_json() == text


def test_what_no_file_can_know_is_refused(tmp_path):
    path = tmp_path / "model.fastnn"
    model = Sequential([Dense(3, lambda x: activations.relu(x), input_shape=(4,))])
    with pytest.raises(TypeError, match="<lambda> has no name that load_model could know"):
        model.save(path)
    assert_same([copy.deepcopy(model).predict(X)], [model.predict(X)])
    model.save_weights(path)

    def own_activation(x):
        return activations.relu(x)

    twice = own_model()
    twice.add(Dense(2, own_activation))
    with pytest.raises(ValueError, match="two different .* are called 'own_activation'"):
        twice.save(path)


def test_an_own_class_that_is_called_as_one_of_ours(tmp_path):
    class Dense(Doubled):
        pass

    model = Sequential([Dense(3.0, input_shape=(4,))])
    model.save(tmp_path / "model.fastnn")
    with pytest.raises(ModelFileError, match="custom_objects={'Dense': Dense}"):
        load_model(tmp_path / "model.fastnn")
    again = load_model(tmp_path / "model.fastnn", {"Dense": Dense})
    assert_same([again.predict(X)], [model.predict(X)])


def test_names_that_no_file_can_have(tmp_path):
    model = classifier()
    for suffix in (".keras", ".h5"):
        with pytest.raises(ValueError, match=f"{suffix} files are Keras'"):
            model.save(tmp_path / f"model{suffix}")
        with pytest.raises(ValueError, match=f"{suffix} files are Keras'"):
            load_model(tmp_path / f"model{suffix}")
    with pytest.raises(ValueError, match=r"must end in \.fastnn"):
        model.save(tmp_path / "model")
    with pytest.raises(TypeError, match="a path is expected"):
        model.save(3)
    (tmp_path / "folder.fastnn").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        model.save(tmp_path / "folder.fastnn")
    with pytest.raises(FileNotFoundError, match="the folder .*nowhere does not exist"):
        model.save(tmp_path / "nowhere" / "model.fastnn")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_model(tmp_path / "nowhere.fastnn")
    with pytest.raises(ModelFileError, match="is no file"):
        load_model(tmp_path / "folder.fastnn")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.fastnn"]


def test_an_existing_file_is_overwritten_only_if_that_is_wanted(tmp_path):
    path = tmp_path / "model.fastnn"
    model = classifier()
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="exists already.*overwrite=True"):
        trained().save(path, overwrite=False)
    assert path.read_bytes() == before
    trained().save(path)
    assert path.read_bytes() != before


def test_the_version_stands_in_one_place():
    text = (pathlib.Path(fastnn.__file__).parent.parent / "pyproject.toml").read_text()
    assert f'version = "{fastnn.__version__}"' in text


class Narrow(Model):
    """A graph that its own constructor makes, which takes no inputs and outputs."""

    def __init__(self, units, **kwargs):
        x = Input((4,))
        super().__init__(x, Dense(units, "tanh")(x), **kwargs)
        self.units = units


def test_a_graph_that_an_own_class_makes(tmp_path):
    model = Narrow(3, name="narrow")
    model.save(tmp_path / "m.fastnn")
    again = load_model(tmp_path / "m.fastnn", custom_objects={"Narrow": Narrow})
    assert (type(again), again.units, again.name) == (Narrow, 3, "narrow")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_a_graph_without_layers(tmp_path):
    x = Input((4,))
    Model(x, x).save(tmp_path / "m.fastnn")
    np.testing.assert_array_equal(load_model(tmp_path / "m.fastnn").predict(X), np.float32(X))
