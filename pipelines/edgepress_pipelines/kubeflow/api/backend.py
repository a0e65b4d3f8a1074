"""The KFP backend that compiled pipelines are made for."""

MINIMUM_BACKEND_VERSION = "2.16.0"
"""The oldest KFP backend that takes what ``edgepress compile`` writes.

2.16 is the first whose pods fit Pod Security ``restricted``, and the first that knows a task's security context: older ones refuse a
platform spec with a field that they do not know, so the whole run. Read in the backend's source at the tags 2.14.0 to 2.17.0
(``backend/src/v2/compiler/argocompiler``, ``kubernetes_platform/proto``), not tried on each.
"""
