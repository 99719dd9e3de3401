"""How much people and organisations may build and keep, how much they do, and what is refused beyond."""
