"""Make a release of two checkpoints: ``python scripts/export.py --help``."""

import sys

try:
    from verifier.export import main
except ModuleNotFoundError as error:
    sys.exit(f"export: {error.name} is missing; exporting needs the extra 'train': pip install -e '.[train]'")

if __name__ == "__main__":
    sys.exit(main())
