"""Try values of a configuration, or find a rate or a batch size: ``python scripts/sweep.py --help``."""

import sys

try:
    from verifier.sweep import main
except ModuleNotFoundError as error:
    sys.exit(f"sweep: {error.name} is missing; sweeping needs the extra 'sweep': pip install -e '.[sweep]'")

if __name__ == "__main__":
    sys.exit(main())
