"""What a model becomes: a plan. README.md in this folder follows one Dense through it.

Passes, in reading order: `trace` (layers to ops), `backward` (gradients), `fuse` (fewer steps),
`memory` (places), `plan` (the result: printed and validated). `build` calls them in this order.
"""
