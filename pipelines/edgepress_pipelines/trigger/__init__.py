"""Starting a run when, and only when, something that its verdict follows from has changed."""
