"""MiniWorld without a display, and with several environments in one process.

Contract: import MiniWorld's names from here alone: pyglet must be told that there is no display before
MiniWorld is imported.
MiniWorld 2.1 compiles the static part of every world (rooms, signs) into display list number 1, and all environments of
a process share one list space, so each would be drawn with the rooms of the one that was reset last. Here each
environment has a list of its own (tests/unit/training/environments/test_miniworld.py compares with environments that are
alone).
MiniWorld also looks for a texture's files whenever it draws with it, every letter of a sign in every frame; here once.
Mesa's software renderer and Triton, which torch loads late, each bring an LLVM; the process dies (segmentation fault) where
Mesa's is loaded first, so Triton is imported here, if it is installed.
Failure: without EGL the first environment raises what pyglet raises.
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
    """The list of the current GL context; each environment has a context."""
    context = pyglet.gl.current_context
    if context not in _lists:
        _lists[context] = pyglet.gl.glGenLists(1)
    return _lists[context]


def _static_in_own_context(self: Any) -> None:
    self.shadow_window.switch_to()
    _render_static(self)


class _Remembered(dict[str, list[str]]):
    """What is asked for and not there stays, as the list that MiniWorld then fills."""

    def get(self, key: str, default: Any = None) -> Any:
        return self.setdefault(key, default)


Texture.tex_paths = _Remembered()
engine.glDeleteLists = lambda _first, _count: None  # glNewList replaces a list
engine.glNewList = lambda _name, mode: _new_list(_own_list(), mode)
engine.glCallList = lambda _name: _call_list(_own_list())
MiniWorldEnv._render_static = _static_in_own_context
