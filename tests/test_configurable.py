"""Objects are described by the arguments that make them, and made again from the description."""

import json

import pytest

from fastnn import initializers, layers, optimizers, regularizers, utils


def test_a_layer_is_made_again_from_its_config():
    layer = layers.Dense(
        3, "relu", kernel_regularizer=regularizers.L2(0.5), input_shape=(4,), name="first"
    )
    config = json.loads(json.dumps(layer.get_config()))
    again = layers.Dense.from_config(config)
    assert again.get_config() == layer.get_config()
    assert (again.units, again.name, again.batch_shape) == (3, "first", (None, 4))
    assert again.kernel_regularizer.l2 == 0.5


def test_a_description_is_accepted_where_a_name_is():
    described = utils.describe(optimizers.SGD(0.5, momentum=0.25))
    again = optimizers.get(described)
    assert isinstance(again, optimizers.SGD)
    assert (again.learning_rate, again.momentum) == (0.5, 0.25)


class Sevens(initializers.Initializer):
    def __call__(self, shape, dtype="float32"):
        return initializers.Constant(7.0)(shape, dtype)


def test_own_classes_are_known_inside_a_scope_only():
    described = utils.describe(Sevens())
    with utils.custom_object_scope({"Sevens": Sevens}):
        assert isinstance(initializers.get(described), Sevens)
        assert isinstance(initializers.get("Sevens"), Sevens)
    with pytest.raises(ValueError, match="unknown initializer 'Sevens'"):
        initializers.get(described)


def test_what_cannot_be_written_down_is_refused():
    with pytest.raises(TypeError, match="cannot be written down"):
        utils.describe(object())
