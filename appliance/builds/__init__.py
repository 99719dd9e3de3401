"""From a source to an image on this box."""
