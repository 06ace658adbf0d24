"""Line charts of our own: described once, drawn as SVG for reports and as PNG for files."""
