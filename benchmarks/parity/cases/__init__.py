"""All cases by name; the same programs for fastnn and for Keras."""

from benchmarks.parity.cases import fitting, forms, goals, steps

CASES = forms.CASES | goals.CASES | steps.CASES | fitting.CASES
