"""Make a model folder of a checkpoint: merge its adapter into the base model. Publish the folder, deploy it.

  recruiter export --checkpoint best --output exports/my-model --verify
  recruiter export --output exports/my-model --push_to_hub --hub_repo user/name --private
  recruiter export --hub_repo user/name --create_endpoint --instance_type nvidia-l4

All steps may stand in one command. A command that was stopped goes on when it is given again.
"""

from __future__ import annotations

import argparse
import os
import sys

from rich.console import Console
from rich.progress import DownloadColumn, Progress

from recruiter.cli.command import argument_parser, command
from recruiter.cli.next_step import RAW, next_evaluation
from recruiter.cli.options import output_folder, text, whole
from recruiter.cli.terminal import make_console, shown_status
from recruiter.config.loading import load_config
from recruiter.config.paths import ROLES, WORKSPACE, command_line
from recruiter.errors import ConfigError, EndpointError
from recruiter.files import short_path
from recruiter.train.find_checkpoint import find_checkpoint
from recruiter.train.layout import Checkpoint

DEFAULT_OUTPUT = WORKSPACE / "exports/qwen3-4b-question-gen"
VERIFIED_ROLES = 3


@command
def main() -> None:
    """See above."""
    options = parse_options()
    console = make_console()
    _check_accounts(options)
    if options.checkpoint:
        _export(options, console)
    if options.push_to_hub:
        _publish(options, console)
    if options.create_endpoint:
        _deploy(options, console)
    if options.delete_endpoint:
        _undeploy(options, console)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--checkpoint", type=text, metavar="NAME", help="a checkpoint, a run's folder, `latest` or `best`"
    )
    parser.add_argument(
        "--output",
        type=output_folder,
        default=DEFAULT_OUTPUT,
        metavar="FOLDER",
        help="default exports/qwen3-4b-question-gen",
    )
    parser.add_argument("--base", type=text, metavar="MODEL", help="where the base model is now: a folder or a Hub id")
    parser.add_argument("--max_model_len", type=whole(ge=1), metavar="N", help="cap the context length, in tokens")
    parser.add_argument("--torch_dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16")
    parser.add_argument("--overwrite", action="store_true", help="replace the export that --output holds")
    parser.add_argument("--verify", action="store_true", help="compare with base + adapter, write questions")
    parser.add_argument("--push_to_hub", action="store_true", help="upload the folder to --hub_repo")
    parser.add_argument(
        "--hub_repo", type=text, metavar="USER/NAME", help="default: HF_REPO from the environment or .env"
    )
    parser.add_argument("--private", action="store_true", help="the repository is to be private")
    parser.add_argument("--create_endpoint", action="store_true", help="deploy --hub_repo as an inference endpoint")
    parser.add_argument(
        "--instance_type", type=text, metavar="NAME", help="default nvidia-t4; all of them: docs/export.md"
    )
    parser.add_argument("--delete_endpoint", action="store_true", help="delete the endpoint of --hub_repo")
    parser.add_argument("--yes", action="store_true", help="create or delete the endpoint without asking")
    options = parser.parse_args()
    options.hub_repo = options.hub_repo or os.environ.get("HF_REPO")
    endpoint = options.create_endpoint or options.delete_endpoint
    if not (options.checkpoint or options.push_to_hub or endpoint):
        parser.error("give --checkpoint to export, or --push_to_hub, --create_endpoint or --delete_endpoint")
    if options.create_endpoint and options.delete_endpoint:
        parser.error("--create_endpoint and --delete_endpoint exclude each other")
    if options.private and not options.push_to_hub:
        parser.error("--private belongs to --push_to_hub")
    if options.instance_type and not options.create_endpoint:
        parser.error("--instance_type belongs to --create_endpoint")
    if options.verify and not options.checkpoint:
        parser.error("--verify compares with a checkpoint: give --checkpoint too")
    if (options.push_to_hub or endpoint) and not options.hub_repo:
        raise ConfigError("Which repository is it? Give --hub_repo USER/NAME, or set HF_REPO in .env.")
    return options


def _check_accounts(options: argparse.Namespace) -> None:
    """Find out about tokens, names and prices before the long work."""
    if options.push_to_hub or options.create_endpoint:
        from recruiter.deploy.hub import user_name

        user_name()
    if options.create_endpoint:
        from recruiter.deploy.endpoint import check_client, check_instance

        check_client()
        check_instance(load_config("train_config").endpoint, options.instance_type)


def _export(options: argparse.Namespace, console: Console) -> None:
    from recruiter.export import describe, plan_export
    from recruiter.roles import load_roles

    adapter = find_checkpoint(options.checkpoint, WORKSPACE / "checkpoints").adapter
    with shown_status(console, "checking adapter and base"):
        export = plan_export(
            adapter, options.output, options.max_model_len, options.torch_dtype, options.base, options.overwrite
        )
    if export.existing:
        console.print(f"{short_path(options.output)} already is this export, verified by its hashes.")
    else:
        columns = (*Progress.get_default_columns(), DownloadColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("merging", total=export.plan.size)
            merged = export.write(lambda done: bar.update(task, completed=done))
        console.print(
            f"Exported {short_path(adapter)} on {export.base.name} to {short_path(options.output)}: "
            f"{merged.parameters / 1e6:.0f}M parameters, {merged.bytes / 1e9:.2f} GB, {options.torch_dtype}, "
            f"{export.max_model_len} tokens of context.\n"
            f"The adapter moves its weights by {merged.relative_change:.2%}; {min(merged.kept, 1):.1%} of that is left after "
            f"rounding.",
            soft_wrap=True,
        )
        if merged.kept < 0.9:
            console.print(
                f"Rounding to {options.torch_dtype} takes much of it: --torch_dtype float16 or float32 keeps more."
            )
    describe(options.output, options.hub_repo)
    if options.verify:
        from recruiter.export.verify import verify

        roles = load_roles(ROLES)
        with shown_status(console, "verifying") as status:
            found = verify(export, roles[:: len(roles) // VERIFIED_ROLES][:VERIFIED_ROLES], status)
        for role, question in found.questions:
            console.print(f"  {role.title} ({role.level}): {question}", soft_wrap=True)
        console.print(
            f"Against base + adapter in float32, over {found.tokens} tokens: largest difference of a probability "
            f"{found.max_difference:.2g}, mean KL {max(found.kl_lost, 0):.2g} nats "
            f"(the adapter itself: {found.kl_adapter:.2g}).",
            soft_wrap=True,
        )
        found.check(options.torch_dtype)
        console.print("Verified.")
    if not options.push_to_hub:
        run = Checkpoint.of_adapter(adapter).run.read_description()
        own = WORKSPACE / run["config"]["data"]["raw_dir"] if run else RAW
        raw = own if (own / "test.parquet").is_file() else RAW  # a run may come from another machine
        console.print(next_evaluation([short_path(options.output)], raw=raw), soft_wrap=True)


def _publish(options: argparse.Namespace, console: Console) -> None:
    from recruiter.deploy.hub import publish
    from recruiter.export import describe

    manifest = describe(options.output, options.hub_repo)
    manifest.check(options.output)
    if manifest.licence is None:
        console.print(f"Note: {manifest.base} states no licence in its files; its terms apply to what you publish.")
    console.print(f"Uploading {short_path(options.output)} to {options.hub_repo} …")
    address = publish(options.output, options.hub_repo, options.private, console.print)
    console.print(f"Published: {address}")


def _deploy(options: argparse.Namespace, console: Console) -> None:
    from recruiter.deploy.endpoint import create_endpoint, plan_endpoint, wait_for_endpoint
    from recruiter.deploy.hub import model_size

    settings = load_config("train_config").endpoint
    plan = plan_endpoint(settings, options.hub_repo, options.instance_type, *model_size(options.hub_repo))
    console.print(plan.text, soft_wrap=True)
    _ask(options.yes, "Create it?", "creates it")
    endpoint = create_endpoint(plan)
    remove = command_line("export", "--hub_repo", options.hub_repo, "--delete_endpoint")
    console.print(f"It is starting, also if you stop waiting. To remove it: {remove}", soft_wrap=True)
    with shown_status(console, "starting") as status:
        address = wait_for_endpoint(endpoint, settings.wait_minutes, lambda state: status(f"endpoint: {state}"))
    console.print(f"It runs: {address}")
    console.print(f"Next: HF_ENDPOINT_URL={address} {command_line('endpoint-test')}", soft_wrap=True)


def _undeploy(options: argparse.Namespace, console: Console) -> None:
    from recruiter.deploy.endpoint import delete_endpoint, endpoint_name

    _ask(options.yes, f"Delete the endpoint {endpoint_name(options.hub_repo)}?", "deletes it")
    name = delete_endpoint(options.hub_repo)
    console.print(f"Deleted the endpoint {name}; {options.hub_repo} itself stays.")


def _ask(is_agreed: bool, question: str, what_yes_does: str) -> None:
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise EndpointError(f"There is no terminal to ask at; --yes {what_yes_does} without asking.")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise EndpointError("Nothing was changed.")
