"""`python -m benchmarks` compares with other libraries, `pytest benchmarks` times fastnn alone.

workloads.py says what is trained, peers.py how each library does it, worker.py runs one of them in
its own process, and __main__.py takes turns between them and prints the table. A new workload is
one entry in WORKLOADS; a new library is one class in PEERS.
"""
