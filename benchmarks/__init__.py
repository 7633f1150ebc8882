"""`python -m benchmarks` compares with other libraries, `pytest benchmarks` times fastnn alone.

workloads.py says what is trained, peers/ how each library does it, worker.py runs one of them in
its own process, and training.py takes turns between them; prediction.py and startup.py do so for
`predict` and for starting. machine.py measures what a core can do at most and what a training needs
at least; products.py and kernels.py time the engine's kernels beside that. targets.py compares all
figures with targets.json, report.py writes them into the README. A new workload is one entry in
WORKLOADS; a new library is one class in peers/ and one entry in PEERS.
"""
