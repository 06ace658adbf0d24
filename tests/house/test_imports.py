"""What may import what, seen from outside in a fresh interpreter."""

import ast
import subprocess
import sys
from pathlib import Path

import spectf_cloud

PACKAGE = Path(spectf_cloud.__file__).parent
FRONT_ENDS = {"typer", "rich", "textual", "wandb", "xgboost", "tensorrt", "onnx", "onnxruntime", "openvino"}
DRAWING = {"matplotlib", "jinja2"}
# Of the extras for many scenes: some modules are about these libraries, and imported where they are asked for.
CLUSTER = {
    "dask",
    "distributed",
    "pystac",
    "pystac_client",
    "pyarrow",
    "shapely",
    "antimeridian",
    "geopandas",
    "pandas",
}
ABOUT_CLUSTER = {
    "spectf_cloud.archive.dask_engine",
    "spectf_cloud.archive.geoparquet",
    "spectf_cloud.archive.stac_items",
    "spectf_cloud.catalogue.stac",
    "spectf_cloud.products.footprint",
}
# Written in Triton, which not every platform has.
ABOUT_TRITON = {"spectf_cloud.inference.engines.cuda.kernel", "spectf_cloud.inference.engines.cuda.launch"}


def modules_after(code):
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return {name.split(".")[0] for name in result.stdout.splitlines()[-1].split()}


def test_the_core_imports_no_front_end():
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if not {"cli", "tui"} & set(path.relative_to(PACKAGE).parts) and path.name not in ("__main__.py", "__init__.py")
    ]
    assert len(names) > 20
    assert set(names) >= ABOUT_CLUSTER | ABOUT_TRITON
    code = "\n".join(f"import {name}" for name in names if name not in ABOUT_CLUSTER | ABOUT_TRITON)
    assert not (FRONT_ENDS | CLUSTER | DRAWING) & modules_after(code)


def test_importing_the_package_is_light():
    assert not {"torch", "numpy"} & modules_after("import spectf_cloud")
    assert "torch" not in modules_after("import spectf_cloud as sc; sc.open_scene; sc.Sensor; sc.CloudMask")


COMMANDS = [
    "",
    "deploy-pt",
    "deploy-many",
    "archive",
    "archive status",
    "archive failures",
    "archive export",
    "deploy-trt",
    "export onnx",
    "export engine",
    "simulate",
    "threshold",
    "weights",
    "weights list",
    "weights verify",
    "sensors list",
    "sensors match",
    "dataset",
    "dataset simulate",
    "explain",
    "dataset info",
    "dataset fetch",
    "train",
    "train-comparison",
    "train-comparison resnet",
    "train-comparison xgboost",
    "cloud-eval",
    "cloud-eval spectf",
    "cloud-eval l2a",
    "cloud-eval compare",
    "tui",
]


def test_help_needs_no_torch():
    """All in one interpreter: what is not imported after the last was not imported for any."""
    heavy = {"torch", "numpy", "h5py", "rasterio", "textual"}
    code = f"""
from spectf_cloud.__main__ import main
for command in {COMMANDS!r}:
    assert main([*command.split(), "--help"]) == 0
    assert not {heavy!r} & set(sys.modules), command
"""
    modules_after(code)


def test_only_the_command_line_prints_and_exits():
    for path in PACKAGE.rglob("*.py"):
        if "cli" in path.parts or path.name == "__main__.py":
            continue
        called = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not {"print", "exit", "quit"} & called, path
