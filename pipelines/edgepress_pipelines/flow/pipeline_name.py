"""What the pipeline is called, compiled and in Kubeflow Pipelines. Nothing is imported."""

PIPELINE_NAME = "compress-and-release"
PIPELINE_DESCRIPTION = "Compress a model several ways, judge the results, release what passed."
