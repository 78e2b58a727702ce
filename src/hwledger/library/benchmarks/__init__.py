"""Reading what benchmark programs print: llama-bench, vllm bench, and our own JSON; and keeping it."""

from hwledger.library.benchmarks.reading import Reading, read_file, read_runs
from hwledger.library.benchmarks.run import BenchmarkRun

__all__ = ["BenchmarkRun", "Reading", "read_file", "read_runs"]
