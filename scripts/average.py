"""Average two checkpoints of one network: ``python scripts/average.py --help``."""

import sys

try:
    from verifier.averaging import main
except ModuleNotFoundError as error:
    sys.exit(f"average: {error.name} is missing; averaging needs the extra 'train': pip install -e '.[train]'")

if __name__ == "__main__":
    sys.exit(main())
