"""One module per file format; each turns a path into a `spectf_cloud.scene.Cube`."""
