"""``python -m spectf_cloud``: the same as the ``spectf-cloud`` command."""

from spectf_cloud.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
