"""A merged model to the Hugging Face hub, as a private repository."""

from pathlib import Path

from tasks.errors import StoreError


def push_to_hub(folder: Path, repository: str, endpoint: str | None = None) -> str:
    """Upload a model directory and return its address; files that are there already are not sent again.

    The token is the one of `hf auth login` or of HF_TOKEN. Raises StoreError when the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, LocalTokenNotFoundError

    hub = HfApi(endpoint=endpoint)
    try:
        hub.create_repo(repository, private=True, exist_ok=True)
        done = hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload by rsvlm")
    except (HTTPError, HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
        raise StoreError(
            f"{folder} cannot be pushed to {repository} on the hub ({type(error).__name__}: {error}): "
            "set HF_TOKEN to a token that may write there, or leave merging.push_to_hub empty."
        ) from None
    return str(done.commit_url)
