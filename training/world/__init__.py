"""The procedural world: drawn people, their movements, their scenes, their voices and the prompts that name them."""
