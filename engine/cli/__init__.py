"""`atomic`: the command line.

Scripts that were installed when all of it was one file ask for `engine.cli:main`.
"""

from engine.cli.main import main as main
