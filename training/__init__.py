"""Training of nano: the procedural world, the recipes, and the measuring instruments.

Imports wan_core, never the reverse.
"""
