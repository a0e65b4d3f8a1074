"""``.tflite`` files: what they hold, and running them as a device does."""
