"""What the manifests start is a command that the project has, with options that it takes."""

import pytest
import typer.main

from edgepress_pipelines.cli import app
from tests.manifests.rendered import OVERLAYS, containers, pod_templates, render


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_edgepress_command_takes_its_arguments(overlay: str) -> None:
    commands = [
        container["args"]
        for _, template in pod_templates(render(overlay))
        for container in containers(template)
        if container.get("command") == ["edgepress"]
    ]
    assert len(commands) >= 2
    cli = typer.main.get_command(app)
    for name, *arguments in commands:
        command = cli.get_command(typer.Context(cli), name)  # type: ignore[attr-defined]
        assert command is not None, name
        command.make_context(name, list(arguments))  # raises on an option that is not there


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_file_that_a_command_is_given_is_mounted(overlay: str) -> None:
    for name, template in pod_templates(render(overlay)):
        for container in containers(template):
            if container.get("command") != ["edgepress"]:
                continue
            mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
            files = [argument for argument in container["args"] if argument.startswith("/")]
            assert files
            assert all(any(file.startswith(f"{mount}/") for mount in mounts) for file in files), name
