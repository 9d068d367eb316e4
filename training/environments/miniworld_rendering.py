"""Runs MiniWorld without a display, and with several environments in one process.

Contract: import MiniWorld's names only from here, because pyglet must be configured for headless rendering before MiniWorld
is imported.

MiniWorld 2.1 compiles the static part of every world (rooms, signs) into display list number 1, and all environments of a
process share one list space, so each would be rendered with the rooms of the environment that was reset last. Here each
environment has its own list (tests/unit/test_miniworld.py compares with environments in separate processes). MiniWorld also
searches for a texture's files whenever it uses it, for every letter of a sign in every frame; here the result is cached.
Mesa's software renderer and Triton, which torch loads late, each include LLVM; the process crashes (segmentation fault) if
Mesa's is loaded first, so Triton is imported here if it is installed.

Failure: without EGL the first environment raises pyglet's own error.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import pyglet  # type: ignore[import-untyped]

pyglet.options["headless"] = True

with suppress(ImportError):
    import triton  # noqa: F401

import miniworld.miniworld as engine  # type: ignore[import-untyped]  # noqa: E402
from miniworld.entity import (  # type: ignore[import-untyped]  # noqa: E402
    COLOR_NAMES,
    COLORS,
    Ball,
    Box,
    Key,
    MeshEnt,
    TextFrame,
)
from miniworld.envs.sign import BigKey, Sign  # type: ignore[import-untyped]  # noqa: E402
from miniworld.objmesh import ObjMesh  # type: ignore[import-untyped]  # noqa: E402
from miniworld.opengl import Texture  # type: ignore[import-untyped]  # noqa: E402
from miniworld.params import DEFAULT_PARAMS  # type: ignore[import-untyped]  # noqa: E402

MiniWorldEnv = engine.MiniWorldEnv

__all__ = [
    "COLORS",
    "COLOR_NAMES",
    "DEFAULT_PARAMS",
    "Ball",
    "BigKey",
    "Box",
    "Key",
    "MeshEnt",
    "MiniWorldEnv",
    "ObjMesh",
    "Sign",
    "TextFrame",
]

_lists: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
_new_list, _call_list = engine.glNewList, engine.glCallList
_render_static = MiniWorldEnv._render_static


def _own_list() -> int:
    """Returns the list of the current GL context; each environment has its own context."""
    context = pyglet.gl.current_context
    if context not in _lists:
        _lists[context] = pyglet.gl.glGenLists(1)
    return _lists[context]


def _static_in_own_context(self: Any) -> None:
    self.shadow_window.switch_to()
    _render_static(self)


class _Remembered(dict[str, list[str]]):
    """A dict whose `get` stores the default for a missing key and returns it, so that MiniWorld fills the stored list."""

    def get(self, key: str, default: Any = None) -> Any:
        return self.setdefault(key, default)


Texture.tex_paths = _Remembered()
engine.glDeleteLists = lambda _first, _count: None  # not needed, because glNewList replaces a list
engine.glNewList = lambda _name, mode: _new_list(_own_list(), mode)
engine.glCallList = lambda _name: _call_list(_own_list())
MiniWorldEnv._render_static = _static_in_own_context
