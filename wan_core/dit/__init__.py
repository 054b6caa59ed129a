"""The Wan diffusion transformer: one tower (`model`) or two joined by fusion attention (`joint`)."""
