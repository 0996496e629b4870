"""MuJoCo scenes as pictures, with or without a display."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argmind.errors import UserError
from argmind.policy.environments.base import policy_module

#: Ways of drawing without a display, the faster first; elsewhere than on Linux a window does.
_OFF_SCREEN = ("egl", "osmesa")
_ADVICE = (
    "Install a software renderer (Debian, Ubuntu: apt-get install libegl1 libgl1-mesa-dri, or "
    "libosmesa6), or choose view=sketch, which needs none. MUJOCO_GL=egl, osmesa or glfw says "
    "which one to use."
)


class Camera:
    """Looks at a simulation from one of its model's cameras."""

    def __init__(self, model: Any, size: int, name: str) -> None:
        self._mujoco: Any = policy_module("mujoco", "drawing a simulation")
        backend = _backend(os.environ.get("MUJOCO_GL", ""))
        module: Any = policy_module(f"mujoco.{backend}", "drawing a simulation")
        self._model, self._size = model, size
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, size)
        model.vis.global_.offheight = max(model.vis.global_.offheight, size)
        self._window = module.GLContext(size, size)
        self._window.make_current()
        font = self._mujoco.mjtFontScale.mjFONTSCALE_100
        self._context = self._mujoco.MjrContext(model, font.value)
        self._scene = self._mujoco.MjvScene(model, maxgeom=2000)
        self._options = self._mujoco.MjvOption()
        self._view = self._mujoco.MjvCamera()
        self._view.type = self._mujoco.mjtCamera.mjCAMERA_FIXED
        self._view.fixedcamid = model.camera(name).id

    def picture(self, data: Any) -> NDArray[np.uint8]:
        """What the camera sees: (size, size, 3)."""
        mujoco, size = self._mujoco, self._size
        self._window.make_current()
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(
            self._model, data, self._options, None, self._view, everything, self._scene
        )
        frame = mujoco.MjrRect(0, 0, size, size)
        mujoco.mjr_render(frame, self._scene, self._context)
        pixels = np.empty((size, size, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, frame, self._context)
        return np.ascontiguousarray(pixels[::-1])

    def close(self) -> None:
        """Give the context back."""
        self._window.make_current()
        self._context.free()
        self._window.free()


@cache
def _backend(wanted: str) -> str:
    """The way of drawing that works here; each is tried in a process of its own.

    A failed try leaves OpenGL bound to it, so that no other one would work in this process.
    """
    known = (*_OFF_SCREEN, "glfw")
    order = _OFF_SCREEN if sys.platform.startswith("linux") else ("glfw",)
    if sys.platform.startswith("linux") and os.environ.get("DISPLAY"):
        order = known
    order = (wanted,) if wanted in known else order
    for name in order:
        code = f"import mujoco.{name} as way; context = way.GLContext(8, 8); context.make_current()"
        tried = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "MUJOCO_GL": "disable"},
            capture_output=True,
            timeout=60,
            check=False,
        )
        if tried.returncode == 0:
            return name
    raise UserError(f"cannot draw without a display here (tried {', '.join(order)}). {_ADVICE}")
