"""Settings, one small frozen model for each component. `config.py` composes and loads them.

Unknown keys are refused. Times are seconds. A secret is never a value here: it is the name of a
file (`…File`) or comes from the environment.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

Engine = Literal["native", "kaito"]
Mode = Literal["observe", "deliver", "full"]


class Part(BaseModel):
    """What all settings have in common: frozen, camelCase in files, no unknown key."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


class GitHubApp(Part):
    """A GitHub App's installation, whose short-lived tokens log in."""

    id: str | int
    """App id or client id."""
    installation_id: str | int
    """Its installation in the organization."""
    key_file: Path
    """Its private key, as PEM."""


class GitHubAppForGit(GitHubApp):
    """The same, with where it is."""

    url: str = Field(default="https://api.github.com", pattern=r"^https?://[^@/]+(/[^@]*)?$")
    """The API; that of an Enterprise Server is `https://<host>/api/v3`."""


def _proxy(url: str) -> str:
    if re.fullmatch(r"https?://[^@/\s]+/?", url):
        return url
    remedy = "a password belongs into https_proxy, in the environment"
    raise PydanticCustomError("proxy", "it must be http://host:port and nothing more", {"remedy": remedy})


class GitCredentials(Part):
    """How to reach and log in to a Git server, in one way; all paths are files mounted from Secrets."""

    username: str = "git"
    """User name sent with `tokenFile`, or of the SSH login."""
    token_file: Path | None = None
    """A password or access token, sent as HTTP basic authentication."""
    bearer_token_file: Path | None = None
    """A token sent as `Authorization: Bearer`, for http and https."""
    github_app: GitHubAppForGit | None = None
    """A token of this installation is sent as HTTP basic authentication, and renewed in time."""
    ssh_key_file: Path | None = None
    """A private key; `knownHostsFile` is then required."""
    known_hosts_file: Path | None = None
    """Host keys that are accepted; there is no way to accept unknown ones."""
    ca_file: Path | None = None
    """Certificates trusted beside the system's."""
    proxy: Annotated[str, AfterValidator(_proxy)] | None = None
    """`http://host:port` through which https goes; by default the environment's (`https_proxy`, `no_proxy`),
    which is also where one that asks for a password belongs."""

    @property
    def login(self) -> str | None:
        """The setting that logs in, as files spell it."""
        return next(iter(self._logins()), None)

    def _logins(self) -> list[str]:
        ways = ("token_file", "bearer_token_file", "github_app", "ssh_key_file")
        return [to_camel(way) for way in ways if getattr(self, way) is not None]

    @model_validator(mode="after")
    def _in_one_way(self) -> Self:
        named = self._logins()
        if len(named) > 1:
            rule = f"{' and '.join(named)} are {len(named)} ways to log in"
            raise PydanticCustomError("logins", "{rule}", {"rule": rule, "remedy": "keep one of them"})
        return self


class PathEntry(Part):
    """Which files hold specs."""

    include: str = "**/*.yaml"
    """Glob from the repository's root; `**` spans folders, `*` does not."""
    namespace: str | None = None
    """Namespace of manifests that name none; without it such a manifest is an error."""


class SignaturePolicy(Part):
    """Files that count only as somebody who is allowed to has signed for them."""

    paths: Annotated[tuple[str, ...], Field(min_length=1)]
    """Globs as in `source.paths`."""
    allowed_signers_file: Path | None = None
    """Whose SSH signatures count: OpenSSH's format, as for Git's `gpg.ssh.allowedSignersFile`."""
    keyring_file: Path | None = None
    """Whose OpenPGP signatures count: keys as `gpg --export` writes them."""
    since: Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None = None
    """Commit that is trusted as it is, with all before it; by default none is. At most 1,000 commits are
    looked through, after a start from here, so it has to be moved on now and then."""

    @model_validator(mode="after")
    def _with_keys(self) -> Self:
        if self.allowed_signers_file is None and self.keyring_file is None:
            remedy = "set allowedSignersFile or keyringFile"
            raise PydanticCustomError("signers", "nobody is allowed to sign", {"remedy": remedy})
        return self


class SourceSettings(Part):
    """The repository of workspace specs."""

    url: str
    """https, http, ssh or git URL, or the path of a local repository."""
    ref: str = "main"
    """Branch (`main`), tag (`refs/tags/…`), other full ref name, or a commit by its 40 digits, which never
    moves."""
    paths: tuple[PathEntry, ...] = (PathEntry(),)
    poll_seconds: Annotated[float, Field(gt=0)] = 15.0
    """Time between looks at a remote repository, ±10 %; a local one is watched."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Deadline of one fetch or push."""
    credentials: GitCredentials = GitCredentials()
    signatures: tuple[SignaturePolicy, ...] = ()
    """Files that must be signed for; one that several entries name must satisfy each."""

    @property
    def branch(self) -> str:
        """The watched branch, without `refs/heads/`; pull requests for others are none of ours."""
        return self.ref.removeprefix("refs/heads/")


class StatusSettings(Part):
    """Status commits."""

    ref: str | None = None
    """Full ref name, or `off`; by default `refs/heads/reconciler-status/<cluster>`."""
    url: str | None = None
    """Another repository than the source's."""
    credentials: GitCredentials | None = None
    min_interval_seconds: Annotated[float, Field(ge=0)] = 60.0
    """At most one commit in this time; failures and final states are written at once."""
    author_name: str = "reconciler"
    author_email: str = "reconciler@localhost"
    signing_key_file: Path | None = None
    """A private SSH key without a passphrase; status commits are signed with it, by `ssh-keygen`."""
    history_days: Annotated[float, Field(ge=1)] | None = 30.0
    """Age of the ref's first commit at which history begins anew; null: it is kept for ever."""


class SimulatedProvisioner(Part):
    """Pools of the development cloud: nodes without machines."""

    driver: Literal["simulated"] = "simulated"
    url: str
    """Address of the development cloud."""


ProvisionerSettings = SimulatedProvisioner


class CatalogueSettings(Part):
    """Which presets and instance types there are."""

    cloud: Literal["azure", "aws", "arc"] = "azure"
    """Whose instance types may be named."""
    folder: Path | None = None
    """Presets of your own, beside those that ship: `*.yaml` files of the same schema."""
    compat: Literal["v0.3", "v0.4", "head"] | None = None
    """Which Kaito's default runtime a workspace gets that names none: before 0.4 transformers, from then on
    vLLM, where the model has it. By default each model's own, which is what its first release had."""


class PriceSettings(Part):
    """What machines cost, where the shipped list prices are not what you pay."""

    region: str = "eastus"
    """Whose list prices count; a machine that is not sold there has the price of a region where it is."""
    file: Path | None = None
    """A list of your own: `{"date": …, "regions": {region: {instance type: $/h}}}`."""
    discount: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    """Share taken off, by quota family or instance type."""
    reserved: dict[str, Annotated[int, Field(ge=0)]] = {}
    """Nodes by instance type that are paid for already and cost nothing more."""


class ImageSettings(Part):
    """Our own runtime images, which do the work of Kaito's where `repository` is set."""

    repository: str = Field(default="", pattern=r"^([a-zA-Z0-9][\w.:/-]*[a-zA-Z0-9])?$")
    """In which `tuning`, `inference` and `inference-vllm` lie, such as `registry.example.com/reconciler`;
    empty: Kaito's published images run. A workspace that brings its own (`presetOptions.image`) keeps it."""
    tag: str = "0.1.0"
    pull_secrets: tuple[str, ...] = ()
    """Secrets of each workspace's namespace with which nodes pull them."""
    allow_hosts: tuple[str, ...] = ()
    """`host:port` in private networks from which data sets may be fetched nevertheless."""

    def image(self, name: Literal["tuning", "inference", "inference-vllm"]) -> str:
        return f"{self.repository}/{name}:{self.tag}"


class ForgeSettings(Part):
    """Where pull requests are looked for and answered."""

    driver: Literal["github", "gitlab", "azuredevops"]
    repository: str = Field(pattern=r"^[^/?#\r\n]+(/[^/?#\r\n]+)+$")
    """`org/repo`, GitLab's `group/sub/project`, Azure's `org/project/repo`."""
    url: str | None = Field(default=None, pattern=r"^https?://[^\s@?#]+$")
    """Address of your own GitHub Enterprise, GitLab or Azure DevOps server; by default the public one."""
    token_file: Path | None = None
    """An access token. GitHub: commit statuses, pull requests (read and write), contents (read).
    GitLab: `api`, as Developer. Azure: code status (read and write), code (read), pull request threads."""
    app: GitHubApp | None = None
    ca_file: Path | None = None
    """Certificates trusted beside the system's."""

    @model_validator(mode="after")
    def _consistent(self) -> "ForgeSettings":
        if (self.token_file is None) == (self.app is None):
            raise PydanticCustomError("login", "it needs either tokenFile or app")
        if self.app and self.driver != "github":
            raise PydanticCustomError("login", "app is for driver github; others need tokenFile")
        names = {"github": "org/repo", "gitlab": "group/project", "azuredevops": "org/project/repo"}
        shape, parts = names[self.driver], self.repository.count("/")
        if parts != shape.count("/") and self.driver != "gitlab":
            raise PydanticCustomError("repository", f"repository must be {shape} for {self.driver}")
        return self


class ReviewSettings(Part):
    """How pull requests are answered."""

    poll_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Time between looks at the open requests; a webhook makes it look at once."""
    on_unknown: Literal["fail", "neutral"] = "fail"
    """What the check `plan` says where the cluster cannot be read."""
    ready_seconds: Annotated[float, Field(gt=0)] = 7200.0
    """Time after which the check `ready` of a commit fails with what it still waits for."""
    approvers: tuple[str, ...] = ()
    """Accounts whose label or approving review acknowledges a held group; none: any member but the author."""


class Limits(Part):
    """What the guards let through without an acknowledgement."""

    max_deleted: Annotated[int, Field(ge=0)] = 3
    """Deleting up to this many workspaces is always let through …"""
    max_deleted_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    """… and so is up to this share of all."""
    max_gpus_freed: Annotated[int, Field(ge=0)] = 8
    """GPUs that deletions may free before they are held."""
    window_seconds: float = 600.0
    """Deletions done in this time count as if still pending."""
    max_dollars_per_hour: float | None = None
    """Spend above which new pools are held; none by default."""
    approve_dollars_per_hour: float | None = None
    """Price of the new machines of one change above which it needs an approval; none by default."""
    approve_gpus: int | None = None
    """The same for GPUs."""
    approve_replaced: int | None = None
    """The same for workspaces that are replaced."""
    render_wave: Annotated[int, Field(ge=1)] = 1
    """Workspaces restarted at a time for a change of this program's own rendering."""


class Timing(Part):
    """When something that cannot be seen is assumed, and how often to look."""

    full_pass_seconds: Annotated[float, Field(gt=0)] = 300.0
    """Time between passes over everything; changes are acted on at once."""
    cloud_poll_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Time between looks at the cloud while any pool is changing."""
    release_after_success_seconds: float = 300.0
    """A tuning's pool is kept this long after its artifact was verified."""
    release_after_failure_seconds: float = 1800.0
    """A tuning's pool is kept this long after its final failure."""
    suspend_max_seconds: float = 86400.0
    """The longest a suspension on the live object alone may last."""
    contested_after: int = 2
    """Times a field may be put back by someone else before we stop correcting it."""


class ClusterSettings(Part):
    """Access to the Kubernetes API."""

    kubeconfig: Path | None = None
    """None: in-cluster account if there is one, else the usual kubeconfig."""
    context: str | None = None
    concurrency: Annotated[int, Field(ge=1, le=256)] = 32
    """Requests under way at once."""
    namespace: str = "reconciler-system"
    """The daemon's own namespace: its Lease and its state."""
    lease_seconds: Annotated[float, Field(ge=1)] = 15.0


class Tenant(Part):
    """What one team may declare; outside it: `NotPermitted`."""

    name: str
    paths: tuple[str, ...] = ("**",)
    namespaces: tuple[str, ...]
    instance_types: tuple[str, ...] | None = None
    max_gpus: int | None = None
    service_account: str | None = None
    """`namespace:name` impersonated for this tenant's objects."""
    pod_templates: bool = False
    """Whether workspaces may bring a pod template. It is held to Pod Security `restricted` all the same."""
    drift: Literal["correct", "report"] = "correct"


Provider = Literal["github", "gitlab", "azuredevops", "generic"]


class WebhookSettings(Part):
    """One endpoint for one provider's webhooks."""

    provider: Provider
    """`generic`: `X-Signature: sha256=<hex>` over `<X-Timestamp>.<body>`, or over the body alone."""
    path: str = Field(pattern=r"^/hooks/[a-zA-Z0-9._-]{1,100}$")
    """Such as `/hooks/github`."""
    secret_file: Path
    """The shared secret; with `azuredevops` the password of basic authentication."""
    previous_secret_file: Path | None = None
    """A secret that still counts while it is being replaced."""
    max_bytes: Annotated[int, Field(ge=1024, le=25 << 20)] = 3 << 20
    """Size of a body; larger ones are refused unread. GitHub and GitLab send at most 25 MiB."""
    per_second: Annotated[float, Field(gt=0)] = 10.0
    """Deliveries that are answered in the long run …"""
    burst: Annotated[int, Field(ge=1)] = 50
    """… and at once."""


class WebSettings(Part):
    """Where metrics and probes are served, and webhooks taken."""

    host: str = "0.0.0.0"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """0 takes a free port, printed at start."""
    webhooks: tuple[WebhookSettings, ...] = ()
