"""The import contract: a room imports only lower floors, its own modules, and nothing in a circle."""

import ast
from pathlib import Path

import spectf_cloud

PACKAGE = Path(spectf_cloud.__file__).parent

#: From the ground up; rooms of one floor know nothing of each other. Names are modules or folders of the package.
FLOORS = (
    ("errors",),
    ("classes", "files", "sensor", "toa", "architecture"),
    ("model",),
    ("scene", "weights"),
    ("readers",),
    ("sensors",),
    ("dataset", "tokens"),
    ("products",),
    ("simulation", "catalogue"),
    ("data", "tui"),
    ("models", "scoring"),
    ("inference",),
    ("mapping",),
    ("training",),
    ("archive",),
    ("cli",),
    ("__main__",),
)
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def room(module):
    return module.split(".")[1] if "." in module else "__init__"


def imported(path):
    """Modules of the package that a file imports, anywhere in it, for types alone too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "spectf_cloud":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found = full if full in MODULES else node.module
                if found != "spectf_cloud":
                    yield found


GRAPH = {module: sorted(set(imported(path))) for module, path in MODULES.items() if module != "spectf_cloud"}


def test_every_room_has_its_floor():
    assert {room(module) for module in GRAPH} == set(FLOOR)


def test_arrows_point_down():
    up = [
        f"{module} → {target}"
        for module, targets in GRAPH.items()
        for target in targets
        if room(target) != room(module) and FLOOR[room(target)] >= FLOOR[room(module)]
    ]
    assert not up


def reach(start):
    seen, todo = set(), [start]
    while todo:
        for target in GRAPH.get(todo.pop(), ()):
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


def test_nothing_imports_itself_by_way_of_others():
    assert not [module for module in GRAPH if module in reach(module)]


def test_few_modules_lie_loose():
    assert len(list(PACKAGE.glob("*.py"))) <= 14
