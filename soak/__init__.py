"""``python -m soak``: a fleet of updaters under disturbances, and an auditor that reads every file meanwhile.

A run has four phases: one replica alone (the baseline), the fleet undisturbed, the fleet while every 20 to
40 s something is done to it, and a quiet end. It leaves a report and a plot, and fails where a file was
wrong or went back, where one got too old, or where the fleet wrote too much.

================  ====================================================================================
``settings``      what can be chosen on the command line, and what follows from it
``run``           the phases in order, and the end of everything they started
``fleet``         updaters as processes, each behind proxies of its own
``proxy``         a TCP proxy that can reset, stall and cut, and counts what passes
``disturb``       what is done to the fleet: the seeded plan, and the doing
``auditor``       every version read against the true book; ages; pure
``reader``        the reading: plain conditional GETs, without credentials
``ages``          when the exchange moved, how old a file is, percentiles; pure
``counters``      the replicas' own counters, summed over restarts; processor time
``verdict``       what was measured against what must hold; pure
``record``        what a run leaves behind
``report``        ``report.json`` and ``report.md``
``plot``          ``ages.png``
================  ====================================================================================

``auditor``, ``reader`` and ``ages`` import nothing of the library or the services: what they check must not
be what they check it with.
"""
