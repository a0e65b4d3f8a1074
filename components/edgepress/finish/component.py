"""KFP declaration of the exit handler's task."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.RELEASER, install_kfp_package=False)
def finish(context: str, run_id: str, status: dsl.PipelineTaskFinalStatus) -> None:
    """Tell the metrics how the run ended."""
    from edgepress.finish.step import finish
    from edgepress.task import enter_run

    run = enter_run(context)
    finish(
        name=run.name,
        run_id=run_id,
        engine_state=status.state,
        message=status.error_message or "",
        folder=run.folder(run_id),
    )
