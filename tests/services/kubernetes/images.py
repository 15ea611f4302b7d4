"""The images of images/, built from the very Dockerfiles that serve production, on a base made on this machine.

buildah needs no daemon and debootstrap no image registry. An image is named by a hash of everything that went into it,
so what is there is current. They go to seed.py, which unpacks them for the nodes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .namespaces import TREE, run
from .seed import Seed

REGISTRY = "gpuqueue.test"
UNFINISHED = "unfinished-"
PACKAGE = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "scripts/requirements.py", "gpuqueue_spawner")
GENTLY = ("nice", "-n", "19", "ionice", "-c", "3")
DEBOOTSTRAP = (*GENTLY, "unshare", "--mount", "debootstrap", "--variant=minbase", "--include=ca-certificates")
PAUSE = ("--entrypoint", '["sleep"]', "--cmd", "infinity")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"  #: what Debian trusts


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One image: a Dockerfile of images/, and the files of the tree that it copies."""

    name: str
    files: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""  #: below images/; as the name where left out

    @property
    def dockerfile(self) -> Path:
        """Where it is written."""
        return TREE / "images" / (self.folder or self.name) / "Dockerfile"


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="hub", files=(*PACKAGE, "hub_config/jupyterhub_kubernetes.py")),
        Recipe(name="proxy"),
        Recipe(name="manager", files=PACKAGE),
        Recipe(name="notebook"),
        Recipe(name="tensorflow", folder="notebook", arguments={"EXTRA": "tensorflow-cpu"}),
    )
}


class Images:
    """What is built on this machine, in the cache folder."""

    def __init__(self, cache: Path, suite: str) -> None:
        self.cache = cache
        self.suite = suite
        cache.mkdir(parents=True, exist_ok=True)
        self._buildah = [*GENTLY, "buildah", "--root", cache / "buildah", "--runroot", cache / "buildah-run"]
        self._buildah += ["--storage-driver", "overlay"]
        self.base = f"{REGISTRY}/base:{_key([suite, _trusted()])}"
        self.pause = f"{REGISTRY}/pause:{_key([self.base, *PAUSE])}"
        self.seed = Seed(cache / "containerd", pause=self.pause)

    def provide(self, *names: str) -> dict[str, str]:
        """Build and unpack what is missing; returns references by name, with `base` and `pause`."""
        references = {"base": self.base, "pause": self.pause}
        references |= {name: self._reference(RECIPES[name]) for name in names}
        if not all(map(self.seed.has, references.values())):
            with open(self.cache / "lock", "a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._make({name: it for name, it in references.items() if not self.seed.has(it)})
        return references

    def _make(self, missing: Mapping[str, str]) -> None:
        self._run("rm", "--all")  # a killed build leaves its container mounted
        for left in self.cache.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left)
        self._make_base()
        with tempfile.TemporaryDirectory(dir=self.cache, prefix=UNFINISHED) as folder:
            archives = {it: self._archive(name, it, Path(folder)) for name, it in missing.items()}
            for forgotten in filter(self._built, self.seed.load(archives)):
                self._run("rmi", "--force", forgotten)

    def _reference(self, recipe: Recipe) -> str:
        parts = [self.base, recipe.dockerfile.read_text(), *sorted(map(str, recipe.arguments.items()))]
        parts += [f"{path.relative_to(TREE)} {_digest(path)}" for path in _contents(recipe.files)]
        return f"{REGISTRY}/{recipe.name}:{_key(parts)}"

    def _archive(self, name: str, reference: str, folder: Path) -> Path:
        if name == "pause":
            self._pause(reference)
        elif name != "base":
            self._build(RECIPES[name], reference)
        archive = folder / f"{name}.tar"
        self._run("push", "--quiet", reference, f"docker-archive:{archive}:{reference}")
        return archive

    def _build(self, recipe: Recipe, reference: str) -> None:
        arguments = {"BASE_IMAGE": self.base, **recipe.arguments}
        flags = ["--isolation=chroot", "--layers", f"--tag={reference}", f"--file={recipe.dockerfile}"]
        flags += [f"--build-arg={name}={value}" for name, value in arguments.items()]
        self._run("bud", *flags, TREE)

    def _pause(self, reference: str) -> None:
        """What holds a pod's namespaces only has to stay."""
        container = self._run("from", "--pull-never", self.base).strip()
        self._run("config", *PAUSE, container)
        self._run("commit", "--quiet", "--rm", container, reference)

    def _make_base(self) -> None:
        """A minimal Debian that behaves as the published image does, and that reaches what this machine reaches."""
        if self._built(self.base):
            return
        with tempfile.TemporaryDirectory(dir=self.cache, prefix=UNFINISHED) as folder:
            root = Path(folder) / "root"
            # In a mount namespace: what it mounts in there is gone with it, also when it is killed.
            run(*DEBOOTSTRAP, self.suite, root)
            (root / BUNDLE.lstrip("/")).write_text(_trusted())
            own = [line for line in run("apt-config", "dump", "Acquire").splitlines() if "::check-" in line.lower()]
            # As the published images of Debian: apt keeps no downloads.
            kept = 'APT::Keep-Downloaded-Packages "false"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";'
            (root / "etc/apt/apt.conf.d/99build").write_text("\n".join([*own, kept, ""]))
            for waste in ("var/cache/apt", "var/lib/apt/lists", "dev"):
                shutil.rmtree(root / waste)
                (root / waste).mkdir()
            container = self._run("from", "scratch").strip()
            self._run("add", "--quiet", container, root, "/")
            environment = {
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "DEBIAN_FRONTEND": "noninteractive",
                "PIP_CERT": BUNDLE,
                "NODE_EXTRA_CA_CERTS": BUNDLE,
                "PIP_DEFAULT_TIMEOUT": "180",
            }
            variables = [f"--env={name}={value}" for name, value in environment.items()]
            self._run("config", *variables, "--cmd", "/bin/bash", container)
            self._run("commit", "--quiet", "--rm", container, self.base)

    def _built(self, reference: str) -> bool:
        return bool(self._run("images", "--quiet", "--filter", f"reference={reference}").strip())

    def _run(self, *arguments: str | Path) -> str:
        return run(*self._buildah, *arguments)


def images() -> Images:
    """The images of this tree in the cache folder that scripts/with names."""
    pins = dict(line.split("#")[0].strip().split("=") for line in _pins() if "=" in line)
    return Images(Path(os.environ["GPUQUEUE_CACHE"]) / "kubernetes/images", pins["DEBIAN_SUITE"])


def _pins() -> list[str]:
    return (TREE / "scripts/versions.env").read_text().splitlines()


def _trusted() -> str:
    """What this machine trusts: through it a build reaches the package registries."""
    return Path(BUNDLE).read_text()


def _contents(files: tuple[str, ...]) -> Iterator[Path]:
    for name in files:
        path = TREE / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (each for each in found if each.is_file() and "__pycache__" not in each.parts)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _key(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


if __name__ == "__main__":  # ahead of the tests that need them
    images().provide(*RECIPES)
