"""Is what a text says about the animals in a picture true? ``python scripts/verify.py --help``."""

import os
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's other threads would have nothing to do but spin while it starts

try:
    from verifier.cli import main
except ModuleNotFoundError as error:
    sys.exit(f"verify: {error.name} is missing; install the project first: pip install -e .")
except KeyboardInterrupt:
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(main())
