"""What Prometheus reads at `/metrics`."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_BETWEEN = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """One server's."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "inference_requests", "Requests answered", ["route", "code"], registry=registry
        )
        self.prompt_tokens = Counter(
            "inference_prompt_tokens", "Tokens of prompts", ["model"], registry=registry
        )
        self.generated_tokens = Counter(
            "inference_generated_tokens", "Tokens generated", ["model"], registry=registry
        )
        self.cancelled = Counter(
            "inference_cancelled", "Generations whose client went away", registry=registry
        )
        self.first_token = Histogram(
            "inference_time_to_first_token_seconds",
            "From admission to the first token",
            buckets=_SECONDS,
            registry=registry,
        )
        self.between_tokens = Histogram(
            "inference_inter_token_seconds",
            "From one token to the next",
            buckets=_BETWEEN,
            registry=registry,
        )
        self.seconds = Histogram(
            "inference_generation_seconds",
            "From admission to the last token",
            buckets=_SECONDS,
            registry=registry,
        )

    def gauge(self, name: str, says: str, value: Callable[[], float]) -> None:
        Gauge(name, says, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        return generate_latest(self._registry)
