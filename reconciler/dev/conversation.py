"""What a user asks a served workspace: Kaito's `POST /chat`, through its Service."""

import aiohttp

from ..cluster.client import Client
from ..errors import Unavailable
from ..model.names import ObjectKey
from .proxy import ServiceProxy

SECONDS = 60.0
LONGEST_ANSWER = 64
"""Tokens."""


async def ask(client: Client, namespace: str, workspace: str, question: str) -> str:
    """The model's most probable answer. Raises Unavailable where none comes."""
    why: list[str] = []
    passing = ServiceProxy(client, ObjectKey("Service", namespace, workspace), "http", why.append)
    address = await passing.start()
    try:
        return await _answer(f"http://{address}/chat", question)
    except (aiohttp.ClientError, TimeoutError) as error:
        told = "; ".join([str(error), *why])
        raise Unavailable(f"{workspace} did not answer: {told}") from None
    finally:
        await passing.stop()


async def _answer(url: str, question: str) -> str:
    body = {
        "messages": [{"role": "user", "content": question}],
        "return_full_text": False,
        "generate_kwargs": {"do_sample": False, "max_new_tokens": LONGEST_ANSWER},
    }
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, json=body) as answer:
        said = await answer.json(content_type=None)
        if answer.status != 200 or "Result" not in said:
            raise Unavailable(f"{url} answered {answer.status}: {str(said)[:200]}")
        return str(said["Result"]).strip()
