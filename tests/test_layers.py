"""Walks the syntax trees: who imports whom, and who alone may import a heavy package."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent / "hoshikage"
ROOMS = (
    "errors",
    "processes",
    "atomic",
    "durations",
    "parsing",
    "kv_types",
    "variables",
    "load_settings",
    "chat_settings",
    "settings",
    "sampling",
    "constraints",
    "conversation",
    "images",
    "vram",
    "ramdisk",
    "engine",
    "templates",
    "models",
    "keys",
    "jobs",
    "snapshots",
    "keeper",
    "admission",
    "prompts",
    "fit",
    "fitting",
    "generation",
    "plan",
    "answer",
    "asking",
    "chat",
    "completion",
    "embedding",
    "services",
    "api",
    "cli",
)
OWNERS: dict[str, tuple[str, ...]] = {
    "llama_cpp": ("engine/llama/",),
    "llguidance": ("engine/guidance.py",),
    "starlette": ("api/",),
    "hypercorn": ("cli/serve.py",),
    "jinja2": ("templates/render.py", "templates/sandbox.py"),
    "filelock": ("models/", "keys.py"),
    "huggingface_hub": ("models/hubs/huggingface.py", "models/hubs/hf_"),
    "httpx2": ("models/hubs/",),
    "rich": ("cli/bars.py",),
    "psutil": ("ramdisk/memory.py",),
    "pynvml": ("vram.py",),
    "dotenv": ("settings.py", "parsing.py"),
}
LIGHT_ENGINE = {
    "client.py",
    "wire.py",
    "wire_pooled.py",
    "wire_tokens.py",
    "build.py",
    "backend.py",
    "shelf.py",
    "quantize.py",
}
"""What of the engine the gateway may import; the rest runs in the worker."""


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if path.name != "__main__.py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    return module.split(".")[1] if module.count(".") else ""


def test_a_module_imports_only_from_rooms_above_its_own() -> None:
    wrong = []
    for path in modules():
        own = path.relative_to(ROOT).parts[0].removesuffix(".py")
        for module in imports(path):
            other = room(module) if module.startswith("hoshikage.") else ""
            if other in ROOMS and own in ROOMS and ROOMS.index(other) > ROOMS.index(own):
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong


def test_every_module_stands_in_a_known_room() -> None:
    tops = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in modules()}
    assert tops - {"__init__"} <= set(ROOMS)


def test_each_heavy_package_has_one_owner() -> None:
    wrong = []
    for path in modules():
        name = str(path.relative_to(ROOT))
        for module in imports(path):
            owner = OWNERS.get(module.split(".")[0])
            if owner and not name.startswith(owner):
                wrong.append(f"{name} imports {module}")
    assert not wrong


def test_only_the_light_part_of_the_engine_is_used_outside_it() -> None:
    light = {f"hoshikage.engine.{name.removesuffix('.py')}" for name in LIGHT_ENGINE}
    wrong = []
    for path in modules():
        if path.relative_to(ROOT).parts[0] == "engine":
            continue
        used = {m for m in imports(path) if m.startswith("hoshikage.engine.") and m.count(".") == 2}
        wrong += [f"{path.relative_to(ROOT)} imports {m}" for m in used - light]
    assert not wrong


def test_no_imports_run_in_a_circle() -> None:
    graph = {module_name(path): set(imports(path)) for path in modules()}
    edges = {name: {other for other in used if other in graph and other != name} for name, used in graph.items()}
    while leaves := [name for name, used in edges.items() if not used]:
        for leaf in leaves:
            del edges[leaf]
        for used in edges.values():
            used.difference_update(leaves)
    assert not edges


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_file_is_longer_than_400_lines() -> None:
    written = [
        path for top in ("hoshikage", "compat", "tests", "fixtures") for path in (ROOT.parent / top).rglob("*.py")
    ]
    assert not [str(path) for path in written if path.read_text(encoding="utf-8").count("\n") > 400]


def test_every_module_says_what_it_is() -> None:
    assert not [str(p) for p in modules() if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))]
