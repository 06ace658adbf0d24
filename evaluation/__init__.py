"""What the package is measured by. Programs share the small scenes and helper modules of the tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests" / "helpers"))
