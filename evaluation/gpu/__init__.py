"""What a GPU makes of it: contenders, clocks, floors, the whole command. Run `evaluation/gpu_bench.py`."""
