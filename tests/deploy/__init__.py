"""What the project brings for those who run it: the unit, the image, manifests, alarms, a board."""
