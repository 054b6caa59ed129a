"""ComfyUI's door to the pack: the nodes, imported only when ComfyUI asks for them, and the folder of the help pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes.extension import WanR2VExtension

WEB_DIRECTORY = "./web"
__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]


async def comfy_entrypoint() -> WanR2VExtension:
    """Return the extension that lists the nodes; ComfyUI calls this once at start.

    Raises: whatever importing the nodes raised, after logging its traceback (ComfyUI itself logs one line only).
    """
    import logging

    try:
        from .nodes.extension import WanR2VExtension
    except Exception:
        logging.getLogger(__name__).exception("Wan R2V: the nodes could not be imported.")
        raise
    return WanR2VExtension()
