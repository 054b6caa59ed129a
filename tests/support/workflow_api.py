"""Turns a workflow as the browser saves it (format 0.4) into the API format that a server runs."""

from __future__ import annotations

from typing import Any

NOT_RUN = ("MarkdownNote", "Note")
WIDGET_TYPES = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
AFTER_SEED = ("fixed", "increment", "decrement", "randomize")


def to_api(workflow: dict[str, Any], object_info: dict[str, Any]) -> dict[str, Any]:
    """API format of a workflow without subgraphs.

    Args:
        workflow: UI format 0.4.   object_info: the server's /object_info.
    """
    links = {link[0]: link for link in workflow["links"]}
    prompt: dict[str, Any] = {}
    for node in workflow["nodes"]:
        if node["type"] in NOT_RUN:
            continue
        inputs = widget_values(node, object_info[node["type"]])
        for socket in node.get("inputs", []):
            if socket.get("link") is not None:
                _, source, slot, target, _, _ = links[socket["link"]]
                assert target == node["id"], (
                    f"link {socket['link']} says it ends at {target}, not {node['id']}"
                )
                inputs[socket["name"]] = [str(source), slot]
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt


def widget_values(node: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    """Values of a node's widgets by name: the saved list is in the order of the inputs, with one more after a seed."""
    values = list(node.get("widgets_values") or [])
    result: dict[str, Any] = {}
    for group in ("required", "optional"):
        for name in info["input_order"].get(group, []):
            kind, *options = info["input"][group][name]
            settings = options[0] if options else {}
            is_widget = isinstance(kind, list) or kind in WIDGET_TYPES
            if not is_widget or settings.get("forceInput") or not values:
                continue
            result[name] = values.pop(0)
            if settings.get("control_after_generate") or name in ("seed", "noise_seed"):
                assert values and values.pop(0) in AFTER_SEED, (
                    f"{node['type']}.{name}: no control after the seed"
                )
    return result
