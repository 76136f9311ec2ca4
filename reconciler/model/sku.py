"""What the catalogue knows of an instance type."""

from datetime import date

from pydantic import Field

from .workspace import Part


class Price(Part):
    """Pay-as-you-go list price of one node."""

    dollars_per_hour: float = Field(ge=0)
    region: str
    seen: date
    """Day on which the price was read; it is a snapshot."""


class Retirement(Part):
    """The cloud no longer offers it, or soon will not."""

    on: date
    replacement: str


class Sku(Part):
    """One instance type. Memory is in GiB of all GPUs of one node."""

    name: str
    gpus: int = Field(ge=0)
    gpu_model: str = ""
    gpu_memory_gib: float = Field(ge=0)
    vcpus: int = Field(gt=0)
    compute_capability: str = ""
    """Of CUDA, as in `8.0`; empty for other makes and for slices of a GPU."""
    quota_family: str = ""
    """The cloud's quota that its vCPUs count against; empty where it is not known."""
    nvlink: bool = False
    """The GPUs of a node are known to be joined faster than by PCIe."""
    nvme: bool = False
    """It is known to have a local disk that is large enough for weights."""
    retired: Retirement | None = None
    price: Price | None = None

    @property
    def gib_per_gpu(self) -> float:
        """Rounded down, as Kaito compares it; 0 for a machine without GPUs."""
        return self.gpu_memory_gib // self.gpus if self.gpus else 0
