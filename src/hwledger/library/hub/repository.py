"""One repository of the hub at one commit: what is in it, and its files as readers see them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from huggingface_hub import HfApi, hf_hub_url

from hwledger.errors import MalformedError, MissingError
from hwledger.library.access import Access
from hwledger.library.files import ByteFile, LocalFiles
from hwledger.library.hub.cache import snapshot_of
from hwledger.library.hub.reference import HubReference, endpoint
from hwledger.library.hub.session import TIMEOUT_S, Hub
from hwledger.library.net.remote_file import RemoteFile
from hwledger.library.net.remote_files import Counter

LARGEST_FILE = 1 << 50
LONGEST_COMMIT = 64
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one commit.

    Attributes:
        repo: ``org/name``.
        commit: the commit.
        sizes: bytes of each file by its path; -1 where the hub does not say.
    """

    repo: str
    commit: str
    sizes: Mapping[str, int]


def read_repository(hub: Hub, ref: HubReference) -> Repository:
    """Return what is in a repository, in one request.

    Raises:
        MissingError, DeniedError, UnreachableError, MalformedError: as ``Hub.ask``.
    """

    def question(api: HfApi) -> Repository:
        info = api.model_info(ref.repo, revision=ref.revision, files_metadata=True, timeout=TIMEOUT_S)
        if not isinstance(info.sha, str) or not info.sha.isalnum() or len(info.sha) > LONGEST_COMMIT:
            raise ValueError("no commit")
        files = {str(file.rfilename): _size(file.size) for file in info.siblings or ()}
        return Repository(ref.repo, info.sha, {path: size for path, size in files.items() if _inside(path)})

    found = hub.ask(ref.repo, ref.revision, question)
    if not found.sizes:
        raise MissingError(f"{ref.repo}: this repository holds no files at {ref.revision or 'main'}")
    return found


class HubFiles:
    """The files of one folder of a repository; satisfies ``Files``.

    Files that the hub's own cache on this machine holds at the same commit are read there.
    """

    def __init__(self, hub: Hub, access: Access, repository: Repository, folder: str) -> None:
        self.repository = repository
        self.name = repository.repo
        self.where = f"{repository.repo}@{repository.commit[:7]}" + (f"/{folder}" if folder else "")
        self.counter = Counter(hub.http, access, repository.repo)
        self._hub = hub
        self._prefix = f"{folder}/" if folder else ""
        snapshot = snapshot_of(repository.repo, repository.commit)
        self._local = LocalFiles(snapshot / folder) if snapshot else None

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of every file in the folder, by name."""
        here = {
            p[len(self._prefix) :]: s for p, s in self.repository.sizes.items() if p.startswith(self._prefix)
        }
        return {name: size for name, size in here.items() if "/" not in name}

    @contextmanager
    def open(self, name: str) -> Iterator[ByteFile]:
        """Open a file for reading in parts, on disk where it is there already."""
        path = self._prefix + name
        if path not in self.repository.sizes:
            raise MissingError(f"{self.where}/{name}: there is no such file in the repository")
        self.counter.opened += 1
        if self._local and (self._local.folder / name).is_file():
            with self._local.open(name) as file:
                yield file
            return
        url = hf_hub_url(self.repository.repo, path, revision=self.repository.commit, endpoint=endpoint())
        size = self.repository.sizes[path]
        explain = self._hub.explain(self.repository.repo, self.repository.commit)
        yield RemoteFile(self._hub.http, url, f"{self.where}/{name}", size if size >= 0 else None, explain)

    def each(self, function: Callable[[str], Result], names: list[str]) -> list[Result]:
        """Return ``function`` of every name, several at once."""
        return self.counter.each(function, names)


def _size(stated: object) -> int:
    if stated is None:
        return -1
    if not isinstance(stated, int) or isinstance(stated, bool) or not 0 <= stated <= LARGEST_FILE:
        raise MalformedError(f"{endpoint()}: a file of {str(stated)[:40]} bytes cannot be")
    return stated


def _inside(path: str) -> bool:
    """Whether a path stays within its repository: it may be joined to a folder of this machine."""
    parts = path.split("/")
    return (
        bool(path)
        and not any(part in {"", ".", ".."} for part in parts)
        and "\\" not in path
        and "\0" not in path
    )
