"""Small programs that an introductory course would write; run one with `python -m`.

`hello` fits a line, `two_neurons` does one step of back propagation that can be checked by hand,
`stacked` grows a network with `add`, `digits` is the main job: handwritten digits.
"""
