from __future__ import annotations

import torch

from training.delays import LATEST, delay, delay_sound, draw_delays


def speech() -> torch.Tensor:
    """Mouths of 400 clips that speak in frames 1 to 6, but for the last one, who speaks to the end."""
    mouth = torch.zeros(400, 17)
    mouth[:, 1:7] = torch.rand(400, 6, generator=torch.Generator().manual_seed(0)) + 0.1
    mouth[-1, 1:] = 0.5
    return mouth


def test_delays_keep_all_that_is_said_and_use_the_room():
    mouth = speech()
    late = draw_delays(mouth, torch.Generator().manual_seed(1))
    assert late[:-1].unique().tolist() == list(range(LATEST + 1))
    assert late[-1] == 0
    assert torch.allclose(delay(mouth, late).sum(dim=1), mouth.sum(dim=1))


def test_sound_and_mouth_move_together():
    late = torch.tensor([0, 3])
    sound = torch.zeros(2, 1, 34)
    sound[:, :, 4] = 1.0
    moved = delay_sound(sound, late, torch.full((1, 34), -1.0))
    frames = moved[:, 0].argmax(dim=1) * 0.064 * 8
    assert abs(float(frames[1] - frames[0]) - 3) < 0.5
    assert bool((moved[1, 0, :6] == -1).all())
    mouth = delay(torch.eye(17)[[2, 2]], late)
    assert mouth.argmax(dim=1).tolist() == [2, 5]
