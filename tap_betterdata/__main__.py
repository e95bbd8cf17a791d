"""`python -m tap_betterdata` is the same as the command `tap-betterdata`."""

from tap_betterdata.tap import TapBetterData

TapBetterData.cli()
