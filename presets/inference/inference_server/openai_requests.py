"""Bodies of OpenAI's completions and chat completions, as far as they are understood.

Unknown keys are passed over, as clients send many. What would change the answer but cannot be done is
refused.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field

from .asked import Defaults, Refused, Sampling

MAX_CHOICES = 16
MAX_PROMPTS = 64
MAX_STOPS = 16
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "tools": ([],),
    "functions": ([],),
    "response_format": ({"type": "text"},),
}
"""Values that ask for nothing, beside null."""

Stop: TypeAlias = Annotated[str, Field(min_length=1, max_length=256)]


class StreamOptions(BaseModel):
    include_usage: bool = False


class Request(BaseModel, extra="allow"):
    model: str = ""
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1, le=2**31 - 1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    n: int | None = Field(default=1, ge=1, le=MAX_CHOICES)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def limit(self) -> int | None:
        """New tokens; None: as many as are usual and fit."""
        return self.max_tokens

    def check(self) -> None:
        """Raises Refused where something is asked for that cannot be done."""
        for key, value in (self.model_extra or {}).items():
            if key in _NEUTRAL and value is not None and value not in _NEUTRAL[key]:
                raise Refused(400, f"{key} is not supported by this server; leave it out", key)

    def sampling(self, defaults: Defaults, max_tokens: int) -> Sampling:
        temperature = defaults.temperature if self.temperature is None else self.temperature
        top_k = defaults.top_k if self.top_k is None else max(0, self.top_k)
        penalty = self.repetition_penalty
        return Sampling(
            max_tokens,
            temperature,
            self.top_p or defaults.top_p,
            top_k,
            self.seed,
            {"repetition_penalty": penalty} if penalty not in (None, 1) else {},
        )


class Completion(Request):
    prompt: str | list[int] | list[str] | list[list[int]]


class Part(BaseModel):
    type: str
    text: str = ""


class Message(BaseModel, extra="allow"):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None

    def plain(self) -> dict[str, str]:
        """As chat templates read it. Raises Refused for pictures and sound."""
        if isinstance(self.content, list):
            for part in self.content:
                if part.type != "text":
                    raise Refused(400, f"this model reads text only, and no {part.type}", "messages")
            return {"role": self.role, "content": "".join(part.text for part in self.content)}
        return {"role": self.role, "content": self.content or ""}


class ChatCompletion(Request):
    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: int | None = Field(default=None, ge=1)

    def limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens
