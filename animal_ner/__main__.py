"""``python -m animal_ner``."""

import sys

if __name__ == "__main__":
    try:
        from animal_ner.cli import main
    except ModuleNotFoundError as error:
        sys.exit(f"animal_ner: {error.name} is missing; training needs the extra 'train': pip install -e '.[train]'")
    sys.exit(main())
