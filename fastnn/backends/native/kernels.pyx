"""The kernels of the native executor, one table of function pointers.

Cythonized once and compiled once per ISA (see setup.py). The executor asks `addresses` for each
kernel by name, so no list here has to agree by position with another one.

Every kernel has the same signature: `p` holds the addresses of its outputs, then its inputs, then
(where its op asks for them) the control record of its group and the workspace; an absent operand
is NULL. `n` holds its sizes (rows already filled in) and last a bit mask of the outputs that are
added to; `c` holds its constants. A kernel checks nothing, allocates nothing and raises nothing:
the plan was checked before.
"""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from fastnn.backends.native.control cimport control

ctypedef fused real:
    float
    double

include "linear.pxi"
include "elementwise.pxi"
include "move.pxi"
include "loss.pxi"
include "metric.pxi"
include "optimizer.pxi"
include "update.pxi"
include "random.pxi"
include "gather.pxi"
include "penalty.pxi"
include "normalization.pxi"

cdef extern from "losses.h" nogil:
    const int ACT_COUNT, UNARY_COUNT, BINARY_COUNT, LOSS_COUNT
    const char *const *activation_names
    const char *const *unary_names
    const char *const *binary_names
    const char *const *loss_names
    const int FASTNN_VECTOR_BYTES


cdef list names(const char *const *first, int count):
    return [first[i].decode() for i in range(count)]


def functions():
    """Names of the functions that a kernel knows by number, in that order, by kind."""
    return {
        "activation": names(activation_names, ACT_COUNT),
        "unary": names(unary_names, UNARY_COUNT),
        "binary": names(binary_names, BINARY_COUNT),
        "reduce": ["sum", "mean", "max"],
        "loss": names(loss_names, LOSS_COUNT),
        "row_loss": ["cosine_similarity", "categorical_hinge", "root_squared_error"],
    }


def vector_bytes():
    """Width of the vectors of this build."""
    return FASTNN_VECTOR_BYTES


def addresses():
    """{(kernel, dtype): address} of every kernel; "permutation" and "gather" belong to no op."""
    table = {}

    def both(name, size_t single, size_t double_):
        table[name, "float32"] = single
        table[name, "float64"] = double_

    both("linear", <size_t>linear[float], <size_t>linear[double])
    both("linear_dx", <size_t>linear_dx[float], <size_t>linear_dx[double])
    both("linear_dw", <size_t>linear_dw[float], <size_t>linear_dw[double])
    both("matmul", <size_t>matmul[float], <size_t>matmul[double])
    both("activation", <size_t>activation[float], <size_t>activation[double])
    both("activation_backward",
         <size_t>activation_backward[float],
         <size_t>activation_backward[double])
    both("unary", <size_t>unary[float], <size_t>unary[double])
    both("softmax", <size_t>softmax[float], <size_t>softmax[double])
    both("softmax_backward", <size_t>softmax_backward[float], <size_t>softmax_backward[double])
    both("log_softmax", <size_t>log_softmax[float], <size_t>log_softmax[double])
    both("log_softmax_backward",
         <size_t>log_softmax_backward[float],
         <size_t>log_softmax_backward[double])
    both("binary", <size_t>binary[float], <size_t>binary[double])
    both("binary_number", <size_t>binary_number[float], <size_t>binary_number[double])
    both("where", <size_t>where[float], <size_t>where[double])
    both("reduce", <size_t>reduce[float], <size_t>reduce[double])
    both("copy", <size_t>copy[float], <size_t>copy[double])
    both("gather_rows", <size_t>gather_rows[float], <size_t>gather_rows[double])
    both("scatter_add_rows", <size_t>scatter_add_rows[float], <size_t>scatter_add_rows[double])
    both("affine", <size_t>affine[float], <size_t>affine[double])
    both("concatenate", <size_t>concatenate[float], <size_t>concatenate[double])
    both("unslice", <size_t>unslice[float], <size_t>unslice[double])
    both("assign", <size_t>assign[float], <size_t>assign[double])
    both("elementwise_loss", <size_t>elementwise_loss[float], <size_t>elementwise_loss[double])
    both("elementwise_loss_backward",
         <size_t>elementwise_loss_backward[float],
         <size_t>elementwise_loss_backward[double])
    both("softmax_crossentropy",
         <size_t>softmax_crossentropy[float],
         <size_t>softmax_crossentropy[double])
    both("softmax_crossentropy_backward",
         <size_t>softmax_crossentropy_backward[float],
         <size_t>softmax_crossentropy_backward[double])
    both("crossentropy", <size_t>crossentropy[float], <size_t>crossentropy[double])
    both("crossentropy_backward",
         <size_t>crossentropy_backward[float],
         <size_t>crossentropy_backward[double])
    both("row_loss", <size_t>row_loss[float], <size_t>row_loss[double])
    both("row_loss_backward", <size_t>row_loss_backward[float], <size_t>row_loss_backward[double])
    both("weighted_sum", <size_t>weighted_sum[float], <size_t>weighted_sum[double])
    both("weighted_sum_backward",
         <size_t>weighted_sum_backward[float],
         <size_t>weighted_sum_backward[double])
    both("batch_weights", <size_t>batch_weights[float], <size_t>batch_weights[double])
    both("keep_labels", <size_t>keep_labels[float], <size_t>keep_labels[double])
    both("loss_scale", <size_t>loss_scale[float], <size_t>loss_scale[double])
    both("count", <size_t>count[float], <size_t>count[double])
    both("l1_l2_penalty", <size_t>l1_l2_penalty[float], <size_t>l1_l2_penalty[double])
    both("l1_l2_gradient", <size_t>l1_l2_gradient[float], <size_t>l1_l2_gradient[double])
    both("value_penalty", <size_t>value_penalty[float], <size_t>value_penalty[double])
    both("value_penalty_gradient",
         <size_t>value_penalty_gradient[float],
         <size_t>value_penalty_gradient[double])
    both("categorical_accuracy",
         <size_t>categorical_accuracy[float],
         <size_t>categorical_accuracy[double])
    both("binary_accuracy", <size_t>binary_accuracy[float], <size_t>binary_accuracy[double])
    both("confusion_matrix", <size_t>confusion_matrix[float], <size_t>confusion_matrix[double])
    both("top_k_accuracy", <size_t>top_k_accuracy[float], <size_t>top_k_accuracy[double])
    both("top_k_only", <size_t>top_k_only[float], <size_t>top_k_only[double])
    both("threshold_counts", <size_t>threshold_counts[float], <size_t>threshold_counts[double])
    both("class_counts", <size_t>class_counts[float], <size_t>class_counts[double])
    both("r2_sums", <size_t>r2_sums[float], <size_t>r2_sums[double])
    both("one_hot", <size_t>one_hot[float], <size_t>one_hot[double])
    both("real_labels", <size_t>real_labels[float], <size_t>real_labels[double])
    both("whole_labels", <size_t>whole_labels[float], <size_t>whole_labels[double])
    both("sgd", <size_t>sgd[float], <size_t>sgd[double])
    both("momentum", <size_t>momentum[float], <size_t>momentum[double])
    both("adagrad", <size_t>adagrad[float], <size_t>adagrad[double])
    both("adadelta", <size_t>adadelta[float], <size_t>adadelta[double])
    both("rmsprop", <size_t>rmsprop[float], <size_t>rmsprop[double])
    both("adam", <size_t>adam[float], <size_t>adam[double])
    both("adamax", <size_t>adamax[float], <size_t>adamax[double])
    both("nadam", <size_t>nadam[float], <size_t>nadam[double])
    both("lion", <size_t>lion[float], <size_t>lion[double])
    both("accumulate", <size_t>accumulate[float], <size_t>accumulate[double])
    both("clear", <size_t>clear[float], <size_t>clear[double])
    both("clip", <size_t>clip[float], <size_t>clip[double])
    both("square_sum", <size_t>square_sum[float], <size_t>square_sum[double])
    both("clip_norm", <size_t>clip_norm[float], <size_t>clip_norm[double])
    both("average", <size_t>average[float], <size_t>average[double])
    both("limit_norm", <size_t>limit_norm[float], <size_t>limit_norm[double])
    both("dropout", <size_t>dropout[float], <size_t>dropout[double])
    both("noise", <size_t>noise[float], <size_t>noise[double])
    both("batch_norm", <size_t>batch_norm[float], <size_t>batch_norm[double])
    both("batch_norm_backward",
         <size_t>batch_norm_backward[float],
         <size_t>batch_norm_backward[double])
    both("batch_norm_inference",
         <size_t>batch_norm_inference[float],
         <size_t>batch_norm_inference[double])
    both("layer_norm", <size_t>layer_norm[float], <size_t>layer_norm[double])
    both("layer_norm_backward",
         <size_t>layer_norm_backward[float],
         <size_t>layer_norm_backward[double])
    both("permutation", <size_t>permutation, <size_t>permutation)
    both("gather", <size_t>gather, <size_t>gather)
    return table
