"""Text and picture -> verdict: is what the text says about the animals in the picture true?

>>> from verifier import Verifier
>>> verifier = Verifier()
>>> verifier.verify("There is a cat in the picture.", "notebooks/cat.jpg").answer
True

Importing this package loads neither torch nor transformers.
"""

from animal_ner.tags import Claim
from verifier.decision import Animal, Finding, InputError, Mention, Reason, Verdict, decide
from verifier.pipeline import Verifier

__version__ = "0.1.0"
__all__ = ["Animal", "Claim", "Finding", "InputError", "Mention", "Reason", "Verdict", "Verifier", "decide"]
