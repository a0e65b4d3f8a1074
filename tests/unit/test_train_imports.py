"""Importing the training step, or checking a model's parameters, loads no TensorFlow."""

import subprocess
import sys


def test_no_tensorflow() -> None:
    code = """
import sys
import edgepress.train.step, edgepress.models.parameters, edgepress.models.user_module, edgepress.models.saved_config
sys.exit(", ".join({"tensorflow", "tf_keras", "keras"} & set(sys.modules)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
