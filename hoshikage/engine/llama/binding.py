"""llama-cpp-python's bindings of the C API alone, as `C`.

Its package imports the high-level classes, and with them numpy and jinja2, before it gives its bindings: twice the time
in which a worker is there. So its `__init__` is left out.
"""

import sys
from importlib.util import find_spec
from types import ModuleType

PACKAGE = "llama_cpp"


def _bare(name: str) -> ModuleType:
    """A package that knows where its modules lie and has run nothing."""
    spec = find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    return package


if PACKAGE not in sys.modules:
    sys.modules[PACKAGE] = _bare(PACKAGE)

import llama_cpp.llama_cpp as C  # noqa: E402

__all__ = ["C"]
