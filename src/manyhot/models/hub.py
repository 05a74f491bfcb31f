"""The weights that timm publishes: found in the cache, or downloaded after saying from where and how much."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from manyhot.errors import ModelError

if TYPE_CHECKING:
    from timm.models import PretrainedCfg

log = logging.getLogger("manyhot")

# The first is safe by construction; the second is read with weights_only.
FILE_NAMES = ("model.safetensors", "pytorch_model.bin")
TIMEOUT_S = 5.0
GO_ON = "use --pretrained none to start from random weights, or --pretrained PATH with a .safetensors or .pt file"


def published_weights(name: str, published: "PretrainedCfg") -> Path:
    """Return the file of an encoder's published weights; downloads it once if it is not in the cache yet.

    Host and size are logged before the download. Without a connection this fails within seconds.

    Raises:
        ModelError: If timm publishes none, or they cannot be had; the message says how to go on.
    """
    repository = published.hf_hub_id
    if not repository:
        elsewhere = f" on its hub, but at {published.url}: download that file" if published.url else ""
        raise ModelError(f"timm publishes no weights for {name!r}{elsewhere}; {GO_ON}")
    repository, _, revision = repository.partition("@")
    return _cached(repository, revision or None) or _downloaded(name, repository, revision or None)


def _cached(repository: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for file_name in FILE_NAMES:
        path = try_to_load_from_cache(repository, file_name, revision=revision)
        if isinstance(path, str):
            log.info("weights: %s, from the cache", repository)
            return Path(path)
    return None


def _downloaded(name: str, repository: str, revision: str | None) -> Path:
    from huggingface_hub import constants, hf_hub_download

    # The base of its network errors, of whichever HTTP client this version of the hub's client uses.
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage] - it has no other name

    # The client would tell the host which versions of Python and torch are installed here.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        file_name, host, size_bytes = _find(repository, revision)
        size = "of unknown size" if size_bytes is None else f"{size_bytes / 1e6:,.0f} MB"
        log.info("weights: downloading %s, %s, from %s; kept for later runs", repository, size, host)
        return Path(hf_hub_download(repository, file_name, revision=revision, etag_timeout=TIMEOUT_S))
    except (HTTPError, OSError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"the published weights of {name!r} cannot be had ({reason}); {GO_ON}") from error


def _find(repository: str, revision: str | None) -> tuple[str, str, int | None]:
    """Return the name, host and size in bytes of the first file there is."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    for file_name in FILE_NAMES:
        url = hf_hub_url(repository, file_name, revision=revision)
        try:
            # Asked for by itself first: hf_hub_download would try six times, for half a minute, before it gave up.
            found = get_hf_file_metadata(url, timeout=TIMEOUT_S)
        except EntryNotFoundError:
            continue
        return file_name, urlsplit(url).netloc, found.size
    raise FileNotFoundError(f"{repository} holds neither {' nor '.join(FILE_NAMES)}")
