"""From a scene to its mask."""
