"""The word lists are consistent with each other and with the token ids."""

from __future__ import annotations

from wan_core.text import vocabulary as v


def test_ids_are_one_gapless_range_without_overlap() -> None:
    ids = [v.PAD_ID, v.SILENCE_ID]
    ids += [v.scene_id(word) for word in v.SCENES] + [v.action_id(word) for word in v.ACTIONS]
    ids += [v.speech_id(word) for word in v.SPEECH_WORDS]
    assert ids == list(range(v.VOCAB_SIZE))


def test_every_scene_and_action_has_other_words_and_no_word_means_two_things() -> None:
    assert set(v.SCENE_SYNONYMS) == set(v.SCENES)
    assert set(v.ACTION_FORMS) == set(v.ACTIONS)
    words = [
        word
        for table in (v.SCENE_SYNONYMS, v.ACTION_FORMS)
        for key, more in table.items()
        for word in (key, *more)
    ]
    assert len(words) == len(set(words))
    assert not v.STOP_WORDS & set(words)


def test_longest_sentence_fits_the_limit() -> None:
    assert max(len(sentence.split()) for sentence in v.known_sentences()) == v.MAX_SPEECH_WORDS
    assert len(v.known_sentences()) == len(set(v.known_sentences())) == len(v.OPENERS) * len(v.CLOSERS)


def test_known_words_names_everything() -> None:
    text = v.known_words()
    for word in (*v.SCENES, *v.ACTIONS, *v.OPENERS, *filter(None, v.CLOSERS)):
        assert word in text
