"""The file that spark-submit, EMR Serverless and Glue start. `flowquet_spark` comes with the job, as a wheel among its Python files.

spark-submit and EMR pass arguments as they are. Glue passes its own beside them: there the whole command line is the job's argument `--flowquet`.
"""

import shlex
import sys

from flowquet_spark.__main__ import main


def arguments(given):
    """What belongs to the driver."""
    if "--flowquet" in given:
        return shlex.split(given[given.index("--flowquet") + 1])
    return given


if __name__ == "__main__":
    code = main(arguments(sys.argv[1:]))
    # Glue takes any exit for a failure, also one with 0.
    if code:
        sys.exit(code)
