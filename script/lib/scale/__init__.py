"""What a model will do on machines that are not there yet: the arithmetic behind script/scale.

    model     a config.json, its matrices
    weights   in which numbers a matrix is kept, and how many bytes those are
    shard     which part of a matrix is a rank's
    machines  what a rank has: memory, bandwidth, arithmetic; and what connects ranks
    memory    what a rank holds, and how many sequences fit
    experts   how many experts a step reads, on the rank that reads most
    cost      seconds of a step, by term
    plan      ranks, stages and replicas for so many users
    report    the same as text and JSON
    curves    as CSV and SVG (drawing); buy: as a table; page: those of docs/scaling.md
    measured  predictions against what docs/performance.md has measured
"""


class Refused(Exception):
    """What cannot be calculated, in one line: what; expected; got; what to do."""
