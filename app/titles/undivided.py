"""What must not end half-way, whoever loses patience meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def to_the_end(
    method: Callable[P, Coroutine[Any, Any, T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let nobody interrupt the method: whoever is cancelled waits for it first."""

    @wraps(method)
    async def to_the_end(*arguments: P.args, **more: P.kwargs) -> T:
        task = asyncio.create_task(method(*arguments, **more))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    return to_the_end
