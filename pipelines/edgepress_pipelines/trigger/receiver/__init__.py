"""The webhook receiver of ``edgepress trigger --listen``: an event means "look whether a run is due", and nothing more.

Reading order: ``events`` (what senders post), ``deduplication``, ``rate_limit`` and ``pending`` (pure parts), ``core`` (the pure whole),
``worker`` (looks), ``places``, ``connection`` and ``server`` (what uvicorn is held to), ``application``, ``handler`` (events), ``status``
(health and metrics), ``serve`` (the process).
"""
