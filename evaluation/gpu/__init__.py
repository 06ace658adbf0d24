"""Contenders, clocks, floors and the whole command on a GPU. Run `evaluation/gpu_bench.py`."""
