"""An exported folder as a repository on the Hugging Face Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import huggingface_hub
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but without a stub

from attrition.names import AttritionError


def token_for(repo: str) -> str:
    """Return the user's token for the Hub, from `hf auth login` or HF_TOKEN.

    Raises:
        AttritionError: `repo` is not a valid name on the Hub, or there is no token.
    """
    try:
        validate_repo_id(repo)
    except ValueError as error:
        raise AttritionError(f"--push {repo!r} is not the name of a repository ({error}). Write NAME or OWNER/NAME.") from error
    token = huggingface_hub.get_token()
    if not token:
        raise AttritionError(
            f"No token for the Hugging Face Hub, so nothing can be pushed to {repo!r}. Run `hf auth login`, or set HF_TOKEN."
        )
    return token


def push_folder(folder: Path, repo: str, *, token: str, kind: Literal["model", "dataset"] = "model") -> str:
    """Upload an exported folder to a repository, private if it is new, and return the repository's address.

    Args:
        folder: all files and the card.
        repo: NAME or OWNER/NAME.
        token: of the user.
        kind: of repository.

    Raises:
        AttritionError: the adapter's base is a folder on this machine, or the Hub refuses the upload.
    """
    described = folder / "adapter_config.json"
    if described.is_file():
        base = Path(json.loads(described.read_text(encoding="utf-8"))["base_model_name_or_path"])
        if base.is_dir():
            raise AttritionError(
                f"The adapter's base is {base}, a folder on this machine only. Push the base first, write its name as "
                f"base_model_name_or_path in {described}, then run `hf upload {repo} {folder}`."
            )
    api = huggingface_hub.HfApi(token=token)
    try:
        address = api.create_repo(repo, repo_type=kind, private=True, exist_ok=True)
        api.upload_folder(repo_id=address.repo_id, folder_path=folder, repo_type=kind, commit_message="Upload with attrition")
    except Exception as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AttritionError(f"The Hub refused {repo!r} ({said}). The {kind} is in {folder}.") from error
    return str(address)
