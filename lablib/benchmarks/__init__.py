"""One module for each benchmark: `lablib bench NAME` runs lablib/benchmarks/NAME.py."""
