"""A stand-in for the Better Data SCM API, for tries, tests and demonstrations.

It answers some endpoints on 127.0.0.1 with a made-up company, and can limit rates, lose
connections and lie like a real service:

    with Sandbox.from_query("items=20000&latency_ms=50") as sandbox:
        sandbox.url, sandbox.api_key, sandbox.company

`python -m tap_betterdata.sandbox` starts it from a shell. The company has a past that
ends with the day before; `today=2026-03-15` sets its clock, but not that of the changes
made while it runs, nor the `Date` of answers. What the real API answers is known from
its public documentation only; where that is silent, an option chooses.
"""

from __future__ import annotations

from tap_betterdata.sandbox.app import Request
from tap_betterdata.sandbox.company import Company
from tap_betterdata.sandbox.faults import Faults
from tap_betterdata.sandbox.options import DEFAULT_KEY, Options
from tap_betterdata.sandbox.server import Sandbox

__all__ = ["DEFAULT_KEY", "Company", "Faults", "Options", "Request", "Sandbox"]
