from jaxvid.models.backbones.graph import Add, Conv, MaxPool, Norm, Parallel, Site, by_distance_from_output


def conv(name):
    return Conv(name, 8, (1, 1))


def test_layers_are_listed_by_their_distance_from_the_output():
    # Distances, counted by hand; each join is a layer too: first 8; the branch of a1 7, a2 6 and a fork of b1 5 and b2
    # 5, joined 4; beside it c1 5 and the pool 4; joined 3; the sum 2; last 1.
    fork = Parallel(((conv("b1"),), (conv("b2"),)))
    mixed = Parallel(((conv("a1"), conv("a2"), fork), (conv("c1"), MaxPool(3))))
    series = (conv("first"), Parallel(((), (mixed,)), Add()), Site("last"))
    names = [getattr(layer, "name", "pool") for layer in by_distance_from_output(series)]
    assert names == ["first", "a1", "a2", "b1", "b2", "c1", "pool", "last"]


def test_layers_of_a_shorter_branch_are_listed_by_their_distance_too():
    # ResNet's block: the shortcut's two layers are as far from the sum as the last two of the other branch.
    shortcut, main = (conv("0"), Norm("0n")), (conv("1"), Norm("1n"), conv("2"), Norm("2n"))
    series = (Parallel((shortcut, main), Add()),)
    assert [layer.name for layer in by_distance_from_output(series)] == ["1", "1n", "0", "2", "0n", "2n"]
