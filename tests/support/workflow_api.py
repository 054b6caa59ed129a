"""Turns a workflow as the browser saves it (format 0.4) into the API format that a server runs."""

from __future__ import annotations

from typing import Any

NOT_RUN = ("MarkdownNote", "Note")
BUTTONS = ("control_after_generate", "upload", "audioUI")
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
    """Values of a node's widgets by name, as the browser saves them beside the plain list.

    A widget that depends on the choice of another is called `parent.name`; the control after a seed and the upload
    button are no inputs.
    """
    known = [name for group in ("required", "optional") for name in info["input_order"].get(group, [])]
    named = node.get("widgets_values_named") or {}
    values = {name: value for name, value in named.items() if name.split(".")[0] in known}
    left = set(named) - set(values)
    plain = node.get("widgets_values") or []
    assert list(named.values())[: len(plain)] == plain or not node["type"].startswith("WanR2V_"), node["type"]
    assert left <= set(BUTTONS), f"{node['type']}: {left} belong to no input"
    return values
