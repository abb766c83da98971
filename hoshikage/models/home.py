"""The registry in the files that the settings name; apart from the services, so that a command loads little."""

from hoshikage.models.registry import Registry
from hoshikage.models.truth import Files
from hoshikage.settings import Settings


def registry_of(settings: Settings) -> Registry:
    return Registry(
        Files(
            model_map=settings.model_map_file,
            tag_cache=settings.tag_cache_file,
            tag_ollama=settings.tag_ollama_file,
            home=settings.home,
        )
    )
