"""Names of environment variables that say where Kubeflow Pipelines is and who asks. Nothing is imported."""

HOST_VARIABLE = "EDGEPRESS_KFP_HOST"
TOKEN_VARIABLE = "EDGEPRESS_KFP_TOKEN"  # noqa: S105 - a name
COOKIE_VARIABLE = "EDGEPRESS_KFP_COOKIE"
POD_TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105 - a name, KFP's own
