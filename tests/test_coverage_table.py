"""The coverage table in compat/README.md against the routes, the structs of their requests, and the tests there are."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.inspect import ListType, Metadata, StructType, Type, type_info

from hoshikage.api.app import routes
from hoshikage.api.ollama import wire, wire_embed, wire_manage

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| `(?P<route>[^`]+)` \| (?:`(?P<field>[^`]+)`|\(route\)) \| (?P<tests>.+) \|$", re.MULTILINE)
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
REQUESTS: dict[str, type[Struct]] = {
    "/api/show": wire.ShowRequest,
    "/api/chat": wire.ChatRequest,
    "/api/generate": wire.GenerateRequest,
    "/api/embed": wire_embed.EmbedRequest,
    "/api/embeddings": wire_embed.EmbeddingRequest,
    "/api/pull": wire_manage.PullRequest,
    "/api/push": wire_manage.PushRequest,
    "/api/create": wire_manage.CreateRequest,
    "/api/copy": wire_manage.CopyRequest,
    "/api/delete": wire_manage.DeleteRequest,
}


def rows() -> list[tuple[str, str, str]]:
    """Route, field ("" for the route itself) and the cell with its tests."""
    text = (ROOT / "compat/README.md").read_text(encoding="utf-8")
    return [(row["route"], row["field"] or "", row["tests"]) for row in ROW.finditer(text)]


def fields(info: Type, path: str = "") -> Iterator[str]:
    """The names of all fields of a struct, those inside its fields too."""
    if isinstance(info, Metadata):
        yield from fields(info.type, path)
    elif isinstance(info, ListType):
        yield from fields(info.item_type, f"{path}[]")
    elif isinstance(info, StructType):
        for each in info.fields:
            name = f"{path}.{each.encode_name}" if path else each.encode_name
            yield name
            yield from fields(each.type, name)


def test_every_route_and_every_field_has_a_row() -> None:
    wanted = {(route.path, "") for route in routes()}
    for path, struct in REQUESTS.items():
        found = set(fields(type_info(struct)))
        if struct is wire_manage.CreateRequest:  # of a message, it keeps role and content
            found = {each for each in found if "." not in each}
        wanted |= {(path, each) for each in found}
    there = [(route, field) for route, field, _ in rows()]
    assert sorted(wanted - set(there)) == sorted(set(there) - wanted) == []
    assert len(there) == len(set(there))


def test_every_request_of_ollama_is_looked_at() -> None:
    modules = (wire, wire_embed, wire_manage)
    structs = {each for module in modules for name, each in vars(module).items() if name.endswith("Request")}
    assert {each for each in structs if each.__module__.startswith("hoshikage.api")} == set(REQUESTS.values())


def test_every_test_of_the_table_exists() -> None:
    named = [found for _, _, cell in rows() for found in TEST.findall(cell)]
    assert all(TEST.search(cell) for _, _, cell in rows())
    missing = [f"{file}::{name}" for file, name in sorted(set(named)) if name not in functions(ROOT / file)]
    assert missing == []


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
