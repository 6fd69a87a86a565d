"""``python -m animal_cls``."""

import sys

if __name__ == "__main__":
    try:
        from animal_cls.cli import main
    except ModuleNotFoundError as error:
        sys.exit(f"animal_cls: {error.name} is missing; training needs the extra 'train': pip install -e '.[train]'")
    sys.exit(main())
