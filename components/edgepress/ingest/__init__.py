"""Ingest: a source of labelled examples becomes a dataset directory.

Order of reading: ``step.py`` (the whole flow), ``sources.py`` (which reader), ``content.py`` (what a reader gives), one file per source
(``digits.py``, ``fashion_mnist.py``, ``npz.py``, ``image_folder.py``), ``checks.py``, ``splits.py``, ``write.py``. ``source_digest.py``
tells, without making a dataset of it, whether a source is another than it was.
"""
