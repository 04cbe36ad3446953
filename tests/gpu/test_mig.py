"""MIG's tables, and what follows from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lablib.gpu.mig import (
    MEMORY_SLICES,
    PROFILES,
    Placement,
    legal_starts,
    maximal_layouts,
    occupied_slices,
)

TABLE = {
    # model: {profile id: (name, starts, size, most, SMs)}
    "A100-40": {
        19: ("1g.5gb", (0, 1, 2, 3, 4, 5, 6), 1, 7, 14),
        20: ("1g.5gb+me", (0, 1, 2, 3, 4, 5, 6), 1, 1, 14),
        15: ("1g.10gb", (0, 2, 4, 6), 2, 4, 14),
        14: ("2g.10gb", (0, 2, 4), 2, 3, 28),
        9: ("3g.20gb", (0, 4), 4, 2, 42),
        5: ("4g.20gb", (0,), 4, 1, 56),
        0: ("7g.40gb", (0,), 8, 1, 98),
    },
    "H100": {
        19: ("1g.10gb", (0, 1, 2, 3, 4, 5, 6), 1, 7, 16),
        20: ("1g.10gb+me", (0, 1, 2, 3, 4, 5, 6), 1, 1, 16),
        15: ("1g.20gb", (0, 2, 4, 6), 2, 4, 26),
        14: ("2g.20gb", (0, 2, 4), 2, 3, 32),
        9: ("3g.40gb", (0, 4), 4, 2, 60),
        5: ("4g.40gb", (0,), 4, 1, 64),
        0: ("7g.80gb", (0,), 8, 1, 132),
    },
}
NAMES = {
    "A100-80": ["1g.10gb", "1g.10gb+me", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"],
    "H200": ["1g.18gb", "1g.18gb+me", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb", "7g.141gb"],
}


@pytest.mark.parametrize("model", TABLE)
def test_profiles_are_those_of_the_table(model):
    found = {
        profile.number: (profile.name, profile.starts, profile.size, profile.most, profile.sms)
        for profile in PROFILES[model]
    }
    assert found == TABLE[model]


@pytest.mark.parametrize("model", NAMES)
def test_other_models_have_the_same_cuts_of_other_sizes(model):
    assert [profile.name for profile in PROFILES[model]] == NAMES[model]


@pytest.mark.parametrize("model", PROFILES)
def test_there_are_19_maximal_layouts_and_78_with_double_memory(model):
    plain = [profile for profile in PROFILES[model] if not profile.media]
    single = [profile for profile in plain if (profile.compute, profile.size) != (1, 2)]
    assert len(maximal_layouts(single)) == 19
    assert len(maximal_layouts(plain)) == 78


def test_at_most_one_piece_has_the_media_engines():
    layouts = maximal_layouts(PROFILES["H100"])
    assert {sum("+me" in name for name, _ in layout) for layout in layouts} == {0, 1}


profiles = st.sampled_from(PROFILES["H100"])
slices = st.frozensets(st.integers(0, MEMORY_SLICES - 1))


@given(profiles, slices)
def test_a_legal_start_overlaps_nothing_and_every_other_start_does(profile, occupied):
    starts = legal_starts(profile, occupied)
    for start in profile.starts:
        free = not Placement(start, profile.size).slices & occupied
        assert (start in starts) is free
    assert list(starts) == sorted(starts)


@given(profiles, slices, slices)
def test_more_occupied_is_never_more_starts(profile, occupied, others):
    assert set(legal_starts(profile, occupied | others)) <= set(legal_starts(profile, occupied))


def test_one_slice_in_the_wrong_place_costs_half_a_gpu():
    third = next(profile for profile in PROFILES["H100"] if profile.number == 9)
    assert legal_starts(third, frozenset()) == (0, 4)
    assert legal_starts(third, occupied_slices([Placement(1, 1)])) == (4,)
    assert legal_starts(third, occupied_slices([Placement(1, 1), Placement(5, 1)])) == ()
