"""Show runs side by side, settings that differ and scores: ``python scripts/compare.py --help``."""

import sys

try:
    from verifier.comparison import main
except ModuleNotFoundError as error:
    sys.exit(f"compare: {error.name} is missing; comparing needs the extra 'train': pip install -e '.[train]'")

if __name__ == "__main__":
    sys.exit(main())
