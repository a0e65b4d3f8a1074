"""What surrounds a task: its output, its events, its log lines and its metrics. Nothing here can change what a task computes."""
