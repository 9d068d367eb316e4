"""The crowd of short lives: as many as asked for, of which not more are alive than there may be."""

from benchmarks.endurance.slots import LONGEST, Crowd


def test_every_episode_is_drawn_as_often_as_it_takes_steps_and_few_are_alive() -> None:
    crowd, taken, most = Crowd(total=200, alive=20, walks=5, run="run"), dict[str, int](), 0
    while life := crowd.draw():
        most = max(most, crowd.begun - crowd.over)
        taken[life.name] = taken.get(life.name, 0) + 1
        life.taken += 1
        if life.taken == life.steps:
            crowd.over += 1
        else:
            crowd.resting.append(life)
    assert (len(taken), crowd.over, most) == (200, 200, 20)
    assert set(taken.values()) == set(range(1, LONGEST + 1))
