"""Picture -> presence: a light CNN that tells which animals a picture shows.

``picture`` opens and fits pictures and needs no torch; ``module.Classifier`` is the model, ``data.PictureDataModule`` the
pictures, ``cli`` the command line.
"""
