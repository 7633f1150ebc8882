"""Parity with Keras 3: the same small programs in both libraries, and the largest differences.

`python -m benchmarks.parity` runs every case in Keras and in fastnn and prints the table;
`--write` writes Keras' figures to tests/data/keras_figures.json, with which tests/test_parity.py
compares fastnn where Keras is not installed.
"""
