"""The words that nano knows: the closed world of its prompts and of its speech.

`training/world` draws from the same lists, so a word listed here is a word that the shipped weights were trained on.
The order of the lists fixes the token ids of the shipped weights: a change of `SCENES`, `ACTIONS`, `OPENERS` or
`CLOSERS` means a new training. Synonyms and stop words only change what a prompt may say.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SCENES: tuple[str, ...] = ("beach", "forest", "city", "kitchen", "snow", "night", "desert", "stage")
"""Named places, one a prompt."""

ACTIONS: tuple[str, ...] = ("stands", "waves", "nods", "shakes", "sways")
"""Named movements, one a prompt: still, a hand waves, the head nods, the head shakes, the body sways."""

OPENERS: tuple[str, ...] = (
    "hello",
    "good morning",
    "thank you",
    "welcome back",
    "look at this",
    "come with me",
    "i am ready",
    "see you",
)
"""First parts of a spoken sentence."""

CLOSERS: tuple[str, ...] = ("", "my friend", "everyone", "again", "today", "tomorrow", "at home", "for now")
"""Second parts of a spoken sentence; the empty one leaves the opener alone."""

SPEECH_WORDS: tuple[str, ...] = tuple(dict.fromkeys(" ".join((*OPENERS, *CLOSERS)).split()))
"""Every word that nano can speak, each once, in order of first appearance."""

MAX_SPEECH_WORDS: int = max(len(opener.split()) for opener in OPENERS) + max(
    len(closer.split()) for closer in CLOSERS
)
"""Longest trained sentence, in words."""

SCENE_SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "beach": ("beaches", "seaside", "seashore", "shore", "coast", "sea", "ocean"),
        "forest": ("forests", "wood", "woods", "woodland", "trees", "jungle"),
        "city": ("cities", "town", "street", "streets", "downtown", "urban", "skyline"),
        "kitchen": ("kitchens", "cookhouse", "kitchenette"),
        "snow": ("snowy", "snowfall", "snowfield", "winter", "wintry"),
        "night": ("nighttime", "nightfall", "midnight", "moonlight", "moonlit", "evening"),
        "desert": ("deserts", "dune", "dunes", "sahara"),
        "stage": ("stages", "theatre", "theater", "concert", "spotlight"),
    }
)
"""Other words for each scene; the key is the word that the weights know."""

ACTION_FORMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "stands": ("stand", "standing", "stood", "still", "motionless"),
        "waves": ("wave", "waving", "waved"),
        "nods": ("nod", "nodding", "nodded"),
        "shakes": ("shake", "shaking", "shook", "headshake"),
        "sways": ("sway", "swaying", "swayed", "swing", "swings", "swinging", "rocks", "rocking"),
    }
)
"""Inflections and near synonyms of each action; the key is the word that the weights know."""

_PASSED_OVER = (
    "a an the this that these those some in on at by of to from for with without into onto over under near behind "
    "beside around through up out and or but then while as when where who which is are was be being am it its he "
    "him his she her hers they them their we our i me my you your there here very one person people man woman boy "
    "girl someone somebody human character characters hand hands arm arms head body face say says saying said speak "
    "speaks speaking spoke talk talks talking tell tells telling video clip shot scene view camera front back "
    "background close portrait look looks looking make makes making do does doing sits stays staying"
)

STOP_WORDS: frozenset[str] = frozenset(_PASSED_OVER.split())
"""Words of a description that carry nothing for nano and are passed over in silence."""

SPEECH_VERBS: tuple[str, ...] = (
    "says",
    "say",
    "saying",
    "said",
    "speaks",
    "speaking",
    "tells",
    "telling",
    "talks",
)
"""Verbs after which spoken words may follow: with a colon all of the rest, without one a trained sentence."""

CONTRACTIONS: Mapping[str, str] = MappingProxyType({"i'm": "i am", "im": "i am"})
"""Short forms in speech and the known words that they stand for."""

PAD_ID: int = 0
"""Token id of padding; its rows are zero in the context."""

SILENCE_ID: int = 1
"""Token id of a prompt that is not empty and holds no spoken words."""

SCENE_START: int = 2
ACTION_START: int = SCENE_START + len(SCENES)
SPEECH_START: int = ACTION_START + len(ACTIONS)
VOCAB_SIZE: int = SPEECH_START + len(SPEECH_WORDS)
"""Number of token ids, padding and silence included."""


def scene_id(scene: str) -> int:
    """Token id of a scene of `SCENES`; ValueError for any other word."""
    return SCENE_START + SCENES.index(scene)


def action_id(action: str) -> int:
    """Token id of an action of `ACTIONS`; ValueError for any other word."""
    return ACTION_START + ACTIONS.index(action)


def speech_id(word: str) -> int:
    """Token id of a spoken word of `SPEECH_WORDS`; ValueError for any other word."""
    return SPEECH_START + SPEECH_WORDS.index(word)


def known_sentences() -> tuple[str, ...]:
    """Every sentence of the training speech: each opener with each closer."""
    return tuple(f"{opener} {closer}".strip() for opener in OPENERS for closer in CLOSERS)


def known_words() -> str:
    """The words that a nano prompt may use, as one line for error messages and help."""
    openers = ", ".join(f'"{opener}"' for opener in OPENERS)
    closers = ", ".join(f'"{closer}"' for closer in CLOSERS if closer)
    return (
        f"scenes {', '.join(SCENES)}; actions {', '.join(ACTIONS)}; "
        f"speech in quotes: {openers}, each alone or followed by {closers}"
    )
