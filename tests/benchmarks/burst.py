"""Sends webhooks as fast as they are answered, from a process of its own; prints seconds, one a line.

python burst.py URL SECRET COUNT AT_ONCE
"""

import asyncio
import hashlib
import hmac
import json
import sys
import time

import aiohttp


async def burst(url: str, secret: str, count: int, at_once: int) -> list[float]:
    """How long each of `count` deliveries waited for its answer."""
    turns, waits = asyncio.Semaphore(at_once), []

    async def deliver(http: aiohttp.ClientSession, number: int) -> None:
        body = json.dumps({"number": number + 1, "fill": "x" * 20_000}).encode()
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-GitHub-Event": "pull_request", "X-Hub-Signature-256": f"sha256={signature}"}
        async with turns:
            began = time.monotonic()
            async with http.post(url, data=body, headers=headers) as response:
                assert response.status == 202, await response.text()
            waits.append(time.monotonic() - began)

    async with aiohttp.ClientSession() as http:
        await asyncio.gather(*(deliver(http, number) for number in range(count)))
    return waits


if __name__ == "__main__":
    url, secret, count, at_once = sys.argv[1:]
    print("\n".join(map(str, asyncio.run(burst(url, secret, int(count), int(at_once))))))
