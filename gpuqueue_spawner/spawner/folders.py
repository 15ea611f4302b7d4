"""Pods that run under each person's own numeric user, with a folder of a share that is theirs.

Knows KubeSpawner's manifest and the settings for it. What is mounted, and as whom: volumes.py. Who makes the folders:
homes.py. Claims for each: claims.py. The queue's part: kubernetes.py.
"""

from __future__ import annotations

from typing import Any

from kubernetes_asyncio.client.models import V1Volume, V1VolumeMount
from kubespawner import KubeSpawner
from kubespawner.utils import get_k8s_model
from traitlets import Bool, Dict, Integer, TraitError, Unicode, default, validate

from ..model.pods import quantity
from ..model.resources import InvalidResources
from .claims import bind, claim_manifest, claim_name
from .errors import InvalidOption, LaunchFailed, SpawnRefused
from .homes import HomesAway, HomesRefused, ask_for_folder
from .users import Identity, directory_identity, folder_name
from .volumes import Shares, address, as_user, below, folder_owner, notebook_user, users_of, wanted

NOBODYS = "Your folder cannot be made: the directory has no numeric user for you, and this site sets none."


class FoldersMixin(KubeSpawner):  # type: ignore[misc]
    """Numeric users of the directory, folders of a share, and what Pod Security calls restricted."""

    minimum_uid = Integer(
        1000,
        config=True,
        help="""
        Smallest numeric user that a notebook's pod may run as, wherever the number comes from. At least 1.

        Smaller ones belong to the system, on every machine that the share is mounted on.

        .. versionadded:: 0.1
        """,
    )
    directory_users = Bool(
        True,
        config=True,
        help="""
        Whether pods run under the numeric user and the groups that the login left in `auth_state`, where it did.

        Everybody else's run as `uid`, `gid` and `supplemental_gids` say, or as their image does.

        .. versionadded:: 0.1
        """,
    )
    share = Unicode(
        config=True,
        help="""
        The NFS share with people's folders, as `SERVER:/EXPORT`, which each pod names itself.

        Not for a namespace that enforces Pod Security's `restricted`, which refuses such pods: set `share_claim` there.

        .. versionadded:: 0.1
        """,
    )
    share_claim = Unicode(
        config=True,
        help="""
        Name of the PersistentVolumeClaim for the share, in the namespace of the notebooks; instead of `share`.

        .. versionadded:: 0.1
        """,
    )
    home_claims = Bool(
        False,
        config=True,
        help="""
        Whether each person's folder comes by a volume and a claim of its own, instead of as a folder of one for all.

        `gpuqueue homes` makes the volume, the Hub the claim: the former needs its option `--volumes`. `share_claim` is
        then for `data_sets` alone.

        .. versionadded:: 0.1
        """,
    )
    homes_folder = Unicode(
        config=True,
        help="""
        Folder of the share that holds a folder for each person; unset: its top.

        .. versionadded:: 0.1
        """,
    )
    home_path = Unicode(
        "/home/jovyan",
        config=True,
        help="""
        Where a notebook finds its person's folder. It starts there, and HOME is set to it.

        .. versionadded:: 0.1
        """,
    )
    data_sets = Dict(
        key_trait=Unicode(),
        value_trait=Unicode(),
        config=True,
        help="""
        Folders of the share that everybody may read in a notebook and nobody write: folder of the share to path.

        They must exist; the cluster would make a missing one, as root.

        .. versionadded:: 0.1
        """,
    )
    scratch_size = Unicode(
        config=True,
        help="""
        Size of a folder on the node's own disk, such as `100Gi`, that is empty at first and goes with the pod.

        Who writes more is evicted. Unset: there is none.

        .. versionadded:: 0.1
        """,
    )
    scratch_path = Unicode("/scratch", config=True, help="Where a notebook finds it.\n\n.. versionadded:: 0.1")
    homes_url = Unicode(
        config=True,
        help="""
        Address of `gpuqueue homes`, which makes a person's folder before a pod needs it. Unset: somebody else does.

        Without it the cluster makes a missing folder itself, as root and with the share's mode.

        .. versionadded:: 0.1
        """,
    )
    homes_secret_file = Unicode(
        config=True,
        help="""
        File with the secret that `gpuqueue homes` wants to see.

        .. versionadded:: 0.1
        """,
    )

    _who: Identity | None = None  #: whose numbers the next pod has; set before its manifest is made

    @validate("minimum_uid")
    def _not_root(self, proposal: Any) -> int:
        return int(self._checked(proposal, proposal.value >= 1, "1 or more"))

    @validate("share")
    def _a_share(self, proposal: Any) -> str:
        good = not proposal.value or address(proposal.value) is not None
        return str(self._checked(proposal, good, "SERVER:/EXPORT"))

    @validate("home_claims")
    def _somebody_makes_volumes(self, proposal: Any) -> bool:
        good = not proposal.value or bool(self.homes_url)
        return bool(self._checked(proposal, good, "False, unless homes_url says who makes their volumes"))

    @validate("homes_folder")
    def _a_folder_of_it(self, proposal: Any) -> str:
        good = not proposal.value or below(proposal.value)
        return str(self._checked(proposal, good, "a path below the share's top, such as storage/share"))

    @validate("data_sets")
    def _data_sets(self, proposal: Any) -> Any:
        good = all(below(name) and path.startswith("/") for name, path in proposal.value.items())
        return self._checked(proposal, good, "a folder of the share, such as data/images, to an absolute path")

    @validate("home_path", "scratch_path")
    def _absolute(self, proposal: Any) -> str:
        return str(self._checked(proposal, proposal.value.startswith("/"), "an absolute path"))

    @validate("scratch_size")
    def _a_size(self, proposal: Any) -> str:
        try:
            good = not proposal.value or quantity(proposal.value) > 0
        except InvalidResources:
            good = False
        return str(self._checked(proposal, good, "a size such as 100Gi"))

    def _checked(self, proposal: Any, good: bool, allowed: str) -> Any:
        if not good:
            name = f"{type(self).__name__}.{proposal.trait.name}"
            raise TraitError(f"{name} is {proposal.value!r}; allowed is {allowed}")
        return proposal.value

    @default("container_security_context")
    def _no_capabilities(self) -> dict[str, Any]:
        return {"capabilities": {"drop": ["ALL"]}}

    @default("pod_security_context")
    def _restricted(self) -> dict[str, Any]:
        """What Kubernetes' Pod Security calls restricted, for sidecars and init containers too."""
        return {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            # Where a group of its own is wanted on a volume, its files are not all changed again at each start.
            "fsGroupChangePolicy": "OnRootMismatch",
        }

    def get_env(self) -> dict[str, str]:
        """The notebook's environment, with what a person without an entry in passwd needs."""
        environment: dict[str, str] = super().get_env()
        if self._has_share:
            environment = {"HOME": self.home_path, "USER": self.user.name, **environment}
        return environment

    async def get_pod_manifest(self) -> Any:
        """KubeSpawner's, with the directory's numbers and the share's folders."""
        pod = await super().get_pod_manifest()
        notebook = pod.spec.containers[0]
        if (who := self._who) is not None:
            context = as_user(self._document(pod.spec.security_context), who)
            pod.spec.security_context = {**context, "supplementalGroups": _together(context, who)}
            notebook.security_context = as_user(self._document(notebook.security_context), who)
        shares = wanted(self._shares, folder=self._folder)
        volumes = [get_k8s_model(V1Volume, dict(each)) for each in shares.volumes]
        mounts = [get_k8s_model(V1VolumeMount, dict(each)) for each in shares.mounts]
        pod.spec.volumes = [*(pod.spec.volumes or ()), *volumes]
        notebook.volume_mounts = [*(notebook.volume_mounts or ()), *mounts]
        if self._has_share and not notebook.working_dir:
            notebook.working_dir = self.home_path
        return pod

    async def directory_user(self) -> Identity | None:
        """The numeric user that the login left; None: it left none, or the site does not want it.

        :raises SpawnRefused: one that notebooks may not have.
        """
        if not self.directory_users:
            return None
        state = await self.user.get_auth_state() or {}
        uid = state.get("uid")
        if type(uid) is int and uid < self.minimum_uid:
            raise InvalidOption("uid", uid, self._allowed_users)
        return directory_identity(state, minimum=self.minimum_uid, given_out=range(0))

    def check_users(self, pod: dict[str, Any]) -> None:
        """Refuse a pod that would run as one of the system's users.

        :raises InvalidOption: it would.
        """
        for container, uid in users_of(pod["spec"]):
            if type(uid) is not int or uid < self.minimum_uid:
                raise InvalidOption(f"uid of {container}", uid, self._allowed_users)

    async def prepare_folder(self, pod: dict[str, Any], *, early: bool = False) -> None:
        """See to it that a pod's folder is there, and its claim.

        :param early: long before the launch: that nobody answers is no reason to refuse anything.
        :raises SpawnRefused: the folder cannot be had, and early enough to say so at once.
        :raises LaunchFailed: it cannot be had now.
        """
        if not (self.homes_url and self._has_share):
            return
        uid, gid = notebook_user(pod["spec"])
        if uid is None:
            raise SpawnRefused(NOBODYS, code="gpuqueue.users.unknown")
        uid, gid = folder_owner(uid, gid)
        folder = {"folder": self._folder, "uid": uid, "gid": gid}
        if self.home_claims:
            folder |= {"claim": claim_name(self._folder), "namespace": self.namespace}
        try:
            volume = await ask_for_folder(self.homes_url, self.homes_secret_file, folder)
        except HomesAway as away:
            if not early:
                raise LaunchFailed(f"your folder could not be made ready: {away}") from None
            self.log.warning("The folder of %s is asked for again at its launch: %s", self.user.name, away)
        except HomesRefused as refused:
            words = f"Your folder cannot be used: {refused}."
            if not early:
                raise LaunchFailed(words) from None
            raise SpawnRefused(words, code="gpuqueue.home.wrong") from None
        else:
            if self.home_claims and not early:
                labels = self._build_common_labels({})
                claim = claim_manifest(claim_name(self._folder), volume=volume, labels=labels)
                await bind(self.api, self.namespace, claim)

    @property
    def _folder(self) -> str:
        return folder_name(self.user.name)

    @property
    def _has_share(self) -> bool:
        return bool(self.share or self.share_claim or self.home_claims)

    @property
    def _allowed_users(self) -> str:
        return f"{self.minimum_uid} or more, as smaller ones are the system's"

    @property
    def _shares(self) -> Shares:
        return Shares(
            share=self.share,
            claim=self.share_claim,
            home_claim=claim_name(self._folder) if self.home_claims else "",
            homes=self.homes_folder,
            home_at=self.home_path,
            data_sets=self.data_sets,
            scratch=self.scratch_size,
            scratch_at=self.scratch_path,
        )

    def _document(self, manifest: Any) -> Any:
        return self.api.api_client.sanitize_for_serialization(manifest)


def _together(context: dict[str, Any], who: Identity) -> list[int]:
    """The site's groups and the person's."""
    return sorted({*(context.get("supplementalGroups") or ()), *who.groups})
