"""Average a fine-tuned classifier with where it started: ``python scripts/average.py --help``."""

import sys

try:
    from animal_cls.averaging import main
except ModuleNotFoundError as error:
    sys.exit(f"average: {error.name} is missing; averaging needs the extra 'train': pip install -e '.[train]'")

if __name__ == "__main__":
    sys.exit(main())
