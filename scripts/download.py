"""Get a public set of animal pictures, or extract an archive of one: ``python scripts/download.py --help``."""

import sys

try:
    from animal_cls.download import main
except ModuleNotFoundError as error:
    sys.exit(f"download: {error.name} is missing; install the project first: pip install -e .")

if __name__ == "__main__":
    sys.exit(main())
