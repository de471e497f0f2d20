"""The Hugging Face Hub: publishing an exported model, downloading one. All traffic goes through huggingface_hub.

A lost connection is taken up again in the middle of a file. A command that was stopped goes on when it is given again:
files that are there already are neither sent nor fetched twice. A download is compared with the Hub's checksums before it
gets its final name.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, errors
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from recruiter.errors import HubError
from recruiter.files import short_path
from recruiter.llm.retry import pauses
from recruiter.llm.transport import check_environment

MODEL = "ash256/qwen3-4b-question-gen"
TOKEN_PAGE = "https://huggingface.co/settings/tokens"  # noqa: S105 (an address)
RACES = (404, 409, 412, 423, 429, 500, 502, 503, 504)  # 404: a repository that was made a moment ago
RETRIES, FIRST_PAUSE, LONGEST_PAUSE = 5, 2.0, 20.0  # seconds
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
LOCAL_FILES = ("export.json", ".*")  # names paths of this machine
SPARE_BYTES = 200_000_000

Result = TypeVar("Result")
NetworkError: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]  # of the client that huggingface_hub uses


def user_name() -> str:
    """Who the Hub takes us for.

    Raises:
        HubError: there is no token, it is not accepted, or the Hub cannot be reached.
    """
    with explained("the name of your account"):
        return str(HfApi().whoami()["name"])


def publish(folder: Path, repo: str, private: bool, say: Callable[[str], None]) -> str:
    """Upload a folder to a model repository, made if it is missing; return its address.

    Weights that the repository holds under other names are deleted with the commit, so that no reader mixes them.

    Raises:
        HubError: the Hub refuses or cannot be reached, or the repository is public and should be private.
    """
    api = HfApi()
    with explained(repo):
        _retry(lambda: api.create_repo(repo, private=private or None, exist_ok=True), say)
        if private and not _retry(lambda: api.repo_info(repo), say).private:
            raise HubError(f"{repo} exists and is public: make it private on the Hub first, or leave --private out.")
        _retry(lambda: _upload(api, repo, folder), say)
    return f"{api.endpoint}/{repo}"


def _upload(api: HfApi, repo: str, folder: Path) -> None:
    try:
        api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            commit_message="Upload the exported model",
            ignore_patterns=list(LOCAL_FILES),
            delete_patterns=list(WEIGHTS),
        )
    except RuntimeError as error:  # how a failed transfer of one file is wrapped
        raise error.__cause__ if isinstance(error.__cause__, NetworkError) else error from None


def fetch_snapshot(repo: str, patterns: Sequence[str]) -> Path:
    """A model's files in the Hub's cache on this machine, fetched where they are not there yet."""
    with explained(repo):
        return Path(HfApi().snapshot_download(repo, allow_patterns=list(patterns)))


def model_size(repo: str) -> tuple[int, int]:
    """Bytes of weights and context length of a published model.

    Raises:
        HubError: it is not there, or is no model with a context length.
    """
    api = HfApi()
    with explained(repo):
        info = api.model_info(repo, files_metadata=True)
        config = json.loads(Path(api.hf_hub_download(repo, "config.json")).read_text(encoding="utf-8"))
    text = config.get("text_config", config)
    if "max_position_embeddings" not in text:
        raise HubError(f"{repo} has no max_position_embeddings in its config.json: it is no exported model.")
    sizes = [file.size or 0 for file in info.siblings or [] if file.rfilename.endswith(".safetensors")]
    return sum(sizes), int(text["max_position_embeddings"])


def download(repo: str, revision: str | None, folder: Path, say: Callable[[str], None]) -> bool:
    """Fetch a whole model repository into a folder; return whether anything had to be fetched.

    Raises:
        HubError: there is no such repository or revision, no access, no connection, too little disk, or the folder holds
            something else.
    """
    api, folder = HfApi(), folder.resolve()
    beside = folder.with_name(f".{folder.name}.part")
    with explained(repo if revision is None else f"{repo} at {revision}"):
        info = api.model_info(repo, revision=revision, files_metadata=True)
        if folder.exists() and any(folder.iterdir()):
            if not (folder / ".cache/huggingface").is_dir():
                raise HubError(f"{short_path(folder)} holds something else; choose another --output.")
            if not _damaged(api, repo, str(info.sha), folder):
                return False
            shutil.rmtree(beside, ignore_errors=True)
            folder.rename(beside)
        for torn in beside.rglob("*.incomplete"):  # of a killed run; huggingface_hub begins such a file again
            torn.unlink()
        size = sum(file.size or 0 for file in info.siblings or [])
        present = sum(file.stat().st_size for file in beside.rglob("*") if file.is_file())
        _check_disk(beside, size - present)
        say(f"Fetching {repo}, {size / 1e9:.2f} GB, revision {str(info.sha)[:12]} …")
        for attempt in range(2):
            api.snapshot_download(repo, revision=info.sha, local_dir=beside)
            say("Comparing with the Hub's checksums …")
            damaged = _damaged(api, repo, str(info.sha), beside)
            if not damaged:
                break
            for name in damaged:
                (beside / name).unlink(missing_ok=True)
            if attempt:
                raise HubError(f"{damaged[0]} of {repo} does not match the Hub's checksum, twice: try again later.")
            say(f"{', '.join(damaged)} did not match and is fetched again.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        folder.rmdir()
    os.replace(beside, folder)
    return True


def _damaged(api: HfApi, repo: str, revision: str, folder: Path) -> list[str]:
    """Files that are missing in a folder or differ from the Hub's."""
    found = api.verify_repo_checksums(repo, revision=revision, local_dir=folder)
    return sorted({*found.missing_paths, *(mismatch["path"] for mismatch in found.mismatches)})


def _check_disk(folder: Path, needed: int) -> None:
    parent = next(parent for parent in folder.resolve().parents if parent.exists())
    free = shutil.disk_usage(parent).free
    if free < needed + SPARE_BYTES:
        raise HubError(
            f"The model needs {(needed + SPARE_BYTES) / 1e9:.1f} GB and {free / 1e9:.1f} GB are free at {short_path(parent)}: "
            f"free some, or choose another --output."
        )


def _retry(call: Callable[[], Result], say: Callable[[str], None]) -> Result:
    """Call again after what is known to pass: two writers at once, a repository that is not everywhere yet, an outage."""
    for pause in islice(pauses(FIRST_PAUSE, LONGEST_PAUSE), RETRIES):
        try:
            return call()
        except HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else 500
            if status not in RACES or isinstance(error, GatedRepoError):
                raise
            say(f"The Hub answers {status}; trying again in {pause:.0f} s …")
        except NetworkError as error:
            say(f"The connection failed ({type(error).__name__}); trying again in {pause:.0f} s …")
        time.sleep(pause)
    return call()


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn huggingface_hub's errors into one sentence about `what`."""
    try:
        yield
    except LocalTokenNotFoundError:
        raise HubError(f"There is no Hub token: write HF_TOKEN=<token> into .env; make one at {TOKEN_PAGE}.") from None
    except HFValidationError:
        raise HubError(f"{what} is no name of a repository; write user/name.") from None
    except GatedRepoError:
        raise HubError(
            f"{what} is gated: ask for access on its page, and set HF_TOKEN to a token of that account."
        ) from None
    except RevisionNotFoundError:
        raise HubError(f"There is no such revision: {what}.") from None
    except RepositoryNotFoundError as error:
        if error.response is not None and error.response.status_code == 401 and os.environ.get("HF_TOKEN"):
            raise HubError(f"The Hub does not accept HF_TOKEN for {what}: make a new one at {TOKEN_PAGE}.") from None
        raise HubError(f"The Hub has no {what}, or HF_TOKEN may not see it.") from None
    except HfHubHTTPError as error:
        raise HubError(_http_sentence(what, error)) from None
    except LocalEntryNotFoundError:
        raise HubError(f"{what} could not be fetched: the Hub cannot be reached, or HF_HUB_OFFLINE is set.") from None
    except (ValueError, ImportError, FileNotFoundError):
        check_environment()
        raise
    except NetworkError as error:
        raise HubError(f"The Hub cannot be reached for {what} ({type(error).__name__}): run again to go on.") from None


def _http_sentence(what: str, error: HfHubHTTPError) -> str:
    status = error.response.status_code if error.response is not None else None
    if status == 401:
        return f"The Hub does not accept HF_TOKEN: make a new one at {TOKEN_PAGE}."
    if status == 403:
        return f"HF_TOKEN may not write to {what}: it needs write access, and {what.partition('/')[0]} must be yours."
    reason = str(error.server_message or error).strip().splitlines()
    return f"The Hub refused {what} ({status}): {reason[0] if reason else 'no reason given'} Run again to go on."
