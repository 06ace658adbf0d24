"""Freed memory is kept; what fits into a limit is in test_masking.py."""

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from spectf_cloud.mapping.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    np.ones(2**18)  # below what NumPy asks huge pages for
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_freed_blocks_are_kept_where_dask_would_give_them_back():
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    faults = [
        int(subprocess.check_output([sys.executable, "-c", FAULTS, how], env=environment))
        for how in ("as it is", "keep")
    ]
    assert faults[1] < faults[0] / 10
