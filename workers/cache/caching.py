"""Put a worker process's part of the answer cache together.

Everything here belongs to one process and is made after the fork.
"""

from persona_system.cache.answers import ANSWERS, PROCESS, RECOMMEND, endpoint_tag, persona_tag
from persona_system.cache.keys import version_id
from persona_system.cache.local import LocalCache
from persona_system.cache.notes import Note
from persona_system.cache.popularity import Popularity
from persona_system.cache.prefetch import Prefetcher
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.sightings import Sightings
from persona_system.cache.trends import Trends
from persona_system.cache.two_tier import TwoTierCache
from persona_system.pipeline import PersonaPipeline
from workers.cache.ahead import Ahead
from workers.cache.answers import Answers, CachedAnswers, NullAnswers
from workers.cache.prefetching import Prefetching
from workers.cache.recipes import RecipeBook
from workers.cache.warming import Warmer
from workers.contract import names
from workers.observability.bugs import ReportBug
from workers.runtime import NoUpkeep, Upkeep
from workers.settings import WorkerSettings
from workers.tasks.persona import process_kind, recommend_kind


class CacheUpkeep:
    """Warming and, unless it is switched off, prefetching."""

    def __init__(self, warmer: Warmer, prefetching: Prefetching | None = None) -> None:
        self.warmer, self.prefetching = warmer, prefetching

    def warm(self) -> None:
        """Have the popular answers at hand."""
        self.warmer.warm()

    def prefetch(self) -> None:
        """Compute what batches have left for later."""
        if self.prefetching is not None:
            self.prefetching.work_off()

    def close(self) -> None:
        """Stop warming."""
        self.warmer.close()


def open_cache(
    settings: WorkerSettings, pipeline: PersonaPipeline, report_bug: ReportBug
) -> tuple[Answers, Upkeep]:
    """Return this process's part of the answer cache, which begins to serve in the background."""
    if settings.cache_url is None:
        return NullAnswers(), NoUpkeep()
    redis = RedisCache(settings.cache_url.get_secret_value(), settings.cache_timeout_ms / 1000)
    local = None
    if settings.cache_entries:
        local = LocalCache(settings.cache_entries, int(settings.cache_mb * 2**20))
    cache = TwoTierCache(local, redis)
    version = Note(redis, names.CACHE_VERSION_NOTE)
    redis.on_up.append(lambda store: version.write(store, version_id(pipeline.version)))
    personas, popularity = pipeline.catalogue.personas.names, Popularity()
    redis.keep_stamps_of([endpoint_tag(answers) for answers in ANSWERS])
    redis.keep_stamps_of([persona_tag(name) for name in personas])
    answers = CachedAnswers(cache, redis.counters, popularity, pipeline.version, personas)
    kinds = {PROCESS.endpoint: process_kind(pipeline), RECOMMEND.endpoint: recommend_kind(pipeline)}
    ahead = Ahead(cache, redis, pipeline.version, personas, kinds, report_bug)
    book = RecipeBook(redis, popularity)
    answers.afterwards.append(book.note)
    warmer = Warmer(ahead, Trends(redis, popularity), book, settings.cache_warm)
    upkeep = CacheUpkeep(warmer)
    if settings.cache_prefetch:
        prefetcher = Prefetcher()
        sightings = Sightings(redis, prefetcher)
        prefetching = Prefetching(ahead, book, answers.admits, prefetcher, sightings)
        answers.afterwards.append(prefetching.note)
        upkeep = CacheUpkeep(warmer, prefetching)
    cache.start()
    return answers, upkeep
