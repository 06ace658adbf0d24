"""The fused Triton kernel for NVIDIA GPUs."""
