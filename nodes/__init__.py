"""ComfyUI nodes: convert, call one function of wan_core, wrap."""
