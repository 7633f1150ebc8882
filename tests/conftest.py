"""Fixtures: the executor and the float type of a test, the seed it starts from, and the turns that
threads take.
"""

import signal
import sys

import pytest
from api_tools import native_only

from fastnn import (
    config,
    utils,
)


@pytest.fixture(params=[pytest.param("native", marks=native_only), "reference"])
def backend(request, monkeypatch):
    """The executor that all models of a test use."""
    monkeypatch.setenv("FASTNN_BACKEND", request.param)
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """The float type of all models of a test."""
    config.set_floatx(request.param)
    yield request.param
    config.set_floatx("float32")


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """Ctrl-C works, as tests send it: a shell lets what it starts in the background ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seeded():
    utils.set_random_seed(11)


@pytest.fixture
def impatient():
    """Let threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
