"""The experiment that KFP lists runs under."""

import kfp_server_api

from edgepress_pipelines.kubeflow.api.connection import Connection
from edgepress_pipelines.kubeflow.api.create_once import create_once
from edgepress_pipelines.kubeflow.api.listing import every, named


def find_experiment(connection: Connection, name: str) -> str | None:
    """The identifier of an experiment by its name; None when there is none.

    Raises:
        KubeflowError: KFP cannot be asked, or refuses.
    """
    ask = connection.experiments.experiment_service_list_experiments
    found = next(every(ask, "experiments", filter=named(name), namespace=connection.namespace), None)
    return found.experiment_id if found is not None else None


def ensure_experiment(connection: Connection, name: str) -> str:
    """The identifier of an experiment, which is made when it is absent."""

    def create() -> str:
        wanted = kfp_server_api.V2beta1Experiment(display_name=name, namespace=connection.namespace)
        identifier: str = connection.experiments.experiment_service_create_experiment(wanted).experiment_id
        return identifier

    def find() -> str | None:
        return find_experiment(connection, name)

    return find() or create_once(create, find, connection.patience, connection.tell)
