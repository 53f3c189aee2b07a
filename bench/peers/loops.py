"""The event loop that Dawdle would choose, for everybody who is measured or measures."""

import asyncio


def new_loop() -> asyncio.AbstractEventLoop:
    """Uvloop's where it is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
