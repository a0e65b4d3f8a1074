"""KFP declaration of the release."""

from kfp import dsl

from edgepress import images


@dsl.component(base_image=images.RELEASER, install_kfp_package=False)
def release(
    context: str,
    run_id: str,
    settings: str,
    verdict: dsl.Input[dsl.Artifact],
    nominee: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    bundle: dsl.Output[dsl.Artifact],
) -> str:
    """Bundle the judged nominee and publish it, complete or not at all; gives its URI."""
    from pathlib import Path

    from edgepress.contracts.config import ReleaseSettings
    from edgepress.release.step import release
    from edgepress.task import enter_run

    run = enter_run(context)
    return release(
        name=run.name,
        run_id=run_id,
        settings=ReleaseSettings.model_validate_json(settings),
        verdict=Path(verdict.path),
        nominee=Path(nominee.path),
        dataset=dataset.metadata["address"],
        output=Path(bundle.path),
        run_folder=run.folder(run_id),
    )
