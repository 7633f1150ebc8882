"""Wrong definitions of ops, each a mistake that somebody could make; the oracle must find all.

`MISTAKES` maps "op: mistake" to a function with the signature of the op's definition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.ops import ACTIVATIONS, LOSSES, registry

MISTAKES: dict[str, tuple[str, Callable[..., Any]]] = {}


def right(op: str, *inputs: Any, **attrs: Any) -> Any:
    """What the op really is."""
    return registry()[op].define(*inputs, **attrs)


def mistake_in(op: str) -> Callable[[Any], Any]:
    def add(define: Callable[..., Any]) -> Callable[..., Any]:
        MISTAKES[f"{op}: {define.__name__}"] = op, define
        return define

    return add


# --- functions of numbers ------------------------------------------------------------------------


@mistake_in("activation")
def dead_relu(x, **attrs):
    return np.zeros_like(x) if attrs["activation"] == "relu" else right("activation", x, **attrs)


@mistake_in("activation")
def parameters_ignored(x, activation, parameters=()):
    return right("activation", x, activation=activation)


@mistake_in("activation")
def leaking_relu(x, **attrs):
    y = right("activation", x, **attrs)
    return np.where(x < 0, 1e-3 * x, y) if attrs["activation"] == "relu" else y


@mistake_in("activation")
def whole_vectors_only(x, **attrs):
    y = right("activation", x, **attrs).reshape(-1).copy()
    y[len(y) // 8 * 8 :] = np.nan  # where the kernel left things as they were
    return y.reshape(x.shape)


@mistake_in("activation")
def the_other_gelu(x, **attrs):
    if attrs["activation"] == "gelu":
        attrs["activation"] = "gelu_tanh"
    return right("activation", x, **attrs)


@mistake_in("activation_backward")
def slope_of_relu_at_0(dy, saved, **attrs):
    dx = right("activation_backward", dy, saved, **attrs)
    return np.where(saved == 0, dy, dx) if attrs["activation"] == "relu" else dx


@mistake_in("activation_backward")
def default_parameters(dy, saved, activation, parameters=()):
    return right("activation_backward", dy, saved, activation=activation)


@mistake_in("activation_backward")
def arguments_swapped(dy, saved, **attrs):
    return right("activation_backward", saved, dy, **attrs)


@mistake_in("softmax")
def not_shifted(x):
    e = np.exp(x)
    return e / e.sum(-1, keepdims=True)


@mistake_in("softmax")
def over_another_axis(x):
    return right("softmax", x.T).T


@mistake_in("softmax_backward")
def diagonal_only(dy, y):
    return dy * y


@mistake_in("log_softmax")
def logarithm_of_each_alone(x):
    return np.log(np.exp(x) / (1 + np.exp(x)))


@mistake_in("log_softmax_backward")
def as_if_it_were_softmax(dy, y):
    return right("softmax_backward", dy, np.exp(y))


@mistake_in("unary")
def exp_off_by_a_thousandth(x, function):
    y = right("unary", x, function=function)
    return y * x.dtype.type(1.001) if function == "exp" else y


@mistake_in("affine")
def offset_left_out(x, factor, offset):
    return right("affine", x, factor=factor, offset=0.0)


@mistake_in("binary")
def operands_swapped(a, b, function):
    return right("binary", b, a, function=function)


@mistake_in("binary_number")
def always_first(x, function, value, first):
    return right("binary_number", x, function=function, value=value, first=True)


@mistake_in("binary_number")
def power_of_the_size(x, function, **attrs):
    x = np.abs(x) if function == "power" else x
    return right("binary_number", x, function=function, **attrs)


@mistake_in("where")
def condition_turned_round(condition, a, b):
    return right("where", condition, b, a)


@mistake_in("where")
def only_1_is_true(condition, a, b):
    return np.where(condition == 1, a, b)


# --- products and sums ---------------------------------------------------------------------------


@mistake_in("matmul")
def last_product_left_out(a, b, transpose_a, transpose_b):
    if transpose_a or transpose_b:
        return right("matmul", a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    return a[..., :-1] @ b[:-1]


@mistake_in("matmul")
def short_floats(a, b, **attrs):
    """Rounded to 10 bits, as in some hardware."""
    short = (x.astype(np.float16).astype(x.dtype) for x in (a, b))
    return right("matmul", *short, **attrs)


@mistake_in("linear")
def weights_transposed(x, w, b, **attrs):
    return right("linear", x, w.T.reshape(w.shape), b, **attrs)


@mistake_in("linear")
def no_bias_in_the_last_column(x, w, b, **attrs):
    if b is not None:
        b = np.append(b[:-1], b.dtype.type(0))
    return right("linear", x, w, b, **attrs)


@mistake_in("linear")
def bias_after_the_activation(x, w, b, **attrs):
    return ACTIVATIONS[attrs["activation"]].y(x @ w, attrs["parameters"]) + (0 if b is None else b)


@mistake_in("linear_dx")
def weights_not_transposed(dy, w, saved, **attrs):
    return right("linear_dx", dy, w.T.reshape(w.shape), saved, **attrs)


@mistake_in("linear_dx")
def activation_left_out(dy, w, saved, **attrs):
    return dy @ w.T


@mistake_in("linear_dw")
def mean_over_rows(x, dy):
    return tuple(g / len(x) for g in right("linear_dw", x, dy))


@mistake_in("linear_dw")
def last_row_missing_in_db(x, dy):
    dw, db = right("linear_dw", x, dy)
    return dw, db - dy.reshape(-1, dy.shape[-1])[-1]


@mistake_in("reduce")
def maximum_from_0(x, function, axes, keepdims):
    y = right("reduce", x, function=function, axes=axes, keepdims=keepdims)
    return np.maximum(y, 0) if function == "max" else y


@mistake_in("reduce")
def mean_over_the_capacity(x, function, axes, keepdims):
    y = right("reduce", x, function=function, axes=axes, keepdims=keepdims)
    return y * x.dtype.type(len(x) / (len(x) + 3)) if function == "mean" and 0 in axes else y


# --- moving data ---------------------------------------------------------------------------------


@mistake_in("copy")
def rows_reversed(x):
    return x[::-1] if x.ndim else -x


@mistake_in("broadcast")
def first_value_everywhere(x, like):
    return np.full(like.shape, x.reshape(-1)[0])


@mistake_in("transpose")
def bytes_as_they_are(x, axes):
    return x.reshape([x.shape[i] for i in axes])


@mistake_in("slice")
def one_too_early(x, slices):
    return right("slice", np.roll(x, 1, -1), slices=slices)


@mistake_in("unslice")
def rest_not_cleared(x, slices, shape):
    inside = right("unslice", np.ones_like(x), slices=slices, shape=shape) == 1
    y = right("unslice", x, slices=slices, shape=shape)
    return np.where(inside, y, np.nan) if y.dtype.kind == "f" else y


@mistake_in("take_rows")
def last_rows(state, like):
    return state[-len(like) :]


@mistake_in("concatenate")
def wrong_order(*x, axis):
    return np.concatenate(x[::-1], axis=axis)


@mistake_in("gather")
def next_id(table, ids):
    return table[(ids + 1) % len(table)]


@mistake_in("scatter_add")
def equal_ids_not_added(x, ids, shape):
    y = np.zeros(shape, x.dtype)
    y[ids] = x
    return y


@mistake_in("assign")
def rest_of_the_state_cleared(state, x):
    return np.concatenate([x, np.zeros_like(state[len(x) :])])


# --- losses and metrics --------------------------------------------------------------------------


@mistake_in("elementwise_loss")
def weights_ignored(p, t, weight, **attrs):
    return right("elementwise_loss", p, t, None, **attrs)


@mistake_in("elementwise_loss")
def weight_of_another_row(p, t, weight, **attrs):
    weight = None if weight is None else np.roll(weight, 1)
    return right("elementwise_loss", p, t, weight, **attrs)


@mistake_in("elementwise_loss_backward")
def gradient_swapped(p, t, weight, scale, **attrs):
    return right("elementwise_loss_backward", t, p, weight, scale, **attrs)


@mistake_in("elementwise_loss_backward")
def factor_2_missing(p, t, weight, scale, **attrs):
    dp = right("elementwise_loss_backward", p, t, weight, scale, **attrs)
    return dp / 2 if attrs["function"] == "squared_error" else dp


@mistake_in("elementwise_loss_backward")
def scale_left_out(p, t, weight, scale, **attrs):
    return right("elementwise_loss_backward", p, t, weight, np.ones(1), **attrs)


@mistake_in("elementwise_loss")
def parameters_of_keras_only(p, t, weight, function, parameters):
    return right("elementwise_loss", p, t, weight, function=function,
                 parameters=LOSSES[function].parameters)  # fmt: skip


@mistake_in("row_loss")
def row_weights_ignored(p, t, weight, function):
    return right("row_loss", p, t, None, function=function)


@mistake_in("row_loss")
def not_negated(p, t, weight, function):
    made = right("row_loss", p, t, weight, function=function)
    return np.abs(made) if function == "cosine_similarity" else made


@mistake_in("row_loss_backward")
def all_wrong_predictions_pushed(p, t, weight, scale, function):
    dp = right("row_loss_backward", p, t, weight, scale, function=function)
    return dp + (dp > 0) if function == "categorical_hinge" else dp + 0


@mistake_in("softmax_crossentropy")
def no_probabilities(z, t, weight):
    return right("softmax_crossentropy", z, t, weight)[0], z


@mistake_in("softmax_crossentropy")
def logarithm_to_base_2(z, t, weight):
    sums, p = right("softmax_crossentropy", z, t, weight)
    return sums / [np.log(2), 1], p


@mistake_in("softmax_crossentropy_backward")
def target_not_subtracted(p, t, weight, scale):
    return right("softmax_crossentropy_backward", p, np.zeros_like(p), weight, scale)


@mistake_in("crossentropy")
def not_divided_by_the_sum(p, t, weight):
    rows = p.reshape(-1, p.shape[-1]).sum(-1)
    scaled = right("crossentropy", p, t, weight)
    return scaled - [np.log(np.clip(rows, 1e-7, None)).sum(), 0]


@mistake_in("crossentropy_backward")
def as_if_the_sum_were_1(p, t, weight, scale):
    total = p.sum(-1, keepdims=True)
    return right("crossentropy_backward", p, t, weight, scale) * total


@mistake_in("weighted_sum")
def weight_not_counted(values, weight):
    return right("weighted_sum", values, weight) * [1, 0]


@mistake_in("weighted_sum_backward")
def values_instead_of_ones(values, weight, scale):
    return values * right("weighted_sum_backward", values, weight, scale)


@mistake_in("loss_scale")
def rows_of_this_part_only(mask, control, factor):
    part = control.copy()
    part["batch_rows"] = max(1, int(control["batch_rows"]) - 9)
    return right("loss_scale", mask, part, factor=factor)


@mistake_in("count")
def mask_ignored(x, mask):
    return np.array([float(len(x))])


@mistake_in("l1_l2_penalty")
def half_of_it(w, x, l1, l2):
    return right("l1_l2_penalty", w, x, l1=l1, l2=l2 / 2)


@mistake_in("l1_l2_penalty")
def signs_kept(w, x, l1, l2):
    total = l1 * w.sum() + l2 * np.square(w).sum()
    return np.array([total * (1 if x is None else len(x)), len(w if x is None else x)])


@mistake_in("l1_l2_gradient")
def part_of_a_batch_ignored(w, x, control, l1, l2):
    whole = control.copy()
    whole["batch_rows"] = 1 if x is None else len(x)
    return right("l1_l2_gradient", w, x, whole, l1=l1, l2=l2)


@mistake_in("value_penalty")
def once_in_any_case(value, x, mean):
    return right("value_penalty", value, x, mean=True)


@mistake_in("value_penalty_gradient")
def ones(x, control):
    return np.array(1.0)


@mistake_in("categorical_accuracy")
def last_of_equal_ones(p, t, weight):
    t = p.shape[-1] - 1 - t if t.dtype.kind == "i" else t[..., ::-1]
    return right("categorical_accuracy", p[..., ::-1], t, weight)


@mistake_in("binary_accuracy")
def threshold_counts_as_1(p, t, weight, threshold):
    return right("binary_accuracy", p, t, weight, threshold=threshold - 1e-3)


@mistake_in("confusion_matrix")
def matrix_transposed(p, t, weight):
    return right("confusion_matrix", p, t, weight).T


# --- optimizers and random numbers ---------------------------------------------------------------


@mistake_in("sgd")
def uphill(w, g, control, **attrs):
    return right("sgd", w, -g, control, **attrs)


@mistake_in("sgd")
def rate_factor_ignored(w, g, control, rate_factor, **attrs):
    return right("sgd", w, g, control, rate_factor=1.0, **attrs)


@mistake_in("sgd")
def weight_decay_ignored(w, g, control, decay, **attrs):
    return right("sgd", w, g, control, decay=0.0, **attrs)


@mistake_in("momentum")
def weight_decay_as_penalty(w, g, v, control, decay, **attrs):
    return right("momentum", w, g + decay * w, v, control, decay=0.0, **attrs)


@mistake_in("momentum")
def never_nesterov(w, g, v, control, nesterov, **attrs):
    return right("momentum", w, g, v, control, nesterov=False, **attrs)


@mistake_in("rmsprop")
def larger_epsilon(w, g, v, a, m, control, epsilon, **attrs):
    return right("rmsprop", w, g, v, a, m, control, epsilon=1e-3, **attrs)


@mistake_in("rmsprop")
def never_centered(w, g, v, a, m, control, **attrs):
    w, v, _, m = right("rmsprop", w, g, v, None, m, control, **attrs)
    return w, v, a, m


@mistake_in("adam")
def bias_not_corrected(w, g, m, v, u, control, **attrs):
    late = control.copy()
    late["iteration"] = 10**9
    return right("adam", w, g, m, v, u, late, **attrs)


@mistake_in("adam")
def one_step_late(w, g, m, v, u, control, **attrs):
    late = control.copy()
    late["iteration"] += 1
    return right("adam", w, g, m, v, u, late, **attrs)


@mistake_in("adam")
def never_amsgrad(w, g, m, v, u, control, **attrs):
    w, m, v, _ = right("adam", w, g, m, v, None, control, **attrs)
    return w, m, v, u


@mistake_in("adagrad")
def divided_before_the_square_is_added(w, g, v, control, **attrs):
    w, _ = right("adagrad", w, g, v - g * g, control, **attrs)
    return w, v + g * g


@mistake_in("adadelta")
def steps_not_averaged(w, g, v, s, control, **attrs):
    w, v, _ = right("adadelta", w, g, v, s, control, **attrs)
    return w, v, s


@mistake_in("adamax")
def sign_of_the_gradient_kept(w, g, m, u, control, beta_2, **attrs):
    w, m, _ = right("adamax", w, g, m, u, control, beta_2=beta_2, **attrs)
    return w, m, np.maximum(beta_2 * u, g)


@mistake_in("nadam")
def momentum_of_the_last_step(w, g, m, v, control, **attrs):
    early = control.copy()
    early["iteration"] += 1
    return right("nadam", w, g, m, v, early, **attrs)


@mistake_in("lion")
def momentum_before_the_step(w, g, m, control, beta_1, beta_2, **attrs):
    _, m = right("lion", w, g, m, control, beta_1=beta_1, beta_2=beta_2, **attrs)
    w, _ = right("lion", w, g, m, control, beta_1=beta_1, beta_2=beta_2, **attrs)
    return w, m


@mistake_in("clip")
def only_below(w, control, low, high, between):
    return np.maximum(w, w.dtype.type(low))


@mistake_in("square_sum")
def before_forgotten(w, before):
    return right("square_sum", w, None)


@mistake_in("clip_norm")
def always_to_the_limit(g, square_sum, limit):
    return g * g.dtype.type(limit / max(np.sqrt(square_sum[0]), 1e-3))


@mistake_in("average")
def old_weights_at_first(w, a, control, **attrs):
    late = control.copy()
    late["iteration"] += 100
    return right("average", w, a, late, **attrs)


@mistake_in("average")
def in_every_batch(w, a, control, between, **attrs):
    return right("average", w, a, control, between=0, **attrs)


@mistake_in("average")
def never_written_back(w, a, control, overwrite, **attrs):
    return right("average", w, a, control, overwrite=0, **attrs)


@mistake_in("limit_norm")
def one_norm_for_all(w, control, axes, **attrs):
    return right("limit_norm", w, control, axes=tuple(range(w.ndim)), **attrs)


@mistake_in("limit_norm")
def at_once(w, control, rate, **attrs):
    return right("limit_norm", w, control, rate=1.0, **attrs)


@mistake_in("limit_norm")
def before_the_update_too(w, control, between, **attrs):
    return right("limit_norm", w, control, between=0, **attrs)


@mistake_in("accumulate")
def last_one_only(total, g, factor):
    return right("accumulate", np.zeros_like(total), g, factor=factor)


@mistake_in("accumulate")
def sum_instead_of_mean(total, g, factor):
    return total + g


@mistake_in("clear")
def not_done(w):
    return w


@mistake_in("dropout")
def shifted_stream(x, control, stream, **attrs):
    return right("dropout", x, control, stream=stream + 1, **attrs)


@mistake_in("dropout")
def place_in_the_batch_ignored(x, control, **attrs):
    first = control.copy()
    first["first_row"] = 0
    return right("dropout", x, first, **attrs)


@mistake_in("dropout")
def same_mask_in_every_step(x, control, **attrs):
    first = control.copy()
    first["step"] = 0
    return right("dropout", x, first, **attrs)


@mistake_in("dropout")
def not_scaled(x, control, rate, **attrs):
    return right("dropout", x, control, rate=rate, **attrs) * x.dtype.type(1 - rate)


@mistake_in("noise")
def uniform_instead_of_normal(x, control, function, stddev, **attrs):
    z = (right("noise", np.zeros_like(x), control, function="add", stddev=stddev, **attrs)).clip(-1)
    return x + z if function == "add" else x * (1 + z)


@mistake_in("noise")
def sine_and_cosine_swapped(x, control, **attrs):
    made = right("noise", x, control, **attrs)
    flat = made.reshape(len(x), -1).copy()
    even = flat.shape[1] // 2 * 2
    flat[:, :even] = flat[:, :even].reshape(len(x), -1, 2)[..., ::-1].reshape(len(x), even)
    return flat.reshape(x.shape)


# --- normalization -------------------------------------------------------------------------------


@mistake_in("batch_norm")
def unbiased_variance(x, *rest, axis, **attrs):
    made = list(right("batch_norm", x, *rest, axis=axis, **attrs))
    number = max(x.size // x.shape[axis], 2)
    kept = attrs["momentum"] * rest[3]
    made[4] = kept + (made[4] - kept) * (number / (number - 1))
    return tuple(made)


@mistake_in("batch_norm")
def momentum_turned_round(*given, momentum, **attrs):
    return right("batch_norm", *given, momentum=1 - momentum, **attrs)


@mistake_in("batch_norm_backward")
def as_if_the_mean_were_fixed(dy, x, mean, rstd, gamma, axis):
    _, dgamma, dbeta = right("batch_norm_backward", dy, x, mean, rstd, gamma, axis=axis)
    factor = rstd if gamma is None else rstd * gamma
    return dy * factor.reshape([-1 if i == axis else 1 for i in range(x.ndim)]), dgamma, dbeta


@mistake_in("batch_norm_inference")
def deviation_instead_of_variance(x, gamma, beta, mean, variance, **attrs):
    return right("batch_norm_inference", x, gamma, beta, mean, np.sqrt(variance), **attrs)


@mistake_in("layer_norm")
def epsilon_outside_the_root(x, gamma, beta, axes, epsilon):
    return right("layer_norm", x, gamma, beta, axes=axes, epsilon=epsilon**2)


@mistake_in("layer_norm_backward")
def gamma_forgotten(dy, x, mean, rstd, gamma, axes):
    return right("layer_norm_backward", dy, x, mean, rstd, None, axes=axes)


# --- what metrics are made of --------------------------------------------------------------------


@mistake_in("threshold_counts")
def at_least_instead_of_above(p, t, weight, thresholds):
    nudged = np.nextafter(p, np.inf, dtype=p.dtype)
    return right("threshold_counts", nudged, t, weight, thresholds=thresholds)


@mistake_in("top_k_accuracy")
def one_too_many(p, t, weight, k):
    return right("top_k_accuracy", p, t, weight, k=k + 1)


@mistake_in("class_counts")
def zeros_chosen(p, t, weight, threshold):
    return right("class_counts", p + 1e-6, t, weight, threshold=threshold)


@mistake_in("batch_weights")
def rows_not_counted(x, weight, function):
    return right("batch_weights", x, weight, function=function) / len(x)


@mistake_in("top_k_only")
def last_of_equally_large_ones(p, k):
    return right("top_k_only", p[..., ::-1], k=k)[..., ::-1]


@mistake_in("r2_sums")
def squares_not_weighted(p, t, weight):
    cells = right("r2_sums", p, t, weight)
    cells[1] = right("r2_sums", p, t, None)[1]
    return cells


@mistake_in("keep_labels")
def ignored_labels_kept(t, ignored):
    mask, _ = right("keep_labels", t, ignored=ignored)
    return mask, t


@mistake_in("one_hot")
def unknown_is_the_last_class(t, classes):
    return right("one_hot", t % classes, classes=classes)


@mistake_in("real_labels")
def labels_without_sign(t):
    return right("real_labels", np.abs(t))


@mistake_in("whole_labels")
def rounded_down(t):
    return np.floor(t).astype(np.int32)
