"""By which model names a server answers, and with which adapters.

- The preset's name, and `/chat`: all adapters at once, each at its strength, as Kaito's server does it.
- An adapter's name: that adapter alone, at its strength.
- `<preset>-base`, where there are adapters: the bare model.
"""

from artifacts.errors import RuntimeFailure

from .settings import Settings

BASE_SUFFIX = "-base"


def adapter_sets(settings: Settings) -> dict[str, tuple[int, ...]]:
    """Numbers of adapters by model name, the default first. Raises RuntimeFailure where two share a name."""
    every = tuple(range(len(settings.adapters)))
    named = [(settings.preset, every)]
    if every:
        named += [(settings.preset + BASE_SUFFIX, ())]
        named += [(each.name, (number,)) for number, each in enumerate(settings.adapters)]
    names = [name for name, _ in named]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        told = f"two models would answer to the name {twice[0]}"
        raise RuntimeFailure("BadConfig", told, "give the adapter another name")
    return dict(named)
