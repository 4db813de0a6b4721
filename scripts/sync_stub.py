"""Write what `sojourn.sync` looks like to a type checker, from the asynchronous rooms.

python scripts/sync_stub.py            writes src/sojourn/sync/__init__.pyi
python scripts/sync_stub.py --check    says whether it is up to date
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from sojourn import admin, client, sync
from sojourn.artifacts import admin as artifacts_admin
from sojourn.artifacts import service as artifacts_service
from sojourn.cache import admin as cache_admin
from sojourn.cache import service as cache_service
from sojourn.checkpoints import history as thread_history
from sojourn.checkpoints import own as own_threads
from sojourn.dictionaries import admin as dictionaries_admin
from sojourn.doctor import service as doctor_service
from sojourn.keys import admin as keys_admin
from sojourn.memory import admin as memory_admin
from sojourn.memory import scope as memory_scope
from sojourn.memory import service as memory_service
from sojourn.notices import service as notices_service
from sojourn.security import guard as security_guard
from sojourn.security import user as security_user
from sojourn.security.handles import handle_class
from sojourn.sessions import adapters as sessions_adapters
from sojourn.sessions import admin as sessions_admin
from sojourn.sessions import batch as sessions_batch
from sojourn.sessions import failsafe as sessions_failsafe
from sojourn.sessions import history as sessions_history
from sojourn.sessions import parts as sessions_parts
from sojourn.sessions import service as sessions_service
from sojourn.streams import service as streams_service

STUB = Path(str(sync.__file__)).with_suffix(".pyi")

SAFE = Path(str(sessions_service.__file__)).with_name("safe.pyi")
TITLE = "# Written by scripts/sync_stub.py from the asynchronous rooms."
VARIABLES = {"E": "TypeVar", "P": "ParamSpec", "T": "TypeVar"}

USER = Path(str(security_user.__file__)).with_suffix(".pyi")
HANDLED = {
    sessions_service.Sessions: False,
    memory_scope.MemoryScope: True,
    cache_service.Cache: False,
    artifacts_service.Artifacts: False,
    notices_service.Notices: False,
    streams_service.Streams: False,
    own_threads.OwnThreads: True,
    sessions_history.History: True,
    client.Sojourn: False,
}
"""Rooms that a user's handle has, and whether their objects belong to one user each."""

ROOMS: tuple[tuple[ModuleType, str, str], ...] = (
    (sessions_service, "Sessions", "Sessions"),
    (sessions_batch, "Batches", "Batches"),
    (sessions_adapters, "AdapterSessions", "AdapterSessions"),
    (sessions_admin, "SessionAdmin", "SessionAdmin"),
    (cache_admin, "CacheAdmin", "CacheAdmin"),
    (memory_admin, "MemoryAdmin", "MemoryAdmin"),
    (artifacts_admin, "ArtifactAdmin", "ArtifactAdmin"),
    (keys_admin, "KeyAdmin", "KeyAdmin"),
    (dictionaries_admin, "DictionaryAdmin", "DictionaryAdmin"),
    (admin, "Admin", "Admin"),
    (sessions_history, "History", "History"),
    (thread_history, "ThreadHistory", "ThreadHistory"),
    (cache_service, "Cache", "Cache"),
    (memory_service, "Memory", "Memory"),
    (memory_scope, "MemoryScope", "MemoryScope"),
    (artifacts_service, "Artifacts", "Artifacts"),
    (doctor_service, "Doctor", "Doctor"),
    (notices_service, "Notices", "Notices"),
    (security_guard, "Guard", "Guard"),
    (client, "Sojourn", "Store"),
)
ATTRIBUTES = {
    "Store": (
        *("sessions: Sessions", "batch: Batches", "adapters: AdapterSessions", "admin: Admin"),
        *("cache: Cache", "memory: Memory", "artifacts: Artifacts", "notices: Notices"),
    ),
    "User": (
        *("owner: UserKey", "sessions: UserSessions", "memory: UserMemoryScope"),
        *("remembered: UserMemoryScope", "said: UserMemoryScope", "cache: UserCache"),
        *("artifacts: UserArtifacts", "notices: UserNotices", "streams: UserStreams"),
        "threads: UserOwnThreads",
    ),
    "Admin": (
        *("doctor: Doctor", "cache: CacheAdmin", "memory: MemoryAdmin", "artifacts: ArtifactAdmin"),
        "keys: KeyAdmin",
        "dictionaries: DictionaryAdmin",
    ),
    "AdapterSessions": ("limits: SessionLimits",),
    "Guard": ("log: AccessLog",),
    "MemoryScope": ("key: ScopeKey",),
    "History": ("key: SessionKey",),
    "ThreadHistory": ("key: ThreadKey",),
}
BASES = {"Admin": "(SessionAdmin)"}


OTHERS = [sessions_failsafe, sessions_parts, security_user, streams_service, own_threads]
"""Modules with names that stand in signatures, beside those of the rooms."""


def origins() -> dict[str, str]:
    """The modules from which the rooms have the names in their signatures."""
    found = {"Iterator": "collections.abc", **dict.fromkeys(VARIABLES.values(), "typing")}
    for module in OTHERS + [module for module, _, _ in ROOMS]:
        tree = ast.parse(inspect.getsource(module))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {each.name: node.module for each in node.names if each.asname is None}
        own = {name for name in vars(module) if name[0].isupper() and name not in found}
        found |= dict.fromkeys(own, module.__name__)
    return found


def head(body: str) -> str:
    """The imports of a stub."""
    tree = ast.parse(body)
    own = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    variables = sorted(used & VARIABLES.keys())
    used |= {VARIABLES[name] for name in variables}
    homes: dict[str, list[str]] = {}
    for name, home in sorted(origins().items()):
        if name in used - own - VARIABLES.keys():
            homes.setdefault(home, []).append(name)
    lines = [TITLE, ""]
    lines += [f"from {home} import {', '.join(names)}" for home, names in sorted(homes.items())]
    lines += ["", *(f'{name} = {VARIABLES[name]}("{name}")' for name in variables)]
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """An annotation as it is without an event loop."""
    return (
        text.replace("Callable[[], Awaitable[Any]]", "Callable[[], T]")
        .replace(
            "Callable[[Callable[P, Awaitable[T]]], Callable[P, Coroutine[Any, Any, T]]]",
            "Callable[[Callable[P, T]], Callable[P, T]]",
        )
        .replace("AsyncGenerator[Notice, None]", "Iterator[Notice]")
        .replace("_ = ", "")
    )


def signature(function: ast.FunctionDef | ast.AsyncFunctionDef, returns: str = "{}") -> str:
    """A method without a body."""
    result = ast.unparse(function.returns) if function.returns else "None"
    given = function.args
    unsaid = ast.Constant(...)
    given.defaults = [unsaid for _ in given.defaults]
    given.kw_defaults = [default and unsaid for default in given.kw_defaults]
    name, arguments = function.name, ast.unparse(given)
    if name == "fetch":
        result = "T"
    return plain(f"    def {name}({arguments}) -> {returns.format(result)}: ...")


def methods(module: ModuleType, name: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The public methods of a class, as they are written."""
    tree = ast.parse(inspect.getsource(module))
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    public = [
        node
        for node in found.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
    ]
    overloaded = {node.name for node in public if decorated(node, "overload")}
    return [node for node in public if node.name not in overloaded or decorated(node, "overload")]


def decorated(function: ast.FunctionDef | ast.AsyncFunctionDef, *names: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id in names for each in function.decorator_list)


def room(module: ModuleType, name: str, known_as: str) -> list[str]:
    lines = ["", f"class {known_as}{BASES.get(known_as, '')}:"]
    lines += [f"    {each}" for each in ATTRIBUTES.get(known_as, ())]
    for function in methods(module, name):
        if decorated(function, "property", "cached_property"):
            lines.append("    @property")
        if decorated(function, "overload"):
            lines.append("    @overload")
        lines.append(signature(function))
    if known_as == "Store":
        lines.append("    def __enter__(self) -> Self: ...")
        lines.append(
            "    def __exit__(self, kind: type[BaseException] | None, "
            "error: BaseException | None, trace: TracebackType | None) -> None: ..."
        )
    return lines


def safe(kind: str = "") -> list[str]:
    """The calls of two rooms, each with a `Result`; `async ` for those with an event loop."""
    lines: list[str] = []
    for module, name, base in (
        (sessions_service, "Sessions", "(Failsafe)" if kind else ""),
        (sessions_batch, "Batches", ""),
    ):
        lines += ["", f"class Safe{name}{base}:"]
        if kind:
            given = "" if base else ", failsafe: Failsafe"
            lines += [f"    def __init__(self, {name.lower()}: {name}{given}) -> None: ..."]
        elif name == "Sessions":
            lines += ["    @property", "    def failures(self) -> Failures: ..."]
        for function in methods(module, name):
            if isinstance(function, ast.AsyncFunctionDef):
                result = ast.unparse(function.returns) if function.returns else "None"
                function.returns = ast.parse(result.removesuffix(" | None"), mode="eval").body
                lines.append(signature(function, "Result[{}]").replace("def ", f"{kind}def ", 1))
    return lines


def handles(kind: str = "") -> list[str]:
    """The handles of a user, as they are made; `async ` for those with an event loop."""
    lines: list[str] = []
    for room, whole in HANDLED.items():
        of = handle_class(room, whole=whole)
        if room is not client.Sojourn:
            lines += ["", f"class {of.__name__}(UserRoom):" if kind else f"class {of.__name__}:"]
            lines += [made(each, kind) for each in vars(of).values() if inspect.isfunction(each)]
    lines += ["", "class User:", *(f"    {each}" for each in ATTRIBUTES["User"])]
    if kind:
        lines.append(
            "    def __init__(self, store: object, handles: Handles, owner: UserKey, "
            "access: AccessInterceptor | None) -> None: ..."
        )
    for each in methods(security_user, "User"):
        text = signature(each).replace("-> UserRoom", "-> UserHistory")
        if kind and isinstance(each, ast.AsyncFunctionDef):
            text = text.replace("def ", f"{kind}def ", 1)
        lines.append(text)
    both = handle_class(client.Sojourn)
    return [*lines, *(made(getattr(both, name), kind) for name in ("rotate", "remember"))]


def made(method: Callable[..., Any], kind: str) -> str:
    """A method of a handle, without a body."""
    signature = inspect.signature(method)
    given: list[str] = []
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and "*" not in "".join(e[0] for e in given):
            given.append("*")
        stars = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        type_ = "" if each.annotation is each.empty else f": {each.annotation}"
        given.append(stars + each.name + type_ + ("" if each.default is each.empty else "=..."))
    arguments, awaited = ", ".join(given), kind and inspect.iscoroutinefunction(method)
    result = signature.return_annotation
    text = f"    {kind if awaited else ''}def {method.__name__}({arguments}) -> {result}: ..."
    if kind:
        return text
    text = plain(text)
    return text.replace("-> Any", "-> T") if method.__name__ == "fetch" else text


def user_stub() -> str:
    """What a user's handle looks like to a type checker."""
    body = "\n".join(handles("async ")) + "\n"
    return head(body) + body


def stub() -> str:
    lines = safe() + handles()
    for module, name, known_as in ROOMS:
        lines += room(module, name, known_as)
    tree = ast.parse(inspect.getsource(client))
    (opened,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "open")
    lines += ["", signature(opened).replace("-> Sojourn", "-> Store").lstrip()]
    lines += ["", "def default() -> Store: ...", "", "def close_default() -> None: ..."]
    body = "\n".join(lines) + "\n"
    return head(body) + body


def safe_stub() -> str:
    """What `sojourn.sessions.safe` looks like to a type checker."""
    body = "\n".join(safe("async ")) + "\n"
    return head(body) + body


def main() -> int:
    """Write them, or compare."""
    texts = {STUB: stub(), SAFE: safe_stub(), USER: user_stub()}
    if "--check" in sys.argv:
        return int(
            any(not at.exists() or at.read_text("utf-8") != text for at, text in texts.items())
        )
    for at, text in texts.items():
        at.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
