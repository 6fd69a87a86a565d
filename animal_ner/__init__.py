"""Text -> mentions: a transformer that finds the animals a text names and what it claims of each.

``tags``, ``text``, ``tokens`` and ``names`` are shared with inference and need no torch; ``module.Tagger`` is the model,
``data.SentenceDataModule`` the sentences, ``grammar`` makes more of them, ``cli`` is the command line.
"""
