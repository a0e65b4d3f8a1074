"""``python -m edgepress.evaluate {evaluate,evaluate_test} …``"""

from edgepress.command import run_steps
from edgepress.evaluate.step import evaluate, evaluate_test

run_steps({"evaluate": evaluate, "evaluate_test": evaluate_test})
