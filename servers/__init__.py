"""The servers of Étude and their core."""

import os
from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("etude")
except PackageNotFoundError:  # run from a source tree that was never installed
    VERSION = "0+unknown"

# Before numpy is loaded anywhere: five servers, their jobs and the tests share two cores, and a matrix of a few hundred
# rows gains nothing from a second thread. Whoever knows better sets the variables.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(_variable, "1")
