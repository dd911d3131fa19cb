"""Damaged files, seeded: every reader of people's files must answer them with named problems and nothing else.

``targets.py`` lists what reads them, ``samples.py`` holds small valid files, ``mutations.py`` damages these. A few
cases of each target run with the tests; ``python -m tests.fuzz.run --count 100000 --seed 0`` runs more.
"""
