"""What chance says of a file whose hosts are drawn from a network of which some are gone."""

import math

DATA = 8


def unreadable(pool, gone, code):
    """That more than the parity of a file's hosts, one for each shard and drawn from `pool`, are among the `gone`."""
    data, parity = code
    ways = sum(
        math.comb(gone, lost) * math.comb(pool - gone, data + parity - lost)
        for lost in range(parity + 1, min(gone, data + parity) + 1)
    )
    return ways / math.comb(pool, data + parity)


def cut_readable(near, far, code):
    """That at least as many of a file's hosts as it takes are among the `near` ones."""
    return 1 - unreadable(near + far, far, code)


def code_for(pool, gone, files, risk):
    """The code of eight data shards and the least parity with which, by chance, the loss of any of the files is no likelier than `risk`. One of
    the pool is the owner, who is no host."""
    most = min(32, pool - 1) - DATA
    safe = (parity for parity in range(2, most) if files * unreadable(pool, gone, (DATA, parity)) <= risk)
    return DATA, next(safe, most)
