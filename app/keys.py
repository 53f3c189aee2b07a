"""The keys under which the application holds what lives as long as it does."""

from random import Random

from aiohttp import web

from app.clock import Clock
from app.connections import Connections
from app.echoes import Echoes
from app.exchange import Desk, Explain
from app.feed import Feed
from app.journal import Journal
from app.manners import Manner
from app.metrics import Metrics
from app.plan import Planner
from app.recorder import Recorder
from app.runs import Runs
from app.settings import Settings
from app.store import Store
from app.titles.guard import Guard
from app.titles.jobs import Jobs

SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
CLOCK: web.AppKey[Clock] = web.AppKey("clock", Clock)
PLANNER: web.AppKey[Planner] = web.AppKey("planner", Planner)
RANDOM: web.AppKey[Random] = web.AppKey("random", Random)
STORE: web.AppKey[Store] = web.AppKey("store", Store)
JOURNAL: web.AppKey[Journal] = web.AppKey("journal", Journal)
FEED: web.AppKey[Feed] = web.AppKey("feed", Feed)
RUNS: web.AppKey[Runs] = web.AppKey("runs", Runs)
RECORDER: web.AppKey[Recorder] = web.AppKey("recorder", Recorder)
DESK: web.AppKey[Desk] = web.AppKey("desk", Desk)
CONNECTIONS: web.AppKey[Connections] = web.AppKey("connections", Connections)
EXPLAIN: web.AppKey[Explain] = web.AppKey("explain")
METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)
ECHOES: web.AppKey[Echoes] = web.AppKey("echoes", Echoes)
MANNER: web.AppKey[Manner] = web.AppKey("manner", Manner)  # of the TCP echo
GUARD: web.AppKey[Guard] = web.AppKey("guard", Guard)
JOBS: web.AppKey[Jobs] = web.AppKey("jobs", Jobs)
